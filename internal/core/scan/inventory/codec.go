package inventory

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Bounds of what is decoded. Somebody who could break into the process that reads layers could write anything.
const (
	maxEncoded  = 64 << 20 // bytes unpacked
	maxElements = 4 << 20  // of lists, of all together
	maxHashes   = 4 << 20
)

// format is the first byte of what is stored.
const format = 1

// header is what Layer's JSON does not have.
type header struct {
	DiffID   oci.Digest `json:"d,omitempty"`
	Revision int        `json:"r,omitempty"`
	Layer    Layer      `json:"l"`
}

// Encode writes a layer to be kept: zstd of JSON and of the hashes, each as how far it is from the one before. The lists of hashes
// rise, as Layer says; an error says that they do not, or that it is more than Decode would read.
func (l Layer) Encode() ([]byte, error) {
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	if err := e.Encode(header{l.DiffID, l.Revision, l}); err != nil {
		return nil, fmt.Errorf("encoding a layer: %w", err)
	}
	if len(l.Others)+len(l.Dirs) > maxHashes {
		return nil, fmt.Errorf("encoding a layer: it has more than %d paths", maxHashes)
	}
	b := binary.AppendUvarint([]byte{}, uint64(text.Len()))
	b = append(b, text.Bytes()...)
	for _, hashes := range [][]uint64{l.Others, l.Dirs} {
		b = binary.AppendUvarint(b, uint64(len(hashes)))
		last := uint64(0)
		for _, h := range hashes {
			if h < last {
				return nil, errors.New("encoding a layer: hashes that do not rise")
			}
			b = binary.AppendUvarint(b, h-last)
			last = h
		}
	}
	if len(b) > maxEncoded {
		return nil, fmt.Errorf("encoding a layer: it is larger than %d bytes", maxEncoded)
	}
	c := codecs()
	return c.w.EncodeAll(b, []byte{format}), nil
}

// Decode reads what Encode wrote. It takes no more memory than a hundred megabytes or two, whatever it is given.
func Decode(b []byte) (Layer, error) {
	if len(b) == 0 || b[0] != format {
		return Layer{}, errors.New("decoding a layer: not a layer, or one of a newer version")
	}
	c := codecs()
	b, err := c.r.DecodeAll(b[1:], nil)
	if err != nil {
		return Layer{}, fmt.Errorf("decoding a layer: %w", err)
	}
	d := decoder{b: b}
	text := d.bytes()
	others, dirs := d.hashes(), d.hashes()
	if d.err != nil {
		return Layer{}, fmt.Errorf("decoding a layer: %w", d.err)
	}
	if len(d.b) > 0 {
		return Layer{}, errors.New("decoding a layer: more than a layer")
	}
	if bytes.Count(text, []byte{','}) > maxElements {
		return Layer{}, fmt.Errorf("decoding a layer: more than %d elements", maxElements)
	}
	var h header
	if err := json.Unmarshal(text, &h); err != nil {
		return Layer{}, fmt.Errorf("decoding a layer: %w", err)
	}
	l := h.Layer
	l.DiffID, l.Revision, l.Others, l.Dirs = h.DiffID, h.Revision, others, dirs
	return l, nil
}

// decoder takes bytes apart, up to the first error.
type decoder struct {
	b   []byte
	err error
}

var errShort = errors.New("it is cut off")

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.b, d.err = nil, errShort
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes() []byte {
	n := d.number()
	if n > uint64(len(d.b)) {
		d.b, d.err = nil, errShort
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) hashes() []uint64 {
	n := d.number()
	if n == 0 {
		return nil
	}
	if n > uint64(len(d.b)) || n > maxHashes { // each has a byte at least
		d.b, d.err = nil, errShort
		return nil
	}
	all := make([]uint64, 0, n)
	last := uint64(0)
	for range n {
		delta := d.number()
		if last+delta < last {
			d.err = errors.New("hashes that do not rise")
		}
		last += delta
		all = append(all, last)
	}
	return slices.Clip(all)
}

type codec struct {
	w *zstd.Encoder
	r *zstd.Decoder
}

// codecs are shared: they are costly to make, and whole layers go through them at once.
var codecs = sync.OnceValue(func() codec {
	// Only an option that is no option is an error.
	w, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err)
	}
	r, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxMemory(maxEncoded))
	if err != nil {
		panic(err)
	}
	return codec{w, r}
})
