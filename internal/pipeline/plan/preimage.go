package plan

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"strings"
)

// keysVersion begins whatever a key is the hash of. It changes when the rules do: then no key is like one of before.
const keysVersion = "berth-inputs-1"

// preimage is what is hashed. It is the version and a kind, and then what the kind has, in an order that is always the
// same: texts, each after its length in bytes, and numbers, both in eight bytes with the highest first. A list is its length
// and then what is in it. So whoever knows the kind can read it back, and no two different things are written alike.
type preimage struct {
	bytes   []byte
	unknown string // why it cannot be made, if it cannot
}

func newPreimage(kind string) *preimage {
	b := &preimage{}
	b.text(keysVersion)
	b.text(kind)
	return b
}

func (b *preimage) number(n int) { b.bytes = binary.BigEndian.AppendUint64(b.bytes, uint64(n)) } //nolint:gosec // never below 0

func (b *preimage) text(s string) {
	b.number(len(s))
	b.bytes = append(b.bytes, s...)
}

func (b *preimage) texts(list []string) {
	b.number(len(list))
	for _, s := range list {
		b.text(s)
	}
}

// flag writes a yes or a no.
func (b *preimage) flag(yes bool) {
	n := 0
	if yes {
		n = 1
	}
	b.number(n)
}

// is has it be about what is unknown, if it is. The first reason stays.
func (b *preimage) is(unknown string) {
	if b.unknown == "" {
		b.unknown = unknown
	}
}

func (b *preimage) digest(d digest) {
	b.text(d.sum)
	b.is(d.unknown)
}

// digests writes some as a set: their order does not matter, nor how often one comes.
func (b *preimage) digests(all []digest) {
	for _, d := range all {
		b.is(d.unknown)
	}
	slices.SortFunc(all, func(x, y digest) int { return strings.Compare(x.sum, y.sum) })
	all = slices.CompactFunc(all, func(x, y digest) bool { return x.sum == y.sum })
	b.number(len(all))
	for _, d := range all {
		b.text(d.sum)
	}
}

// digest is the SHA-256 of a preimage, in 32 bytes, or why there is none.
type digest struct{ sum, unknown string }

func (b *preimage) hash() digest {
	if b.unknown != "" {
		return digest{unknown: b.unknown}
	}
	sum := sha256.Sum256(b.bytes)
	return digest{sum: string(sum[:])}
}
