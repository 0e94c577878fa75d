package awswire

import (
	"math"
	"reflect"
	"strconv"
	"time"
)

// decodeJSON reads a request's body into v, a struct that p is the plan for. The body is consumed: v may
// hold parts of it. An empty body is an empty input.
func (p *plan) decodeJSON(body []byte, v reflect.Value) error {
	d := &parser{data: body}
	if d.peek() == 0 && d.pos == len(body) {
		return nil
	}
	if err := p.readJSON(d, v); err != nil {
		return err
	}
	if d.peek(); d.pos != len(body) {
		return d.unexpected("the end of the body")
	}
	return nil
}

// readJSON reads one value into v, whose type p is the plan for.
func (p *plan) readJSON(d *parser, v reflect.Value) error {
	switch p.kind {
	case kindString:
		s, err := d.stringBytes()
		if err != nil {
			return err
		}
		v.SetString(string(s))
	case kindBool:
		switch {
		case d.word("true"):
			v.SetBool(true)
		case d.word("false"):
			v.SetBool(false)
		default:
			return d.unexpected("a boolean")
		}
	case kindInt:
		return p.readInt(d, v)
	case kindFloat:
		return readFloat(d, v)
	case kindTime:
		return readEpoch(d, v)
	case kindBlob:
		blob, err := d.blob()
		if err != nil {
			return err
		}
		v.SetBytes(blob)
	case kindPointer:
		target := reflect.New(p.elem.typ)
		if err := p.elem.readJSON(d, target.Elem()); err != nil {
			return err
		}
		v.Set(target)
	case kindList:
		return p.readList(d, v)
	case kindMap:
		return p.readMap(d, v)
	case kindStruct:
		return p.readStruct(d, v)
	case kindUnion:
		return errUnion()
	}
	return nil
}

// errUnion refuses what no operation here knows, rather than doing half of what was asked.
func errUnion() error { return bad("the member is not supported by this version of Berth") }

// readStruct fills in the members that the struct has and drops the others, since newer clients send more.
// A member that is null counts as absent.
func (p *plan) readStruct(d *parser, v reflect.Value) error {
	var seen uint64 // one bit for each of the first 64 members; no AWS input has more
	return d.object(func(name []byte) error {
		i, ok := p.byName[string(name)]
		if !ok {
			return d.skip()
		}
		f := &p.fields[i]
		if i < 64 {
			bit := uint64(1) << i
			if seen&bit != 0 {
				return within(f.name, bad("the member is there twice"))
			}
			seen |= bit
		}
		if d.word("null") {
			return nil
		}
		if err := f.plan.readJSON(d, v.Field(f.index)); err != nil {
			return within(f.name, err)
		}
		return nil
	})
}

func (p *plan) readList(d *parser, v reflect.Value) error {
	list := reflect.MakeSlice(p.typ, 0, 0)
	err := d.list(func(i int) error {
		list = reflect.Append(list, reflect.Zero(p.elem.typ))
		if err := p.elem.readJSON(d, list.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
		return nil
	})
	v.Set(list)
	return err
}

func (p *plan) readMap(d *parser, v reflect.Value) error {
	m := reflect.MakeMap(p.typ)
	err := d.object(func(name []byte) error {
		// The name lies in the buffer, which reading the value may overwrite.
		key := reflect.ValueOf(string(name)).Convert(p.typ.Key())
		if m.MapIndex(key).IsValid() {
			return within(key.String(), bad("the key is there twice"))
		}
		elem := reflect.New(p.elem.typ).Elem()
		if err := p.elem.readJSON(d, elem); err != nil {
			return within(key.String(), err)
		}
		m.SetMapIndex(key, elem)
		return nil
	})
	v.Set(m)
	return err
}

func (p *plan) readInt(d *parser, v reflect.Value) error {
	text, err := d.number()
	if err != nil {
		return err
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || v.OverflowInt(n) {
		return bad("%s is not a whole number of at most %d bits", text, p.typ.Bits())
	}
	v.SetInt(n)
	return nil
}

func readFloat(d *parser, v reflect.Value) error {
	f, err := d.float()
	if err != nil {
		return err
	}
	if v.OverflowFloat(f) && !math.IsInf(f, 0) {
		return bad("the number %v is out of range", f)
	}
	v.SetFloat(f)
	return nil
}

// readEpoch reads seconds since 1970, to the millisecond, which is all that a float64 is sure to carry.
func readEpoch(d *parser, v reflect.Value) error {
	f, err := d.float()
	if err != nil {
		return err
	}
	return setEpoch(v, f)
}

func setEpoch(v reflect.Value, f float64) error {
	// The years 1 to 9999, which every other format can say too.
	if !(f >= -62135596800 && f < 253402300800) {
		return bad("the time %v is out of range", f)
	}
	v.Set(reflect.ValueOf(time.UnixMilli(int64(math.Round(f * 1000))).UTC()))
	return nil
}
