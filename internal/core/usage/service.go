package usage

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Keep is how long points are kept. Each is at least as long as the one before.
type Keep struct{ Minutes, Hours, Days time.Duration }

// DefaultKeep is as long as CloudWatch keeps minutes and hours; it has no days.
func DefaultKeep() Keep {
	return Keep{Minutes: 15 * Day, Hours: 455 * Day, Days: 5 * 365 * Day} //nolint:mnd // as said
}

// Config is what a Service is made of; all but Keep and MaxSeries must be set.
type Config struct {
	Registry *registry.Registry
	Store    Store
	Upkeep   Upkeep
	Images   Images
	Gauging  Gauging
	Keep     Keep // what is zero is DefaultKeep's
	Now      func() time.Time
	// MaxSeries is how many metrics clients may have, counted with their dimensions and units; 0: 100,000.
	MaxSeries int
}

// Service counts, and answers how much it was. Its methods may be called from many goroutines.
type Service struct {
	registry *registry.Registry
	store    Store
	upkeep   Upkeep
	images   Images
	gauging  Gauging
	keep     Keep
	now      func() time.Time

	maxSeries int // of clients
}

// New makes the service.
func New(c Config) *Service {
	k, d := c.Keep, DefaultKeep()
	for _, v := range []struct {
		p *time.Duration
		d time.Duration
	}{{&k.Minutes, d.Minutes}, {&k.Hours, d.Hours}, {&k.Days, d.Days}} {
		if *v.p == 0 {
			*v.p = v.d
		}
	}
	k.Hours = max(k.Hours, k.Minutes)
	k.Days = max(k.Days, k.Hours)
	return &Service{
		registry: c.Registry, store: c.Store, upkeep: c.Upkeep, images: c.Images, gauging: c.Gauging, keep: k,
		maxSeries: cmp.Or(c.MaxSeries, maxClientSeries),
		now:       func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
	}
}

// Put adds values to metrics (cloudwatch:PutMetricData). Only the server itself puts them in its own namespaces.
func (s *Service) Put(ctx context.Context, caller identity.Caller, datums []Datum) error {
	if err := s.registry.May(ctx, caller, policy.PutMetricData, ""); err != nil {
		return err
	}
	now := s.now()
	for i, d := range datums {
		what := fmt.Sprintf("MetricData.member.%d", i+1)
		if err := d.check(what); err != nil {
			return err
		}
		if caller.Service {
			continue
		}
		if err := reserved(what, d.Metric.Namespace); err != nil {
			return err
		}
		if d.At.Before(now.Add(-oldest)) || d.At.After(now.Add(ahead)) {
			return fault.BadParameter(what+".Timestamp", "must be within the last two weeks, and at most two hours in the future")
		}
	}
	if len(datums) == 0 {
		return nil
	}
	batch := Batch{Datums: datums, At: now}
	if !caller.Service {
		batch.MaxSeries = s.maxSeries
	}
	_, err := s.store.Count(ctx, batch)
	if errors.Is(err, ErrTooManySeries) {
		return fault.New(fault.LimitExceeded, "Clients have %d metrics already, each with its dimensions and unit, which is as many as they may have: new ones are "+
			"refused until the points of old ones have been forgotten", s.maxSeries)
	}
	return err
}

// maxClientSeries bounds what clients put: a dimension that is another each time would fill the database, and Amazon's bill is not there to
// hold anybody back.
const maxClientSeries = 100_000

// MaxPoints bounds an answer. (CloudWatch gives 100,800 in a page; whoever reads for it pages by metrics.)
const MaxPoints = 5_000_000

// Points gives the points of each metric whose periods begin in [from, to) (cloudwatch:GetMetricData): a period is a minute or a multiple of
// it, and begins at a multiple of itself. Periods without values have no point. A period whose minutes have been forgotten, and that is
// no multiple of what is kept instead, has none either. A question that more than MaxPoints would answer is refused.
func (s *Service) Points(ctx context.Context, caller identity.Caller, metrics []Metric, from, to time.Time, period time.Duration) ([][]Point, error) {
	if err := s.registry.May(ctx, caller, policy.GetMetricData, ""); err != nil {
		return nil, err
	}
	return s.points(ctx, metrics, from, to, period)
}

// Statistics gives the points of one metric, as Points does (cloudwatch:GetMetricStatistics).
func (s *Service) Statistics(ctx context.Context, caller identity.Caller, metric Metric, from, to time.Time, period time.Duration) ([]Point, error) {
	if err := s.registry.May(ctx, caller, policy.GetMetricStatistics, ""); err != nil {
		return nil, err
	}
	all, err := s.points(ctx, []Metric{metric}, from, to, period)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

func (s *Service) points(ctx context.Context, metrics []Metric, from, to time.Time, period time.Duration) ([][]Point, error) {
	if err := checkPeriod(from, to, period); err != nil {
		return nil, err
	}
	sel := s.selection(metrics, from, to, period)
	series := make([]series, len(metrics))
	n := 0
	err := s.store.Points(ctx, sel, func(metric int, points []Point) error {
		before := len(series[metric])
		if before == 0 {
			series[metric] = expect(points, sel, period)
		}
		series[metric] = series[metric].add(points, sel.Grain, period)
		if n += len(series[metric]) - before; n > MaxPoints {
			return fault.New(fault.InvalidParameter, "The answer would have more than %d datapoints: ask for fewer metrics, a shorter time or a longer period", MaxPoints)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make([][]Point, len(metrics))
	for i, v := range series {
		out[i] = v
	}
	return out, nil
}

// selection chooses the coarsest grain that fits, which is kept longest and read fastest.
func (s *Service) selection(metrics []Metric, from, to time.Time, period time.Duration) Selection {
	sel := Selection{Metrics: metrics, Grain: Minute, From: floor(from, period), To: ceiling(to, period)}
	keep := s.keep.Minutes
	switch {
	case period%Day == 0:
		sel.Grain, keep = Day, s.keep.Days
	case period%Hour == 0:
		sel.Grain, keep = Hour, s.keep.Hours
	}
	if kept := floor(s.now().Add(-keep), sel.Grain); sel.From.Before(kept) {
		sel.From = kept
	}
	return sel
}

// maxRoom bounds what is taken on a guess.
const maxRoom = 4096

// series gathers a metric's points in order of time.
type series []Point

// expect makes room for a metric's points, going by how dense the first of them are: growing step by step would copy them all many times.
func expect(first []Point, sel Selection, period time.Duration) series {
	span := first[len(first)-1].At.Sub(first[0].At) + sel.Grain
	left := sel.To.Sub(first[0].At)
	n := int64(float64(len(first)) * float64(left) / float64(span))
	return make(series, 0, min(max(n, int64(len(first))), int64(left/period)+1, maxRoom))
}

// add puts points of a grain to their periods. They are in order, and come after those that are there, mostly.
func (v series) add(points []Point, grain, period time.Duration) series {
	if period == grain && (len(v) == 0 || v[len(v)-1].At.Before(points[0].At)) {
		return append(v, points...)
	}
	for _, p := range points {
		if period != grain {
			p.At = floor(p.At, period)
		}
		last := len(v) - 1
		switch {
		case last < 0 || v[last].At.Before(p.At):
			v = append(v, p)
		case v[last].At.Equal(p.At):
			v[last].Add(p)
		default:
			i, found := slices.BinarySearchFunc(v, p.At, func(q Point, at time.Time) int { return q.At.Compare(at) })
			if found {
				v[i].Add(p)
			} else {
				v = slices.Insert(v, i, p)
			}
		}
	}
	return v
}

// floor is the last multiple of a period since 1970 that is not after a time.
func floor(t time.Time, period time.Duration) time.Time {
	us, p := t.UnixMicro(), period.Microseconds()
	us -= ((us % p) + p) % p
	return time.UnixMicro(us).UTC()
}

// ceiling is the first multiple of a period that is not before a time.
func ceiling(t time.Time, period time.Duration) time.Time {
	f := floor(t, period)
	if f.Before(t) {
		f = f.Add(period)
	}
	return f
}

// listed is how many metrics a page has normally, and at most: as many as CloudWatch's ListMetrics gives.
const listed = 500

// Metrics lists metrics that have points (cloudwatch:ListMetrics), in the order in which they were first put. At most limit come at
// once, 500 for 0; the token goes on after an earlier answer's end.
func (s *Service) Metrics(ctx context.Context, caller identity.Caller, f Filter, limit int, token string) (registry.Page[Listed], error) {
	if err := s.registry.May(ctx, caller, policy.ListMetrics, ""); err != nil {
		return registry.Page[Listed]{}, err
	}
	return s.metrics(ctx, f, limit, token)
}

func (s *Service) metrics(ctx context.Context, f Filter, limit int, token string) (page registry.Page[Listed], err error) {
	if limit <= 0 || limit > listed {
		limit = listed
	}
	after, err := parseToken(token)
	if err != nil {
		return page, err
	}
	found, err := s.store.Metrics(ctx, Listing{Filter: f, AfterID: after, Limit: limit + 1})
	if err != nil {
		return page, fmt.Errorf("listing metrics: %w", err)
	}
	if len(found) > limit {
		found = found[:limit]
		page.Next = pageToken(found[limit-1].ID)
	}
	page.Items = found
	return page, nil
}

const tokenMark = "metrics:"

func pageToken(id int64) string {
	return base64.RawURLEncoding.EncodeToString([]byte(tokenMark + strconv.FormatInt(id, 10)))
}

func parseToken(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	rest, ok := strings.CutPrefix(string(b), tokenMark)
	id, numberErr := strconv.ParseInt(rest, 10, 64)
	if err != nil || !ok || numberErr != nil || id < 0 || pageToken(id) != token {
		bad := fault.BadParameter("NextToken", "must be a token that the same listing returned")
		bad.Code = fault.PageTokenInvalid
		return 0, bad
	}
	return id, nil
}
