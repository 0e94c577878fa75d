package replicate

import (
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

// rests knows the destinations that do not answer: images for them wait together, so that they are not all
// tried, one timeout after the other, while those for other destinations wait.
type rests struct {
	mu  sync.Mutex
	off map[Destination]rest
}

type rest struct {
	until    time.Time
	failures int
}

// at lists the destinations that rest.
func (r *rests) at(now time.Time) []Destination {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []Destination
	for d, rest := range r.off {
		if now.Before(rest.until) {
			all = append(all, d)
		}
	}
	return all
}

// note says whether a destination did not answer.
func (r *rests) note(d Destination, away bool, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !away {
		delete(r.off, d)
		return
	}
	if r.off == nil {
		r.off = map[Destination]rest{}
	}
	failures := r.off[d].failures
	r.off[d] = rest{until: now.Add(event.Backoff(failures, firstRest, lastRest)), failures: failures + 1}
}

// turns lets one holder of a name in at a time.
type turns struct {
	mu   sync.Mutex
	held map[string]*turn
}

type turn struct {
	mu      sync.Mutex
	waiting int
}

// take waits for the name, and gives what gives it back.
func (t *turns) take(name string) (done func()) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[string]*turn{}
	}
	own := t.held[name]
	if own == nil {
		own = &turn{}
		t.held[name] = own
	}
	own.waiting++
	t.mu.Unlock()
	own.mu.Lock()
	return func() {
		own.mu.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if own.waiting--; own.waiting == 0 {
			delete(t.held, name)
		}
	}
}
