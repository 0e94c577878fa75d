package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkEvaluate looks at a thousand alarms, each on a metric of its own with a point in each minute of an hour, of which none changes.
func BenchmarkEvaluate(b *testing.B) {
	const alarms = 1000
	blobs, err := diskblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	at, db := noon, metadbtest.New(b)
	clock := func() time.Time { return at }
	r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock})
	counts := usage.New(usage.Config{Registry: r, Store: db.Usage(), Upkeep: db.Usage(), Now: clock})
	s := alarm.New(alarm.Config{Registry: r, Region: "us-east-1", Rows: db.Alarms(), Points: counts, Known: func(string) bool { return true }, Now: clock})
	for i := range alarms {
		c := basic(fmt.Sprintf("alarm %04d", i))
		c.Metric = usage.NewMetric("Berth", "PullCount", usage.Dimension{Name: "RepositoryName", Value: fmt.Sprintf("team/%04d", i)})
		c.Period, c.EvaluationPeriods = 300, 3
		var datums []usage.Datum
		for minute := range 60 {
			datums = append(datums, usage.Datum{Metric: c.Metric, Unit: "Count", Point: usage.Point{
				At: noon.Add(-time.Duration(minute) * time.Minute), Count: 1, Sum: 1, Min: 1, Max: 1,
			}})
		}
		if err := counts.Put(b.Context(), identity.Service(account, "usage"), datums); err != nil {
			b.Fatal(err)
		}
		if err := s.Put(b.Context(), root, c, nil); err != nil {
			b.Fatal(err)
		}
	}
	all := func() {
		for more := true; more; {
			var err error
			if more, err = s.EvaluateOnce(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	all() // to OK
	for b.Loop() {
		at = at.Add(time.Minute)
		if at.Sub(noon) > 10*time.Minute {
			at = noon.Add(-time.Minute) // what is put back is due
			all()
			at = noon
		}
		all()
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/1000-alarms")
}
