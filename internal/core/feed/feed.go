// Package feed keeps the events that other programs may know of, in one numbered order, and brings them to whoever asks or subscribes.
//
// An event has its number before any part of Berth is handed it: the outbox gives numbers as it hands events on, under a lock that is held
// to the commit, in the order in which the events were recorded. So a reader who remembers the last number it saw misses nothing and sees
// nothing twice, and what happened to one repository comes in the order of its causes. Events are kept for a time and up to a number of them.
// A cursor that is older than that is told so: see [Forgotten].
package feed

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Entry is an event with its number: 1 is the first that there ever was.
type Entry struct {
	Number int64
	event.Event
}

// Head is where the feed begins and ends.
type Head struct {
	Number    int64 // the last that was given; 0 where there was none
	Forgotten int64 // what has this number or a lower one is not kept any more
}

// Store is where the feed rests. Numbers are given elsewhere: see event.Outbox.
type Store interface {
	Head(ctx context.Context) (Head, error)
	// After gives some of what has a higher number than after, in order.
	After(ctx context.Context, after int64, limit int) ([]Entry, error)
	// Forget removes what is older than a time, and all but the latest keep entries; at most so many at once. It tells how many went.
	Forget(ctx context.Context, before time.Time, keep int64, limit int) (int64, error)
}

// Config is what a Feed needs. All but Wake must be set.
type Config struct {
	Registry *registry.Registry
	Store    Store
	// Deliveries is where receivers are.
	Deliveries Deliveries
	Now        func() time.Time
	// Keep is for how long, and KeepMost how many events are kept.
	Keep     time.Duration
	KeepMost int64
	// Wake is called when there are new events; or nil.
	Wake func()
}

// Feed reads events.
type Feed struct {
	Config

	mu    sync.Mutex
	head  Head          // guarded by mu: the last that was seen
	woken chan struct{} // guarded by mu: closed when there is more
}

// New makes a feed.
func New(c Config) *Feed { return &Feed{Config: c, woken: make(chan struct{})} }

// LookOnce sees whether there are new events, and wakes who waits for them. There is a job for it, which is all that looks: any number may wait.
func (f *Feed) LookOnce(ctx context.Context) (more bool, err error) {
	head, err := f.Store.Head(ctx)
	if err != nil {
		return false, fmt.Errorf("looking for events: %w", err)
	}
	f.mu.Lock()
	newer := head.Number > f.head.Number
	f.head = head
	if newer {
		close(f.woken)
		f.woken = make(chan struct{})
	}
	f.mu.Unlock()
	if newer && f.Wake != nil {
		f.Wake()
	}
	return false, nil
}

// wakeUp is closed when there are events after the last one that was seen when it was asked for.
func (f *Feed) wakeUp() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.woken
}

// forgetAtOnce bounds a transaction that forgets.
const forgetAtOnce = 1000

// ForgetOnce removes some of what has been kept for long enough, and tells whether there may be more.
func (f *Feed) ForgetOnce(ctx context.Context) (more bool, err error) {
	n, err := f.Store.Forget(ctx, f.Now().Add(-f.Keep), f.KeepMost, forgetAtOnce)
	if err != nil {
		return false, fmt.Errorf("forgetting events: %w", err)
	}
	// A receiver that is configured is claimed again and again while it is behind. One that nobody has claimed for twice that time is configured
	// no more, unless no server ran.
	if err := f.Deliveries.DropReceivers(ctx, f.Now().Add(-2*f.Keep)); err != nil {
		return false, fmt.Errorf("forgetting receivers: %w", err)
	}
	return n >= forgetAtOnce, nil
}

// may asks for the permission to read events, of one repository or of any.
func (f *Feed) may(ctx context.Context, caller identity.Caller, repository string) error {
	return f.Registry.May(ctx, caller, policy.ReadEvents, repository)
}
