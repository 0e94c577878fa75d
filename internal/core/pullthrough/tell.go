package pullthrough

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	// tellAgain is how long a failure to fetch the same is not told again: whoever pulls would make an event with each try.
	tellAgain = time.Minute
	maxTold   = 1000 // that are remembered
)

// told is which failures were told lately.
type told struct {
	mu sync.Mutex
	at map[string]time.Time // guarded by mu
}

// first tells whether a name was not told of lately, and remembers it.
func (t *told) first(name string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if at, ok := t.at[name]; ok && now.Sub(at) < tellAgain {
		return false
	}
	if t.at == nil || len(t.at) >= maxTold {
		t.at = map[string]time.Time{}
	}
	t.at[name] = now
	return true
}

// tell records that an upstream was asked for what a reference names, and what came of it.
func (c *Cache) tell(ctx context.Context, from origin, ref oci.Reference, e event.Event) {
	if c.record == nil {
		return
	}
	e.Kind, e.At, e.Actor, e.Repository = event.UpstreamSynced, c.now(), c.self.ARN, from.repository
	if ref.Tag != "" {
		e.Tags = []string{ref.Tag}
	}
	if e.Upstream == nil {
		e.Upstream = &event.Upstream{}
	}
	e.Upstream.Prefix, e.Upstream.URL = from.rule.Prefix, from.rule.Upstream
	c.record(ctx, e)
}

// tellFailure tells of what could not be fetched. What is not there upstream is no failure.
func (c *Cache) tellFailure(ctx context.Context, from origin, ref oci.Reference, err error) {
	failed, ok := errors.AsType[*fault.Error](err)
	if !ok || absent(err) || ctx.Err() != nil || !c.told.first(from.repository+"@"+ref.String(), c.now()) {
		return
	}
	c.tell(ctx, from, ref, event.Event{
		Digest: ref.Digest, Reason: failed.Message, Upstream: &event.Upstream{Failed: true, Code: string(failed.Code)},
	})
}
