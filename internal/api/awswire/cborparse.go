package awswire

import (
	"encoding/binary"
	"fmt"
	"math"
	"unicode/utf8"
)

// maxListBytes bounds what the lists and maps of one request may take in memory. A byte of CBOR can be a whole structure, so
// that the size of the body says little. The largest sensible request, a PutMetricData of 1,000 data, needs half a megabyte.
const maxListBytes = 16 << 20

// cborReader reads CBOR as RFC 8949 has it: sizes announced or not, numbers in any width.
type cborReader struct {
	data  []byte
	pos   int
	depth int
	taken int // bytes of lists and maps so far
}

// cborHead is an item's initial byte and its argument.
type cborHead struct {
	major byte // one of cborUint to cborSimple
	minor byte
	arg   uint64
}

func (h cborHead) indefinite() bool { return h.minor == cborIndefinite }

// what names the item for a person.
func (h cborHead) what() string {
	switch h.major {
	case cborUint, cborNegint:
		return "a whole number"
	case cborBytes:
		return "bytes"
	case cborText:
		return "a string"
	case cborArray:
		return "a list"
	case cborPairs:
		return "a map"
	case cborTag:
		return fmt.Sprintf("the tag %d", h.arg)
	}
	switch cborSimple | h.minor {
	case cborFalse, cborTrue:
		return "a boolean"
	case cborNull, cborUndefined:
		return "null"
	case cborBreak:
		return "the end of a list or map"
	case cborSimple | cborFloat16, cborSimple | cborFloat32, cborSimple | cborFloat64:
		return "a number"
	default:
		return fmt.Sprintf("the simple value %d", h.arg)
	}
}

func (d *cborReader) rest() uint64 { return uint64(len(d.data) - d.pos) }

// head reads an item's beginning.
func (d *cborReader) head() (cborHead, error) {
	if d.rest() == 0 {
		return cborHead{}, bad("the CBOR ends where a value should be")
	}
	first := d.data[d.pos]
	h := cborHead{major: first & 0xe0, minor: first & 0x1f}
	d.pos++
	switch {
	case h.minor < 24:
		h.arg = uint64(h.minor)
	case h.minor <= 27:
		width := 1 << (h.minor - 24)
		if d.rest() < uint64(width) {
			return h, bad("the CBOR ends inside a number or length")
		}
		var wide [8]byte
		copy(wide[8-width:], d.data[d.pos:])
		h.arg = binary.BigEndian.Uint64(wide[:])
		d.pos += width
	case h.minor < cborIndefinite || h.major == cborUint || h.major == cborNegint || h.major == cborTag:
		return h, bad("malformed CBOR at byte %d", d.pos-1)
	}
	return h, nil
}

// expect reads an item's beginning, which must be of a major type.
func (d *cborReader) expect(major byte, wanted string) (cborHead, error) {
	at := d.pos
	h, err := d.head()
	if err == nil && h.major != major {
		err = unexpectedCBOR(h, wanted, at)
	}
	return h, err
}

func unexpectedCBOR(h cborHead, wanted string, at int) error {
	return bad("expected %s, found %s at byte %d", wanted, h.what(), at)
}

// next tells whether the next byte is c, and reads it if so.
func (d *cborReader) next(c byte) bool {
	if d.rest() == 0 || d.data[d.pos] != c {
		return false
	}
	d.pos++
	return true
}

// null reads a null, and tells whether one stood there.
func (d *cborReader) null() bool { return d.next(cborNull) || d.next(cborUndefined) }

// chunk reads n bytes.
func (d *cborReader) chunk(n uint64) ([]byte, error) {
	if n > d.rest() {
		return nil, bad("the CBOR ends inside a string of %d bytes", n)
	}
	s := d.data[d.pos : d.pos+int(n)]
	d.pos += int(n)
	return s, nil
}

// bytes reads the bytes of a string of either kind. They are part of the buffer when the string came in one piece.
func (d *cborReader) bytes(major byte, wanted string) ([]byte, error) {
	h, err := d.expect(major, wanted)
	if err != nil {
		return nil, err
	}
	return d.stringRest(h)
}

func (d *cborReader) stringRest(h cborHead) ([]byte, error) {
	if !h.indefinite() {
		return d.chunk(h.arg)
	}
	all := []byte{}
	for !d.next(cborBreak) {
		piece, err := d.expect(h.major, "a piece of a string")
		if err != nil {
			return nil, err
		}
		if piece.indefinite() {
			return nil, bad("a piece of a string has pieces")
		}
		part, err := d.chunk(piece.arg)
		if err != nil {
			return nil, err
		}
		all = append(all, part...)
	}
	return all, nil
}

// text reads a string, which must be UTF-8.
func (d *cborReader) text(wanted string) ([]byte, error) {
	s, err := d.bytes(cborText, wanted)
	if err == nil && !utf8.Valid(s) {
		err = bad("a string is not UTF-8")
	}
	return s, err
}

// items reads what a list or map holds, and calls item for each element or pair; item must consume it.
func (d *cborReader) items(h cborHead, item func(i int) error) error {
	if d.depth++; d.depth > maxDepth {
		return bad("nested deeper than %d levels", maxDepth)
	}
	defer func() { d.depth-- }()
	if !h.indefinite() && h.arg > d.rest() { // each takes a byte at least
		return bad("the CBOR ends inside a list or map of %d", h.arg)
	}
	for i := 0; ; i++ {
		if h.indefinite() {
			if d.next(cborBreak) {
				return nil
			}
		} else if uint64(i) == h.arg {
			return nil
		}
		if err := item(i); err != nil {
			return err
		}
	}
}

// take counts what a list or map grows by.
func (d *cborReader) take(size uintptr) error {
	if d.taken += int(size); d.taken > maxListBytes {
		return bad("the request's lists are larger than %d bytes", maxListBytes)
	}
	return nil
}

// number reads a number of any kind. whole tells that it was written as an integer, whose value is then n.
func (d *cborReader) number(wanted string) (f float64, n int64, whole bool, err error) {
	at := d.pos
	h, err := d.head()
	if err != nil {
		return 0, 0, false, err
	}
	switch h.major {
	case cborUint, cborNegint:
		if h.arg > math.MaxInt64 {
			return 0, 0, false, bad("a number at byte %d is out of range", at)
		}
		n = int64(h.arg)
		if h.major == cborNegint {
			n = -1 - n
		}
		return float64(n), n, true, nil
	case cborSimple:
		switch h.minor {
		case cborFloat16:
			return float16(uint16(h.arg)), 0, false, nil
		case cborFloat32:
			return float64(math.Float32frombits(uint32(h.arg))), 0, false, nil
		case cborFloat64:
			return math.Float64frombits(h.arg), 0, false, nil
		}
	}
	return 0, 0, false, unexpectedCBOR(h, wanted, at)
}

// float16 is the value of a half-precision number, RFC 8949 appendix D.
func float16(half uint16) float64 {
	exponent, mantissa := int(half>>10&0x1f), float64(half&0x3ff)
	var f float64
	switch {
	case exponent == 0:
		f = math.Ldexp(mantissa, -24)
	case exponent != 31:
		f = math.Ldexp(mantissa+1024, exponent-25)
	case mantissa == 0:
		f = math.Inf(1)
	default:
		return math.NaN()
	}
	if half&0x8000 != 0 {
		return -f
	}
	return f
}

// skip reads any value and drops it.
func (d *cborReader) skip() error {
	at := d.pos
	h, err := d.head()
	if err != nil {
		return err
	}
	switch h.major {
	case cborBytes, cborText:
		_, err = d.stringRest(h)
	case cborArray:
		err = d.items(h, func(int) error { return d.skip() })
	case cborPairs:
		err = d.items(h, func(int) error {
			if err := d.skip(); err != nil {
				return err
			}
			return d.skip()
		})
	case cborTag:
		// Tags may stand before each other: they count as levels.
		err = d.items(cborHead{arg: 1}, func(int) error { return d.skip() })
	case cborSimple:
		if h.indefinite() {
			err = unexpectedCBOR(h, "a value", at)
		}
	}
	return err
}
