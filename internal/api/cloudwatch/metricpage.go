package cloudwatch

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	cw "github.com/aws/aws-sdk-go-v2/service/cloudwatch"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatch/types"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/maths"
)

// Reading for a question is done in pieces, so that what is held at once is bounded, and a page does not read what only later ones give.
const (
	pieceOfPoints = 2 * maxDatapoints // that may come at once, if every period has one
	maxPoints     = 2_000_000         // that the metrics of expressions may have altogether
)

// source reads the metrics of a question.
type source struct {
	face
	*question
	caller identity.Caller
	series map[int]maths.Series // those that were read, by the place of their query
}

// metric gives a query's series, reading those that will be asked for next in the same go.
func (s *source) metric(ctx context.Context, i int) ([]maths.Series, error) {
	if _, ok := s.series[i]; !ok {
		clear(s.series)
		if err := s.read(ctx, i); err != nil {
			return nil, err
		}
	}
	return []maths.Series{s.series[i]}, nil
}

// read reads the metric of the query at i, and of those after it that are as long and still fit.
func (s *source) read(ctx context.Context, i int) error {
	period, points := s.queries[i].period, int64(0)
	var metrics []usage.Metric
	var places []int
	for k := i; k < len(s.queries) && points < pieceOfPoints; k++ {
		d := s.queries[k]
		if _, ok := s.series[k]; ok || d.expression != "" || d.period != period {
			continue
		}
		metrics, places = append(metrics, d.metric), append(places, k)
		points += int64(s.to.Sub(s.from)/period) + 1
	}
	all, err := s.usage.Points(ctx, s.caller, metrics, s.from, s.to, period)
	if err != nil {
		return err
	}
	for n, k := range places {
		s.series[k] = s.queries[k].seriesOf(all[n])
	}
	return nil
}

// seriesOf makes a series of points: of each the statistic that was asked for.
func (d dataQuery) seriesOf(points []usage.Point) maths.Series {
	series := maths.Series{ID: d.id, Label: d.label, Period: d.period, Times: make([]int64, len(points)), Values: make([]float64, len(points))}
	for n, p := range points {
		series.Times[n], series.Values[n] = p.At.Unix(), d.value(p)
	}
	return series
}

// compute runs a question's expressions over all of its metrics.
func (s *source) compute(ctx context.Context, program *maths.Program) (map[string]maths.Value, error) {
	in := maths.Input{Series: map[string]maths.Series{}, From: s.from.Unix(), To: s.to.Unix()}
	if s.to.After(time.Unix(in.To, 0)) {
		in.To++
	}
	points := 0
	for i, d := range s.queries {
		if d.expression != "" {
			continue
		}
		if _, ok := s.series[i]; !ok {
			if err := s.read(ctx, i); err != nil {
				return nil, err
			}
		}
		in.Series[d.id] = s.series[i]
		if points += len(s.series[i].Times); points > maxPoints {
			return nil, invalid("The metrics have more than %d datapoints: ask for fewer, for a shorter time or by a longer period.", maxPoints)
		}
	}
	return program.Run(in)
}

// place is where a page begins: at a query, at one of its series, after a time.
type place struct {
	query, series int
	after         int64 // seconds since 1970
	begun         bool  // there is an after
}

const placeMark = "metricdata"

// token writes a place as a NextToken, of this request and of no other.
func (p place) token(mark string) string {
	after := ""
	if p.begun {
		after = fmt.Sprint(p.after)
	}
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %d %d %s", placeMark, mark, p.query, p.series, after))
}

// markOf tells requests apart, the place and the size of a page aside.
func markOf(in *cw.GetMetricDataInput) string {
	text, _ := json.Marshal([]any{in.StartTime, in.EndTime, in.ScanBy, in.MetricDataQueries}) // has no value that JSON lacks
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8])
}

// parsePlace reads a token of the request of that mark, which has so many queries.
func parsePlace(token, mark string, queries int) (place, error) {
	p := place{}
	if token == "" {
		return p, nil
	}
	text, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err == nil {
		var name, whose string
		n, _ := fmt.Sscanf(string(text), "%s %s %d %d %d", &name, &whose, &p.query, &p.series, &p.after)
		p.begun = n == 5 //nolint:mnd // all of them
		if p.token(mark) == token && p.query >= 0 && p.query < queries && p.series >= 0 {
			return p, nil
		}
	}
	return place{}, fault.New(fault.PageTokenInvalid, "The NextToken is not one that this request returned.")
}

// page gives a page of results. Get gives the series of a query that returns data.
func (q *question) page(get func(i int) ([]maths.Series, error)) (*cw.GetMetricDataOutput, error) {
	out := &cw.GetMetricDataOutput{MetricDataResults: []types.MetricDataResult{}}
	room := q.limit
	for i := q.begin.query; i < len(q.queries); i++ {
		if !q.queries[i].returned {
			continue
		}
		at := place{query: i}
		if i == q.begin.query {
			at = q.begin
		}
		if room == 0 {
			return q.more(out, at), nil
		}
		all, err := get(i)
		if err != nil {
			return nil, err
		}
		for ; at.series < len(all); at = (place{query: i, series: at.series + 1}) {
			if room == 0 {
				return q.more(out, at), nil
			}
			result, cut := q.result(i, all[at.series], at, room)
			out.MetricDataResults = append(out.MetricDataResults, result)
			if room -= len(result.Values); cut {
				at.begun, at.after = true, result.Timestamps[len(result.Timestamps)-1].Unix()
				return q.more(out, at), nil
			}
		}
	}
	return out, nil
}

// more says where the next page begins.
func (q *question) more(out *cw.GetMetricDataOutput, at place) *cw.GetMetricDataOutput {
	token := at.token(q.mark)
	out.NextToken = &token
	return out
}

// result gives as much of a series as there is room for, from a place on, and tells whether more is left.
func (q *question) result(i int, s maths.Series, at place, room int) (types.MetricDataResult, bool) {
	times, values := s.Times, s.Values
	switch k, found := slices.BinarySearch(times, at.after); {
	case !at.begun:
	case q.ascending:
		if found {
			k++
		}
		times, values = times[k:], values[k:]
	default:
		times, values = times[:k], values[:k]
	}
	n := min(len(times), room)
	id, label := q.queries[i].id, s.Label
	r := types.MetricDataResult{
		Id: &id, Label: &label, StatusCode: types.StatusCodeComplete, Timestamps: make([]time.Time, n), Values: make([]float64, n),
	}
	for k := range n {
		from := k
		if !q.ascending {
			from = len(times) - 1 - k
		}
		r.Timestamps[k], r.Values[k] = time.Unix(times[from], 0).UTC(), values[from]
	}
	if n < len(times) {
		r.StatusCode = types.StatusCodePartialData
		return r, true
	}
	return r, false
}
