package awswire

import (
	"encoding/binary"
	"math"
	"reflect"
	"strings"
	"time"
)

// The parts of CBOR's initial bytes, RFC 8949 section 3.
const (
	cborUint   = 0 << 5
	cborNegint = 1 << 5
	cborBytes  = 2 << 5
	cborText   = 3 << 5
	cborArray  = 4 << 5
	cborPairs  = 5 << 5
	cborTag    = 6 << 5
	cborSimple = 7 << 5

	cborIndefinite = 31

	cborFalse     = cborSimple | 20
	cborTrue      = cborSimple | 21
	cborNull      = cborSimple | 22
	cborUndefined = cborSimple | 23
	cborFloat16   = 25 // below cborSimple
	cborFloat32   = 26
	cborFloat64   = 27
	cborBreak     = cborSimple | cborIndefinite
	cborMap       = cborPairs | cborIndefinite

	cborEpoch = 1 // the tag of seconds since 1970
)

// appendCBOR writes v, whose type p is the plan for. Structures are maps of no announced size, as the SDKs write them.
func (p *plan) appendCBOR(b []byte, v reflect.Value) []byte {
	switch p.kind {
	case kindString:
		return appendCBORText(b, v.String())
	case kindBool:
		if v.Bool() {
			return append(b, cborTrue)
		}
		return append(b, cborFalse)
	case kindInt:
		return appendCBORInt(b, v.Int())
	case kindFloat:
		return appendCBORFloat(b, v.Float())
	case kindTime:
		return appendCBORTime(b, timeOf(v))
	case kindBlob:
		b = appendCBORHead(b, cborBytes, uint64(v.Len()))
		return append(b, v.Bytes()...)
	case kindPointer:
		if v.IsNil() {
			return append(b, cborNull)
		}
		return p.elem.appendCBOR(b, v.Elem())
	case kindList:
		b = appendCBORHead(b, cborArray, uint64(v.Len()))
		for i := range v.Len() {
			b = p.elem.appendCBOR(b, v.Index(i))
		}
		return b
	case kindMap:
		b = appendCBORHead(b, cborPairs, uint64(v.Len()))
		for _, key := range sortedKeys(v) {
			b = appendCBORText(b, key.String())
			b = p.elem.appendCBOR(b, v.MapIndex(key))
		}
		return b
	default:
		return p.appendCBORStruct(b, v)
	}
}

func (p *plan) appendCBORStruct(b []byte, v reflect.Value) []byte {
	b = append(b, cborMap)
	for i := range p.fields {
		f := &p.fields[i]
		if fv := v.Field(f.index); !f.absent(fv) {
			b = append(b, f.text...)
			b = f.plan.appendCBOR(b, fv)
		}
	}
	return append(b, cborBreak)
}

// appendCBORHead writes an initial byte with its argument, in the fewest bytes.
func appendCBORHead(b []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(b, major|byte(n))
	case n <= math.MaxUint8:
		return append(b, major|24, byte(n))
	case n <= math.MaxUint16:
		return binary.BigEndian.AppendUint16(append(b, major|25), uint16(n))
	case n <= math.MaxUint32:
		return binary.BigEndian.AppendUint32(append(b, major|26), uint32(n))
	default:
		return binary.BigEndian.AppendUint64(append(b, major|27), n)
	}
}

func appendCBORInt(b []byte, n int64) []byte {
	if n < 0 {
		return appendCBORHead(b, cborNegint, uint64(-1-n))
	}
	return appendCBORHead(b, cborUint, uint64(n))
}

func appendCBORFloat(b []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(append(b, cborSimple|cborFloat64), math.Float64bits(f))
}

// appendCBORText writes a string. Bytes that are not UTF-8 become U+FFFD, as in JSON.
func appendCBORText(b []byte, s string) []byte {
	s = validText(s)
	b = appendCBORHead(b, cborText, uint64(len(s)))
	return append(b, s...)
}

// validText is s with U+FFFD for each byte that is not UTF-8. strings.ToValidUTF8 would make one of a run of them.
func validText(s string) string {
	if strings.ToValidUTF8(s, "") == s {
		return s
	}
	return string([]rune(s))
}

// appendCBORTime writes a time as the tag 1 and a float64 of seconds, to the millisecond.
func appendCBORTime(b []byte, t time.Time) []byte {
	return appendCBORFloat(append(b, cborTag|cborEpoch), float64(t.UnixMilli())/1000)
}
