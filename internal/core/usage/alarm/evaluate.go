package alarm

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

const (
	// lateness is how long after its end a minute is waited for: what happened in it is counted by then.
	lateness = 10 * time.Second
	// batch is how many alarms a piece of the job looks at.
	batch = 100
	// keepHistory is how long an alarm's history stays, as in CloudWatch.
	keepHistory = 30 * 24 * time.Hour
	pruneBatch  = 1000
)

// lastMinute is when the last minute ended that is complete.
func lastMinute(now time.Time) time.Time { return now.Add(-lateness).Truncate(time.Minute) }

// EvaluateOnce looks at a batch of alarms that are due, and tells whether there may be more. One that cannot be looked at keeps its state,
// and has its turn again a minute later.
func (s *Service) EvaluateOnce(ctx context.Context) (more bool, err error) {
	now := s.now()
	due, err := s.rows.ClaimAlarms(ctx, now, lastMinute(now).Add(lateness), batch)
	if err != nil {
		return false, fmt.Errorf("looking for alarms that are due: %w", err)
	}
	var problems []error
	changed := false
	for _, a := range due {
		did, err := s.evaluate(ctx, a, now)
		changed = changed || did
		if err != nil {
			problems = append(problems, fmt.Errorf("looking at the alarm %q: %w", a.Name, err))
		}
		if ctx.Err() != nil {
			break
		}
	}
	if changed {
		s.notify()
	}
	return len(due) >= batch, errors.Join(problems...)
}

// PruneOnce removes some of the history that is too old, and tells whether there may be more.
func (s *Service) PruneOnce(ctx context.Context) (more bool, err error) {
	n, err := s.rows.PruneHistory(ctx, s.now().Add(-keepHistory), pruneBatch)
	return n >= pruneBatch, err
}

// evaluate looks at one alarm, and tells whether its state has changed.
func (s *Service) evaluate(ctx context.Context, a Alarm, now time.Time) (bool, error) {
	samples, err := s.samples(ctx, a.Configuration, now)
	if err != nil {
		return false, err
	}
	r := Rule{Periods: a.EvaluationPeriods, Needed: a.needed(), Operator: a.Operator, Threshold: a.Threshold, Missing: a.missing()}
	v := Judge(r, samples, a.State)
	if v.State == a.State {
		return false, nil
	}
	changed := false
	err = s.rows.Update(ctx, func(tx Tx) error {
		changed = false
		current, err := tx.LockAlarm(ctx, a.Name)
		if errors.Is(err, registry.ErrNoRow) || err == nil && current.Revision != a.Revision {
			return nil // it is not the alarm any more that was looked at
		}
		if err != nil {
			return err
		}
		changed = true
		current.ARN = s.arn(a.Name)
		return s.enter(ctx, tx, s.self, current, Situation{State: v.State, Reason: v.reason(r, a.State), ReasonData: v.data(a.Configuration, now)})
	})
	return changed, err
}

// grain is what an alarm's periods are put together of. Minutes are kept for two weeks only, so that what looks back at days goes by hours.
func (c Configuration) grain() time.Duration {
	if c.Every() == time.Hour && c.period()%time.Hour == 0 {
		return time.Hour
	}
	return time.Minute
}

// samples gives what an alarm's periods came to, of which the last one has just ended.
func (s *Service) samples(ctx context.Context, c Configuration, now time.Time) ([]Sample, error) {
	end := now.Add(-lateness).Truncate(c.grain())
	if len(c.Queries) > 0 {
		return s.computed(ctx, c, end)
	}
	return s.series(ctx, c, Query{Metric: c.Metric, Statistic: c.Statistic, Unit: c.Unit}, end)
}

// series gives the statistic of a metric in each of an alarm's periods, of which the last one ends at the given time.
func (s *Service) series(ctx context.Context, c Configuration, q Query, end time.Time) ([]Sample, error) {
	n, period := c.EvaluationPeriods+extraPeriods, c.period()
	from := end.Add(-time.Duration(n) * period)
	m := q.Metric
	m.Unit = q.Unit
	points, err := s.points.Points(ctx, s.self, []usage.Metric{m}, from, end, c.grain())
	if err != nil {
		return nil, fmt.Errorf("reading the points of %s %s: %w", m.Namespace, m.Name, err)
	}
	sums := make([]usage.Point, n)
	for _, p := range points[0] {
		if i := int(p.At.Sub(from) / period); !p.At.Before(from) && i < n {
			sums[i].Add(p)
		}
	}
	samples := make([]Sample, n)
	for i, sum := range sums {
		samples[i] = Sample{At: from.Add(time.Duration(i) * period), Missing: sum.Count == 0, Count: sum.Count}
		if sum.Count != 0 {
			samples[i].Value = statistic(q.Statistic, sum)
		}
	}
	return samples, nil
}

// The statistics of points.
const (
	sampleCount = "SampleCount"
	average     = "Average"
	sum         = "Sum"
	minimum     = "Minimum"
	maximum     = "Maximum"
)

func statistic(name string, p usage.Point) float64 {
	switch name {
	case sampleCount:
		return p.Count
	case average:
		return p.Average()
	case sum:
		return p.Sum
	case minimum:
		return p.Min
	default:
		return p.Max
	}
}
