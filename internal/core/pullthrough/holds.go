package pullthrough

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	// usualHold is for an upstream that is busy and does not say how long, longestHold for one that says too much.
	usualHold   = time.Minute
	longestHold = time.Hour
	// quiet is how long an upstream that did not answer is not asked about what is stored already, so that
	// its silence does not cost each pull the time to notice it.
	quiet = 10 * time.Second
)

// holds knows which upstreams asked to be left alone, and which did not answer.
type holds struct {
	mu     sync.Mutex
	until  map[string]time.Time // by URL: no request at all
	silent map[string]time.Time // by URL: no request that a stored copy makes needless
}

// ask asks an upstream, unless it wants to be left alone, and remembers what its failure means.
func (c *Cache) ask(at Endpoint, question func() error) error {
	if left := c.held(at.URL); left > 0 {
		return fault.New(fault.UpstreamBusy, "The upstream registry %s asked for a pause that lasts %s more", at.URL, left.Round(time.Second)).
			With(fault.Wait{For: left})
	}
	err := question()
	f, ok := fault.Of(err)
	if !ok || errors.Is(err, context.Canceled) { // a client that left says nothing about the upstream
		return err
	}
	c.holds.mu.Lock()
	defer c.holds.mu.Unlock()
	wait, asked := f.Detail.(fault.Wait)
	switch {
	case asked || f.Code == fault.UpstreamBusy:
		if wait.For <= 0 {
			wait.For = usualHold
		}
		if c.holds.until == nil {
			c.holds.until = map[string]time.Time{}
		}
		c.holds.until[at.URL] = c.now().Add(min(wait.For, longestHold))
	case f.Code == fault.UpstreamUnavailable:
		if c.holds.silent == nil {
			c.holds.silent = map[string]time.Time{}
		}
		c.holds.silent[at.URL] = c.now().Add(quiet)
	}
	return err
}

// held tells how much longer an upstream is to be left alone.
func (c *Cache) held(url string) time.Duration {
	c.holds.mu.Lock()
	defer c.holds.mu.Unlock()
	return c.holds.until[url].Sub(c.now())
}

// worthAsking tells whether an upstream is likely to answer at once.
func (c *Cache) worthAsking(url string) bool {
	c.holds.mu.Lock()
	defer c.holds.mu.Unlock()
	now := c.now()
	return !c.holds.until[url].After(now) && !c.holds.silent[url].After(now)
}
