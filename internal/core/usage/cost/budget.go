package cost

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
)

// Budget is what a month may cost, and who is told when so much of it is used up.
type Budget struct {
	Name       string
	Amount     float64 // in the sheet's currency
	Repository string  // what it is for; empty: everything
	App        string  // of the repository; empty: all
	Thresholds []int   // percent of Amount that the month costs so far
	Forecast   []int   // percent of Amount that the whole month will cost
	Targets    []string
}

// ReckonOnce makes out this month's bill if that is due, records it as the metric EstimatedCharges, and tells of budgets that are used up: of each
// threshold once in a month.
func (s *Service) ReckonOnce(ctx context.Context) (more bool, err error) {
	now := s.Now().UTC()
	mine, err := s.Store.ClaimReckoning(ctx, now, now.Add(s.Every))
	if err != nil || !mine {
		return false, err
	}
	month := price.MonthOf(now)
	if !now.After(month.Begin()) {
		return false, nil
	}
	bill, err := s.bill(ctx, Query{Month: month, By: ByApp})
	if err != nil {
		return false, err
	}
	if err := s.Points.Put(ctx, s.self, s.charges(bill)); err != nil {
		return false, fmt.Errorf("recording the estimated charges: %w", err)
	}
	problems := []error{s.watchAll(ctx, bill)}
	if len(s.Budgets) > 0 && now.Sub(month.Begin()) <= closing {
		problems = append(problems, s.close(ctx, price.MonthOf(month.Begin().Add(-1))))
	}
	return false, errors.Join(problems...)
}

// closing is for how long after its end a month is looked at: what its last hours cost is told as well, though the bill was not made out
// again before midnight.
const closing = 24 * time.Hour

// close tells of what a month that is over has used up and was not told of.
func (s *Service) close(ctx context.Context, month price.Month) error {
	bill, err := s.bill(ctx, Query{Month: month, By: ByApp})
	if err != nil {
		return err
	}
	return s.watchAll(ctx, bill)
}

// watchAll watches every budget: one that cannot be told of holds up no other.
func (s *Service) watchAll(ctx context.Context, bill Bill) error {
	var problems []error
	for _, b := range s.Budgets {
		if err := s.watch(ctx, b, bill); err != nil {
			problems = append(problems, fmt.Errorf("budget %s: %w", b.Name, err))
		}
	}
	return errors.Join(problems...)
}

// charges are the metric that alarms go by: Amazon's, of all services and of ECR, which here is the same.
func (s *Service) charges(bill Bill) []usage.Datum {
	at := func(dimensions ...usage.Dimension) usage.Datum {
		total := bill.Total.Total()
		dimensions = append(dimensions, usage.Dimension{Name: "Currency", Value: s.Sheet.Currency})
		return usage.Datum{
			Metric: usage.NewMetric(usage.NamespaceBilling, usage.EstimatedCharges, dimensions...), Unit: "None",
			Point: usage.Point{At: bill.Until, Count: 1, Sum: total, Min: total, Max: total},
		}
	}
	return []usage.Datum{at(), at(usage.Dimension{Name: "ServiceName", Value: "AmazonECR"})}
}

// of is what a budget is for: its part of the bill.
func (b Budget) of(bill Bill) (spent, forecast float64) {
	if b.Repository == "" && b.App == "" {
		return bill.Total.Total(), bill.Forecast.Total()
	}
	for _, l := range bill.Lines {
		if (b.Repository == "" || l.Repository == b.Repository) && (b.App == "" || l.App == b.App) {
			spent += l.Cost.Total()
			forecast += l.Forecast.Total()
		}
	}
	return spent, forecast
}

// watch tells of what is used up and was not told of in this month. Of several thresholds that are passed at once the highest is told; the others
// count as told.
func (s *Service) watch(ctx context.Context, b Budget, bill Bill) error {
	spent, forecast := b.of(bill)
	ahead := b.Forecast
	if !bill.Until.Before(bill.Month.End()) {
		ahead = nil // there is nothing to foretell of a month that is over
	}
	for _, kind := range []struct {
		thresholds []int
		reached    float64
		forecast   bool
	}{{b.Thresholds, spent, false}, {ahead, forecast, true}} {
		highest := 0
		for _, t := range kind.thresholds {
			if kind.reached >= b.Amount*float64(t)/100 {
				highest = max(highest, t)
			}
		}
		for _, t := range kind.thresholds {
			if t > highest {
				continue
			}
			to := b.Targets
			if t < highest {
				to = nil
			}
			if err := s.tell(ctx, b, bill, t, kind.forecast, spent, forecast, to); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Service) tell(ctx context.Context, b Budget, bill Bill, threshold int, ahead bool, spent, forecast float64, to []string) error {
	notice, err := s.notice(b, bill, threshold, ahead, spent, forecast)
	if err != nil {
		return err
	}
	notice.Targets = to
	name := fmt.Sprintf("%d", threshold)
	if ahead {
		name = "forecast-" + name
	}
	e := event.Event{Kind: event.Noticed, At: s.Now(), Actor: s.self.ARN, Repository: b.Repository, Notice: &notice}
	told, err := s.Store.TellOfBudget(ctx, b.Name, bill.Month.String(), name, s.Now(), e)
	if told {
		s.Notify()
	}
	return err
}

// notice says it for people, and for programs.
func (s *Service) notice(b Budget, bill Bill, threshold int, ahead bool, spent, forecast float64) (event.Notice, error) {
	money := func(v float64) string { return fmt.Sprintf("%.2f %s", v, s.Sheet.Currency) }
	what := "The registry"
	switch {
	case b.App != "" && b.Repository != "":
		what = b.App + " in " + b.Repository
	case b.App != "":
		what = b.App
	case b.Repository != "":
		what = b.Repository
	}
	subject := fmt.Sprintf("Budget %s: %d%% of %s is used up in %s", b.Name, threshold, money(b.Amount), bill.Month)
	if ahead {
		subject = fmt.Sprintf("Budget %s: %s will come to more than %d%% of %s", b.Name, bill.Month, threshold, money(b.Amount))
	}
	text := []string{
		fmt.Sprintf("%s has cost %s since %s.", what, money(spent), bill.Month.Begin().Format("2 January")),
		fmt.Sprintf("If it goes on as in the last week, the month comes to %s.", money(forecast)), "",
		"See: berth cost --month " + bill.Month.String() + " --by app",
	}
	detail, err := json.Marshal(map[string]any{
		"budget": b.Name, "month": bill.Month.String(), "currency": s.Sheet.Currency, "amount": b.Amount, "threshold": threshold, "ofForecast": ahead,
		"spent": spent, "forecast": forecast, "repositoryName": b.Repository, "app": b.App,
	})
	if err != nil {
		return event.Notice{}, fmt.Errorf("wording the notice: %w", err)
	}
	return event.Notice{Subject: subject, Text: strings.Join(text, "\n"), Detail: string(detail)}, nil
}
