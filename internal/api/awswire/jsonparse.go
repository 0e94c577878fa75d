package awswire

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep a request may nest. ECR's deepest input has five levels.
const maxDepth = 32

// parser reads JSON as RFC 8259 has it, from a buffer that it may overwrite where it has read.
type parser struct {
	data  []byte
	pos   int
	depth int
}

// malformed is what is wrong with a request's body, and where.
type malformed struct {
	path string // imageIds[3].imageTag
	what string
}

func (m *malformed) Error() string {
	if m.path == "" {
		return m.what
	}
	return m.path + ": " + m.what
}

func bad(format string, args ...any) error {
	return &malformed{what: fmt.Sprintf(format, args...)}
}

// within adds a step to the path of a malformed error on its way out.
func within(step string, err error) error {
	m, ok := errors.AsType[*malformed](err)
	if !ok {
		return err
	}
	switch {
	case m.path == "":
		m.path = step
	case m.path[0] == '[':
		m.path = step + m.path
	default:
		m.path = step + "." + m.path
	}
	return m
}

func (d *parser) space() {
	for d.pos < len(d.data) {
		switch d.data[d.pos] {
		case ' ', '\t', '\n', '\r':
			d.pos++
		default:
			return
		}
	}
}

// peek skips space and tells the next byte, or 0 at the end.
func (d *parser) peek() byte {
	d.space()
	if d.pos == len(d.data) {
		return 0
	}
	return d.data[d.pos]
}

// unexpected says what stands where something else was wanted.
func (d *parser) unexpected(wanted string) error {
	var found string
	switch c := d.peek(); {
	case c == 0 && d.pos == len(d.data):
		return bad("the JSON ends where %s should be", wanted)
	case c == '"':
		found = "a string"
	case c == '{':
		found = "an object"
	case c == '[':
		found = "a list"
	case c == 't', c == 'f':
		found = "a boolean"
	case c == 'n':
		found = "null"
	case c == '-', '0' <= c && c <= '9':
		found = "a number"
	default:
		found = fmt.Sprintf("the character %q", rune(c))
	}
	return bad("expected %s, found %s at byte %d", wanted, found, d.pos)
}

func (d *parser) enter() error {
	if d.depth++; d.depth > maxDepth {
		return bad("nested deeper than %d levels", maxDepth)
	}
	return nil
}

// word reads a literal such as null, and tells whether it stood there.
func (d *parser) word(w string) bool {
	d.space()
	if !bytes.HasPrefix(d.data[d.pos:], []byte(w)) {
		return false
	}
	d.pos += len(w)
	return true
}

// object reads an object and calls member at each value; member must consume it.
func (d *parser) object(member func(name []byte) error) error {
	if d.peek() != '{' {
		return d.unexpected("an object")
	}
	d.pos++
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	if d.peek() == '}' {
		d.pos++
		return nil
	}
	for {
		if d.peek() != '"' {
			return d.unexpected("a member name")
		}
		name, err := d.stringBytes()
		if err != nil {
			return err
		}
		if d.peek() != ':' {
			return d.unexpected("a colon")
		}
		d.pos++
		if err := member(name); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case '}':
			d.pos++
			return nil
		default:
			return d.unexpected("a comma or the end of the object")
		}
	}
}

// list reads a list and calls element at each value; element must consume it.
func (d *parser) list(element func(i int) error) error {
	if d.peek() != '[' {
		return d.unexpected("a list")
	}
	d.pos++
	if err := d.enter(); err != nil {
		return err
	}
	defer func() { d.depth-- }()
	if d.peek() == ']' {
		d.pos++
		return nil
	}
	for i := 0; ; i++ {
		if err := element(i); err != nil {
			return err
		}
		switch d.peek() {
		case ',':
			d.pos++
		case ']':
			d.pos++
			return nil
		default:
			return d.unexpected("a comma or the end of the list")
		}
	}
}

// stringBytes reads a string. The result is part of the buffer when nothing in it is escaped.
func (d *parser) stringBytes() ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.unexpected("a string")
	}
	d.pos++
	start, ascii := d.pos, true
	for i, c := range d.data[start:] {
		switch {
		case c == '"':
			s := d.data[start : start+i]
			d.pos = start + i + 1
			if !ascii && !utf8.Valid(s) {
				return nil, bad("a string is not UTF-8")
			}
			return s, nil
		case c == '\\':
			return d.unescape(start, start+i)
		case c < ' ':
			return nil, bad("a string holds the control character %#02x unescaped", c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	d.pos = len(d.data)
	return nil, bad("the JSON ends inside a string")
}

// unescape reads on from the first escape of a string that began at start.
func (d *parser) unescape(start, at int) ([]byte, error) {
	out := append(make([]byte, 0, at-start+64), d.data[start:at]...)
	for d.pos = at; d.pos < len(d.data); {
		rest := d.data[d.pos:]
		c := rest[0]
		switch {
		case c == '"':
			d.pos++
			if !utf8.Valid(out) {
				return nil, bad("a string is not UTF-8")
			}
			return out, nil
		case c == '\\':
			r, err := d.escape()
			if err != nil {
				return nil, err
			}
			out = utf8.AppendRune(out, r)
		case c < ' ':
			return nil, bad("a string holds the control character %#02x unescaped", c)
		default:
			n := plainRun(rest)
			out = append(out, rest[:n]...)
			d.pos += n
		}
	}
	return nil, bad("the JSON ends inside a string")
}

// plainRun counts the bytes before the next one that means something in a string.
func plainRun(s []byte) int {
	for i, c := range s {
		if c == '"' || c == '\\' || c < ' ' {
			return i
		}
	}
	return len(s)
}

// escape reads one escape sequence, both halves of a surrogate pair included.
func (d *parser) escape() (rune, error) {
	if d.pos+1 >= len(d.data) {
		return 0, bad("the JSON ends inside a string")
	}
	c := d.data[d.pos+1]
	d.pos += 2
	switch c {
	case '"', '\\', '/':
		return rune(c), nil
	case 'b':
		return '\b', nil
	case 'f':
		return '\f', nil
	case 'n':
		return '\n', nil
	case 'r':
		return '\r', nil
	case 't':
		return '\t', nil
	case 'u':
		r, err := d.hex4()
		if err != nil || !utf16.IsSurrogate(r) {
			return r, err
		}
		if bytes.HasPrefix(d.data[d.pos:], []byte(`\u`)) {
			d.pos += 2
			low, err := d.hex4()
			if err != nil {
				return 0, err
			}
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, nil
			}
		}
		// Replacing it, as many decoders do, would change the digest of a manifest.
		return 0, bad("a string holds half of a surrogate pair")
	default:
		return 0, bad("a string holds the unknown escape \\%c", c)
	}
}

func (d *parser) hex4() (rune, error) {
	if d.pos+4 > len(d.data) {
		return 0, bad("the JSON ends inside a string")
	}
	n, err := strconv.ParseUint(string(d.data[d.pos:d.pos+4]), 16, 16)
	if err != nil {
		return 0, bad("a string holds a broken \\u escape")
	}
	d.pos += 4
	return rune(n), nil
}

// number reads a number's text and checks its grammar.
func (d *parser) number() ([]byte, error) {
	if c := d.peek(); c != '-' && (c < '0' || c > '9') {
		return nil, d.unexpected("a number")
	}
	start := d.pos
	if d.data[d.pos] == '-' {
		d.pos++
	}
	leading := d.pos
	if d.digits() == 0 || d.data[leading] == '0' && d.pos > leading+1 {
		return nil, bad("a number is malformed at byte %d", start)
	}
	if d.pos < len(d.data) && d.data[d.pos] == '.' {
		d.pos++
		if d.digits() == 0 {
			return nil, bad("a number is malformed at byte %d", start)
		}
	}
	if d.pos < len(d.data) && (d.data[d.pos] == 'e' || d.data[d.pos] == 'E') {
		d.pos++
		if d.pos < len(d.data) && (d.data[d.pos] == '+' || d.data[d.pos] == '-') {
			d.pos++
		}
		if d.digits() == 0 {
			return nil, bad("a number is malformed at byte %d", start)
		}
	}
	return d.data[start:d.pos], nil
}

func (d *parser) digits() int {
	start := d.pos
	for d.pos < len(d.data) && '0' <= d.data[d.pos] && d.data[d.pos] <= '9' {
		d.pos++
	}
	return d.pos - start
}

// blob reads base64 in place: the result overwrites the text it was read from, which spares a copy of a
// layer part of 20 MiB.
func (d *parser) blob() ([]byte, error) {
	if d.peek() != '"' {
		return nil, d.unexpected("a string")
	}
	text := d.data[d.pos+1:]
	end := bytes.IndexByte(text, '"')
	if end < 0 {
		return nil, bad("the JSON ends inside a string")
	}
	text = text[:end]
	if bytes.IndexByte(text, '\\') >= 0 {
		// Some writers escape the slash, which is a base64 digit.
		var err error
		if text, err = d.stringBytes(); err != nil {
			return nil, err
		}
	} else {
		d.pos += end + 2
	}
	return decodeBase64(text)
}

func decodeBase64(text []byte) ([]byte, error) {
	// Blocks of whole quartets go through a small buffer, since Decode does not promise to work in place.
	if bytes.IndexByte(text, '\n') >= 0 || bytes.IndexByte(text, '\r') >= 0 {
		return nil, bad("a blob is not base64") // Decode would skip them
	}
	const block = 4096
	var buf [block / 4 * 3]byte
	out := text[:0]
	for len(text) > 0 {
		n := min(block, len(text))
		size, err := base64.StdEncoding.Decode(buf[:], text[:n])
		if err != nil || n == block && len(text) > block && size != len(buf) {
			return nil, bad("a blob is not base64")
		}
		out = append(out, buf[:size]...)
		text = text[n:]
	}
	return out, nil
}

// skip reads any value and drops it.
func (d *parser) skip() error {
	switch c := d.peek(); {
	case c == '{':
		return d.object(func([]byte) error { return d.skip() })
	case c == '[':
		return d.list(func(int) error { return d.skip() })
	case c == '"':
		_, err := d.stringBytes()
		return err
	case c == '-', '0' <= c && c <= '9':
		_, err := d.number()
		return err
	case d.word("true"), d.word("false"), d.word("null"):
		return nil
	default:
		return d.unexpected("a value")
	}
}

// float reads a number, or one of the three that JSON cannot write and AWS writes as strings.
func (d *parser) float() (float64, error) {
	if d.peek() == '"' {
		s, err := d.stringBytes()
		if err != nil {
			return 0, err
		}
		switch string(s) {
		case "NaN":
			return math.NaN(), nil
		case "Infinity":
			return math.Inf(1), nil
		case "-Infinity":
			return math.Inf(-1), nil
		}
		return 0, bad("expected a number, found a string")
	}
	text, err := d.number()
	if err != nil {
		return 0, err
	}
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return 0, bad("the number %s is out of range", text)
	}
	return f, nil
}
