package match

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Member is a package's place in a set.
type Member struct {
	Package int64 // id
	Layer   int   // which layer brought it, 0 the lowest
	Owned   bool  // see inventory.File
}

// Hit is an advisory that hits a package.
type Hit struct {
	Advisory int64 // id
	// Vulnerability is the smallest id of the advisories that speak of the same vulnerability in packages of the same name: among
	// packages of one name, hits with the same one are one finding.
	Vulnerability int64
	Day           int // since when it is known to hit, in days since 1970
	Severity      advisory.Severity
	Fixable       bool // a newer version mends it
	Exploited     bool // the vulnerability is in CISA's catalogue
}

// Result is what advisories say of one version of a package.
type Result struct {
	Hits        []Hit // in order of advisory
	Unevaluated bool  // the version could not be compared with some of what they say
}

// ErrPacked says that bytes are not what one of the Pack functions has made.
var ErrPacked = errors.New("stored packages or matches are damaged")

const (
	membersFormat = 0x01
	idsFormat     = 0x02
	resultFormat  = 0x10 // and flags
	unevaluated   = 0x01

	severityMask = 0x07
	fixableFlag  = 0x08
	exploitFlag  = 0x10

	maxLayer = 1 << 20
	maxDay   = 1 << 24
	maxID    = 1 << 62
)

// severities by number, as they are stored and from bad to good.
var severities = [...]advisory.Severity{ //nolint:gochecknoglobals // a table
	advisory.Critical, advisory.High, advisory.Medium, advisory.Low, advisory.Informational, advisory.Undefined,
}

func number(s advisory.Severity) int {
	if i := slices.Index(severities[:], s); i >= 0 {
		return i
	}
	return len(severities) - 1
}

// PackMembers packs members in order of package, layer and whether they are owned, each once. It sorts the list that it is given.
func PackMembers(members []Member) []byte {
	slices.SortFunc(members, func(a, b Member) int {
		return cmp.Or(cmp.Compare(a.Package, b.Package), cmp.Compare(place(a), place(b)))
	})
	members = slices.Compact(members)
	b := append(make([]byte, 0, 1+3*len(members)), membersFormat)
	last := int64(0)
	for _, m := range members {
		b = binary.AppendUvarint(b, uint64(m.Package-last)) //nolint:gosec // they rise
		b = binary.AppendUvarint(b, place(m))
		last = m.Package
	}
	return b
}

func place(m Member) uint64 {
	p := uint64(m.Layer) << 1 //nolint:gosec // not negative
	if m.Owned {
		p |= 1
	}
	return p
}

// EachMember hands over what PackMembers has packed.
func EachMember(b []byte, f func(Member)) error {
	_, err := AnyMember(b, func(m Member) bool {
		f(m)
		return false
	})
	return err
}

// AnyMember tells whether f says so of one of what PackMembers has packed.
func AnyMember(b []byte, f func(Member) bool) (bool, error) {
	if len(b) == 0 || b[0] != membersFormat {
		return false, ErrPacked
	}
	r := reader{b: b[1:]}
	last := int64(0)
	for len(r.b) > 0 {
		id, place := r.id(last), r.uvarint()
		if r.bad || place>>1 > maxLayer {
			return false, ErrPacked
		}
		if f(Member{Package: id, Layer: int(place >> 1), Owned: place&1 != 0}) { //nolint:gosec // compared above
			return true, nil
		}
		last = id
	}
	return false, nil
}

// appendCounted appends the packages of packed members that are counted, each once. It is EachMember without a call for each: a
// judgement goes through millions of them.
func appendCounted(ids []int64, b []byte) ([]int64, error) {
	if len(b) == 0 || b[0] != membersFormat {
		return ids, ErrPacked
	}
	b = b[1:]
	last, counted := int64(0), int64(0)
	for len(b) > 0 {
		var step, place uint64
		// Nearly all are of one or two bytes, and in one of the first hundred layers.
		switch {
		case len(b) > 3 && b[0] < 0x80 && b[1] < 0x80:
			step, place, b = uint64(b[0]), uint64(b[1]), b[2:]
		case len(b) > 3 && b[1] < 0x80 && b[2] < 0x80:
			step, place, b = uint64(b[0]&0x7f)|uint64(b[1])<<7, uint64(b[2]), b[3:]
		default:
			r := reader{b: b}
			if step, place = r.uvarint(), r.uvarint(); r.bad {
				return ids, ErrPacked
			}
			b = r.b
		}
		if step > maxID || last+int64(step) > maxID || last+int64(step) <= 0 || place>>1 > maxLayer { //nolint:gosec // compared
			return ids, ErrPacked
		}
		last += int64(step) //nolint:gosec // compared
		if place&1 == 0 && last != counted {
			ids = append(ids, last)
			counted = last
		}
	}
	return ids, nil
}

// PackIDs packs ids, which must rise.
func PackIDs(ids []int64) []byte {
	if len(ids) == 0 {
		return []byte{}
	}
	b := append(make([]byte, 0, 1+2*len(ids)), idsFormat)
	last := int64(0)
	for _, id := range ids {
		b = binary.AppendUvarint(b, uint64(id-last)) //nolint:gosec // they rise
		last = id
	}
	return b
}

// UnpackIDs is the opposite of PackIDs.
func UnpackIDs(b []byte) ([]int64, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if b[0] != idsFormat {
		return nil, ErrPacked
	}
	r := reader{b: b[1:]}
	var ids []int64
	last := int64(0)
	for len(r.b) > 0 {
		last = r.id(last)
		if r.bad {
			return nil, ErrPacked
		}
		ids = append(ids, last)
	}
	return ids, nil
}

// Pack packs a result, whose hits must be in order of advisory, each once; a result that says nothing is no bytes.
func (r Result) Pack() []byte {
	if len(r.Hits) == 0 && !r.Unevaluated {
		return nil
	}
	head := byte(resultFormat)
	if r.Unevaluated {
		head |= unevaluated
	}
	b := append(make([]byte, 0, 1+5*len(r.Hits)), head)
	last, day := int64(0), 0
	for _, h := range r.Hits {
		b = binary.AppendUvarint(b, uint64(h.Advisory-last))            //nolint:gosec // they rise
		b = binary.AppendUvarint(b, uint64(h.Advisory-h.Vulnerability)) //nolint:gosec // not greater
		b = binary.AppendVarint(b, int64(h.Day-day))
		flags := byte(number(h.Severity)) //nolint:gosec // below 8
		if h.Fixable {
			flags |= fixableFlag
		}
		if h.Exploited {
			flags |= exploitFlag
		}
		b = append(b, flags)
		last, day = h.Advisory, h.Day
	}
	return b
}

// Unpack is the opposite of Pack.
func Unpack(b []byte) (Result, error) {
	if len(b) == 0 {
		return Result{}, nil
	}
	if b[0]&^unevaluated != resultFormat {
		return Result{}, ErrPacked
	}
	out := Result{Unevaluated: b[0]&unevaluated != 0}
	r := reader{b: b[1:]}
	last, day := int64(0), int64(0)
	for len(r.b) > 0 {
		h := Hit{Advisory: r.id(last)}
		back := r.uvarint()
		day += r.varint()
		flags := r.byte()
		severity := int(flags & severityMask)
		if r.bad || h.Advisory == last || back >= uint64(h.Advisory) || day < 0 || day > maxDay || severity >= len(severities) || flags>>5 != 0 { //nolint:gosec // ids are positive
			return Result{}, ErrPacked
		}
		h.Vulnerability, h.Day, h.Severity = h.Advisory-int64(back), int(day), severities[severity] //nolint:gosec // compared above
		h.Fixable, h.Exploited = flags&fixableFlag != 0, flags&exploitFlag != 0
		out.Hits = append(out.Hits, h)
		last = h.Advisory
	}
	return out, nil
}

// reader takes numbers from bytes. Once it is bad it stays so.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) uvarint() uint64 {
	if len(r.b) > 0 && r.b[0] < 0x80 { // nearly all
		v := uint64(r.b[0])
		r.b = r.b[1:]
		return v
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 || v > maxDay || v < -maxDay {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// id adds a step to the id before, which makes a positive one.
func (r *reader) id(last int64) int64 {
	step := r.uvarint()
	if step > maxID || last+int64(step) > maxID || last+int64(step) <= 0 { //nolint:gosec // compared
		r.bad = true
		return 0
	}
	return last + int64(step) //nolint:gosec // compared
}
