package alarm_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	topic   = "arn:aws:sns:us-east-1:123456789012:alerts"
	calm    = "arn:aws:sns:us-east-1:123456789012:calm"
)

var (
	root  = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}
	pulls = usage.NewMetric("Berth", "PullCount", usage.Dimension{Name: "RepositoryName", Value: "hoopstat-haus/prod"})
)

// bench is alarms over a real database and the real metering, with a clock that the test moves.
type bench struct {
	t      *testing.T
	db     *metadb.DB
	usage  *usage.Service
	alarms *alarm.Service
	config alarm.Config
	now    time.Time
}

func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		blobs, err := diskblob.Open(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		b := &bench{t: t, db: db, now: noon.Add(30 * time.Second)}
		clock := func() time.Time { return b.now }
		r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock})
		b.usage = usage.New(usage.Config{Registry: r, Store: db.Usage(), Upkeep: db.Usage(), Now: clock})
		b.config = alarm.Config{
			Registry: r, Region: "us-east-1", Rows: db.Alarms(), Points: b.usage, Now: clock,
			Known: func(a string) bool { return a == topic || a == calm },
		}
		b.alarms = alarm.New(b.config)
		test(t, b)
	})
}

// basic is an alarm on more than ten pulls in each of two minutes.
func basic(name string) alarm.Configuration {
	return alarm.Configuration{
		Name: name, ActionsEnabled: true, AlarmActions: []string{topic}, OKActions: []string{calm},
		Metric: pulls, Statistic: "Sum", Period: 60, EvaluationPeriods: 2, Threshold: 10, Operator: "GreaterThanThreshold",
	}
}

func (b *bench) put(c alarm.Configuration, tags ...alarm.Tag) {
	b.t.Helper()
	if err := b.alarms.Put(b.t.Context(), root, c, tags); err != nil {
		b.t.Fatalf("Put(%s): %v", c.Name, err)
	}
}

// count puts a value to a metric, so long ago.
func (b *bench) count(m usage.Metric, ago time.Duration, v float64) {
	b.t.Helper()
	d := usage.Datum{Metric: m, Unit: "Count", Point: usage.Point{At: b.now.Add(-ago), Count: 1, Sum: v, Min: v, Max: v}}
	if err := b.usage.Put(b.t.Context(), identity.Service(account, "usage"), []usage.Datum{d}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) evaluate() {
	b.t.Helper()
	for more := true; more; {
		var err error
		if more, err = b.alarms.EvaluateOnce(b.t.Context()); err != nil {
			b.t.Fatalf("EvaluateOnce: %v", err)
		}
	}
}

// minute lets one pass, and has the alarms looked at.
func (b *bench) minute() {
	b.t.Helper()
	b.now = b.now.Add(time.Minute)
	b.evaluate()
}

func (b *bench) alarm(name string) alarm.Alarm {
	b.t.Helper()
	page, err := b.alarms.Describe(b.t.Context(), root, alarm.Filter{Names: []string{name}}, 0, "")
	if err != nil || len(page.Items) != 1 {
		b.t.Fatalf("Describe(%s): %+v, %v", name, page, err)
	}
	return page.Items[0]
}

func (b *bench) wantState(name string, want alarm.State) {
	b.t.Helper()
	if a := b.alarm(name); a.State != want {
		b.t.Errorf("%s is in %s, want %s: %s", name, a.State, want, a.Reason)
	}
}

// notices takes what the alarms told out of the outbox.
func (b *bench) notices() []event.Notice {
	b.t.Helper()
	events, err := b.db.Outbox().Claim(b.t.Context(), b.now.Add(time.Hour), b.now.Add(2*time.Hour), 100)
	if err != nil {
		b.t.Fatal(err)
	}
	var all []event.Notice
	var ids []int64
	for _, e := range events {
		if e.Kind == event.Noticed {
			all = append(all, *e.Notice)
		}
		ids = append(ids, e.ID)
	}
	if len(ids) == 0 {
		return nil
	}
	if err := b.db.Outbox().Done(b.t.Context(), ids); err != nil {
		b.t.Fatal(err)
	}
	return all
}

// history lists an alarm's, the oldest first.
func (b *bench) history(name string) []string {
	b.t.Helper()
	page, err := b.alarms.History(b.t.Context(), root, alarm.HistoryFilter{Name: name, Rising: true}, 100, "")
	if err != nil {
		b.t.Fatal(err)
	}
	var all []string
	for _, e := range page.Items {
		all = append(all, string(e.Kind)+": "+e.Summary)
	}
	return all
}

func (b *bench) wantFault(what string, err error, code fault.Code) {
	b.t.Helper()
	if !errors.Is(err, code) {
		b.t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// failing gives no points.
type failing struct{}

func (failing) Points(context.Context, identity.Caller, []usage.Metric, time.Time, time.Time, time.Duration) ([][]usage.Point, error) {
	return nil, errors.New("the disk is gone")
}
