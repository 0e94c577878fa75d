package berth_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

// use counts a value for some dimensions of a repository.
func (s *server) use(t *testing.T, at time.Time, name string, v float64, dimensions ...usage.Dimension) {
	t.Helper()
	d := usage.Datum{Metric: usage.NewMetric(usage.NamespaceBerth, name, dimensions...), Unit: "Count", Point: usage.Point{At: at, Count: 1, Sum: v, Min: v, Max: v}}
	if err := s.usage.Put(t.Context(), identity.Service(account, "usage"), []usage.Datum{d}); err != nil {
		t.Fatalf("Put: %v", err)
	}
}

func TestGetUsageOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	at := time.Date(2026, 11, 24, 11, 30, 0, 0, time.UTC)
	of := func(name, value string) usage.Dimension { return usage.Dimension{Name: name, Value: value} }
	s.use(t, at, usage.PullCount, 3, of(usage.DimensionRepository, repo))
	s.use(t, at.Add(-time.Hour), usage.PullCount, 4, of(usage.DimensionRepository, repo))
	s.use(t, at, usage.PushCount, 1, of(usage.DimensionRepository, repo))
	s.use(t, at, usage.PullCount, 2, of(usage.DimensionRepository, repo), of(usage.DimensionApp, "web"))
	s.use(t, at, usage.PullCount, 1, of(usage.DimensionRepository, repo), of(usage.DimensionApp, "api"))
	s.use(t, at, usage.PullCount, 9, of(usage.DimensionRepository, "other"))

	start := fmt.Sprintf(`"startTime":%d`, at.Add(-24*time.Hour).Unix())
	point := func(at time.Time, n, sum, least, most int) string {
		return fmt.Sprintf(`{"timestamp":%d,"sampleCount":%d,"sum":%d,"minimum":%d,"maximum":%d}`, at.Unix(), n, sum, least, most)
	}
	use := func(repository, name, metrics string) string {
		if name != "" {
			name = `"name":"` + name + `",`
		}
		return `{"repositoryName":"` + repository + `",` + name + `"metrics":[` + metrics + `]}`
	}
	metric := func(name, points string) string {
		return `{"metricName":"` + name + `","unit":"Count","points":[` + points + `]}`
	}
	day, hour := at.Truncate(24*time.Hour), at.Truncate(time.Hour)
	prod := use(repo, "", metric("PullCount", point(day, 2, 7, 3, 4))+","+metric("PushCount", point(day, 1, 1, 1, 1)))
	other := use("other", "", metric("PullCount", point(day, 1, 9, 9, 9)))
	wantAnswer(t, "all", s.ask(t, "GetUsage", `{`+start+`}`), `{"usage":[`+prod+`,`+other+`]}`)
	wantAnswer(t, "one, by hours", s.ask(t, "GetUsage", `{"repositoryName":"other","periodSeconds":3600,`+start+`}`),
		`{"usage":[`+use("other", "", metric("PullCount", point(hour, 1, 9, 9, 9)))+`]}`)

	first := s.ask(t, "GetUsage", `{"repositoryName":"`+repo+`","groupBy":"app","maxResults":1,`+start+`}`)
	token := first["nextToken"]
	delete(first, "nextToken")
	wantAnswer(t, "the first app", first, `{"usage":[`+use(repo, "api", metric("PullCount", point(day, 1, 1, 1, 1)))+`]}`)
	wantAnswer(t, "the second app", s.ask(t, "GetUsage", fmt.Sprintf(`{"repositoryName":%q,"groupBy":"app","maxResults":1,"nextToken":%q,%s}`, repo, token, start)),
		`{"usage":[`+use(repo, "web", metric("PullCount", point(day, 1, 2, 2, 2)))+`]}`)

	for _, c := range []struct{ who, body, code, words string }{
		{"root", `{}`, "InvalidParameterException", "'startTime'"},
		{"root", `{"groupBy":"colour",` + start + `}`, "InvalidParameterException", "'groupBy'"},
		{"root", `{"repositoryName":"App",` + start + `}`, "InvalidParameterException", "'repositoryName'"},
		{"root", `{"periodSeconds":7,` + start + `}`, "InvalidParameterException", "60 seconds"},
		{"root", `{"periodSeconds":-60,` + start + `}`, "InvalidParameterException", "60 seconds"},
		{"root", `{"endTime":100000000,` + start + `}`, "InvalidParameterException", "before EndTime"},
		{"root", `{"maxResults":1001,` + start + `}`, "InvalidParameterException", "'maxResults'"},
		{"root", `{"nextToken":"x",` + start + `}`, "InvalidParameterException", "'nextToken'"},
		{"user", `{` + start + `}`, "AccessDeniedException", "berth:GetUsage"},
		{"user", `{"repositoryName":"` + repo + `",` + start + `}`, "AccessDeniedException", "berth:GetUsage"},
	} {
		status, body := s.call(t.Context(), t, "GetUsage", c.who, c.body)
		if status != http.StatusBadRequest || !strings.Contains(body, `"__type":"`+c.code+`"`) || !strings.Contains(body, c.words) {
			t.Errorf("GetUsage(%s) by %s: %d %s\nwant 400 %s about %s", c.body, c.who, status, body, c.code, c.words)
		}
	}
}
