package audit

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/zstd"
)

const (
	// blockRecords is how many records a block has at most.
	blockRecords = 1000
	// maxBlockText bounds what a block unpacks to, in bytes.
	maxBlockText = 64 << 20
	// filterBits is how many bits a filter has for each request: one in a hundred others is taken to be there.
	filterBits   = 10
	filterHashes = 7
)

// Filter knows some ids, and takes few others to be among them: a Bloom filter.
type Filter []byte

// filterKey hashes a request's or an event's id, which have the same digits, with and without dashes.
func filterKey(id string) uint64 {
	var buf [64]byte
	digits := buf[:0]
	for i := range len(id) {
		if id[i] != '-' {
			digits = append(digits, id[i])
		}
	}
	return xxhash.Sum64(digits)
}

// NewFilter makes one of hashes of ids.
func newFilter(hashes []uint64) Filter {
	f := make(Filter, (len(hashes)*filterBits+7)/8+1)
	for _, h := range hashes {
		f.each(h, func(i int, mask byte) bool {
			f[i] |= mask
			return true
		})
	}
	return f
}

// Has tells whether an id may be one of those that the filter was made of.
func (f Filter) Has(id string) bool {
	found := true
	if len(f) == 0 {
		return false
	}
	f.each(filterKey(id), func(i int, mask byte) bool {
		found = f[i]&mask != 0
		return found
	})
	return found
}

func (f Filter) each(h uint64, do func(i int, mask byte) bool) {
	a, b := h, h>>32|h<<32|1
	for range filterHashes {
		bit := a % uint64(len(f)*8)      //nolint:gosec // small
		if !do(int(bit/8), 1<<(bit%8)) { //nolint:gosec // small
			return
		}
		a += b
	}
}

// building is a block that records are put in.
type building struct {
	block    Block
	lines    []byte
	requests []uint64
	terms    map[int64]bool
	opened   time.Time
	packed   []byte // what finish gave last
}

// newBuilding has room for what most blocks come to, or grow to soon.
func newBuilding(now time.Time) *building {
	return &building{opened: now, lines: make([]byte, 0, maxBlockLines+maxBlockLines/8), requests: make([]uint64, 0, blockRecords), terms: map[int64]bool{}}
}

// reset begins another block in the memory of one that is stored.
func (b *building) reset(now time.Time) {
	clear(b.terms)
	*b = building{
		opened: now, lines: b.lines[:0], requests: b.requests[:0], terms: b.terms, packed: b.packed,
		block: Block{Terms: b.block.Terms[:0]},
	}
}

func (b *building) add(r *Record) {
	if b.block.Records == 0 {
		b.block.Log, b.block.First, b.block.From, b.block.Until = r.Log, r.Sequence, r.At, r.At
	}
	b.block.Records++
	if r.At.Before(b.block.From) {
		b.block.From = r.At
	}
	if r.At.After(b.block.Until) {
		b.block.Until = r.At
	}
	b.lines = append(append(b.lines, r.Line...), '\n')
	b.requests = append(b.requests, filterKey(r.EventID))
	r.terms(func(t int64) {
		if !b.terms[t] {
			b.terms[t] = true
			b.block.Terms = append(b.block.Terms, t)
			b.block.NewTerms = append(b.block.NewTerms, t)
		}
	})
}

// finish gives the block as it is to be stored, in memory that is used again when it is called again.
func (b *building) finish() Block {
	b.block.Requests = newFilter(b.requests)
	if b.packed == nil {
		b.packed = make([]byte, 0, cap(b.lines)/8)
	}
	b.packed = packer().EncodeAll(b.lines, b.packed[:0])
	out := b.block
	out.Data = b.packed
	out.Terms, out.NewTerms = slices.Clone(b.block.Terms), slices.Clone(b.block.NewTerms)
	slices.Sort(out.NewTerms) // neighbours in the index
	return out
}

// packer and unpacker are safe for many at once, and hold much memory each.
var packer = sync.OnceValue(func() *zstd.Encoder { //nolint:gochecknoglobals // one for the process
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
})

var unpacker = sync.OnceValue(func() *zstd.Decoder { //nolint:gochecknoglobals // one for the process
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(maxBlockText))
	if err != nil {
		panic(err) // the options are constants
	}
	return z
})

// text gives a block's records, a line each.
func (b *Block) text() ([]byte, error) {
	text, err := unpacker().DecodeAll(b.Data, nil)
	if err != nil {
		return nil, fmt.Errorf("unpacking block %d of the audit log: %w", b.ID, err)
	}
	return text, nil
}

// Lines gives a block's records, without line ends.
func (b *Block) Lines() ([][]byte, error) {
	text, err := b.text()
	if err != nil {
		return nil, err
	}
	return bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n")), nil
}
