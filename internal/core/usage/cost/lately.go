package cost

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// measuredWithin is longer than rounds of gauges are apart, and take.
const measuredWithin = 2 * time.Hour

// lately lets accounts hold what came in since what they hold was measured, which is once an hour: a bill, and above all its forecast, rises with a
// large push and not an hour later. It is an estimate, until the next measure: of what came, some may not be kept. What came in the minute of the
// measure is taken to be in it.
func (s *Service) lately(ctx context.Context, owners map[owner]*account, begin, until time.Time) error {
	measured, err := s.minutes(ctx, usage.StoredBytes, until)
	if err != nil {
		return err
	}
	came, err := s.minutes(ctx, usage.BytesIn, until)
	if err != nil {
		return err
	}
	var round time.Time // of any repository: one that was not measured then came later, or is gone
	for _, points := range measured {
		for _, p := range points {
			if p.At.After(round) {
				round = p.At
			}
		}
	}
	for who, points := range came {
		a, last := owners[who], round
		if own := measured[who]; len(own) > 0 {
			last = own[len(own)-1].At
		}
		if a == nil || len(a.days) == 0 {
			continue
		}
		for _, p := range points {
			if p.At.After(last) {
				a.level.StoredByteHours += p.Sum
				a.days[len(a.days)-1].StoredByteHours += p.Sum * max(0, min(until.Sub(p.At), until.Sub(begin))).Hours()
			}
		}
	}
	return nil
}

// minutes gives the points of the last two hours.
func (s *Service) minutes(ctx context.Context, name string, until time.Time) (map[owner][]usage.Point, error) {
	since := until.Add(-measuredWithin)
	metrics, err := s.named(ctx, name, since)
	if err != nil {
		return nil, err
	}
	all, err := s.Points.Points(ctx, s.self, metrics, since, until, time.Minute)
	if err != nil {
		return nil, err
	}
	points := make(map[owner][]usage.Point, len(metrics))
	for i, m := range metrics {
		who, _ := ownerOf(m)
		points[who] = append(points[who], all[i]...)
	}
	return points, nil
}
