package pullthrough

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

type readCloser = io.ReadCloser

// fetches are the layers that are on their way here.
type fetches struct {
	mu     sync.Mutex
	flying map[string]*fetch
	slots  chan struct{} // one in it for each that is under way
}

// fetch is one layer on its way: written by one goroutine, read by any number.
type fetch struct {
	repository string
	digest     oci.Digest
	known      chan struct{} // closed when size is known, or when it ended before that

	mu      sync.Mutex
	size    int64
	written int64         // bytes in the spool
	more    chan struct{} // closed, and replaced, when there is more to know
	done    bool          // the layer is stored, or err says why not
	err     error
	spool   Spool
	readers int // of the spool, the writer included
}

// fetch starts to get a layer, unless it is on its way.
func (c *Cache) fetch(at Endpoint, from origin, d oci.Digest) *fetch {
	key := from.repository + "@" + d.String()
	c.layers.mu.Lock()
	defer c.layers.mu.Unlock()
	if f, ok := c.layers.flying[key]; ok {
		return f
	}
	if c.layers.flying == nil {
		c.layers.flying = map[string]*fetch{}
	}
	f := &fetch{repository: from.repository, digest: d, known: make(chan struct{}), more: make(chan struct{}), size: -1, readers: 1}
	c.layers.flying[key] = f
	c.work.Go(func() {
		size := int64(0)
		err := guarded(func() (err error) {
			size, err = c.run(f, at, from)
			return err
		})
		if err != nil {
			c.log.LogAttrs(c.life, slog.LevelWarn, "a layer did not come from upstream", slog.String("repository", from.repository),
				slog.String("upstream", from.rule.Upstream), slog.String("digest", d.String()), slog.Any("error", err))
		}
		c.layers.mu.Lock()
		delete(c.layers.flying, key)
		c.layers.mu.Unlock()
		f.end(size, err)
	})
	return f
}

// run gets the layer, stores it, and lets others read what has come so far. It gives the layer's size.
func (c *Cache) run(f *fetch, at Endpoint, from origin) (int64, error) {
	select {
	case c.layers.slots <- struct{}{}:
		defer func() { <-c.layers.slots }()
	case <-c.life.Done():
		return 0, c.life.Err()
	}
	// Another fetch may have ended since whoever wanted this one looked.
	l, err := c.registry.StatLayer(c.life, c.self, f.repository, f.digest)
	if err == nil || !absent(err) {
		return l.Size, err
	}
	var body io.ReadCloser
	size := int64(-1)
	err = c.ask(at, func() (err error) {
		body, size, err = c.upstream.Layer(c.life, at, from.name, f.digest)
		return err
	})
	if err != nil {
		return 0, err
	}
	defer body.Close()
	spool, err := c.spool()
	if err != nil {
		return 0, fmt.Errorf("making room for a layer on its way: %w", err)
	}
	f.begin(spool, size)
	part := registry.Part{Start: registry.Anywhere, Size: size, Body: io.TeeReader(body, f)}
	l, err = c.registry.PutLayer(c.life, c.self, f.repository, f.digest, part)
	switch {
	case errors.Is(err, fault.LayerDigestMismatch), errors.Is(err, fault.UploadPartSize),
		errors.Is(err, fault.UploadInterrupted), errors.Is(err, fault.LayerTooLarge):
		err = fault.Wrap(fault.UpstreamUnavailable, err, "The upstream registry %s did not send the layer %s as it is", at.URL, f.digest)
	}
	return l.Size, err
}

// begin says where the bytes will be, and how many, if that is known. From here on others read along.
func (f *fetch) begin(spool Spool, size int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.spool = spool
	if size >= 0 {
		f.size = size
		close(f.known)
	}
}

// Write takes the next bytes of the layer for all who read along.
func (f *fetch) Write(p []byte) (int, error) {
	n, err := f.spool.Write(p)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.written += int64(n)
	f.tell()
	if err != nil {
		return n, fmt.Errorf("keeping a layer on its way: %w", err)
	}
	return n, nil
}

func (f *fetch) tell() {
	close(f.more)
	f.more = make(chan struct{})
}

// end says that the layer is stored, or why not.
func (f *fetch) end(size int64, err error) {
	f.mu.Lock()
	f.done, f.err = true, err
	if f.size < 0 {
		f.size = size
		close(f.known)
	}
	f.tell()
	f.mu.Unlock()
	f.leave()
}

// leave takes a reader from the spool; the last one closes it.
func (f *fetch) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers--; f.readers == 0 && f.spool != nil {
		_ = f.spool.Close() // its bytes are stored elsewhere, or worth nothing
	}
}

// header waits until the size is known.
func (f *fetch) header(ctx context.Context) error {
	select {
	case <-f.known:
	case <-ctx.Done():
		return ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.err
}

func (f *fetch) length() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size
}

// state is what there is to read of a fetch.
type state struct {
	size  int64
	ready int64 // bytes from the start that may be handed out
	done  bool
	err   error
	more  <-chan struct{}
}

// look tells how far a fetch is. The last byte is handed out when the layer is stored, which is after its digest
// was found right: a client never has the whole of something else.
func (f *fetch) look() state {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := state{size: f.size, ready: f.written, done: f.done, err: f.err, more: f.more}
	if !f.done && s.ready >= s.size {
		s.ready = max(0, s.size-1)
	}
	return s
}

// follow reads a layer that may be on its way. A part of it is read when all of it is stored: nobody could tell
// whether the bytes of a part are the right ones.
func (c *Cache) follow(ctx context.Context, f *fetch, offset, length int64) (io.ReadCloser, error) {
	f.mu.Lock()
	whole := offset == 0 && (length < 0 || length == f.size)
	along := whole && !f.done
	if along {
		f.readers++
	}
	f.mu.Unlock()
	if along {
		return &follower{ctx: ctx, fetch: f, stored: c.registry.Layer, self: c.self}, nil
	}
	if err := f.wait(ctx); err != nil {
		return nil, err
	}
	content, err := c.registry.Layer(ctx, c.self, f.repository, f.digest)
	if err != nil {
		return nil, err
	}
	return content.Open(ctx, offset, length)
}

// wait waits until the layer is stored.
func (f *fetch) wait(ctx context.Context) error {
	for {
		s := f.look()
		if s.done {
			return s.err
		}
		select {
		case <-s.more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// follower reads a fetch's spool from the start, as far as it has come, and goes on in the stored layer once there is
// one: a client that is slow, or wants to be, is not to keep a second copy of it.
type follower struct {
	ctx   context.Context //nolint:containedctx // of the request that reads; a Reader has no other place for it
	fetch *fetch
	at    int64
	left  bool

	stored func(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Content, error)
	self   identity.Caller
	rest   io.ReadCloser // of the stored layer; nil before
	tried  bool
}

// settle changes over to the stored layer. Where that does not open, the spool is as good.
func (r *follower) settle() {
	r.tried = true
	content, err := r.stored(r.ctx, r.self, r.fetch.repository, r.fetch.digest)
	if err != nil {
		return
	}
	if rest, err := content.Open(r.ctx, r.at, -1); err == nil {
		r.rest = rest
		r.leave()
	}
}

func (r *follower) leave() {
	if !r.left {
		r.left = true
		r.fetch.leave()
	}
}

// Read waits for bytes that are not there yet.
func (r *follower) Read(p []byte) (int, error) {
	for {
		if r.rest != nil {
			return r.rest.Read(p)
		}
		s := r.fetch.look()
		switch {
		case s.err != nil:
			return 0, s.err
		case s.done && !r.tried && r.at < s.size:
			r.settle()
			continue
		case r.at < s.ready:
			n, err := r.fetch.spool.ReadAt(p[:min(int64(len(p)), s.ready-r.at)], r.at)
			r.at += int64(n)
			if errors.Is(err, io.EOF) && n > 0 {
				err = nil
			}
			return n, err
		case s.done:
			return 0, io.EOF
		}
		select {
		case <-s.more:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
}

// Close leaves.
func (r *follower) Close() error {
	r.leave()
	if r.rest != nil {
		return r.rest.Close()
	}
	return nil
}
