// Package jobs runs background work, and knows no job.
//
// What is to be done is in the database: a job looks there for something that is due, does a bounded piece
// of it and says whether there is more. So nothing is lost when a process dies, any number of replicas may
// run the same jobs (each takes by claiming rows), and a test calls the job itself instead of waiting for it.
package jobs

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Job is work that comes up again and again.
type Job struct {
	Name string
	// Every is how long to wait after nothing was left to do. It must be positive.
	Every time.Duration
	// Wake, where it is set, ends the wait: somebody has put something there to do.
	Wake <-chan struct{}
	// Gather is how long to wait once more after Wake, so that what comes in at about the same time is done
	// together.
	Gather time.Duration
	// Do does a bounded piece of the work and tells whether there is more. Its context ends when the server
	// stops; it then returns soon, with everything in a state from which another run goes on.
	Do func(ctx context.Context) (more bool, err error)
}

// failureWait is how long a job rests at least after it failed, so that a broken one does not spin.
const failureWait = time.Second

// Run runs the jobs until ctx ends and all have returned. A job that fails or panics is logged and tried
// again later.
func Run(ctx context.Context, logger *slog.Logger, jobs []Job) {
	var running sync.WaitGroup
	for _, j := range jobs {
		running.Go(func() { j.run(ctx, logger) })
	}
	running.Wait()
}

func (j Job) run(ctx context.Context, logger *slog.Logger) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	wake := j.Wake
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake: // never, where it is nil
			if j.Gather > 0 {
				wake = nil // once is enough
				timer.Reset(j.Gather)
				continue
			}
		case <-timer.C:
		}
		wake = j.Wake
		select {
		case <-wake: // what it rang for is done now
		default:
		}
		timer.Reset(j.once(ctx, logger))
	}
}

// once does one piece and tells how long to wait for the next.
func (j Job) once(ctx context.Context, logger *slog.Logger) time.Duration {
	more, err := j.attempt(ctx)
	switch {
	case err != nil && ctx.Err() == nil:
		logger.LogAttrs(ctx, slog.LevelError, "background job failed", slog.String("job", j.Name), slog.Any("error", err))
		return max(failureWait, min(j.Every, time.Minute))
	case more:
		return 0
	default:
		return j.Every
	}
}

func (j Job) attempt(ctx context.Context) (more bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			more, err = false, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return j.Do(ctx)
}

// Bell wakes a job. The zero Bell is not of use; NewBell makes one.
type Bell struct{ c chan struct{} }

// NewBell makes a bell.
func NewBell() Bell { return Bell{make(chan struct{}, 1)} }

// Ring wakes whoever waits, or whoever waits next; many rings before that count as one.
func (b Bell) Ring() {
	select {
	case b.c <- struct{}{}:
	default:
	}
}

// C is what a job waits for.
func (b Bell) C() <-chan struct{} { return b.c }
