// Package replace is the order of a switch where the new image takes the place of the old one: the code of a function, a service
// that is rolled. The kinds of target that switch so say how each step is done; what is here is when, and what an
// error means for whoever asked.
//
// A deployer that dies leaves the mark, which names what ran before. The next one's Back goes there, and not to what
// was half done.
package replace

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Steps are how one kind of target does it. Each can be done twice.
type Steps struct {
	Runs   bool                            // the image runs already, and no switch was begun
	Begun  bool                            // a switch was begun and not ended, and its mark is there
	Mark   func(ctx context.Context) error // says there what is begun and what ran before, without touching what runs; nil if Put does both
	Put    func(ctx context.Context) error // has the image run
	Ready  func(ctx context.Context) error // waits until it does, by the target's own notion
	Watch  func(ctx context.Context) error // comes back when it does no longer, or with ctx; nil if nobody can tell
	Unmark func(ctx context.Context) error // takes the mark away; nil without Mark
	Keep   func(ctx context.Context) error // says that it stays, and takes the mark away
	Back   func(ctx context.Context) error // has run what ran before, waits until it does, and takes the mark away
	At     deploy.Endpoint                 // where it answers
}

// Switch is deploy.Target's, by these steps.
func Switch(ctx context.Context, s Steps, check deploy.Check, say *progress.Task) error {
	if s.Runs {
		if err := s.healthy(ctx, check); err != nil {
			return &deploy.Undone{Err: err} // it is what ran before
		}
		return nil
	}
	if err := s.mark(ctx); err != nil {
		return err
	}
	err := s.Put(ctx)
	if err == nil {
		err = s.healthy(ctx, check)
	}
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
	defer cancel()
	if err == nil { // decided, whoever goes now
		if err := s.Keep(after); err != nil {
			say.Note(fmt.Sprintf("it runs, but is still marked as begun: %v", err))
		}
		return nil
	}
	say.Note("putting back what ran before")
	if undo := s.Back(after); undo != nil {
		return &deploy.Broken{Err: err, Undo: undo}
	}
	return &deploy.Undone{Err: err}
}

// mark makes the mark, or leaves none: a request may have been done though the answer did not come.
func (s Steps) mark(ctx context.Context) error {
	if s.Mark == nil {
		return nil
	}
	err := s.Mark(ctx)
	if err != nil && !s.Begun {
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
		defer cancel()
		_ = s.Unmark(after) // the reason is in err already
	}
	return err
}

// healthy waits until it is ready and the check has passed, and no longer than it can get so.
func (s Steps) healthy(ctx context.Context, check deploy.Check) error {
	if err := s.Ready(ctx); err != nil {
		return err
	}
	if s.Watch == nil {
		return check(ctx, s.At)
	}
	checking, stop := context.WithCancelCause(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		if err := s.Watch(checking); err != nil && checking.Err() == nil {
			stop(&fallen{err})
		}
	}()
	err := check(checking, s.At)
	stop(nil)
	<-watched
	if down, ok := errors.AsType[*fallen](context.Cause(checking)); ok && err != nil {
		return down.err
	}
	return err
}

// fallen is that what was started is up no longer.
type fallen struct{ err error }

// Error says why.
func (f *fallen) Error() string { return f.err.Error() }

// Sleep waits, and no longer than ctx.
type Sleep func(ctx context.Context, d time.Duration) error

// Asleep is Sleep by the clock of the machine.
func Asleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Until asks again and again, at first soon and then less often, until it is told that it is done, or an error.
func (s Sleep) Until(ctx context.Context, ask func(ctx context.Context) (done bool, err error)) error {
	const first, most = time.Second / 2, 5 * time.Second
	for pause := first; ; pause = min(pause*3/2, most) {
		done, err := ask(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case done || err != nil:
			return err
		}
		if err := s(ctx, pause); err != nil {
			return err
		}
	}
}
