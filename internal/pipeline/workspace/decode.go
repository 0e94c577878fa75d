package workspace

import (
	"cmp"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// reader is a type that is read in a way of its own.
type reader interface {
	read(s *source, path string, node ast.Node)
	schema() map[string]any // JSON Schema of it
}

// field is a member of a mapping, as its tag says.
type field struct {
	key, doc       string
	required, rest bool
	index          int
}

// fields are the members of a struct type.
func fields(t reflect.Type) []field {
	var all []field
	for i := range t.NumField() {
		tag, ok := t.Field(i).Tag.Lookup("berth")
		if !ok {
			continue
		}
		key, options, _ := strings.Cut(tag, ",")
		all = append(all, field{key, t.Field(i).Tag.Get("doc"), options == "required", options == "rest", i})
	}
	return all
}

// decode reads a node into what a pointer points to, by its type. A value that is left empty is one that is not given.
// What is wrong is noted, and reading goes on.
func (s *source) decode(node ast.Node, into any) {
	if node == nil {
		s.problems = append(s.problems, Problem{File: s.name, Message: "there is nothing in it; at least repository and apps must be given"})
		return
	}
	s.value("", node, reflect.ValueOf(into).Elem())
}

func (s *source) value(path string, node ast.Node, v reflect.Value) {
	s.at[path] = start(node)
	switch node.(type) {
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode, *ast.TagNode:
		s.problem(start(node), "anchors, aliases and tags are not read here: write the value out")
		return
	case *ast.NullNode:
		return
	}
	if r, ok := reflect.TypeAssert[reader](v.Addr()); ok {
		r.read(s, path, node)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		s.value(path, node, v.Elem())
	case reflect.Struct:
		s.structure(path, node, v)
	case reflect.Map:
		s.mapping(path, node, v)
	case reflect.Slice:
		s.list(path, node, v)
	case reflect.Bool:
		b, ok := node.(*ast.BoolNode)
		if !ok {
			s.problem(start(node), "%s is true or false, not %s", path, describe(node))
			return
		}
		v.SetBool(b.Value)
	case reflect.String:
		if text, ok := s.text(path, node); ok {
			v.SetString(text)
		}
	default:
		panic("workspace: no way to read a " + v.Type().String())
	}
}

// text reads a value that is one string.
func (s *source) text(path string, node ast.Node) (string, bool) {
	switch n := node.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	default:
		hint := ""
		switch node.(type) {
		case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
			hint = fmt.Sprintf(": put it in quotes, %q", node.GetToken().Value)
		}
		s.problem(start(node), "%s is a string, not %s%s", path, describe(node), hint)
		return "", false
	}
}

// describe says what a node is.
func describe(node ast.Node) string {
	switch node.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	case *ast.StringNode, *ast.LiteralNode:
		return "a string"
	default:
		return "what it is"
	}
}

// entry is a key of a mapping with its value.
type entry struct {
	key   string
	at    *token.Token
	value ast.Node
}

// entries gives a mapping's keys and values, or notes that it is none.
func (s *source) entries(path string, node ast.Node) ([]entry, bool) {
	mapping, ok := node.(*ast.MappingNode)
	if !ok {
		s.problem(start(node), "%s is a mapping such as \"key: value\", not %s", cmp.Or(path, s.name), describe(node))
		return nil, false
	}
	seen := map[string]bool{}
	var all []entry
	for _, e := range mapping.Values {
		at := e.Key.GetToken()
		switch e.Key.(type) {
		case *ast.StringNode, *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode:
		default:
			s.problem(at, "a key is a string here")
			continue
		}
		if seen[at.Value] {
			s.problem(at, "%s is there twice", join(path, at.Value))
			continue
		}
		seen[at.Value] = true
		all = append(all, entry{at.Value, at, e.Value})
	}
	return all, true
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func (s *source) structure(path string, node ast.Node, v reflect.Value) {
	all, ok := s.entries(path, node)
	if !ok {
		return
	}
	members := fields(v.Type())
	given := map[string]bool{}
	var rest []entry
	open := slices.IndexFunc(members, func(f field) bool { return f.rest })
	for _, e := range all {
		i := slices.IndexFunc(members, func(f field) bool { return f.key == e.key && !f.rest })
		switch {
		case i >= 0:
			_, empty := e.value.(*ast.NullNode)
			given[e.key] = !empty
			s.value(join(path, e.key), e.value, v.Field(members[i].index))
			s.at[join(path, e.key)+"#"] = e.at
		case open >= 0:
			rest = append(rest, e)
		default:
			s.unknown(path, e, members)
		}
	}
	if open >= 0 {
		v.Field(members[open].index).Set(reflect.ValueOf(Options{s, path, rest}))
	}
	for _, f := range members {
		if f.required && !given[f.key] {
			s.problem(start(node), "%s is missing: %s", join(path, f.key), f.doc)
		}
	}
}

// unknown notes a key that is none, and which was probably meant.
func (s *source) unknown(path string, e entry, members []field) {
	var keys []string
	for _, f := range members {
		keys = append(keys, f.key)
	}
	where := ""
	if path != "" {
		where = " in " + path
	}
	s.problem(e.at, "no key of the name %q%s%s", e.key, where, meant(e.key, keys))
}

// meant suggests the name that was probably meant, or says which there are.
func meant(name string, names []string) string {
	best, least := "", 3
	for _, n := range names {
		plain := strings.NewReplacer("-", "_", " ", "_").Replace(strings.ToLower(name))
		if d := levenshtein.Distance(plain, n, nil); d < least {
			best, least = n, d
		}
	}
	switch {
	case best != "":
		return fmt.Sprintf(" (did you mean %q?)", best)
	case len(names) > 0 && len(names) <= 12:
		return "; there are " + strings.Join(names, ", ")
	default:
		return ""
	}
}

func (s *source) mapping(path string, node ast.Node, v reflect.Value) {
	all, ok := s.entries(path, node)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range all {
		element := reflect.New(v.Type().Elem()).Elem()
		s.value(join(path, e.key), e.value, element)
		s.at[join(path, e.key)+"#"] = e.at
		v.SetMapIndex(reflect.ValueOf(e.key), element)
	}
}

func (s *source) list(path string, node ast.Node, v reflect.Value) {
	sequence, ok := node.(*ast.SequenceNode)
	if !ok {
		s.problem(start(node), "%s is a list such as [one, two], not %s", path, describe(node))
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(sequence.Values), len(sequence.Values)))
	for i, element := range sequence.Values {
		at := fmt.Sprintf("%s[%d]", path, i)
		if _, empty := element.(*ast.NullNode); empty {
			s.problem(element.GetToken(), "%s is empty", at)
			continue
		}
		s.value(at, element, v.Index(i))
	}
}

// Options are keys whose meaning depends on another, and that are read when that is known.
type Options struct {
	source  *source
	path    string
	entries []entry
}

// Keys are the options that are given, in order.
func (o Options) Keys() []string {
	var keys []string
	for _, e := range o.entries {
		keys = append(keys, e.key)
	}
	return keys
}

// Decode reads the options into a struct whose fields have tags as those of File have, and reports all that is wrong
// as Problems.
func (o Options) Decode(into any) error {
	s := &source{name: o.source.name, lines: o.source.lines, at: maps.Clone(o.source.at)}
	v := reflect.ValueOf(into).Elem()
	members := fields(v.Type())
	given := map[string]bool{}
	for _, e := range o.entries {
		i := slices.IndexFunc(members, func(f field) bool { return f.key == e.key })
		if i < 0 {
			s.unknown(o.path, e, members)
			continue
		}
		given[e.key] = true
		s.value(join(o.path, e.key), e.value, v.Field(members[i].index))
	}
	for _, f := range members {
		if f.required && !given[f.key] {
			s.wrong(o.path, "%s is missing: %s", join(o.path, f.key), f.doc)
		}
	}
	return s.err()
}
