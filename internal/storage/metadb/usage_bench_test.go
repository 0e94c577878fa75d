package metadb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const account = "123456789012"

// BenchmarkUsagePoints reads 90 days of hourly points of 1,000 repositories, 2.16 million of them, and as many as a page of CloudWatch's
// has, 100,800, while each repository has been busy in every minute of the last two hours.
func BenchmarkUsagePoints(b *testing.B) {
	for name, open := range map[string]func(testing.TB) *metadb.DB{"sqlite": metadbtest.New, "postgres": metadbtest.NewPostgres} {
		b.Run(name, func(b *testing.B) {
			db := open(b)
			now := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
			rows := db.Usage()
			service := newUsage(db, func() time.Time { return now })
			const repositories, days = 1000, 90
			metrics := make([]usage.Metric, repositories)
			for i := range metrics {
				metrics[i] = usage.NewMetric(usage.NamespaceECR, usage.RepositoryPullCount, usage.Dimension{Name: usage.DimensionRepository, Value: fmt.Sprintf("hoopstat-haus/service-%d", i)})
				var points, minutes []usage.Datum
				add := func(to *[]usage.Datum, at time.Time, n float64) {
					*to = append(*to, usage.Datum{Metric: metrics[i], Unit: "Count", Point: usage.Point{At: at, Count: n, Sum: n, Min: 1, Max: 1}})
				}
				for h := 2; h < days*24; h++ {
					add(&points, now.Add(-time.Duration(h)*time.Hour).Truncate(time.Hour), float64((i+h)%700+1))
				}
				for m := range 120 {
					add(&minutes, now.Add(-time.Duration(m)*time.Minute), float64(m%7+1))
				}
				if err := rows.Pack(b.Context(), points); err != nil {
					b.Fatal(err)
				}
				if _, err := rows.Count(b.Context(), usage.Batch{Datums: minutes, At: now}); err != nil {
					b.Fatal(err)
				}
			}
			from := now.Add(-days * 24 * time.Hour).Truncate(time.Hour)
			for _, read := range []struct {
				name    string
				metrics []usage.Metric
			}{{"whole", metrics}, {"page", metrics[:46]}} {
				b.Run(read.name, func(b *testing.B) {
					began := processor(b)
					for b.Loop() {
						all, err := service.Points(b.Context(), identity.Service(account, "usage"), read.metrics, from, now, time.Hour)
						if err != nil || len(all) != len(read.metrics) || len(all[0]) < days*24 {
							b.Fatalf("%d metrics, %v", len(all), err)
						}
					}
					reportProcessor(b, began)
				})
			}
		})
	}
}
