// Package cost is what a registry costs: a bill by repository, app and day, of the points that core/usage keeps and a sheet of prices; what the
// month will have cost; the metric EstimatedCharges; and budgets, which tell when they are used up.
package cost

import (
	"context"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// actionGet is the permission to see bills. It is asked of a repository, or of * for the whole registry.
const actionGet policy.Action = "berth:GetCost"

// Points is what was counted; *usage.Service gives it.
type Points interface {
	// Points gives each metric's points in [from, to), by period.
	Points(ctx context.Context, caller identity.Caller, metrics []usage.Metric, from, to time.Time, period time.Duration) ([][]usage.Point, error)
	// Metrics lists metrics, a page at a time.
	Metrics(ctx context.Context, caller identity.Caller, f usage.Filter, limit int, token string) (registry.Page[usage.Listed], error)
	// Put adds values.
	Put(ctx context.Context, caller identity.Caller, data []usage.Datum) error
}

// Store is what has to be remembered.
type Store interface {
	// ClaimReckoning tells whether the bill is to be made out now, and that it is next at another time. One that is due later than next was claimed by
	// a clock that was ahead, and is due too.
	ClaimReckoning(ctx context.Context, now, next time.Time) (bool, error)
	// TellOfBudget remembers that a threshold of a budget was reached in a month, and records the event, unless it is remembered already.
	TellOfBudget(ctx context.Context, budget, month, threshold string, at time.Time, e event.Event) (told bool, err error)
}

// Config is what a Service needs; every field but Budgets must be set.
type Config struct {
	Points  Points
	May     func(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	Store   Store
	Sheet   price.Sheet
	Budgets []Budget
	Account string
	Every   time.Duration // how often charges are reckoned
	Now     func() time.Time
	// Notify is called when there are new events in the outbox. It returns at once.
	Notify func()
}

// Service makes out bills.
type Service struct {
	Config
	self identity.Caller
}

// New makes a service.
func New(c Config) *Service { return &Service{c, identity.Service(c.Account, "cost")} }

// By is what a bill has lines of.
type By string

// The divisions.
const (
	ByRepository By = "repository"
	ByApp        By = "app" // of a repository; what belongs to none has a line of its own
	ByDay        By = "day"
)

// Query selects what is billed.
type Query struct {
	Month      price.Month // zero: this one
	Repository string      // or empty: all
	By         By
}

// Bill is what a month costs, or has cost so far.
type Bill struct {
	Month    price.Month
	Until    time.Time // what came before it is in here
	Sheet    price.Sheet
	Lines    []Line
	Total    price.Cost
	Forecast price.Cost // what the whole month will have cost, if it goes on as in the last week; of a month that is over, the same as Total
}

// Line is a repository's, an app's or a day's share.
type Line struct {
	Repository string
	App        string
	Day        time.Time // zero unless lines are by day
	Used       price.Used
	Cost       price.Cost
	Forecast   price.Cost // zero where lines are by day
}

// Bill makes out a bill (berth:GetCost).
func (s *Service) Bill(ctx context.Context, caller identity.Caller, q Query) (Bill, error) {
	if err := s.May(ctx, caller, actionGet, q.Repository); err != nil {
		return Bill{}, err
	}
	switch q.By {
	case ByRepository, ByApp, ByDay:
	default:
		return Bill{}, fault.BadParameter("by", "Member must satisfy enum value set: [repository, app, day]")
	}
	return s.bill(ctx, q)
}

func (s *Service) bill(ctx context.Context, q Query) (Bill, error) {
	now := s.Now().UTC()
	if q.Month == (price.Month{}) {
		q.Month = price.MonthOf(now)
	}
	b := Bill{Month: q.Month, Until: q.Month.End(), Sheet: s.Sheet}
	if now.Before(b.Until) {
		b.Until = now
	}
	if !b.Until.After(q.Month.Begin()) {
		return Bill{}, fault.BadParameter("month", q.Month.String()+" has not begun")
	}
	l, err := s.ledger(ctx, b.Month, b.Until)
	if err != nil {
		return Bill{}, fmt.Errorf("reading what was used in %s: %w", q.Month, err)
	}
	accounts := l.accounts
	// Tiers go by what the whole registry used, so that a bill of one repository is its part of the registry's.
	elapsed := b.Until.Sub(q.Month.Begin()).Hours()
	sofar, whole := l.total(), l.projected()
	costs, forecasts := s.Sheet.Bill(b.Month, elapsed, sofar), s.Sheet.Bill(b.Month, b.Month.Hours(), whole)
	days := map[time.Time]int{}
	for i, a := range accounts {
		if q.Repository != "" && a.repository != q.Repository {
			continue
		}
		b.Total.Add(costs[i])
		b.Forecast.Add(forecasts[i])
		switch q.By {
		case ByApp:
			b.Lines = append(b.Lines, a.byApp(sofar[i], costs[i], forecasts[i])...)
		case ByDay:
			b.addDays(days, a, sofar[i], costs[i])
		default:
			b.Lines = append(b.Lines, Line{Repository: a.repository, Used: sofar[i], Cost: costs[i], Forecast: forecasts[i]})
		}
	}
	if len(accounts) == 0 && q.Repository == "" { // whoever stores nothing has the machine all the same
		b.Total, b.Forecast = s.Sheet.Whole(b.Month, elapsed, price.Used{}), s.Sheet.Whole(b.Month, b.Month.Hours(), price.Used{})
	}
	b.sort()
	return b, nil
}
