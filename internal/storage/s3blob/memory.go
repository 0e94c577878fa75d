package s3blob

import (
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const pieceSize = 256 << 10

type piece [pieceSize]byte

// pieces holds idle ones for every store of the process; it is a cache, not state.
var pieces = sync.Pool{New: func() any { return new(piece) }}

// part gathers bytes in pieces, so that an upload holds no more memory than it has bytes.
type part struct {
	pieces []*piece
	used   [][]byte // the filled front of each piece
	size   int64
}

// readFrom reads once from r, at most limit bytes in all.
func (p *part) readFrom(r io.Reader, limit int64) (int, error) {
	last := len(p.used) - 1
	if last < 0 || len(p.used[last]) == pieceSize {
		b := pieces.Get().(*piece)
		p.pieces = append(p.pieces, b)
		p.used = append(p.used, b[:0])
		last++
	}
	from := len(p.used[last])
	to := min(int64(pieceSize), int64(from)+limit-p.size)
	n, err := r.Read(p.pieces[last][from:to])
	p.used[last] = p.pieces[last][:from+n]
	p.size += int64(n)
	return n, err
}

// prepend puts the bytes of q before those of p; q is not to be used any more.
func (p *part) prepend(q *part) {
	p.pieces = slices.Concat(q.pieces, p.pieces)
	p.used = slices.Concat(q.used, p.used)
	p.size += q.size
}

// release gives the memory back.
func (p *part) release() {
	for _, b := range p.pieces {
		pieces.Put(b)
	}
	*p = part{}
}

// bytes copies everything into one slice.
func (p *part) bytes() []byte { return slices.Concat(p.used...) }

// reader reads the part, as often as a request has to be sent.
func (p *part) reader() io.ReadSeeker { return &partReader{part: p} }

type partReader struct {
	part *part
	pos  int64
}

func (r *partReader) Read(b []byte) (int, error) {
	skip, n := r.pos, 0
	for _, u := range r.part.used {
		if skip >= int64(len(u)) {
			skip -= int64(len(u))
			continue
		}
		m := copy(b[n:], u[skip:])
		skip = 0
		if n += m; n == len(b) {
			break
		}
	}
	r.pos += int64(n)
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *partReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.pos
	case io.SeekEnd:
		offset += r.part.size
	}
	if offset < 0 {
		return 0, errors.New("seeking before the start of a part")
	}
	r.pos = offset
	return offset, nil
}

// recent remembers the newest tails by id, up to room bytes. A tail never changes, so neither does this.
type recent struct {
	mu    sync.Mutex
	room  int64
	order []string // oldest first
	tails map[string][]byte
}

func (m *recent) put(id string, b []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.tails == nil {
		m.tails = make(map[string][]byte)
	}
	m.tails[id] = b
	m.order = append(m.order, id)
	m.room -= int64(len(b))
	for m.room < 0 {
		m.drop(m.order[0])
	}
}

func (m *recent) get(id string) ([]byte, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.tails[id]
	return b, ok
}

func (m *recent) forget(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(id)
}

func (m *recent) drop(id string) {
	b, ok := m.tails[id]
	if !ok {
		return
	}
	m.room += int64(len(b))
	delete(m.tails, id)
	m.order = slices.DeleteFunc(m.order, func(o string) bool { return o == id })
}

// busyKeys are the uploads that this process is working on.
type busyKeys struct {
	mu   sync.Mutex
	keys map[blob.Key]*work
}

// work is one call that has an upload for itself.
type work struct{ aborted bool }

// take reserves a key until release is called, or answers ErrBusy.
func (b *busyKeys) take(key blob.Key) (release func(), err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.keys[key] != nil {
		return nil, blob.ErrBusy
	}
	if b.keys == nil {
		b.keys = make(map[blob.Key]*work)
	}
	b.keys[key] = &work{}
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.keys, key)
	}, nil
}

// abort is take for Abort, which waits for nobody: the call that has the key learns at its end that it was aborted.
func (b *busyKeys) abort(key blob.Key) (release func()) {
	if release, err := b.take(key); err == nil {
		return release
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if w := b.keys[key]; w != nil { // if not, it has ended just now, and all that it wrote is there to be found
		w.aborted = true
	}
	return func() {}
}

// aborted tells the call that has the key whether it was aborted.
func (b *busyKeys) aborted(key blob.Key) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[key].aborted
}
