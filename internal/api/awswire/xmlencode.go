package awswire

import (
	"encoding/base64"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendXML writes what stands between the tags of v's element.
func (p *plan) appendXML(b []byte, v reflect.Value) []byte {
	switch p.kind {
	case kindString:
		return appendXMLText(b, v.String())
	case kindBool:
		return strconv.AppendBool(b, v.Bool())
	case kindInt:
		return strconv.AppendInt(b, v.Int(), 10)
	case kindFloat:
		return p.pointed(strconv.AppendFloat(b, v.Float(), 'g', -1, v.Type().Bits()), len(b))
	case kindTime:
		return appendXMLTime(b, timeOf(v))
	case kindBlob:
		return base64.StdEncoding.AppendEncode(b, v.Bytes())
	case kindPointer:
		if v.IsNil() {
			return b
		}
		return p.elem.appendXML(b, v.Elem())
	case kindList:
		for i := range v.Len() {
			b = append(b, "<member>"...)
			b = p.elem.appendXML(b, v.Index(i))
			b = append(b, "</member>"...)
		}
		return b
	case kindMap:
		for _, key := range sortedKeys(v) {
			b = append(b, "<entry><key>"...)
			b = appendXMLText(b, key.String())
			b = append(b, "</key><value>"...)
			b = p.elem.appendXML(b, v.MapIndex(key))
			b = append(b, "</value></entry>"...)
		}
		return b
	default:
		return p.appendXMLStruct(b, v)
	}
}

func (p *plan) appendXMLStruct(b []byte, v reflect.Value) []byte {
	for i := range p.fields {
		f := &p.fields[i]
		fv := v.Field(f.index)
		if f.absent(fv) {
			continue
		}
		b = append(b, f.start...)
		b = f.plan.appendXML(b, fv)
		b = append(b, f.end...)
	}
	return b
}

func appendXMLTime(b []byte, t time.Time) []byte {
	return t.UTC().Truncate(time.Millisecond).AppendFormat(b, "2006-01-02T15:04:05.999Z07:00")
}

// appendXMLText escapes s. What XML 1.0 cannot hold at all becomes U+FFFD.
func appendXMLText(b []byte, s string) []byte {
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == '&':
			b = append(b, "&amp;"...)
		case r == '<':
			b = append(b, "&lt;"...)
		case r == '>':
			b = append(b, "&gt;"...)
		case r == '"':
			b = append(b, "&#34;"...)
		case r == '\r':
			b = append(b, "&#13;"...) // a reader would make a newline of a plain one
		case r == utf8.RuneError && size == 1, r < ' ' && r != '\t' && r != '\n', r == 0xFFFE, r == 0xFFFF:
			b = append(b, "\ufffd"...)
		default:
			b = append(b, s[i:i+size]...)
		}
		i += size
	}
	return b
}
