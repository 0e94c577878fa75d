package cost_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
	"github.com/hoopstat-haus/berth/internal/core/usage/price"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const account = "123456789012"

var (
	root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}
	self = identity.Service(account, "usage")
)

// books are the points and bills of a registry on a real database, with a clock that the test moves.
type books struct {
	t     *testing.T
	db    *metadb.DB
	usage *usage.Service
	costs *cost.Service
	now   time.Time
}

func each(t *testing.T, sheet price.Sheet, budgets []cost.Budget, test func(t *testing.T, b *books)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := &books{t: t, db: db, now: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)}
		clock := func() time.Time { return b.now }
		r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock, Notify: func() {}})
		b.usage = usage.New(usage.Config{Registry: r, Store: db.Usage(), Upkeep: db.Usage(), Images: db.Usage(), Now: clock})
		b.costs = cost.New(cost.Config{
			Points: b.usage, May: r.May, Store: db.Budgets(), Sheet: sheet, Budgets: budgets, Account: account, Every: 5 * time.Minute, Now: clock, Notify: func() {},
		})
		test(t, b)
	})
}

// put records values of metrics of a repository, or of an app in it, now.
func (b *books) put(name, repository, app string, v float64) {
	b.t.Helper()
	dimensions := []usage.Dimension{{Name: usage.DimensionRepository, Value: repository}}
	if app != "" {
		dimensions = append(dimensions, usage.Dimension{Name: usage.DimensionApp, Value: app})
	}
	err := b.usage.Put(b.t.Context(), self, []usage.Datum{{
		Metric: usage.NewMetric(usage.NamespaceBerth, name, dimensions...), Unit: "Bytes", Point: usage.Point{At: b.now, Count: 1, Sum: v, Min: v, Max: v},
	}})
	if err != nil {
		b.t.Fatal(err)
	}
}

// hours lets time go by, with a measure of what is stored in each hour.
func (b *books) hours(n int, stored map[string]float64) {
	b.t.Helper()
	for range n {
		for name, v := range stored {
			repository, app, _ := strings.Cut(name, " ")
			b.put(usage.StoredBytes, repository, app, v)
		}
		b.now = b.now.Add(time.Hour)
	}
}

func (b *books) bill(q cost.Query) cost.Bill {
	b.t.Helper()
	bill, err := b.costs.Bill(b.t.Context(), root, q)
	if err != nil {
		b.t.Fatal(err)
	}
	return bill
}

// amounts prints a bill's lines to the cent.
func amounts(bill cost.Bill) []string {
	var lines []string
	for _, l := range bill.Lines {
		name := l.Repository
		if l.App != "" {
			name += "/" + l.App
		}
		if !l.Day.IsZero() {
			name = l.Day.Format("01-02")
		}
		lines = append(lines, fmt.Sprintf("%s %.2f", name, l.Cost.Total()))
	}
	return append(lines, fmt.Sprintf("total %.2f, month %.2f", bill.Total.Total(), bill.Forecast.Total()))
}

// flat are prices by which a GB for a month of 30 days costs 72 dollars: ten cents an hour.
var flat = price.Sheet{Currency: "USD", Storage: price.Flat(72), Out: price.Flat(1)}

func TestBills(t *testing.T) {
	t.Parallel()
	each(t, flat, nil, func(t *testing.T, b *books) {
		// Two days with a GB in a, ten hours with two in b as well, and then b is deleted.
		b.hours(24, map[string]float64{"aa": price.GB})
		b.hours(10, map[string]float64{"aa": price.GB, "bb": 2 * price.GB})
		b.put(usage.BytesOut, "aa", "", 3*price.GB)
		b.hours(14, map[string]float64{"aa": price.GB})
		for q, want := range map[cost.Query][]string{
			{By: cost.ByRepository}:                   {"aa 7.80", "bb 2.00", "total 9.80, month 117.00"},
			{By: cost.ByDay}:                          {"11-01 2.40", "11-02 7.40", "total 9.80, month 117.00"},
			{By: cost.ByRepository, Repository: "bb"}: {"bb 2.00", "total 2.00, month 2.00"},
		} {
			got := amounts(b.bill(q))
			if q.Repository == "" || q.By == cost.ByDay { // the forecast is looked at by itself
				got[len(got)-1], want[len(want)-1] = strings.Split(got[len(got)-1], ",")[0], strings.Split(want[len(want)-1], ",")[0]
			}
			if diff := cmp.Diff(want[:len(want)-1], got[:len(got)-1]); diff != "" {
				t.Errorf("%+v (-want +got):\n%s", q, diff)
			}
		}
		// A whole month of a GB, and as much fetched as in the two days: the level of b at the end is not nothing on its last day, but its average.
		bill := b.bill(cost.Query{By: cost.ByRepository, Repository: "aa"})
		if want := 72 + 3*15.0; math.Abs(bill.Forecast.Total()-want) > 1e-6 {
			t.Errorf("the month of a comes to %v, want %v", bill.Forecast.Total(), want)
		}

		// The server is down for a day, and nothing is forgotten by it.
		b.now = b.now.Add(24 * time.Hour)
		b.hours(1, map[string]float64{"aa": price.GB})
		if got := b.bill(cost.Query{By: cost.ByRepository, Repository: "aa"}); math.Abs(got.Total.Storage-7.3) > 1e-6 {
			t.Errorf("after three days and an hour, one of which nobody looked, a GB has cost %v, want 7.30", got.Total.Storage)
		}
		// The month is over.
		b.now = time.Date(2026, 12, 2, 0, 0, 0, 0, time.UTC)
		november := b.bill(cost.Query{By: cost.ByRepository, Month: price.MonthOf(b.now.AddDate(0, -1, 0))})
		if november.Total != november.Forecast || !november.Until.Equal(november.Month.End()) {
			t.Errorf("a month that is over comes to %v, forecast %v", november.Total, november.Forecast)
		}
	})
}

func TestApps(t *testing.T) {
	t.Parallel()
	each(t, flat, nil, func(t *testing.T, b *books) {
		// web and api share a GB: three are stored, and each would store two alone.
		b.hours(10, map[string]float64{"aa": 3 * price.GB, "aa web": 2 * price.GB, "aa api": 2 * price.GB, "cc": price.GB, "dd": 4 * price.GB, "dd web": price.GB})
		got := amounts(b.bill(cost.Query{By: cost.ByApp}))
		want := []string{"dd 3.00", "aa/api 1.50", "aa/web 1.50", "cc 1.00", "dd/web 1.00"}
		if diff := cmp.Diff(want, got[:len(got)-1]); diff != "" {
			t.Errorf("by app (-want +got):\n%s", diff)
		}
	})
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, flat, nil, func(t *testing.T, b *books) {
		b.now = b.now.Add(time.Hour)
		nobody := identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:user/nobody", UserID: "AIDANOBODY"}
		if _, err := b.costs.Bill(t.Context(), nobody, cost.Query{By: cost.ByDay}); !isFault(err, fault.AccessDenied) {
			t.Errorf("nobody gets %v", err)
		}
		next, err := price.ParseMonth("2026-12")
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range []cost.Query{{Month: next, By: cost.ByDay}, {By: "tag"}} {
			if _, err := b.costs.Bill(t.Context(), root, q); !isFault(err, fault.InvalidParameter) {
				t.Errorf("%+v gives %v", q, err)
			}
		}
	})
}

func isFault(err error, code fault.Code) bool {
	f, ok := fault.Of(err)
	return ok && f.Code == code
}

// TestBudgets lets a month go by, and two servers watch it.
func TestBudgets(t *testing.T) {
	t.Parallel()
	budgets := []cost.Budget{
		{Name: "all", Amount: 10, Thresholds: []int{50, 80, 100}, Targets: []string{"oncall"}},
		{Name: "b", Amount: 100, Repository: "bb", Thresholds: []int{1}, Targets: []string{"team"}},
		{Name: "ahead", Amount: 50, Forecast: []int{100}, Targets: []string{"oncall"}},
	}
	each(t, flat, budgets, func(t *testing.T, b *books) {
		var told []string
		look := func() {
			t.Helper()
			for range 2 {
				if _, err := b.costs.ReckonOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			events, err := b.db.Outbox().Claim(t.Context(), b.now, b.now.Add(time.Hour), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				if e.Kind != event.Noticed {
					continue
				}
				told = append(told, fmt.Sprintf("%d %s %v", b.now.Day(), e.Notice.Subject, e.Notice.Targets))
				if err := b.db.Outbox().Done(t.Context(), []int64{e.ID}); err != nil {
					t.Fatal(err)
				}
			}
		}
		look() // the month has just begun
		for range 5 {
			b.hours(12, map[string]float64{"aa": price.GB})
			look()
		}
		b.hours(24, map[string]float64{"aa": 2 * price.GB, "bb": price.GB})
		look()
		look()
		want := []string{
			"1 Budget ahead: 2026-11 will come to more than 100% of 50.00 USD [oncall]",
			"3 Budget all: 50% of 10.00 USD is used up in 2026-11 [oncall]",
			"4 Budget all: 100% of 10.00 USD is used up in 2026-11 [oncall]",
			"4 Budget b: 1% of 100.00 USD is used up in 2026-11 [team]",
		}
		if diff := cmp.Diff(want, told); diff != "" {
			t.Errorf("they were told (-want +got):\n%s", diff)
		}
		m := usage.NewMetric(usage.NamespaceBilling, usage.EstimatedCharges, usage.Dimension{Name: "Currency", Value: "USD"}, usage.Dimension{Name: "ServiceName", Value: "AmazonECR"})
		points, err := b.usage.Points(t.Context(), self, []usage.Metric{m}, b.now.Add(-time.Hour), b.now.Add(time.Hour), time.Hour)
		if err != nil || len(points[0]) == 0 || math.Abs(points[0][0].Max-13.2) > 1e-6 {
			t.Errorf("the estimated charges are %v, %v, want 13.20", points, err)
		}
		// A clock that was ahead does not stop the bill.
		b.now = b.now.Add(-24 * time.Hour)
		if mine, err := b.db.Budgets().ClaimReckoning(t.Context(), b.now, b.now.Add(5*time.Minute)); err != nil || !mine {
			t.Errorf("after the clock went back nobody makes out the bill: %v, %v", mine, err)
		}
	})
}

// TestForecastLooksBackOverTheMonthsBegin has what is fetched in a month's first hour foretell nothing that the week before did not.
func TestForecastLooksBackOverTheMonthsBegin(t *testing.T) {
	t.Parallel()
	each(t, price.Sheet{Currency: "USD", Out: price.Flat(1)}, nil, func(t *testing.T, b *books) {
		b.now = time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
		b.put(usage.BytesOut, "gone", "", price.GB) // and nothing more
		b.put(usage.StoredBytes, "gone", "", price.GB)
		for range 11 { // a GB a day, just after midnight
			b.put(usage.BytesOut, "aa", "", price.GB)
			b.now = b.now.Add(day)
		}
		b.put(usage.BytesOut, "aa", "", price.GB)
		b.now = b.now.Add(time.Hour)
		bill := b.bill(cost.Query{By: cost.ByRepository})
		if want := 1 + 7*743/145.; len(bill.Lines) != 1 || math.Abs(bill.Forecast.Total()-want) > 1e-6 {
			t.Errorf("an hour after a month began it comes to %v, want %.3f\n%v", bill.Forecast.Total(), want, amounts(bill))
		}
	})
}

// TestBudgetsAtMidnight has the last hour of a month go over a budget, when the bill is not made out again before it ends.
func TestBudgetsAtMidnight(t *testing.T) {
	t.Parallel()
	budgets := []cost.Budget{
		{Name: "all", Amount: 10, Thresholds: []int{50, 100}, Forecast: []int{1}, Targets: []string{"oncall"}},
		{Name: "b", Amount: 1, Repository: "aa", App: "web", Thresholds: []int{100}, Targets: []string{"team"}},
	}
	each(t, price.Sheet{Currency: "USD", Out: price.Flat(1)}, budgets, func(t *testing.T, b *books) {
		b.now = time.Date(2026, 11, 30, 23, 58, 0, 0, time.UTC)
		reckon := func() (told []string) {
			t.Helper()
			for range 2 {
				if _, err := b.costs.ReckonOnce(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			events, err := b.db.Outbox().Claim(t.Context(), b.now, b.now.Add(1000*time.Hour), 100)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range events {
				told = append(told, e.Notice.Subject)
				if sentence, _, _ := strings.Cut(e.Notice.Text, "."); !strings.HasPrefix(sentence, "The registry has") && !strings.HasPrefix(sentence, "web in aa has") {
					t.Errorf("the notice begins with %q", sentence)
				}
			}
			return told
		}
		if told := reckon(); len(told) != 0 {
			t.Errorf("before anything was used they are told %q", told)
		}
		b.put(usage.BytesOut, "aa", "", 12*price.GB)
		b.put(usage.BytesOut, "aa", "web", 12*price.GB)
		b.now = b.now.Add(5 * time.Minute)
		want := []string{ // nothing is foretold of November, which is over
			"Budget all: 2026-12 will come to more than 1% of 10.00 USD",
			"Budget all: 100% of 10.00 USD is used up in 2026-11", "Budget b: 100% of 1.00 USD is used up in 2026-11",
		}
		if diff := cmp.Diff(want, reckon()); diff != "" {
			t.Errorf("after midnight they are told (-want +got):\n%s", diff)
		}
		b.now = b.now.Add(10 * time.Minute)
		if told := reckon(); len(told) != 0 {
			t.Errorf("and then %q", told)
		}
	})
}

const day = 24 * time.Hour
