package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

const (
	// hold is how long a receiver stays with a process that says nothing more, and longer than a round of deliveries takes: roundTime and the
	// time of one message.
	hold      = time.Minute
	roundTime = 20 * time.Second

	pageSize   = 500 // entries that are read at once
	lateAtOnce = 100 // repositories that are late, in a round
	latePage   = 100 // entries that are read at once of each
	lanes      = 8   // messages under way to one receiver, when each has one event

	firstRetry = time.Second
	lastRetry  = 5 * time.Minute
	// notTried is when what was given up in a round is due again.
	notTried = 5 * time.Second
	// deadAfter so many failures in a row without anything delivered a round ends: the receiver is away.
	deadAfter = 8
	// refusals is how often an event is brought that the receiver does not want.
	refusals = 5

	maxFailure = 500 // bytes of a failure that are kept

	// sayAgain is how long the log is silent of a failure that it has.
	sayAgain = time.Minute
)

// ErrLost says that somebody else is at a receiver: this process was away for too long.
var ErrLost = errors.New("another process is at this receiver")

// Deliverer brings events to receivers. Its fields must be set.
type Deliverer struct {
	Store      Store
	Deliveries Deliveries
	Holder     string // this process, as no other calls itself
	Now        func() time.Time
	Logger     *slog.Logger
}

// Once brings a receiver some of the events that it has not had, and tells whether there may be more. It may be called for several
// receivers at once, and for one by any number of processes, of which one then does it.
//
// Events of one repository are delivered in order, each at least once. A repository whose event is not taken is late from then on: its events wait,
// are tried again at longer and longer intervals, and those of other repositories go ahead.
func (d Deliverer) Once(ctx context.Context, r Receiver) (more bool, err error) {
	now := d.Now()
	state, taken, err := d.Deliveries.Claim(ctx, r.Name, d.Holder, now, now.Add(hold))
	if err != nil {
		return false, fmt.Errorf("taking receiver %s: %w", r.Name, err)
	}
	if !taken {
		return false, nil
	}
	round := &round{Deliverer: d, receiver: r, state: state, ends: now.Add(roundTime)}
	more, err = round.run(ctx)
	if errors.Is(err, ErrLost) {
		return false, nil
	}
	return more, err
}

// round is one stretch of work at a receiver.
type round struct {
	Deliverer
	receiver Receiver
	state    State
	ends     time.Time
}

func (r *round) run(ctx context.Context) (more bool, err error) {
	moreLate, err := r.late(ctx)
	if err != nil {
		return false, err
	}
	moreNew := false
	if !r.paused() && ctx.Err() == nil {
		told, err := r.tellMissed(ctx)
		if err != nil {
			return false, err
		}
		if told {
			if moreNew, err = r.news(ctx); err != nil {
				return false, err
			}
		}
	}
	if err := r.release(ctx); err != nil {
		return false, err
	}
	return (moreLate || moreNew) && !r.paused() && ctx.Err() == nil, nil
}

func (r *round) paused() bool { return r.Now().Before(r.state.PausedUntil) }

// late goes on with repositories that are late.
func (r *round) late(ctx context.Context) (more bool, err error) {
	due, err := r.Deliveries.Late(ctx, r.receiver.Name, r.Now(), lateAtOnce)
	if err != nil {
		return false, fmt.Errorf("reading what %s has not had: %w", r.receiver.Name, err)
	}
	if len(due) == 0 {
		return false, nil
	}
	var all []*lane
	for _, l := range due {
		lane, err := r.lateLane(ctx, l)
		if err != nil {
			return false, err
		}
		all = append(all, lane)
	}
	s := r.send(ctx, all)
	return len(due) == lateAtOnce || s.unfinished, r.save(ctx, s)
}

// lateLane makes messages of what a late repository has up to the receiver's number. They go one by one, so that what is wrong with one event is
// not held against others.
func (r *round) lateLane(ctx context.Context, late Late) (*lane, error) {
	entries, err := r.Deliveries.OfRepository(ctx, late.Repository, late.Number, r.state.Number, latePage)
	if err != nil {
		return nil, fmt.Errorf("reading events of %s: %w", late.Repository, err)
	}
	head, err := r.Store.Head(ctx) // after the entries: what was forgotten before they were read is not among them
	if err != nil {
		return nil, fmt.Errorf("reading the feed: %w", err)
	}
	l := &lane{late: true, was: late, whole: len(entries) < latePage, end: r.state.Number}
	if !l.whole {
		l.end = entries[len(entries)-1].Number
	}
	if late.Number < head.Forgotten {
		l.units = append(l.units, []Entry{missedBy(late.Repository, late.Number, head.Forgotten, r.Now())})
	}
	for _, e := range entries {
		if e.Number > head.Forgotten && r.receiver.Filter.Picks(e.Event) {
			l.units = append(l.units, []Entry{e})
		}
	}
	return l, nil
}

// missedBy is an entry that tells a receiver what it will never have. Its number is that of the last that is gone.
func missedBy(repository string, after, to int64, now time.Time) Entry {
	return Entry{Number: to, Event: event.Event{Kind: event.EventsMissed, At: now, Repository: repository, Count: to - after}}
}

// tellMissed tells the receiver of events that were forgotten before it could have them.
func (r *round) tellMissed(ctx context.Context) (told bool, err error) {
	head, err := r.Store.Head(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	if r.state.Number >= head.Forgotten {
		return true, nil
	}
	missed := missedBy("", r.state.Number, head.Forgotten, r.Now())
	s := &sending{}
	err = r.receiver.Target.Send(ctx, []Entry{missed})
	switch _, refused := errors.AsType[event.Refused](err); {
	case err == nil, refused: // it has heard
		s.progress.Number, s.progress.Missed = head.Forgotten, missed.Count
		r.state.Number = head.Forgotten
	case ctx.Err() != nil:
	default:
		s.fail(err)
		s.pause(max(notTried, after(err)), r.Now())
	}
	r.state.PausedUntil = s.progress.PausedUntil
	return s.progress.Number > 0, r.save(ctx, s)
}

// news brings what comes after the receiver's number.
func (r *round) news(ctx context.Context) (more bool, err error) {
	entries, err := r.Store.After(ctx, r.state.Number, pageSize)
	if err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	head, err := r.Store.Head(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the feed: %w", err)
	}
	if head.Forgotten > r.state.Number { // since the receiver was told last
		return true, nil
	}
	if len(entries) == 0 {
		return false, nil
	}
	all, err := r.split(ctx, entries)
	if err != nil {
		return false, err
	}
	s := r.send(ctx, all)
	s.progress.Number = entries[len(entries)-1].Number
	r.state.Number = s.progress.Number
	return len(entries) == pageSize, r.save(ctx, s)
}

// split makes lanes of entries: one for each repository, or one for all where a message may have several. Those of repositories that are late
// wait until these have caught up.
func (r *round) split(ctx context.Context, entries []Entry) ([]*lane, error) {
	var wanted []Entry
	var names []string
	seen := map[string]bool{}
	for _, e := range entries {
		if !r.receiver.Filter.Picks(e.Event) {
			continue
		}
		wanted = append(wanted, e)
		if !seen[e.Repository] {
			seen[e.Repository] = true
			names = append(names, e.Repository)
		}
	}
	if len(wanted) == 0 {
		return nil, nil
	}
	lateNames, err := r.Deliveries.LateAmong(ctx, r.receiver.Name, names)
	if err != nil {
		return nil, fmt.Errorf("reading what %s has not had: %w", r.receiver.Name, err)
	}
	for _, name := range lateNames {
		seen[name] = false
	}
	return divide(wanted, seen, r.receiver.Batch), nil
}

// divide gives the lanes of the entries of some repositories.
func divide(entries []Entry, of map[string]bool, batch int) []*lane {
	var all []*lane
	by := map[string]*lane{}
	for _, e := range entries {
		if !of[e.Repository] {
			continue
		}
		key := e.Repository
		if batch > 1 {
			key = ""
		}
		l := by[key]
		if l == nil {
			l = &lane{}
			by[key] = l
			all = append(all, l)
		}
		if last := len(l.units) - 1; last >= 0 && len(l.units[last]) < batch {
			l.units[last] = append(l.units[last], e)
		} else {
			l.units = append(l.units, []Entry{e})
		}
	}
	return all
}

// save records what came of a sending, even if the server stops.
func (r *round) save(ctx context.Context, s *sending) error {
	p := s.progress
	if p.empty() {
		return nil
	}
	if !p.PausedUntil.IsZero() {
		r.state.PausedUntil = p.PausedUntil
	}
	if p.Failure != "" && (p.Failure != r.state.Failure || r.Now().Sub(r.state.FailedAt) > sayAgain) {
		r.Logger.LogAttrs(ctx, slog.LevelWarn, "a receiver of events does not take some", slog.String("receiver", r.receiver.Name),
			slog.Int("late", len(p.Late)), slog.Int("set_aside", len(p.SetAside)), slog.String("failure", p.Failure))
	}
	return r.record(ctx, p, hold)
}

// release lets other processes have the receiver.
func (r *round) release(ctx context.Context) error { return r.record(ctx, Progress{}, 0) }

func (r *round) record(ctx context.Context, p Progress, hold time.Duration) error {
	p.At = r.Now()
	p.HeldUntil = p.At.Add(hold)
	if err := r.Deliveries.Save(context.WithoutCancel(ctx), r.receiver.Name, r.Holder, p); err != nil {
		return fmt.Errorf("recording what %s has had: %w", r.receiver.Name, err)
	}
	return nil
}

func (p Progress) empty() bool {
	return p.Number == 0 && p.PausedUntil.IsZero() && p.Sent == 0 && p.Failure == "" && len(p.Late) == 0 && len(p.Caught) == 0 && len(p.SetAside) == 0
}
