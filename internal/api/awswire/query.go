package awswire

import (
	"encoding/base64"
	"math"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// maxParameters bounds a form. The largest sensible one, a PutMetricData, has some thousands.
const maxParameters = 20000

// node is a form's parameters as a tree: A.member.1.B is the path A, member, 1, B.
type node struct {
	value    string
	set      bool // the form has a parameter that ends here
	children map[string]*node
}

// parseForm makes the tree of a form, and gives its Action and Version.
func parseForm(form string) (root *node, err error) {
	root = &node{}
	if strings.Count(form, "&") >= maxParameters {
		return nil, bad("more than %d parameters", maxParameters)
	}
	for pair := range strings.SplitSeq(form, "&") {
		if pair == "" {
			continue
		}
		rawKey, rawValue, _ := strings.Cut(pair, "=")
		key, err := url.QueryUnescape(rawKey)
		if err != nil {
			return nil, bad("a parameter's name is not percent-encoded: %s", rawKey)
		}
		value, err := url.QueryUnescape(rawValue)
		if err != nil {
			return nil, within(key, bad("the value is not percent-encoded"))
		}
		value = strings.ToValidUTF8(value, "\ufffd")
		if err := root.add(key, value); err != nil {
			return nil, within(key, err)
		}
	}
	return root, nil
}

func (n *node) add(key, value string) error {
	if strings.Count(key, ".") >= 2*maxDepth {
		return bad("nested deeper than %d levels", maxDepth)
	}
	for step := range strings.SplitSeq(key, ".") {
		next := n.children[step]
		if next == nil {
			next = &node{}
			if n.children == nil {
				n.children = map[string]*node{}
			}
			n.children[step] = next
		}
		n = next
	}
	if n.set {
		return bad("the parameter is there twice")
	}
	n.value, n.set = value, true
	return nil
}

// get reads a parameter of the top level, or "".
func (n *node) get(name string) string {
	if c := n.children[name]; c != nil {
		return c.value
	}
	return ""
}

// readForm reads a form's tree into v, a value that p is the plan for.
func (p *plan) readForm(n *node, v reflect.Value) error {
	switch p.kind {
	case kindPointer:
		target := reflect.New(p.elem.typ)
		if err := p.elem.readForm(n, target.Elem()); err != nil {
			return err
		}
		v.Set(target)
		return nil
	case kindStruct:
		for i := range p.fields {
			f := &p.fields[i]
			child := n.children[f.name]
			if child == nil {
				continue
			}
			if err := f.plan.readForm(child, v.Field(f.index)); err != nil {
				return within(f.name, err)
			}
		}
		return nil
	case kindList:
		return p.readFormList(n, v)
	case kindMap:
		return p.readFormMap(n, v)
	case kindUnion:
		return errUnion()
	default:
		if !n.set || len(n.children) > 0 {
			return bad("expected one plain value")
		}
		return p.readFormValue(n.value, v)
	}
}

// readFormValue reads a scalar from its text.
func (p *plan) readFormValue(text string, v reflect.Value) error {
	switch p.kind { //nolint:exhaustive // readForm has seen to the kinds that are no scalars
	case kindString:
		v.SetString(text)
	case kindBool:
		switch text {
		case "true", "True", "TRUE":
			v.SetBool(true)
		case "false", "False", "FALSE":
			v.SetBool(false)
		default:
			return bad("expected true or false")
		}
	case kindInt:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || v.OverflowInt(n) {
			return bad("expected a whole number of at most %d bits", p.typ.Bits())
		}
		v.SetInt(n)
	case kindFloat:
		f, err := strconv.ParseFloat(text, 64)
		if err != nil || v.OverflowFloat(f) && !math.IsInf(f, 0) {
			return bad("expected a number")
		}
		v.SetFloat(f)
	case kindTime:
		t, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			return bad("expected a time such as 2026-01-02T15:04:05Z")
		}
		v.Set(reflect.ValueOf(t.UTC()))
	case kindBlob:
		blob, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return bad("expected base64")
		}
		v.SetBytes(blob)
	}
	return nil
}

// readFormList reads A.member.1, A.member.2 and so on; a bare "A=" is the empty list.
func (p *plan) readFormList(n *node, v reflect.Value) error {
	list := reflect.MakeSlice(p.typ, 0, 0)
	items, err := n.numbered("member")
	if err != nil {
		return err
	}
	for i, item := range items {
		list = reflect.Append(list, reflect.Zero(p.elem.typ))
		if err := p.elem.readForm(item, list.Index(i)); err != nil {
			return within("member."+strconv.Itoa(i+1), err)
		}
	}
	v.Set(list)
	return nil
}

// readFormMap reads A.entry.1.key, A.entry.1.value and so on.
func (p *plan) readFormMap(n *node, v reflect.Value) error {
	m := reflect.MakeMap(p.typ)
	items, err := n.numbered("entry")
	if err != nil {
		return err
	}
	for i, item := range items {
		step := "entry." + strconv.Itoa(i+1)
		value := item.children["value"]
		if item.children["key"] == nil || value == nil {
			return within(step, bad("expected a key and a value"))
		}
		key := reflect.ValueOf(item.get("key")).Convert(p.typ.Key())
		elem := reflect.New(p.elem.typ).Elem()
		if err := p.elem.readForm(value, elem); err != nil {
			return within(step, err)
		}
		m.SetMapIndex(key, elem)
	}
	v.Set(m)
	return nil
}

// numbered gives the children of n's child name in the order of their numbers. Gaps are closed up, as
// clients differ in where they begin to count.
func (n *node) numbered(name string) ([]*node, error) {
	list := n.children[name]
	if list == nil {
		if n.set && n.value != "" || len(n.children) > 0 {
			return nil, bad("expected numbered parameters under %s", name)
		}
		return nil, nil
	}
	type item struct {
		number int
		node   *node
	}
	items := make([]item, 0, len(list.children))
	for key, child := range list.children {
		number, err := strconv.Atoi(key)
		if err != nil || number < 0 {
			return nil, bad("%q is no number under %s", key, name)
		}
		items = append(items, item{number, child})
	}
	slices.SortFunc(items, func(a, b item) int { return a.number - b.number })
	nodes := make([]*node, len(items))
	for i := range items {
		nodes[i] = items[i].node
		if i > 0 && items[i].number == items[i-1].number {
			return nil, bad("the number %d is there twice under %s", items[i].number, name)
		}
	}
	return nodes, nil
}
