package telemetry

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

// none stands where a request named no operation that there is, or was for no face.
const none = "none"

// requests counts requests by face and operation.
type requests struct {
	total, in, out, faults *prometheus.CounterVec
	duration               *prometheus.HistogramVec

	// routes has the operations of the faces' tables. It is not written once requests are served.
	routes map[routeKey]*route
	nobody *route // for those that are in no table
}

type routeKey struct{ face, operation string }

// route is the counters of one operation, made at its first request: most servers see a few of all operations.
type route struct {
	routeKey

	once     sync.Once
	codes    [4]prometheus.Counter // 2xx to 5xx
	in, out  prometheus.Counter
	duration prometheus.Observer
}

func newRequests(t *Telemetry) requests {
	return requests{
		total: t.counter("berth_http_requests_total",
			"Requests that were answered, by face (registry, ecr, sts, iam, berth, ops …), operation, and class of the status: 2xx to 5xx.",
			"face", "operation", "code"),
		duration: t.histogram("berth_http_request_duration_seconds", "How long requests took, from their header to the end of the answer.",
			[]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}, "face", "operation"),
		in:     t.counter("berth_http_request_bytes_total", "Bytes of requests' bodies.", "face", "operation"),
		out:    t.counter("berth_http_response_bytes_total", "Bytes of answers' bodies; what clients fetch from a bucket by a redirect is not among them.", "face", "operation"),
		faults: t.counter("berth_http_faults_total", "Requests that were not done, by why: Berth's own names for what goes wrong, whatever the API calls it.", "face", "fault"),
		routes: map[routeKey]*route{},
		nobody: &route{routeKey: routeKey{none, none}},
	}
}

// Operations says which operations a face has. It is called before requests are served.
func (t *Telemetry) Operations(face string, operations []string) {
	t.requests.add(face, none)
	for _, o := range operations {
		t.requests.add(face, o)
	}
}

func (q *requests) add(face, operation string) {
	key := routeKey{face, operation}
	q.routes[key] = &route{routeKey: key}
}

// find gives the counters of a request.
func (q *requests) find(face, operation string) *route {
	if operation == "" {
		operation = none
	}
	r := q.routes[routeKey{face, operation}]
	if r == nil {
		r = q.nobody
	}
	r.once.Do(func() {
		for i := range r.codes {
			r.codes[i] = q.total.WithLabelValues(r.face, r.operation, string(rune('2'+i))+"xx")
		}
		r.in, r.out = q.in.WithLabelValues(r.face, r.operation), q.out.WithLabelValues(r.face, r.operation)
		r.duration = q.duration.WithLabelValues(r.face, r.operation)
	})
	return r
}

// Served counts a request that has been answered, and says in its span what it was.
func (t *Telemetry) Served(ctx context.Context, s middleware.Served) {
	r := t.requests.find(s.Face, s.Operation)
	r.codes[min(max(s.Status/100, 2), 5)-2].Inc()
	r.duration.Observe(s.Duration.Seconds())
	if s.In > 0 {
		r.in.Add(float64(s.In))
	}
	if s.Out > 0 {
		r.out.Add(float64(s.Out))
	}
	if s.Fault != "" {
		t.requests.faults.WithLabelValues(r.face, s.Fault).Inc()
	}
	t.served(ctx, r, s)
}
