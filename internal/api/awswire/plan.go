package awswire

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// codec holds the plans for the types of one service. A plan says once what reflection would otherwise find
// out for each value: which fields go on the wire, under which names, and how.
type codec struct {
	rule   func(field string) string // a Go field's name on the wire
	rename map[string]string         // exceptions to the rule, by "Type.Field"
	plans  sync.Map                  // reflect.Type -> *plan, complete ones only
	notes  sync.Map                  // reflect.Type -> []noted
	mu     sync.Mutex                // held while plans are made
	points bool                      // eight is written 8.0 where it is no integer, as Amazon's older services do
}

func newCodec(rule func(string) string, rename map[string]string) *codec {
	return &codec{rule: rule, rename: rename}
}

// kind says how a value is written.
type kind int

const (
	kindString kind = iota
	kindBool
	kindInt
	kindFloat
	kindTime
	kindBlob
	kindStruct
	kindList
	kindMap
	kindPointer
	kindUnion // of which nothing is known: it is refused where it comes, and never goes
)

type plan struct {
	kind   kind
	typ    reflect.Type
	elem   *plan          // of a list, map or pointer
	fields []field        // of a struct, in order of wire name
	byName map[string]int // wire name -> index into fields
	points bool           // of a float: see codec
}

type field struct {
	index int
	name  string
	plan  *plan
	// optional marks an enumeration held as a plain string, where empty means absent.
	optional bool

	key        string // `"name":`
	text       string // the name as CBOR
	start, end string // <name>, </name>
}

// plan finds the plan for t, making it first if need be.
func (c *codec) plan(t reflect.Type) (*plan, error) {
	if p, ok := c.plans.Load(t); ok {
		return p.(*plan), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	made := map[reflect.Type]*plan{}
	p, err := c.make(t, made)
	if err != nil {
		return nil, err
	}
	// Types may refer to each other in a circle, so plans are published together, once all are whole.
	for t, p := range made {
		c.plans.LoadOrStore(t, p)
	}
	return p, nil
}

func (c *codec) make(t reflect.Type, made map[reflect.Type]*plan) (*plan, error) {
	if p, ok := c.plans.Load(t); ok {
		return p.(*plan), nil
	}
	if p, ok := made[t]; ok {
		return p, nil
	}
	p := &plan{typ: t}
	made[t] = p
	if t == reflect.TypeFor[time.Time]() {
		p.kind = kindTime
		return p, nil
	}
	var err error
	switch t.Kind() {
	case reflect.String:
		p.kind = kindString
	case reflect.Bool:
		p.kind = kindBool
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		p.kind = kindInt
	case reflect.Float32, reflect.Float64:
		p.kind, p.points = kindFloat, c.points
	case reflect.Pointer:
		p.kind = kindPointer
		p.elem, err = c.make(t.Elem(), made)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			p.kind = kindBlob
			break
		}
		p.kind = kindList
		p.elem, err = c.make(t.Elem(), made)
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("%s: the keys of a map must be strings", t)
		}
		p.kind = kindMap
		p.elem, err = c.make(t.Elem(), made)
	case reflect.Struct:
		p.kind = kindStruct
		err = c.makeFields(p, made)
	default:
		if t.Kind() != reflect.Interface || t.NumMethod() == 0 {
			return nil, fmt.Errorf("%s: no protocol carries a %s", t, t.Kind())
		}
		p.kind = kindUnion
	}
	return p, err
}

func (c *codec) makeFields(p *plan, made map[reflect.Type]*plan) error {
	for i := range p.typ.NumField() {
		f := p.typ.Field(i)
		// ResultMetadata is the SDK's own note about a response, and never travels.
		if !f.IsExported() || f.Name == "ResultMetadata" {
			continue
		}
		fp, err := c.make(f.Type, made)
		if err != nil {
			return fmt.Errorf("field %s.%s: %w", p.typ.Name(), f.Name, err)
		}
		name, ok := c.rename[p.typ.Name()+"."+f.Name]
		if !ok {
			name = c.rule(f.Name)
		}
		p.fields = append(p.fields, field{
			index:    i,
			name:     name,
			plan:     fp,
			optional: fp.kind == kindString,
			key:      `"` + name + `":`,
			text:     string(appendCBORText(nil, name)),
			start:    "<" + name + ">",
			end:      "</" + name + ">",
		})
	}
	slices.SortFunc(p.fields, func(a, b field) int { return strings.Compare(a.name, b.name) })
	p.byName = make(map[string]int, len(p.fields))
	for i, f := range p.fields {
		if _, twice := p.byName[f.name]; twice {
			return fmt.Errorf("%s has two members named %s", p.typ, f.name)
		}
		p.byName[f.name] = i
	}
	return nil
}

// absent tells whether a struct's field is left out of the wire.
func (f *field) absent(v reflect.Value) bool {
	switch f.plan.kind {
	case kindPointer, kindList, kindMap, kindBlob, kindUnion:
		return v.IsNil()
	case kindString:
		return f.optional && v.Len() == 0
	default:
		return false
	}
}

// lowerFirst names a member in JSON.
func lowerFirst(name string) string {
	return strings.ToLower(name[:1]) + name[1:]
}

// timeOf is the time that v holds, without an allocation: answers may hold a hundred thousand of them.
func timeOf(v reflect.Value) time.Time {
	t, _ := reflect.TypeAssert[time.Time](v)
	return t
}
