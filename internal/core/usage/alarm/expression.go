package alarm

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/usage/maths"
)

// program makes the expressions of an alarm ready, and gives the id of what is watched.
func (c Configuration) program() (*maths.Program, string, error) {
	queries := make([]maths.Query, len(c.Queries))
	watched := ""
	for i, q := range c.Queries {
		queries[i] = maths.Query{ID: q.ID, Expression: q.Expression}
		if q.ReturnData {
			watched = q.ID
		}
	}
	p, err := maths.Compile(queries)
	return p, watched, err
}

// checkExpressions tries the expressions on metrics without points: what they come to must be one series.
func (c Configuration) checkExpressions() error {
	p, watched, err := c.program()
	if err != nil {
		return err
	}
	values, err := p.Run(maths.Input{})
	if err != nil {
		return err
	}
	if v := values[watched]; v.IsNumber || len(v.Series) != 1 {
		return fault.New(fault.InvalidParameter, "The expression %s must come to one time series, and not to a number or several", watched)
	}
	return nil
}

// computed gives what the periods of an alarm on an expression came to, of which the last one ends at the given time.
//
// The series that are computed with begin at 0: the windows slide, and FILL would look for periods at multiples of themselves. No function
// that there is goes by the time of day.
func (s *Service) computed(ctx context.Context, c Configuration, end time.Time) ([]Sample, error) {
	n, period := c.EvaluationPeriods+extraPeriods, c.period()
	step := int64(period / time.Second)
	in := maths.Input{Series: map[string]maths.Series{}, From: 0, To: int64(n) * step}
	counts := make([]float64, n)
	for _, q := range c.Queries {
		if q.Expression != "" {
			continue
		}
		samples, err := s.series(ctx, c, q, end)
		if err != nil {
			return nil, err
		}
		series := maths.Series{Label: q.Label, Period: period}
		for i, sample := range samples {
			counts[i] += sample.Count
			if !sample.Missing {
				series.Times, series.Values = append(series.Times, int64(i)*step), append(series.Values, sample.Value)
			}
		}
		in.Series[q.ID] = series
	}
	p, watched, err := c.program()
	if err != nil {
		return nil, err
	}
	values, err := p.Run(in)
	if err != nil {
		return nil, fmt.Errorf("computing %s: %w", watched, err)
	}
	samples := make([]Sample, n)
	for i := range samples {
		samples[i] = Sample{At: end.Add(time.Duration(i-n) * period), Missing: true}
	}
	for _, series := range values[watched].Series {
		for k, at := range series.Times {
			value := series.Values[k]
			if i := at / step; i >= 0 && i < int64(n) && !math.IsNaN(value) && !math.IsInf(value, 0) {
				samples[i].Value, samples[i].Missing, samples[i].Count = value, false, counts[i]
			}
		}
	}
	return samples, nil
}
