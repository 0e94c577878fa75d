package awswire

import (
	"math"
	"reflect"
	"strconv"
)

// decodeCBOR reads a request's body into v, a struct that p is the plan for. v may hold parts of the body. An empty body is an
// empty input.
func (p *plan) decodeCBOR(body []byte, v reflect.Value) error {
	if len(body) == 0 {
		return nil
	}
	d := &cborReader{data: body}
	if err := p.readCBOR(d, v); err != nil {
		return err
	}
	if d.rest() > 0 {
		return bad("%d bytes follow the CBOR", d.rest())
	}
	return nil
}

// readCBOR reads one value into v, whose type p is the plan for.
func (p *plan) readCBOR(d *cborReader, v reflect.Value) error {
	switch p.kind {
	case kindString:
		s, err := d.text("a string")
		if err != nil {
			return err
		}
		v.SetString(string(s))
	case kindBool:
		switch {
		case d.next(cborTrue):
			v.SetBool(true)
		case d.next(cborFalse):
			v.SetBool(false)
		default:
			_, err := d.expect(cborBreak, "a boolean") // which nothing is
			return err
		}
	case kindInt:
		return p.readCBORInt(d, v)
	case kindFloat:
		f, _, _, err := d.number("a number")
		if err != nil {
			return err
		}
		if v.OverflowFloat(f) && !math.IsInf(f, 0) {
			return bad("the number %v is out of range", f)
		}
		v.SetFloat(f)
	case kindTime:
		return readCBORTime(d, v)
	case kindBlob:
		s, err := d.bytes(cborBytes, "bytes")
		if err != nil {
			return err
		}
		v.SetBytes(s)
	case kindPointer:
		target := reflect.New(p.elem.typ)
		if err := p.elem.readCBOR(d, target.Elem()); err != nil {
			return err
		}
		v.Set(target)
	case kindList:
		return p.readCBORList(d, v)
	case kindMap:
		return p.readCBORMap(d, v)
	case kindStruct:
		return p.readCBORStruct(d, v)
	case kindUnion:
		return errUnion()
	}
	return nil
}

// readCBORInt reads a whole number. One that is written as a float counts when nothing is lost by it.
func (p *plan) readCBORInt(d *cborReader, v reflect.Value) error {
	f, n, whole, err := d.number("a whole number")
	if err != nil {
		return err
	}
	if !whole {
		if math.Trunc(f) != f || math.Abs(f) > 1<<53 {
			return bad("%v is not a whole number of at most %d bits", f, p.typ.Bits())
		}
		n = int64(f)
	}
	if v.OverflowInt(n) {
		return bad("%d is not a whole number of at most %d bits", n, p.typ.Bits())
	}
	v.SetInt(n)
	return nil
}

// readCBORTime reads the tag 1 and seconds since 1970, to the millisecond.
func readCBORTime(d *cborReader, v reflect.Value) error {
	at := d.pos
	h, err := d.expect(cborTag, "a time")
	if err != nil {
		return err
	}
	if h.arg != cborEpoch {
		return unexpectedCBOR(h, "a time, which has the tag 1", at)
	}
	f, _, _, err := d.number("seconds since 1970")
	if err != nil {
		return err
	}
	return setEpoch(v, f)
}

// readCBORStruct fills in the members that the struct has and drops the others, as in JSON.
func (p *plan) readCBORStruct(d *cborReader, v reflect.Value) error {
	h, err := d.expect(cborPairs, "a map")
	if err != nil {
		return err
	}
	var seen uint64 // one bit for each of the first 64 members; no AWS input has more
	return d.items(h, func(int) error {
		name, err := d.text("a member name")
		if err != nil {
			return err
		}
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
		if d.null() {
			return nil
		}
		if err := f.plan.readCBOR(d, v.Field(f.index)); err != nil {
			return within(f.name, err)
		}
		return nil
	})
}

func (p *plan) readCBORList(d *cborReader, v reflect.Value) error {
	h, err := d.expect(cborArray, "a list")
	if err != nil {
		return err
	}
	list := reflect.MakeSlice(p.typ, 0, 0)
	err = d.items(h, func(i int) error {
		if err := d.take(p.elem.typ.Size()); err != nil {
			return err
		}
		list = reflect.Append(list, reflect.Zero(p.elem.typ))
		if err := p.elem.readCBOR(d, list.Index(i)); err != nil {
			return within("["+strconv.Itoa(i)+"]", err)
		}
		return nil
	})
	v.Set(list)
	return err
}

func (p *plan) readCBORMap(d *cborReader, v reflect.Value) error {
	h, err := d.expect(cborPairs, "a map")
	if err != nil {
		return err
	}
	m := reflect.MakeMap(p.typ)
	err = d.items(h, func(int) error {
		name, err := d.text("a key")
		if err != nil {
			return err
		}
		if err := d.take(p.elem.typ.Size() + p.typ.Key().Size()); err != nil {
			return err
		}
		key := reflect.ValueOf(string(name)).Convert(p.typ.Key())
		if m.MapIndex(key).IsValid() {
			return within(key.String(), bad("the key is there twice"))
		}
		elem := reflect.New(p.elem.typ).Elem()
		if err := p.elem.readCBOR(d, elem); err != nil {
			return within(key.String(), err)
		}
		m.SetMapIndex(key, elem)
		return nil
	})
	v.Set(m)
	return err
}
