package registry

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// pullRecorder gathers pull times in memory, so that a pull writes and asks nothing: the newest time of each image
// is written from time to time, and only then is it asked whose pulls count. A crash loses at most what came since
// the last write; ECR itself promises no more than a day's precision for lastRecordedPullTime.
type pullRecorder struct {
	mu    sync.Mutex
	times map[pull]time.Time
}

// pull is an image and who pulled it.
type pull struct {
	imageID   int64
	principal string // an ARN
}

func newPullRecorder() *pullRecorder { return &pullRecorder{times: map[pull]time.Time{}} }

func (p *pullRecorder) note(what pull, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.After(p.times[what]) {
		p.times[what] = at
	}
}

func (p *pullRecorder) take() map[pull]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.times
	p.times = map[pull]time.Time{}
	return taken
}

func (p *pullRecorder) giveBack(times map[pull]time.Time) {
	for what, at := range times {
		p.note(what, at)
	}
}

// pulled notes that a caller pulled an image. What the server itself reads, to scan it or send it on, is no pull.
func (r *Registry) pulled(caller identity.Caller, imageID int64) {
	if !caller.Service {
		r.pulls.note(pull{imageID, caller.ARN}, r.now())
	}
}

// FlushPulls writes the pull times that came since the last call, but for those of principals that are excluded.
// Whoever runs the registry calls it from time to time and once when stopping. After an error the times are kept
// for the next call.
func (r *Registry) FlushPulls(ctx context.Context) error {
	taken := r.pulls.take()
	if len(taken) == 0 {
		return nil
	}
	err := r.store.Update(ctx, func(tx Tx) error {
		excluded, err := tx.PullExclusions(ctx, "", MaxPage) // all there are
		if err != nil {
			return err
		}
		times := countingPulls(taken, excluded)
		if len(times) == 0 {
			return nil
		}
		return tx.RecordPulls(ctx, times)
	})
	if err != nil {
		r.pulls.giveBack(taken)
		return fmt.Errorf("recording %d pull times: %w", len(taken), err)
	}
	return nil
}

// countingPulls gives the newest time of each image among the pulls that count: those of nobody who was excluded
// by then.
func countingPulls(taken map[pull]time.Time, excluded []PullExclusion) map[int64]time.Time {
	times := make(map[int64]time.Time, len(taken))
	since := map[string]time.Time{} // by principal; zero: not excluded
	for p, at := range taken {
		out, known := since[p.principal]
		if !known {
			out = excludedSince(p.principal, excluded)
			since[p.principal] = out
		}
		if counts := out.IsZero() || at.Before(out); counts && at.After(times[p.imageID]) {
			times[p.imageID] = at
		}
	}
	return times
}

func excludedSince(principal string, excluded []PullExclusion) time.Time {
	var since time.Time
	for _, e := range excluded {
		if policy.IsPrincipal(principal, e.PrincipalARN) && (since.IsZero() || e.CreatedAt.Before(since)) {
			since = e.CreatedAt
		}
	}
	return since
}
