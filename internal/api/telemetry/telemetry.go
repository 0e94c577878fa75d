// Package telemetry is what Berth tells of itself to those who watch it: metrics in Prometheus' format, and spans of traces for an
// OpenTelemetry collector. docs/operate/monitoring.md explains each; docs/adr/0019 says where they are served and why so.
//
// The parts that do the work know nothing of it: they are wrapped, or tell a hook that is an interface of their own. Labels are words out
// of the program's own tables, never a client's, so that there are only so many series; names of repositories are among them only where
// the operator says how many.
//
// Nothing here waits for anybody: counting is a few additions, and spans that a collector is too slow for are dropped and counted.
package telemetry

import (
	"context"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// Config is what a Telemetry is made of. Now and Logger must be set.
type Config struct {
	// Now is the machine's own clock, which goes on evenly: durations are measured with it.
	Now               func() time.Time
	Logger            *slog.Logger
	Version, Revision string
	// Repositories is how many repositories are counted each by its name; the others go together. 0: none is.
	Repositories int
	Traces       Traces
}

// Telemetry counts, and makes spans. Its methods may be called from many goroutines.
type Telemetry struct {
	config   Config
	gathered *prometheus.Registry
	families []Family

	requests requests
	storage  storage
	work     work
	spans    spanCounts

	tracer trace.Tracer // nil: there are no traces
	stop   func(ctx context.Context) error
}

// Family is a metric as it is documented.
type Family struct {
	Name, Type, Help string
	Labels           []string
}

// New makes a Telemetry. Close ends it.
func New(c Config) *Telemetry {
	t := &Telemetry{config: c, gathered: prometheus.NewRegistry(), stop: func(context.Context) error { return nil }}
	t.gathered.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	t.gauge("berth_build_info", "1, with what was built.", "version", "revision", "go_version").
		WithLabelValues(c.Version, c.Revision, runtime.Version()).Set(1)
	t.requests = newRequests(t)
	t.storage = newStorage(t)
	t.work = newWork(t)
	t.spans = newSpanCounts(t)
	t.describeSources()
	if c.Traces.Endpoint != "" {
		t.trace()
	}
	return t
}

// Families lists the metrics, by name. Those of Go and of the process are not among them.
func (t *Telemetry) Families() []Family {
	all := slices.Clone(t.families)
	slices.SortFunc(all, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// scrapes is how many scrapes are answered at a time.
const scrapes = 4

// Handler answers scrapes. Who may have them is not its business.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.gathered, promhttp.HandlerOpts{
		ErrorLog: complaints{t.config.Logger}, ErrorHandling: promhttp.ContinueOnError, MaxRequestsInFlight: scrapes, EnableOpenMetrics: true,
	})
}

// Gatherer gives the metrics to tests.
func (t *Telemetry) Gatherer() prometheus.Gatherer { return t.gathered }

// Close sends the spans that there are, as long as the context lasts.
func (t *Telemetry) Close(ctx context.Context) error { return t.stop(ctx) }

// complaints are the library's own, in the log.
type complaints struct{ logger *slog.Logger }

// Println implements promhttp.Logger.
func (c complaints) Println(words ...any) { c.logger.Warn("metrics", slog.Any("error", words)) }

func (t *Telemetry) describe(kind, name, help string, labels []string) {
	t.families = append(t.families, Family{Name: name, Type: kind, Help: help, Labels: labels})
}

func (t *Telemetry) counter(name, help string, labels ...string) *prometheus.CounterVec {
	t.describe("counter", name, help, labels)
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	t.gathered.MustRegister(v)
	return v
}

func (t *Telemetry) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	t.describe("gauge", name, help, labels)
	v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	t.gathered.MustRegister(v)
	return v
}

func (t *Telemetry) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	t.describe("histogram", name, help, labels)
	v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
	t.gathered.MustRegister(v)
	return v
}

// since is how long something took, in seconds.
func (t *Telemetry) since(begin time.Time) float64 { return t.config.Now().Sub(begin).Seconds() }

// named gives names that are counted by themselves to so many, and "other" to the rest.
type named struct {
	most int

	mu    sync.Mutex
	known map[string]bool // guarded by mu
}

// other is the name of those that are too many.
const other = "other"

func (n *named) name(of string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known[of] {
		return of
	}
	if len(n.known) >= n.most {
		return other
	}
	if n.known == nil {
		n.known = map[string]bool{}
	}
	n.known[of] = true
	return of
}
