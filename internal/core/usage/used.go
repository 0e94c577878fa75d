package usage

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// UseQuery asks what repositories were used for.
type UseQuery struct {
	Repository string // empty: all of them
	// By is the dimension by which each is taken apart: DimensionApp, DimensionImage, DimensionPrincipal or DimensionSeverity; empty: not
	// at all.
	By       string
	From, To time.Time // as for Points
	Period   time.Duration
	Limit    int // how many uses come at once; 100 for 0
	Token    string
}

// Use is what one repository, or one app, image or principal of it, was used for, and what it held.
type Use struct {
	Repository string
	Name       string // of what By said; empty: the repository as a whole
	Measures   []Measure
}

// Measure is a metric's name, with its points.
type Measure struct {
	Name, Unit string
	Points     []Point
}

const (
	usesPage = 100
	// usesPoints bounds a page by the points that it may have, some megabytes on the wire.
	usesPoints = 50_000
	// maxSeries bounds what is looked through for one question.
	maxSeries = 100_000
)

// Uses gives what repositories were used for (berth:GetUsage, on the repository, or on the registry where none is named): the metrics of
// the namespace Berth, in order of repository and name.
func (s *Service) Uses(ctx context.Context, caller identity.Caller, q UseQuery) (page registry.Page[Use], err error) {
	if err := s.registry.May(ctx, caller, policy.GetUsage, q.Repository); err != nil {
		return page, err
	}
	switch q.By {
	case "", DimensionApp, DimensionImage, DimensionPrincipal, DimensionSeverity:
	default:
		return page, fault.BadParameter("groupBy", "must be one of app, image, principal and severity")
	}
	if err := checkPeriod(q.From, q.To, q.Period); err != nil {
		return page, err
	}
	after, err := parseUseToken(q.Token)
	if err != nil {
		return page, err
	}
	uses, err := s.usesOf(ctx, q)
	if err != nil {
		return page, err
	}
	start, found := slices.BinarySearchFunc(uses, after, func(u foundUse, k useKey) int { return u.key.compare(k) })
	if found {
		start++
	}
	if q.Token == "" {
		start = 0
	}
	uses = uses[start:]
	n := room(uses, q)
	if n < len(uses) {
		page.Next = uses[n-1].key.token()
		uses = uses[:n]
	}
	page.Items, err = s.measured(ctx, q, uses)
	return page, err
}

// room is how many uses a page has.
func room(uses []foundUse, q UseQuery) int {
	limit := q.Limit
	if limit <= 0 {
		limit = usesPage
	}
	slots := int(ceiling(q.To, q.Period).Sub(floor(q.From, q.Period)) / q.Period)
	points := 0
	for n, u := range uses {
		if points += slots * len(u.metrics); n == limit || n > 0 && points > usesPoints {
			return n
		}
	}
	return len(uses)
}

type useKey struct{ repository, name string }

func (k useKey) compare(o useKey) int {
	return cmp.Or(cmp.Compare(k.repository, o.repository), cmp.Compare(k.name, o.name))
}

const useMark = "uses\n"

func (k useKey) token() string {
	return base64.RawURLEncoding.EncodeToString([]byte(useMark + k.repository + "\n" + k.name))
}

func parseUseToken(token string) (useKey, error) {
	if token == "" {
		return useKey{}, nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(token)
	rest, ok := strings.CutPrefix(string(b), useMark)
	repository, name, both := strings.Cut(rest, "\n")
	if err != nil || !ok || !both {
		bad := fault.BadParameter("nextToken", "must be a token that the same listing returned")
		bad.Code = fault.PageTokenInvalid
		return useKey{}, bad
	}
	return useKey{repository, name}, nil
}

// foundUse is a use whose metrics are not read yet.
type foundUse struct {
	key     useKey
	metrics []Metric
}

// usesOf finds what has points, in order.
func (s *Service) usesOf(ctx context.Context, q UseQuery) ([]foundUse, error) {
	f := Filter{
		Namespace: NamespaceBerth, Dimensions: []Dimension{{DimensionRepository, q.Repository}}, Exactly: true,
		ActiveSince: q.From.Add(-time.Hour),
	}
	if q.By != "" {
		f.Dimensions = append(f.Dimensions, Dimension{Name: q.By})
	}
	found, err := s.store.Metrics(ctx, Listing{Filter: f, Limit: maxSeries + 1})
	if err != nil {
		return nil, fmt.Errorf("listing metrics: %w", err)
	}
	if len(found) > maxSeries {
		return nil, fault.New(fault.InvalidParameter, "There are more than %d metrics to look through: name a repository, or ask for a shorter time", maxSeries)
	}
	place := map[useKey]int{}
	var uses []foundUse
	for _, l := range found {
		k := useKey{}
		for _, d := range l.Metric.Dimensions {
			switch d.Name {
			case DimensionRepository:
				k.repository = d.Value
			case q.By:
				k.name = d.Value
			}
		}
		i, ok := place[k]
		if !ok {
			i = len(uses)
			place[k] = i
			uses = append(uses, foundUse{key: k})
		}
		uses[i].metrics = append(uses[i].metrics, l.Metric)
	}
	slices.SortFunc(uses, func(a, b foundUse) int { return a.key.compare(b.key) })
	for _, u := range uses {
		slices.SortFunc(u.metrics, func(a, b Metric) int { return cmp.Compare(a.Name, b.Name) })
	}
	return uses, nil
}

// measured reads the points of uses.
func (s *Service) measured(ctx context.Context, q UseQuery, uses []foundUse) ([]Use, error) {
	var metrics []Metric
	for _, u := range uses {
		metrics = append(metrics, u.metrics...)
	}
	points, err := s.points(ctx, metrics, q.From, q.To, q.Period)
	if err != nil {
		return nil, err
	}
	all := make([]Use, len(uses))
	for i, u := range uses {
		all[i] = Use{Repository: u.key.repository, Name: u.key.name}
		for _, m := range u.metrics {
			all[i].Measures = append(all[i].Measures, Measure{Name: m.Name, Unit: m.Unit, Points: points[0]})
			points = points[1:]
		}
	}
	return all, nil
}
