package awswire

import (
	"encoding/base64"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// appendJSON writes v, whose type p is the plan for.
func (p *plan) appendJSON(b []byte, v reflect.Value) []byte {
	switch p.kind {
	case kindString:
		return appendJSONString(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return p.pointed(appendJSONFloat(b, v.Float(), v.Type().Bits()), len(b))
	case kindTime:
		return appendEpoch(b, timeOf(v))
	case kindBlob:
		b = append(b, '"')
		b = base64.StdEncoding.AppendEncode(b, v.Bytes())
		return append(b, '"')
	case kindPointer:
		if v.IsNil() {
			return append(b, "null"...)
		}
		return p.elem.appendJSON(b, v.Elem())
	case kindList:
		b = append(b, '[')
		for i := range v.Len() {
			if i > 0 {
				b = append(b, ',')
			}
			b = p.elem.appendJSON(b, v.Index(i))
		}
		return append(b, ']')
	case kindMap:
		return p.appendJSONMap(b, v)
	default:
		return p.appendJSONStruct(b, v)
	}
}

func (p *plan) appendJSONStruct(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	first := true
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		if f.absent(fv) {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, f.key...)
		b = f.plan.appendJSON(b, fv)
	}
	return append(b, '}')
}

func (p *plan) appendJSONMap(b []byte, v reflect.Value) []byte {
	b = append(b, '{')
	for i, key := range sortedKeys(v) {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendJSONString(b, key.String())
		b = append(b, ':')
		b = p.elem.appendJSON(b, v.MapIndex(key))
	}
	return append(b, '}')
}

// sortedKeys puts a map's keys in order, so that the same answer is the same bytes.
func sortedKeys(v reflect.Value) []reflect.Value {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int {
		switch {
		case a.String() < b.String():
			return -1
		case a.String() > b.String():
			return 1
		}
		return 0
	})
	return keys
}

// appendEpoch writes a time as seconds since 1970 with milliseconds, never with an exponent, which the AWS
// CLI would print as it came.
func appendEpoch(b []byte, t time.Time) []byte {
	ms := t.UnixMilli()
	if ms < 0 {
		b = append(b, '-')
		ms = -ms
	}
	b = strconv.AppendInt(b, ms/1000, 10)
	if rest := ms % 1000; rest != 0 {
		b = append(b, '.', byte('0'+rest/100))
		if rest %= 100; rest != 0 {
			b = append(b, byte('0'+rest/10))
			if rest %= 10; rest != 0 {
				b = append(b, byte('0'+rest))
			}
		}
	}
	return b
}

func appendJSONFloat(b []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(b, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(b, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(b, `"-Infinity"`...)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e'
	}
	return strconv.AppendFloat(b, f, format, -1, bits)
}

// pointed adds a point to a number that was written from a place on without one, if the service is to have it. Scripts read such numbers as text.
func (p *plan) pointed(b []byte, from int) []byte {
	if !p.points || strings.Trim(string(b[from:]), "-0123456789") != "" {
		return b
	}
	return append(b, '.', '0')
}

const hexDigits = "0123456789abcdef"

// appendJSONString writes s escaped as little as JSON allows: manifests travel in strings, and clients
// hash what they unescape. Bytes that are not UTF-8 become U+FFFD.
func appendJSONString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(b, s[start:i]...)
				b = append(b, "\ufffd"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		switch c {
		case '"', '\\':
			b = append(b, '\\', c)
		case '\n':
			b = append(b, '\\', 'n')
		case '\r':
			b = append(b, '\\', 'r')
		case '\t':
			b = append(b, '\\', 't')
		default:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		start = i
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
