package gc

import (
	"context"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// mostListed bounds a page of what would go.
const mostListed = 1000

// Waiting is what a stage has before it.
type Waiting struct {
	Due    Amount    // what it takes as soon as it can
	Later  Amount    // what comes to be due, unless it is needed by then
	NextAt time.Time // when the first of that does; zero where there is none
}

// StageStatus is how far a stage is.
type StageStatus struct {
	Stage Stage
	Waiting
	Done Amount // by the replica that was asked, since it started
}

// Status is how far the collector is.
type Status struct {
	Paused *Pause // nil where it is not
	Stages []StageStatus
	Rate   int // the bound, things a second; 0: none
	// Speed is how many things a second the replica that was asked took while it was at it; 0: it took none yet.
	Speed float64
	// Remaining is how long that replica would take for all that is due; 0 where that is not known.
	Remaining time.Duration
	Walk      Walk
	Problems  []Problem // of each stage, and of the walk, that failed when it last tried
}

// Status tells how far the collector is (berth:GetGarbageCollection). It counts what waits, at a cost in proportion to that.
func (s *Service) Status(ctx context.Context, caller identity.Caller) (Status, error) {
	if err := s.may(ctx, caller, actionGet); err != nil {
		return Status{}, err
	}
	return s.status(ctx)
}

// Start has the sweep begun at once, on the replica that is asked, and tells how far it is (berth:StartGarbageCollection). It only
// saves seconds: what is due is taken anyway.
func (s *Service) Start(ctx context.Context, caller identity.Caller) (Status, error) {
	if err := s.may(ctx, caller, actionStart); err != nil {
		return Status{}, err
	}
	s.Wake()
	return s.status(ctx)
}

func (s *Service) status(ctx context.Context) (Status, error) {
	st := Status{Rate: s.Rate}
	var err error
	if st.Paused, err = s.paused(ctx); err != nil {
		return Status{}, err
	}
	if _, st.Walk, err = s.walk(ctx); err != nil {
		return Status{}, err
	}
	if st.Problems, err = s.listProblems(ctx); err != nil {
		return Status{}, err
	}
	if st.Stages, err = s.waiting(ctx); err != nil {
		return Status{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var done, due int64
	for i := range st.Stages {
		st.Stages[i].Done = s.done[i]
		done += s.done[i].Things
		due += st.Stages[i].Due.Things
	}
	if done > 0 && s.busy > 0 {
		st.Speed = float64(done) / s.busy.Seconds()
		st.Remaining = time.Duration(float64(due) / st.Speed * float64(time.Second))
	}
	return st, nil
}

func (s *Service) waiting(ctx context.Context) ([]StageStatus, error) {
	all, err := s.Rows.Waiting(ctx, s.deadlines())
	if err != nil {
		return nil, fmt.Errorf("counting what waits: %w", err)
	}
	list := make([]StageStatus, stages)
	for i, w := range all {
		if Stage(i) == Uploads && !w.NextAt.IsZero() {
			w.NextAt = w.NextAt.Add(s.UploadTTL)
		}
		list[i] = StageStatus{Stage: Stage(i), Waiting: w}
	}
	if s.UploadTTL <= 0 {
		list[Uploads].NextAt = time.Time{}
	}
	return list, nil
}

// DryRun is what a sweep would do now.
type DryRun struct {
	Stages []StageStatus // without Done
	// Freed counts the blobs that nothing would have any more once all that is due were gone.
	Freed Amount
	Blobs []Blob // one page of those, in order of digests
	Next  oci.Digest
}

// DryRun tells what a sweep would take now, and what would be due later (berth:ListGarbage). Blobs are listed from the one behind
// after, at most limit of them; 0 is the usual page.
func (s *Service) DryRun(ctx context.Context, caller identity.Caller, after oci.Digest, limit int) (DryRun, error) {
	if err := s.may(ctx, caller, actionList); err != nil {
		return DryRun{}, err
	}
	if limit <= 0 || limit > mostListed {
		limit = mostListed
	}
	list, err := s.waiting(ctx)
	if err != nil {
		return DryRun{}, err
	}
	run := DryRun{Stages: list}
	now := s.Now()
	if run.Freed, err = s.Rows.Freed(ctx, now); err != nil {
		return DryRun{}, fmt.Errorf("counting what would go: %w", err)
	}
	if run.Blobs, err = s.Rows.FreedBlobs(ctx, now, after, limit+1); err != nil {
		return DryRun{}, fmt.Errorf("listing what would go: %w", err)
	}
	if len(run.Blobs) > limit {
		run.Blobs = run.Blobs[:limit]
		run.Next = run.Blobs[limit-1].Digest
	}
	return run, nil
}
