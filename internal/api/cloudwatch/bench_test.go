package cloudwatch_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// memory has the same points for every metric, of an hour or a day. What the database takes is metadb's benchmark.
type memory struct{ hours, days []usage.Point }

func (memory) Put(context.Context, identity.Caller, []usage.Datum) error { return nil }

func (m memory) Points(_ context.Context, _ identity.Caller, metrics []usage.Metric, _, _ time.Time, period time.Duration) ([][]usage.Point, error) {
	all := make([][]usage.Point, len(metrics))
	for i := range all {
		if all[i] = m.hours; period == usage.Day {
			all[i] = m.days
		}
	}
	return all, nil
}

func (memory) Statistics(context.Context, identity.Caller, usage.Metric, time.Time, time.Time, time.Duration) ([]usage.Point, error) {
	return nil, nil
}

func (memory) Metrics(context.Context, identity.Caller, usage.Filter, int, string) (registry.Page[usage.Listed], error) {
	return registry.Page[usage.Listed]{}, nil
}

// everybody is root.
type everybody struct{}

func (everybody) Screen(*http.Request, string) error { return nil }

func (everybody) SigV4(*http.Request, []byte, string) (identity.Caller, error) { return root, nil }

// BenchmarkGetMetricData answers questions about 90 days of 1,000 repositories, of which a request names 500 at most: a full page of hours
// (100,800 points), all of the days (45,000), and the sum of all hours (1.08 million points).
func BenchmarkGetMetricData(b *testing.B) {
	const days, repositories = 90, 500
	begin := noon.Truncate(24 * time.Hour).Add(-days * 24 * time.Hour)
	var m memory
	for h := range days * 24 {
		p := usage.Point{At: begin.Add(time.Duration(h) * time.Hour), Count: float64(h%700 + 1), Sum: float64(h%700 + 1), Min: 1, Max: 1}
		if m.hours = append(m.hours, p); h%24 == 0 {
			m.days = append(m.days, p)
		}
	}
	handler, err := awswire.New(awswire.Config{Authenticator: everybody{}, Services: []awswire.Service{
		cloudwatch.New(cloudwatch.Config{Usage: m, Now: func() time.Time { return noon }}),
	}})
	if err != nil {
		b.Fatal(err)
	}
	ask := func(period int, hidden bool, more string) string {
		var queries []string
		for i := range repositories {
			queries = append(queries, fmt.Sprintf(`{"Id":"m%d","ReturnData":%v,"MetricStat":{"Metric":{"Namespace":"AWS/ECR","MetricName":"RepositoryPullCount","Dimensions":[{"Name":"RepositoryName","Value":"team/service-%d"}]},"Period":%d,"Stat":"Sum"}}`, i, !hidden, i, period))
		}
		return fmt.Sprintf(`{"StartTime":%d,"EndTime":%d,"MetricDataQueries":[%s%s]}`, begin.Unix(), noon.Unix(), strings.Join(queries[:repositories-strings.Count(more, "{")], ","), more)
	}
	for _, bench := range []struct{ name, body string }{
		{"page of hours", ask(3600, false, "")},
		{"days", ask(86400, false, "")},
		{"sum of hours", ask(3600, true, `,{"Id":"e","Expression":"SUM(METRICS())"}`)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequestWithContext(b.Context(), http.MethodPost, "/", strings.NewReader(bench.body))
				r.Header.Set("X-Amz-Target", "GraniteServiceVersion20100801.GetMetricData")
				w := httptest.NewRecorder()
				if handler.ServeHTTP(w, r); w.Code != http.StatusOK || w.Body.Len() < 10_000 {
					b.Fatalf("%d %.200s", w.Code, w.Body)
				}
			}
		})
	}
}
