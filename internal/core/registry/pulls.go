package registry

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// pullRecorder gathers pull times in memory, so that a pull writes nothing: the newest time of each image
// is written from time to time. A crash loses at most what came since the last write; ECR itself
// promises no more than a day's precision for lastRecordedPullTime.
type pullRecorder struct {
	mu    sync.Mutex
	times map[int64]time.Time // by image id
}

func newPullRecorder() *pullRecorder { return &pullRecorder{times: map[int64]time.Time{}} }

func (p *pullRecorder) note(imageID int64, at time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at.After(p.times[imageID]) {
		p.times[imageID] = at
	}
}

func (p *pullRecorder) take() map[int64]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	taken := p.times
	p.times = map[int64]time.Time{}
	return taken
}

func (p *pullRecorder) giveBack(times map[int64]time.Time) {
	for id, at := range times {
		p.note(id, at)
	}
}

// FlushPulls writes the pull times that came since the last call. Whoever runs the registry calls it from
// time to time and once when stopping. After an error the times are kept for the next call.
func (r *Registry) FlushPulls(ctx context.Context) error {
	taken := r.pulls.take()
	if len(taken) == 0 {
		return nil
	}
	err := r.store.Update(ctx, func(tx Tx) error { return tx.RecordPulls(ctx, maps.Clone(taken)) })
	if err != nil {
		r.pulls.giveBack(taken)
		return fmt.Errorf("recording %d pull times: %w", len(taken), err)
	}
	return nil
}
