package event

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Outbox is where events wait. Storage implements it; any number of replicas may take from one.
type Outbox interface {
	// Claim takes at most limit events that are due, oldest first, and makes them due again at the given
	// time, in case whoever took them does not come back. Those that go out (see Kind.Outward) have their numbers in the feed
	// by then, given in the order in which events were recorded; an event has one number, however often it is taken.
	Claim(ctx context.Context, now, again time.Time, limit int) ([]Event, error)
	// Done removes events that everybody has handled.
	Done(ctx context.Context, ids []int64) error
	// Retry counts a failed attempt and makes the event due at a time.
	Retry(ctx context.Context, id int64, at time.Time) error
}

// Handler is a part that wants to know. It returns when what follows from the event is recorded durably;
// long work it leaves to a job of its own.
type Handler interface {
	Handle(ctx context.Context, e Event) error
}

// Batcher is a Handler for whom many events at once cost little more than one.
type Batcher interface {
	Handler
	// HandleAll handles each of some events as Handle does. When it fails it may have handled any of them, and each is handed on by itself.
	HandleAll(ctx context.Context, events []Event) error
}

const (
	batch = 100
	// claim is longer than handling a batch takes, and bounds how long a crash delays its events.
	claim      = time.Minute
	firstRetry = time.Second
	lastRetry  = 10 * time.Minute
)

// Dispatcher hands events on. Its fields must be set.
type Dispatcher struct {
	Outbox   Outbox
	Handlers map[string]Handler // by a name for the log
	Now      func() time.Time
}

// Once hands on a batch of events that are due, and tells whether there may be more. An event that a
// handler fails stays in the outbox, and the errors say which.
func (d Dispatcher) Once(ctx context.Context) (more bool, err error) {
	now := d.Now()
	events, err := d.Outbox.Claim(ctx, now, now.Add(claim), batch)
	if err != nil {
		return false, fmt.Errorf("taking events from the outbox: %w", err)
	}
	var done []int64
	var problems []error
	rest := d.handleAll(ctx, events)
	for _, e := range events {
		if err := handle(ctx, rest, e); err != nil {
			problems = append(problems, err, d.Outbox.Retry(ctx, e.ID, d.Now().Add(Backoff(e.Attempts, firstRetry, lastRetry))))
			continue
		}
		done = append(done, e.ID)
	}
	if len(done) > 0 {
		problems = append(problems, d.Outbox.Done(ctx, done))
	}
	return len(events) >= batch, errors.Join(problems...)
}

// handleAll hands events to those that take many at once, and gives the other handlers, and those that did not succeed.
func (d Dispatcher) handleAll(ctx context.Context, events []Event) map[string]Handler {
	rest := make(map[string]Handler, len(d.Handlers))
	for name, h := range d.Handlers {
		b, ok := h.(Batcher)
		if !ok || len(events) > 0 && guarded(func() error { return b.HandleAll(ctx, events) }) != nil {
			rest[name] = h // by itself, an event that fails says why
		}
	}
	return rest
}

func handle(ctx context.Context, handlers map[string]Handler, e Event) error {
	var problems []error
	for name, h := range handlers {
		if err := guarded(func() error { return h.Handle(ctx, e) }); err != nil {
			problems = append(problems, fmt.Errorf("%s of event %d (%s %s): %w", name, e.ID, e.Kind, e.Repository, err))
		}
	}
	return errors.Join(problems...)
}

// guarded makes an error of a panic: one event that nobody foresaw must not keep those that were taken with it from being done, and so all
// that come after them.
func guarded(do func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("panic: %v\n%s", cause, debug.Stack())
		}
	}()
	return do()
}

// Backoff is how long to wait after a number of failed attempts: first, then twice as long each time, up to
// most.
func Backoff(attempts int, first, most time.Duration) time.Duration {
	wait := first
	for range attempts {
		if wait *= 2; wait >= most {
			return most
		}
	}
	return wait
}
