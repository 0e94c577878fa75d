package telemetry

import (
	"context"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Traces says where spans go.
type Traces struct {
	Endpoint string            // the URL that spans are posted to as OTLP/JSON; empty: there are none
	Headers  map[string]string // of those requests; they are secret
	Ratio    float64           // how much of what begins here is traced: 0 to 1. What a client's traceparent says goes before
	Instance string            // the name of this server
}

// tracerName is whose the spans are.
const tracerName = "github.com/hoopstat-haus/berth"

type spanCounts struct{ sent, dropped, failed prometheus.Counter }

func newSpanCounts(t *Telemetry) spanCounts {
	v := t.counter("berth_trace_spans_total",
		"Spans by what became of them: sent to the collector, dropped since it was too slow, or failed, which it did not take.", "result")
	return spanCounts{v.WithLabelValues("sent"), v.WithLabelValues("dropped"), v.WithLabelValues(failed)}
}

// trace begins to make spans.
func (t *Telemetry) trace() {
	c := t.config.Traces
	q := startQueue(newExporter(c), t.spans, t.config.Logger)
	about := resource.NewSchemaless(attribute.String("service.name", "berth"), attribute.String("service.version", t.config.Version),
		attribute.String("service.instance.id", c.Instance))
	// Limits of our own, which variables of the environment do not change: nobody puts more than a dozen attributes on a span.
	limits := sdktrace.SpanLimits{AttributeValueLengthLimit: 1024, AttributeCountLimit: 64, EventCountLimit: 64, LinkCountLimit: 8, AttributePerEventCountLimit: 8, AttributePerLinkCountLimit: 8}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(q), sdktrace.WithResource(about), sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithSampler(sdktrace.ParentBased(sdktrace.TraceIDRatioBased(c.Ratio))))
	t.tracer, t.stop = provider.Tracer(tracerName), provider.Shutdown
}

// w3c reads and writes traceparent and tracestate.
var w3c propagation.TraceContext

// Requests wraps what answers requests in spans. It stands around the middleware, whose log lines are then part of a trace; it leaves
// the ResponseWriter alone.
func (t *Telemetry) Requests(next http.Handler) http.Handler {
	if t.tracer == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/healthz", "/readyz", "/metrics":
			next.ServeHTTP(w, r)
			return
		}
		ctx := w3c.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := t.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer),
			trace.WithAttributes(attribute.String("http.request.method", r.Method), attribute.String("url.path", clip(r.URL.Path))))
		defer span.End()
		next.ServeHTTP(w, r.WithContext(ctx))
	})
}

// clip bounds a stranger's text.
func clip(s string) string {
	if len(s) > 512 {
		s = s[:512]
	}
	return strings.ToValidUTF8(s, "�")
}

// served says in the request's span what it was.
func (t *Telemetry) served(ctx context.Context, r *route, s middleware.Served) {
	if t.tracer == nil {
		return
	}
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	span.SetName(r.face + " " + r.operation)
	span.SetAttributes(attribute.Int("http.response.status_code", s.Status), attribute.String("berth.request_id", middleware.RequestID(ctx)),
		attribute.Int64("http.request.body.size", s.In), attribute.Int64("http.response.body.size", s.Out))
	if s.Fault != "" {
		span.SetAttributes(attribute.String("berth.fault", s.Fault))
	}
	if s.Status >= http.StatusInternalServerError {
		span.SetStatus(codes.Error, s.Fault)
	}
}

// child begins a span of what is being traced already; nil where nothing is.
func (t *Telemetry) child(ctx context.Context, name string, attributes ...attribute.KeyValue) (context.Context, trace.Span) {
	if t.tracer == nil || !trace.SpanContextFromContext(ctx).IsSampled() {
		return ctx, nil
	}
	return t.tracer.Start(ctx, name, trace.WithAttributes(attributes...))
}

// end ends a span that child began. Of an error it says what kind it was: its words may be about secrets, and are in the log.
func end(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		f, ok := fault.Of(err)
		switch {
		case !ok:
			span.SetStatus(codes.Error, failed)
		case f.Code == fault.Unavailable || f.Code == fault.StorageFull:
			span.SetStatus(codes.Error, string(f.Code))
		default: // a refusal
			span.SetAttributes(attribute.String("berth.fault", string(f.Code)))
		}
	}
	span.End()
}

// run is one run of a job, as its spans know it.
type run struct{ busy atomic.Bool }

type runKey struct{}

// idle marks the span of a run that found nothing to do, which is not worth sending.
var idle = attribute.Bool("berth.idle", true)

// job begins the trace of a job's run.
func (t *Telemetry) job(ctx context.Context, name string) (context.Context, func(more bool, err error)) {
	if t.tracer == nil {
		return ctx, func(bool, error) {}
	}
	ctx, span := t.tracer.Start(ctx, "job "+name, trace.WithNewRoot())
	r := &run{}
	return context.WithValue(ctx, runKey{}, r), func(more bool, err error) {
		if !more && err == nil && !r.busy.Load() {
			span.SetAttributes(idle)
		}
		end(span, err)
	}
}

// Access is who decides what callers may do: registry.Access.
type Access interface {
	Authorize(ctx context.Context, caller identity.Caller, r policy.Request) error
}

// Access wraps decisions in spans.
func (t *Telemetry) Access(a Access) Access {
	if t.tracer == nil {
		return a
	}
	return decisions{a, t}
}

type decisions struct {
	Access

	t *Telemetry
}

// Authorize implements registry.Access.
func (d decisions) Authorize(ctx context.Context, caller identity.Caller, r policy.Request) error {
	ctx, span := d.t.child(ctx, "authorize", attribute.String("berth.action", string(r.Action)))
	err := d.Access.Authorize(ctx, caller, r)
	end(span, err)
	return err
}

// Transport wraps requests of Berth's own to other servers in spans. The servers hear of the trace only where tell is set: strangers
// need not know. otelhttp's would do the same, and write down URLs with their queries, which are signatures as often as not.
func (t *Telemetry) Transport(tell bool) func(http.RoundTripper) http.RoundTripper {
	return func(base http.RoundTripper) http.RoundTripper {
		if t.tracer == nil {
			return base
		}
		return transport{base, t, tell}
	}
}

type transport struct {
	http.RoundTripper

	t    *Telemetry
	tell bool
}

// CloseIdleConnections is what http.Client looks for.
func (p transport) CloseIdleConnections() {
	if c, ok := p.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip implements http.RoundTripper.
func (p transport) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := p.t.child(r.Context(), "upstream "+r.Method, attribute.String("http.request.method", r.Method), attribute.String("server.address", clip(r.URL.Host)))
	if span == nil {
		return p.RoundTripper.RoundTrip(r)
	}
	r = r.Clone(ctx)
	if p.tell {
		w3c.Inject(ctx, propagation.HeaderCarrier(r.Header))
	}
	res, err := p.RoundTripper.RoundTrip(r)
	if err != nil {
		end(span, err)
		return res, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
	res.Body = endingBody{res.Body, span}
	return res, nil
}

// endingBody ends the span with the answer.
type endingBody struct {
	io.ReadCloser

	span trace.Span
}

func (b endingBody) Close() error {
	b.span.End()
	return b.ReadCloser.Close()
}
