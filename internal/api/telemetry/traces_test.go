package telemetry_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/api/telemetry"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// collector takes spans, and holds them to the schema.
type collector struct {
	*httptest.Server
	t testing.TB

	mu      sync.Mutex
	spans   []*tracepb.Span         // guarded by mu
	service string                  // guarded by mu
	headers []http.Header           // guarded by mu
	refuse  func(n int) (int, bool) // guarded by mu: the status of the nth request, if it is to be refused
}

func newCollector(tb testing.TB) *collector {
	tb.Helper()
	c := &collector{t: tb}
	c.Server = httptest.NewServer(c)
	tb.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("%s %s with %s: %v", r.Method, r.URL, r.Header.Get("Content-Type"), err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.headers = append(c.headers, r.Header)
	if c.refuse != nil {
		if status, no := c.refuse(len(c.headers)); no {
			w.WriteHeader(status)
			return
		}
	}
	data, err := read(body)
	if err != nil {
		c.t.Errorf("not OTLP: %v\n%s", err, body)
		return
	}
	for _, rs := range data.GetResourceSpans() {
		for _, a := range rs.GetResource().GetAttributes() {
			if a.GetKey() == "service.name" {
				c.service = a.GetValue().GetStringValue()
			}
		}
		for _, ss := range rs.GetScopeSpans() {
			c.spans = append(c.spans, ss.GetSpans()...)
		}
	}
}

// read reads OTLP/JSON by the schema of OTLP. The one difference from protobuf's own JSON: ids are hexadecimal there.
func read(body []byte) (*tracepb.TracesData, error) {
	var plain any
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&plain); err != nil {
		return nil, err
	}
	if err := rewriteIDs(plain); err != nil {
		return nil, err
	}
	body, err := json.Marshal(plain)
	if err != nil {
		return nil, err
	}
	data := &tracepb.TracesData{}
	return data, protojson.Unmarshal(body, data) // refuses members that the schema lacks
}

func rewriteIDs(v any) error {
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			if err := rewriteIDs(e); err != nil {
				return err
			}
		}
	case map[string]any:
		for key, e := range v {
			if key != "traceId" && key != "spanId" && key != "parentSpanId" {
				if err := rewriteIDs(e); err != nil {
					return err
				}
				continue
			}
			text, ok := e.(string)
			raw, err := hex.DecodeString(text)
			if !ok || err != nil || len(raw) != 8 && len(raw) != 16 {
				return errors.New("not an id: " + key)
			}
			v[key] = base64.StdEncoding.EncodeToString(raw)
		}
	}
	return nil
}

// byName gives the spans of a trace by name, each with its parent's name.
func (c *collector) byName() map[string]string {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := map[string]string{}
	for _, s := range c.spans {
		names[string(s.GetSpanId())] = s.GetName()
	}
	all := map[string]string{}
	for _, s := range c.spans {
		all[s.GetName()] = names[string(s.GetParentSpanId())]
	}
	return all
}

func traced(c *collector, change ...func(*telemetry.Traces)) *telemetry.Telemetry {
	traces := telemetry.Traces{Endpoint: c.URL + "/v1/traces", Ratio: 1, Instance: "here", Headers: map[string]string{"authorization": "Bearer hunter2"}}
	for _, f := range change {
		f(&traces)
	}
	return quiet(telemetry.Config{Version: "v1", Traces: traces})
}

func shut(t *testing.T, tm *telemetry.Telemetry) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := tm.Close(ctx); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestSpans(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tm := traced(c)
	tm.Operations("registry", []string{"PUT manifest"})
	upstream := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Traceparent") == "" {
			t.Error("the other Berth does not hear of the trace")
		}
	}))
	defer upstream.Close()
	client := &http.Client{Transport: tm.Transport(true)(&http.Transport{})}
	defer client.CloseIdleConnections()
	face := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		if r.URL.Path == "/healthz" {
			return
		}
		middleware.Label(ctx, "registry", "PUT manifest")
		_, began, done := tm.Database().Update(ctx)
		began()
		done(fault.New(fault.TagImmutable, "no"))
		_, _ = tm.Blobs(medium{err: blob.ErrUnavailable}).Open(ctx, "", 0, -1)
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, upstream.URL+"/?signature=hunter2", http.NoBody)
		if res, err := client.Do(req); err != nil {
			t.Errorf("asking upstream: %v", err)
		} else {
			res.Body.Close()
		}
		middleware.LabelFault(ctx, fault.New(fault.TagImmutable, "no"))
		w.WriteHeader(http.StatusConflict)
	})
	log := &bytes.Buffer{}
	logger := slog.New(tm.Logs(slog.NewJSONHandler(log, nil)))
	server := tm.Requests(middleware.New(middleware.Config{Next: face, Logger: logger, Now: time.Now, Served: tm.Served}))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPut, "/v2/a/manifests/\xff?x=hunter2", http.NoBody)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	server.ServeHTTP(httptest.NewRecorder(), r)
	server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/healthz", http.NoBody))
	shut(t, tm)

	want := map[string]string{
		"registry PUT manifest": "", "database update": "registry PUT manifest", "blob open": "registry PUT manifest", "upstream GET": "registry PUT manifest",
	}
	got := c.byName()
	for name, parent := range want {
		if p, ok := got[name]; !ok || p != parent {
			t.Errorf("the span %s is a child of %q (%t), want %q", name, p, ok, parent)
		}
	}
	if len(c.spans) != len(want) || c.service != "berth" {
		t.Errorf("%d spans of %q: %v", len(c.spans), c.service, got)
	}
	for _, s := range c.spans {
		if hex.EncodeToString(s.GetTraceId()) != "0af7651916cd43dd8448eb211c80319c" {
			t.Errorf("the span %s is not part of the client's trace", s.GetName())
		}
		if s.GetEndTimeUnixNano() < s.GetStartTimeUnixNano() || s.GetStartTimeUnixNano() == 0 {
			t.Errorf("the span %s lasts from %d to %d", s.GetName(), s.GetStartTimeUnixNano(), s.GetEndTimeUnixNano())
		}
		if failed := s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR; failed != (s.GetName() == "blob open") {
			t.Errorf("the span %s has the status %v: a refusal is none", s.GetName(), s.GetStatus())
		}
		if text := s.String(); strings.Contains(text, "hunter2") {
			t.Errorf("a span tells a secret: %s", text)
		}
		if s.GetName() == "registry PUT manifest" && (s.GetKind() != tracepb.Span_SPAN_KIND_SERVER || hex.EncodeToString(s.GetParentSpanId()) != "b7ad6b7169203331") {
			t.Errorf("the request's span is %v", s)
		}
	}
	if c.headers[0].Get("Authorization") != "Bearer hunter2" {
		t.Error("the collector does not get its headers")
	}
	var line map[string]any
	if err := json.Unmarshal(bytes.SplitN(log.Bytes(), []byte("\n"), 2)[0], &line); err != nil {
		t.Fatalf("%v: %s", err, log)
	}
	if line["trace_id"] != "0af7651916cd43dd8448eb211c80319c" || line["fault"] != "tag immutable" || line["operation"] != "PUT manifest" || line["face"] != "registry" || line["request_id"] == nil {
		t.Errorf("the request's line in the log is %v", line)
	}
	has(t, tm, `berth_trace_spans_total{result="sent"} 4`, `berth_trace_spans_total{result="dropped"} 0`)
}

// TestIdleRunsAreNotTold: jobs that look every few seconds would fill a collector with nothing.
func TestIdleRunsAreNotTold(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	tm := traced(c)
	update := func(ctx context.Context) {
		_, _, done := tm.Database().Update(ctx)
		done(nil)
	}
	for name, do := range map[string]func(context.Context) (bool, error){
		"idle":   func(context.Context) (bool, error) { return false, nil },
		"more":   func(context.Context) (bool, error) { return true, nil },
		"failed": func(context.Context) (bool, error) { return false, errors.New("no") },
		"busy":   func(ctx context.Context) (bool, error) { update(ctx); return false, nil },
	} {
		_, _ = tm.Job(name, do)(t.Context())
	}
	_ = tm.Handlers(map[string]event.Handler{"signing": failing{}})["signing"].Handle(t.Context(), event.Event{}) // part of no trace
	update(t.Context())
	shut(t, tm)
	got := c.byName()
	if len(got) != 4 || got["database update"] != "job busy" {
		t.Errorf("the spans are %v", got)
	}
}

// TestADeadCollectorHoldsUpNobody makes far more spans than are kept for a collector that takes them and does not answer.
func TestADeadCollectorHoldsUpNobody(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	dead := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	}))
	defer dead.Close()
	defer close(hold)
	tm := traced(&collector{Server: dead})
	job := tm.Job("j", func(context.Context) (bool, error) { return true, nil })
	const made = 20_000
	for range made {
		if _, err := job(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = tm.Close(ctx)
	}()
	select {
	case <-closed:
	case <-time.After(30 * time.Second):
		t.Fatal("Close waits for the collector")
	}
	text := scrape(t, tm)
	if strings.Contains(text, `berth_trace_spans_total{result="dropped"} 0`) || !strings.Contains(text, `berth_trace_spans_total{result="sent"} 0`) {
		t.Errorf("of %d spans:\n%s", made, text[strings.Index(text, "berth_trace_spans_total"):])
	}
}

func TestACollectorThatRefuses(t *testing.T) {
	t.Parallel()
	c := newCollector(t)
	c.refuse = func(n int) (int, bool) { return http.StatusTemporaryRedirect, n == 1 }
	tm := traced(c)
	_, _ = tm.Job("j", func(context.Context) (bool, error) { return true, nil })(t.Context())
	shut(t, tm)
	has(t, tm, `berth_trace_spans_total{result="failed"} 1`)
}

// TestSampling goes by the ratio, and by what a client says of its own trace.
func TestSampling(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		ratio  float64
		parent string
		want   int
	}{
		{1, "", 1},
		{0, "", 0},
		{0, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 1},
		{1, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", 0},
		{1, "00-00000000000000000000000000000000-b7ad6b7169203331-01", 1}, // none
		{1, "nonsense\x00", 1},
	} {
		c := newCollector(t)
		tm := traced(c, func(tr *telemetry.Traces) { tr.Ratio = test.ratio })
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", http.NoBody)
		r.Header.Set("Traceparent", test.parent)
		tm.Requests(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		shut(t, tm)
		if len(c.spans) != test.want {
			t.Errorf("ratio %v, traceparent %q: %d spans, want %d", test.ratio, test.parent, len(c.spans), test.want)
		}
	}
}

// TestWithoutACollectorNothingIsWrapped: traces that are off cost nothing.
func TestWithoutACollectorNothingIsWrapped(t *testing.T) {
	t.Parallel()
	tm := quiet(telemetry.Config{})
	base := &http.Transport{}
	if tm.Transport(true)(base) != http.RoundTripper(base) {
		t.Error("requests to other servers are wrapped")
	}
	next := http.NewServeMux()
	if tm.Requests(next) != http.Handler(next) {
		t.Error("requests are wrapped")
	}
	if err := tm.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if slices.ContainsFunc(tm.Families(), func(f telemetry.Family) bool { return f.Help == "" }) {
		t.Error("a metric has no help")
	}
}

func BenchmarkSpans(b *testing.B) {
	c := newCollector(b)
	tm := traced(c)
	defer func() { _ = tm.Close(b.Context()) }()
	face := tm.Requests(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _, done := tm.Database().Update(r.Context())
		done(nil)
	}))
	r := httptest.NewRequestWithContext(b.Context(), http.MethodPut, "/v2/a/manifests/b", http.NoBody)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		face.ServeHTTP(w, r)
	}
}
