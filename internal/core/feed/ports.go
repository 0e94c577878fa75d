package feed

import (
	"context"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Filter picks events. What is empty picks all.
type Filter struct {
	Kinds        []event.Kind
	Repositories []string // patterns with * and ?
}

// Picks tells whether an event is one of those.
func (f Filter) Picks(e event.Event) bool {
	return (len(f.Kinds) == 0 || slices.Contains(f.Kinds, e.Kind)) &&
		(len(f.Repositories) == 0 || slices.ContainsFunc(f.Repositories, func(p string) bool { return policy.Matches(p, e.Repository) }))
}

// Deliveries is how far the receivers are. Any number of replicas may deliver from one.
type Deliveries interface {
	// Claim keeps a receiver from others until a time, if nobody else has it, and gives its state. One that is not there yet begins where the
	// feed ends.
	Claim(ctx context.Context, name, holder string, now, until time.Time) (_ State, taken bool, err error)
	// Save records what came of some deliveries. It gives ErrLost when the receiver is somebody else's by now; then nothing is recorded.
	Save(ctx context.Context, name, holder string, p Progress) error
	// Late gives repositories that are late and due, the longest due first.
	Late(ctx context.Context, name string, now time.Time, limit int) ([]Late, error)
	// LateAmong tells which of some repositories are late, due or not.
	LateAmong(ctx context.Context, name string, repositories []string) ([]string, error)
	// States gives all receivers, each with some of those that are late and of what is set aside.
	States(ctx context.Context, limit int) ([]State, error)
	// DropReceivers removes those that nobody has claimed since a time, and whose next entries are forgotten.
	DropReceivers(ctx context.Context, unclaimedSince time.Time) error
	// OfRepository gives some of a repository's entries, after one number and up to another, in order.
	OfRepository(ctx context.Context, repository string, after, to int64, limit int) ([]Entry, error)
}

// State is a receiver, and how far it is.
type State struct {
	Name        string
	Number      int64     // what has this number or a lower one is delivered, set aside, missed, or late
	PausedUntil time.Time // the receiver asked to be left alone
	Sent        int64     // how many events were delivered
	Missed      int64     // how many were forgotten before they could be
	SentAt      time.Time // zero: never
	FailedAt    time.Time // zero: never
	Failure     string    // what happened then; it has the receiver's own words, quoted

	// The rest is for showing.
	Due       time.Time // when the first that is late is due; zero: none is
	LateCount int64
	Late      []Late
	Aside     int64
	SetAside  []Aside
}

// Late is a repository whose events a receiver did not take, and that goes on by itself.
type Late struct {
	Repository string
	Number     int64 // as far as it is
	Attempts   int   // that failed since something was delivered
	DueAt      time.Time
	Failure    string
}

// Aside is an event that a receiver does not want.
type Aside struct {
	Number     int64
	Repository string
	At         time.Time
	Reason     string
}

// Progress is what came of some deliveries.
type Progress struct {
	Number      int64 // as State has it; 0: it stays
	PausedUntil time.Time
	HeldUntil   time.Time // for how long the holder keeps it
	Sent        int64     // how many more
	Missed      int64     // how many more
	At          time.Time
	Failure     string   // of the last failure, if there was one
	Late        []Late   // that are late now
	Caught      []string // repositories that are not late any more
	SetAside    []Aside
}

// Target takes events to a receiver, in order, all in one message. Its errors are those of deliveries: see event.Refused and event.Later.
type Target interface {
	Send(ctx context.Context, entries []Entry) error
}

// Receiver is a subscription.
type Receiver struct {
	Name   string
	Filter Filter
	// Batch is how many events a message may have, of whatever repositories; 1 where the receiver takes one at a time.
	Batch  int
	Target Target
}
