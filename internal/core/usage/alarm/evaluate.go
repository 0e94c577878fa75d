package alarm

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	samples, err := s.samples(ctx, a.Configuration, lastMinute(now))
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

// samples gives what an alarm's periods came to, up to the given end.
func (s *Service) samples(ctx context.Context, c Configuration, end time.Time) ([]Sample, error) {
	n := c.EvaluationPeriods + extraPeriods
	if len(c.Queries) == 0 {
		return s.series(ctx, Query{Metric: c.Metric, Statistic: c.Statistic, Unit: c.Unit}, end, c.period(), n)
	}
	if s.maths == nil {
		return nil, errors.New("expressions cannot be computed here")
	}
	samples := make([]Sample, n)
	times := make([]time.Time, n)
	for i := range samples {
		samples[i] = Sample{At: end.Add(-time.Duration(n-i) * c.period()), Missing: true}
		times[i] = samples[i].At
	}
	series := map[string][]float64{}
	for _, q := range c.Queries {
		if q.Expression != "" {
			continue
		}
		one, err := s.series(ctx, q, end, c.period(), n)
		if err != nil {
			return nil, err
		}
		values := make([]float64, n)
		for i, sample := range one {
			if values[i] = sample.Value; sample.Missing {
				values[i] = math.NaN()
			}
		}
		series[q.ID] = values
	}
	values, err := s.maths.Value(c.Queries, series, times, c.period())
	if err != nil {
		return nil, fmt.Errorf("computing an expression: %w", err)
	}
	for i, value := range values {
		if i < n && !math.IsNaN(value) && !math.IsInf(value, 0) {
			samples[i].Value, samples[i].Missing = value, false
		}
	}
	return samples, nil
}

// series gives the statistic of a metric in each of n periods, of which the last one ends at the given time.
func (s *Service) series(ctx context.Context, q Query, end time.Time, period time.Duration, n int) ([]Sample, error) {
	from := end.Add(-time.Duration(n) * period)
	points, err := s.points.Points(ctx, q.Metric, q.Unit, from, end, time.Minute)
	if err != nil {
		return nil, fmt.Errorf("reading the points of %s %s: %w", q.Metric.Namespace, q.Metric.Name, err)
	}
	sums := make([]usage.Point, n)
	for _, p := range points {
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
