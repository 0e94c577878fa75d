package fsck

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// lease is how long a check waits for whoever works on it before somebody else does.
	lease = time.Minute
	// saveEvery is how often it is noted how far a check is. So much is done again after a crash.
	saveEvery = 5 * time.Second
	// maxAttempts is how often something is tried before it counts as Unread, with waits between them from firstWait to longestWait.
	maxAttempts = 6
	firstWait   = time.Second
	longestWait = time.Minute
	// maxUnread is how much may be Unread before a check is given up: the store has other troubles.
	maxUnread = 20
)

// errNotMine says that a check was stopped, or that somebody else works on it now.
var errNotMine = errors.New("the check is in other hands")

// Once works on a check that somebody started, to its end if it can, and tells whether there may be more to do.
func (s *Service) Once(ctx context.Context) (more bool, err error) { return s.once(ctx, false) }

// ScrubOnce starts a scrub where the last one began a period ago, and works on the one that runs.
func (s *Service) ScrubOnce(ctx context.Context) (more bool, err error) {
	if s.ScrubPeriod <= 0 {
		return false, nil
	}
	last, err := s.Checks.Check(ctx, 0, true)
	if err != nil && !errors.Is(err, registry.ErrNoRow) {
		return false, fmt.Errorf("reading the last scrub: %w", err)
	}
	if err != nil || last.State != Running && s.Now().Sub(last.StartedAt) >= s.ScrubPeriod {
		_, err := s.start(ctx, Check{Actor: s.Self.ARN, Scrub: true})
		if err != nil && !errors.Is(err, registry.ErrConflict) { // another replica was quicker
			return false, err
		}
	}
	return s.once(ctx, true)
}

func (s *Service) once(ctx context.Context, scrub bool) (more bool, err error) {
	now := s.Now()
	c, ok, err := s.Checks.ClaimCheck(ctx, scrub, now, now.Add(lease))
	if err != nil || !ok {
		return false, err
	}
	w := &worker{Service: s, check: c, savedAt: now, pace: pace{rate: c.Rate, now: s.Now, next: now}}
	err = w.run(ctx)
	if errors.Is(err, errNotMine) {
		return true, nil
	}
	if err != nil {
		// It waits for nobody: whoever looks next goes on.
		_ = w.save(context.WithoutCancel(ctx), s.Now())
		return false, fmt.Errorf("check %d: %w", c.ID, err)
	}
	return w.check.State != Running, nil
}

// worker works on one check.
type worker struct {
	*Service
	check   Check
	found   []Finding // not saved yet
	savedAt time.Time
	pace    pace
	buffer  []byte
}

// run works until the check is over, or waits for better times, or an error says that something is wrong with the database, or that ctx
// has ended.
func (w *worker) run(ctx context.Context) error {
	for w.check.State == Running {
		var err error
		switch w.check.Phase {
		case Blobs:
			err = w.blobs(ctx)
		case Images:
			err = w.images(ctx)
		case Store:
			err = w.things(ctx)
		default:
			return fmt.Errorf("a check has no phase %q", w.check.Phase)
		}
		if unread, ok := errors.AsType[*unreadError](err); ok && ctx.Err() == nil {
			waits, err := w.failed(ctx, unread)
			if err != nil || waits {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := w.keep(ctx); err != nil {
			return err
		}
	}
	return nil
}

// unreadError is the store's failing about one thing.
type unreadError struct {
	name  string
	skip  func(c *Check) // goes on behind it; nil: nothing is behind it
	cause error
}

// Error gives the cause.
func (e *unreadError) Error() string { return e.cause.Error() }

// Unwrap gives the cause.
func (e *unreadError) Unwrap() error { return e.cause }

// failed deals with what could not be looked at. It tells whether the check waits now for another attempt.
func (w *worker) failed(ctx context.Context, unread *unreadError) (waits bool, err error) {
	w.Logger.LogAttrs(ctx, slog.LevelWarn, "a check of what is stored could not look at something", slog.Int64("check", w.check.ID),
		slog.String("name", unread.name), slog.Int("attempts", w.check.Attempts+1), slog.Any("error", unread.cause))
	if w.check.Attempts++; w.check.Attempts < maxAttempts {
		return true, w.save(ctx, w.Now().Add(event.Backoff(w.check.Attempts-1, firstWait, longestWait)))
	}
	w.check.Attempts = 0
	w.find(ctx, Finding{Kind: Unread, Name: unread.name, Detail: unread.cause.Error()})
	if unread.skip == nil {
		return false, w.end(ctx)
	}
	unread.skip(&w.check)
	if err := w.save(ctx, w.Now().Add(lease)); err != nil {
		return false, err
	}
	n, err := w.countUnread(ctx)
	if err == nil && n >= maxUnread {
		err = w.end(ctx)
	}
	return false, err
}

// next begins the phase after, or ends the check.
func (w *worker) next(ctx context.Context, p Phase) error {
	w.check.Phase, w.check.Cursor = p, ""
	return w.save(ctx, w.Now().Add(lease))
}

// end ends the check.
func (w *worker) end(ctx context.Context) error {
	if err := w.save(ctx, w.Now().Add(lease)); err != nil {
		return err
	}
	n, err := w.countUnread(ctx)
	if err != nil {
		return err
	}
	w.check.State, w.check.EndedAt = Complete, w.Now()
	switch {
	case n >= maxUnread:
		w.check.State, w.check.Reason = Incomplete, "The blob store could not be read too often: the check was given up."
	case n > 0:
		w.check.State, w.check.Reason = Incomplete, fmt.Sprintf("%d of what is stored could not be looked at.", n)
	}
	if err := w.save(ctx, w.check.EndedAt); err != nil {
		return err
	}
	whole, err := w.Checks.Check(ctx, w.check.ID, false)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if whole.State != Complete || whole.Problems > whole.Repaired {
		level = slog.LevelWarn
	}
	w.Logger.LogAttrs(ctx, level, "a check of what is stored has ended", slog.Int64("check", whole.ID), slog.Bool("scrub", whole.Scrub),
		slog.String("state", string(whole.State)), slog.Int64("blobs", whole.Progress.Blobs), slog.Int64("bytes", whole.Progress.Bytes),
		slog.Int("problems", whole.Problems), slog.Int("repaired", whole.Repaired))
	return nil
}

func (w *worker) countUnread(ctx context.Context) (n int, err error) {
	for after := int64(0); ; {
		some, err := w.Checks.Findings(ctx, w.check.ID, after, MaxPage)
		if err != nil {
			return 0, err
		}
		for _, f := range some {
			after = f.ID
			if f.Kind == Unread {
				n++
			}
		}
		if len(some) < MaxPage {
			return n, nil
		}
	}
}

// find notes a finding, and tells the operator.
func (w *worker) find(ctx context.Context, f Finding) {
	f.At = w.Now()
	w.found = append(w.found, f)
	level := slog.LevelError
	switch f.Kind {
	case Stray, StrayPart, Restored, Unread:
		level = slog.LevelInfo // nobody misses anything; of Unread the end tells
	case Lost, WrongSize, WrongContent, BadManifest, MissingLayer, MissingImage:
	}
	w.Logger.LogAttrs(ctx, level, "a check of what is stored found something", slog.Int64("check", w.check.ID), slog.String("kind", string(f.Kind)),
		slog.String("name", f.Name), slog.String("detail", f.Detail), slog.String("digest", f.Digest.String()), slog.Any("needed_by", f.Needs), slog.String("done", string(f.Done)))
}

// keep holds on to the check: now and then it notes how far it is.
func (w *worker) keep(ctx context.Context) error {
	if w.check.State != Running || w.Now().Sub(w.savedAt) < saveEvery && len(w.found) == 0 {
		return ctx.Err()
	}
	return w.save(ctx, w.Now().Add(lease))
}

// save stores how far the check is, and when it is due next.
func (w *worker) save(ctx context.Context, due time.Time) error {
	c, before := w.check, w.check.DueAt
	c.DueAt = due
	err := w.Checks.SaveCheck(ctx, c, before, w.found)
	if errors.Is(err, registry.ErrConflict) {
		return errNotMine
	}
	if err != nil {
		return fmt.Errorf("storing how far it is: %w", err)
	}
	w.check.DueAt, w.found, w.savedAt = due, nil, w.Now()
	return nil
}
