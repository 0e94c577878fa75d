package metadb_test

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// medium is a blob store of Berth's.
type medium interface {
	blob.Store
	blob.Walker
}

// simBlobs is a blob store behind gates: a crash comes before a call, after it, or between two pieces of a body. Times
// are the simulation's.
type simBlobs struct {
	medium
	sim *sim

	mu      sync.Mutex
	written map[blob.Key]time.Time
	found   map[string]time.Time // by the medium's own clock; see foundAs
}

func newSimBlobs(s *sim, m medium) *simBlobs {
	return &simBlobs{medium: m, sim: s, written: map[blob.Key]time.Time{}, found: map[string]time.Time{}}
}

func (b *simBlobs) wrote(key blob.Key) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.written[key] = b.sim.clock()
}

// Append implements blob.Store.
func (b *simBlobs) Append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	if err := gate(ctx, "blobs.Append"); err != nil {
		return u, err
	}
	b.wrote(u.Key)
	next, err := b.medium.Append(ctx, u, io.TeeReader(r, writes(func(p []byte) (int, error) {
		b.wrote(u.Key)
		return len(p), nil
	})))
	b.wrote(u.Key)
	if crash := gate(ctx, "blobs.Append is done"); crash != nil {
		return u, crash
	}
	return next, err
}

// writes is an io.Writer.
type writes func(p []byte) (int, error)

// Write implements io.Writer.
func (w writes) Write(p []byte) (int, error) { return w(p) }

// Complete implements blob.Store.
func (b *simBlobs) Complete(ctx context.Context, u blob.Upload) error {
	if err := gate(ctx, "blobs.Complete"); err != nil {
		return err
	}
	err := b.medium.Complete(ctx, u)
	b.wrote(u.Key)
	if crash := gate(ctx, "blobs.Complete is done"); crash != nil {
		return crash
	}
	return err
}

// Abort implements blob.Store.
func (b *simBlobs) Abort(ctx context.Context, u blob.Upload) error {
	return around(ctx, "blobs.Abort", func() error { return b.medium.Abort(ctx, u) })
}

// Delete implements blob.Store.
func (b *simBlobs) Delete(ctx context.Context, key blob.Key) error {
	return around(ctx, "blobs.Delete", func() error { return b.medium.Delete(ctx, key) })
}

// Size implements blob.Store.
func (b *simBlobs) Size(ctx context.Context, key blob.Key) (n int64, err error) {
	if err := gate(ctx, "blobs.Size"); err != nil {
		return 0, err
	}
	return b.medium.Size(ctx, key)
}

// Open implements blob.Store.
func (b *simBlobs) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	if err := gate(ctx, "blobs.Open"); err != nil {
		return nil, err
	}
	return b.medium.Open(ctx, key, offset, length)
}

// Walk implements blob.Walker.
func (b *simBlobs) Walk(ctx context.Context, after string, limit int) ([]blob.Found, string, error) {
	if err := gate(ctx, "blobs.Walk"); err != nil {
		return nil, "", err
	}
	found, next, err := b.medium.Walk(ctx, after, limit)
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, f := range found {
		found[i].At = b.written[f.Key]
		b.found[foundAs(found[i])] = f.At
	}
	return found, next, err
}

func foundAs(f blob.Found) string { return f.Name + f.At.UTC().String() }

// Discard implements blob.Walker.
func (b *simBlobs) Discard(ctx context.Context, f blob.Found) error {
	b.mu.Lock()
	f.At = b.found[foundAs(f)]
	b.mu.Unlock()
	return around(ctx, "blobs.Discard", func() error { return b.medium.Discard(ctx, f) })
}

func around(ctx context.Context, what string, f func() error) error {
	if r, ok := ctx.Value(requestKey{}).(request); ok { // the sweep removes several at a time
		r.actor.one.Lock()
		defer r.actor.one.Unlock()
	}
	if err := gate(ctx, what); err != nil {
		return err
	}
	err := f()
	if crash := gate(ctx, what+" is done"); crash != nil {
		return crash
	}
	return err
}

// body is what a client sends, a piece at a time, with a gate before each but the first.
type body struct {
	ctx   context.Context //nolint:containedctx // of the request whose body it is
	left  []byte
	piece int
	begun bool
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if len(b.left) == 0 {
		return 0, io.EOF
	}
	if b.begun {
		if err := gate(b.ctx, "the next bytes come"); err != nil {
			return 0, err
		}
	}
	b.begun = true
	n := copy(p, b.left[:min(b.piece, len(b.left))])
	b.left = b.left[n:]
	return n, nil
}
