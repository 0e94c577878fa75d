package telemetry

import (
	"context"
	"errors"
	"io"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// work counts what is done in the background, and what hangs on no request alone.
type work struct {
	runs, events, handled, scans, credentials, pushes, pulls *prometheus.CounterVec

	duration, handling *prometheus.HistogramVec
	success            *prometheus.GaugeVec
	reading            prometheus.Observer
	repositories       *named
}

func newWork(t *Telemetry) work {
	w := work{
		runs: t.counter("berth_job_runs_total", "Runs of background jobs, by result: done or failed. A job that looks and finds nothing to do is done.", "job_name", "result"),
		duration: t.histogram("berth_job_duration_seconds", "How long runs of background jobs took; a run is a bounded piece of the job's work.",
			[]float64{.001, .01, .1, 1, 10, 60, 600}, "job_name"),
		success: t.gauge("berth_job_last_success_timestamp_seconds", "When a run of the job last ended well, in seconds since 1970.", "job_name"),
		events: t.counter("berth_events_total",
			"Events that this process handed on, by kind. One that a part failed to handle is handed on again, and counts again.", "kind"),
		handling: t.histogram("berth_event_handling_duration_seconds", "How long parts took to take note of events.", []float64{.0001, .001, .01, .1, 1, 10}, "handler"),
		handled:  t.counter("berth_event_failures_total", "Events that a part could not handle; they come again.", "handler"),
		scans:    t.counter("berth_scans_total", "Scans of images that have ended, by status.", "status"),
		reading: t.histogram("berth_scan_layer_duration_seconds", "How long it took to read what a layer has installed.",
			[]float64{.01, .1, .5, 1, 2.5, 5, 10, 30, 60, 300}).WithLabelValues(),
		credentials: t.counter("berth_credential_failures_total",
			"Credentials that did not hold, by kind (signature, token, bearer, exchange, link) and reason. Requests without any are not among them.", "kind", "reason"),
		pushes:       t.counter("berth_repository_pushes_total", "Images that were pushed, by repository, as far as metrics-repositories lets them be named.", "repository"),
		pulls:        t.counter("berth_repository_pulls_total", "Images that were pulled, by repository, as far as metrics-repositories lets them be named.", "repository"),
		repositories: &named{most: t.config.Repositories},
	}
	return w
}

// Job wraps the work of a background job. Several that do the same may have one name.
func (t *Telemetry) Job(name string, do func(ctx context.Context) (bool, error)) func(ctx context.Context) (bool, error) {
	done, bad := t.work.runs.WithLabelValues(name, "done"), t.work.runs.WithLabelValues(name, failed)
	duration, success := t.work.duration.WithLabelValues(name), t.work.success.WithLabelValues(name)
	return func(ctx context.Context) (more bool, err error) {
		begin := t.config.Now()
		result := bad // of one that panics
		ctx, ended := t.job(ctx, name)
		defer func() {
			duration.Observe(t.since(begin))
			result.Inc()
			ended(more, err)
		}()
		more, err = do(ctx)
		if err == nil || ctx.Err() != nil { // it was told to stop
			result = done
		}
		if err == nil {
			success.Set(float64(t.config.Now().UnixMilli()) / 1000)
		}
		return more, err
	}
}

// Handlers wraps those who want to know of events, and adds one that counts.
func (t *Telemetry) Handlers(all map[string]event.Handler) map[string]event.Handler {
	wrapped := map[string]event.Handler{"metrics": counting{t}}
	for name, h := range all {
		counted := handler{
			Handler: h, t: t, span: "event " + name,
			duration: t.work.handling.WithLabelValues(name), failures: t.work.handled.WithLabelValues(name),
		}
		wrapped[name] = counted
		if b, ok := h.(event.Batcher); ok {
			wrapped[name] = batcher{counted, b}
		}
	}
	return wrapped
}

type handler struct {
	event.Handler

	t        *Telemetry
	span     string
	duration prometheus.Observer
	failures prometheus.Counter
}

// Handle implements event.Handler.
func (h handler) Handle(ctx context.Context, e event.Event) error {
	begin := h.t.config.Now()
	ctx, span := h.t.child(ctx, h.span)
	err := h.Handler.Handle(ctx, e)
	h.duration.Observe(h.t.since(begin))
	if err != nil {
		h.failures.Inc()
	}
	end(span, err)
	return err
}

// batcher is a handler of one that takes many events at once, and still does.
type batcher struct {
	handler

	all event.Batcher
}

// HandleAll implements event.Batcher. That it fails is not counted: each event is handed on by itself then.
func (b batcher) HandleAll(ctx context.Context, events []event.Event) error {
	begin := b.t.config.Now()
	ctx, span := b.t.child(ctx, b.span)
	err := b.all.HandleAll(ctx, events)
	b.duration.Observe(b.t.since(begin))
	end(span, err)
	return err
}

// counting counts events.
type counting struct{ t *Telemetry }

// Handle implements event.Handler.
func (c counting) Handle(_ context.Context, e event.Event) error {
	w := &c.t.work
	w.events.WithLabelValues(string(e.Kind)).Inc()
	switch e.Kind {
	case event.ImageScanned:
		w.scans.WithLabelValues(e.ScanStatus).Inc()
	case event.ImagePushed:
		if w.repositories.most > 0 {
			w.pushes.WithLabelValues(w.repositories.name(e.Repository)).Inc()
		}
	case event.ImagePulled:
		if w.repositories.most > 0 {
			w.pulls.WithLabelValues(w.repositories.name(e.Repository)).Add(float64(max(e.Count, 0)))
		}
	default: // counted, and no more
	}
	return nil
}

// Kinds of credentials.
const (
	Signature = "signature"
	Token     = "token"
	Bearer    = "bearer"
	Exchange  = "exchange" // of a token for a bearer token
	Link      = "link"
)

// Credentials counts credentials that did not hold; err may be nil.
func (t *Telemetry) Credentials(kind string, err error) {
	if err == nil || errors.Is(err, fault.CredentialsMissing) || errors.Is(err, context.Canceled) {
		return
	}
	reason := failed
	if f, ok := fault.Of(err); ok {
		reason = string(f.Code)
	}
	t.work.credentials.WithLabelValues(kind, reason).Inc()
}

// Extractor wraps what reads layers.
func (t *Telemetry) Extractor(x scan.Extractor) scan.Extractor { return extractor{x, t} }

type extractor struct {
	scan.Extractor

	t *Telemetry
}

// Extract implements scan.Extractor.
func (x extractor) Extract(ctx context.Context, d oci.Descriptor, r io.Reader) (inventory.Layer, error) {
	begin := x.t.config.Now()
	ctx, span := x.t.child(ctx, "scan layer")
	l, err := x.Extractor.Extract(ctx, d, r)
	x.t.work.reading.Observe(x.t.since(begin))
	end(span, err)
	return l, err
}
