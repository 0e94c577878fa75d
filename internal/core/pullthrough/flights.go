package pullthrough

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// flights lets many who want the same thing wait for one who gets it.
type flights struct {
	mu     sync.Mutex
	flying map[string]*flight
	slots  chan struct{} // one in it for each that is under way; others wait
}

type flight struct {
	done chan struct{}
	err  error // once done is closed
}

// fly starts get under a name, unless it is under way, and gives what to wait for. It goes on whoever waits.
func (c *Cache) fly(name string, get func(ctx context.Context) error) *flight {
	c.manifests.mu.Lock()
	defer c.manifests.mu.Unlock()
	if f, ok := c.manifests.flying[name]; ok {
		return f
	}
	if c.manifests.flying == nil {
		c.manifests.flying = map[string]*flight{}
	}
	f := &flight{done: make(chan struct{})}
	c.manifests.flying[name] = f
	c.work.Go(func() {
		ctx, cancel := context.WithTimeout(c.life, patience)
		defer cancel()
		select {
		case c.manifests.slots <- struct{}{}:
			f.err = guarded(func() error { return get(ctx) })
			<-c.manifests.slots
		case <-ctx.Done():
			f.err = fault.Wrap(fault.UpstreamUnavailable, ctx.Err(), "The upstream registry is asked for too many images at the same time")
		}
		c.manifests.mu.Lock()
		delete(c.manifests.flying, name)
		c.manifests.mu.Unlock()
		close(f.done)
	})
	return f
}

// wait gives the flight's error, or the context's when that ends first.
func (f *flight) wait(ctx context.Context) error {
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// guarded makes an error of a panic. What an upstream sends is read in goroutines of the cache's own, where a panic would end
// the server and not a request.
func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return f()
}
