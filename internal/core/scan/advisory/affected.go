package advisory

import (
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// DecodeAffected reads what json.Marshal has made of one. Judging reads hundreds of thousands of them, and nearly all are of few words:
// these are read here, in a tenth of the time; the rest, and whatever looks odd, by json.Unmarshal.
func DecodeAffected(b []byte) (Affected, error) {
	r := plainReader{s: string(b)}
	f := r.affected()
	if !r.odd && r.s == "" {
		return f, nil
	}
	f = Affected{}
	err := json.Unmarshal(b, &f)
	if err != nil {
		f = Affected{}
	}
	return f, err
}

// plainReader takes JSON without blanks and escapes apart. Once it meets something else it is odd, and says nothing any more.
type plainReader struct {
	s   string
	odd bool
}

// next takes one of the bytes, and tells which.
func (r *plainReader) next(of string) byte {
	if r.s == "" || strings.IndexByte(of, r.s[0]) < 0 {
		r.odd = true
		return 0
	}
	c := r.s[0]
	r.s = r.s[1:]
	return c
}

func (r *plainReader) text() string {
	if r.next(`"`) == 0 {
		return ""
	}
	for i := range len(r.s) {
		switch c := r.s[i]; {
		case c == '"':
			text := r.s[:i]
			r.s = r.s[i+1:]
			return text
		case c == '\\' || c < ' ' || c >= utf8.RuneSelf:
			r.odd = true
			return ""
		}
	}
	r.odd = true
	return ""
}

// members reads an object, each member of which f reads by its one letter. A letter that comes twice is odd.
func (r *plainReader) members(f func(key byte)) {
	seen := ""
	for c := r.next("{"); !r.odd && c != '}'; c = r.next(",}") {
		key := r.text()
		if r.next(":") == 0 || len(key) != 1 || strings.Contains(seen, key) {
			r.odd = true
			return
		}
		seen += key
		f(key[0])
	}
}

// items reads an array that is not empty.
func (r *plainReader) items(f func()) {
	for c := r.next("["); !r.odd && c != ']'; c = r.next(",]") {
		f()
	}
}

func (r *plainReader) affected() (f Affected) {
	r.members(func(key byte) {
		switch key {
		case 'v':
			r.items(func() { f.Versions = append(f.Versions, r.text()) })
		case 'w':
			f.Word = r.text()
		case 'r':
			r.items(func() { f.Ranges = append(f.Ranges, r.events()) })
		default:
			r.odd = true
		}
	})
	return f
}

func (r *plainReader) events() (g Range) {
	r.members(func(key byte) {
		if key != 'e' {
			r.odd = true
			return
		}
		r.items(func() { g.Events = append(g.Events, r.event()) })
	})
	g.Events = slices.Clip(g.Events)
	return g
}

func (r *plainReader) event() (e Event) {
	r.members(func(key byte) {
		switch key {
		case 'i':
			e.Introduced = r.text()
		case 'f':
			e.Fixed = r.text()
		case 'l':
			e.LastAffected = r.text()
		case 'm':
			e.Limit = r.text()
		default:
			r.odd = true
		}
	})
	return e
}
