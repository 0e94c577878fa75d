package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// exporter posts spans as OTLP/JSON (https://opentelemetry.io/docs/specs/otlp/, "JSON Protobuf Encoding"). The project's own exporter
// would bring gRPC, and 16 MB of it, into the program.
type exporter struct {
	url     string
	headers map[string]string
	client  *http.Client
}

func newExporter(c Traces) *exporter {
	return &exporter{url: c.Endpoint, headers: c.Headers, client: &http.Client{
		Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: (&net.Dialer{Timeout: sendTimeout / 2}).DialContext,
			TLSHandshakeTimeout: sendTimeout / 2, MaxIdleConnsPerHost: 1, IdleConnTimeout: time.Minute,
		},
		// The headers are for this server alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (e *exporter) close() { e.client.CloseIdleConnections() }

func (e *exporter) export(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	body, err := json.Marshal(encode(spans))
	if err != nil {
		return fmt.Errorf("encoding spans: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("posting spans: %w", err)
	}
	for name, value := range e.headers {
		req.Header.Set(name, value)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "berth")
	res, err := e.client.Do(req)
	if err != nil {
		return fmt.Errorf("posting spans: %w", err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10))
	if res.StatusCode/100 != 2 {
		return errors.New("posting spans: the answer is " + res.Status)
	}
	return nil
}

// What follows are the messages of opentelemetry/proto/trace/v1/trace.proto, as far as they are used. Numbers of 64 bits are strings in
// JSON, ids are hexadecimal.
type (
	tracesData struct {
		ResourceSpans []resourceSpans `json:"resourceSpans"`
	}
	resourceSpans struct {
		Resource struct {
			Attributes []keyValue `json:"attributes"`
		} `json:"resource"`
		ScopeSpans []scopeSpans `json:"scopeSpans"`
	}
	scopeSpans struct {
		Scope struct {
			Name string `json:"name"`
		} `json:"scope"`
		Spans []otlpSpan `json:"spans"`
	}
	otlpSpan struct {
		TraceID      string      `json:"traceId"`
		SpanID       string      `json:"spanId"`
		TraceState   string      `json:"traceState,omitempty"`
		ParentSpanID string      `json:"parentSpanId,omitempty"`
		Flags        uint32      `json:"flags"`
		Name         string      `json:"name"`
		Kind         int         `json:"kind"`
		Start        string      `json:"startTimeUnixNano"`
		End          string      `json:"endTimeUnixNano"`
		Attributes   []keyValue  `json:"attributes,omitempty"`
		Events       []otlpEvent `json:"events,omitempty"`
		Status       otlpStatus  `json:"status"`
	}
	otlpEvent struct {
		Time string `json:"timeUnixNano"`
		Name string `json:"name"`
	}
	otlpStatus struct {
		Message string `json:"message,omitempty"`
		Code    int    `json:"code,omitempty"`
	}
	keyValue struct {
		Key   string         `json:"key"`
		Value map[string]any `json:"value"`
	}
)

// The numbers of Span.flags: of W3C's trace flags the lowest eight bits, and whether the parent is in another process.
const (
	hasIsRemote = 0x100
	isRemote    = 0x200
)

// encode puts spans, which are all of one resource and scope, into one message.
func encode(spans []sdktrace.ReadOnlySpan) tracesData {
	var r resourceSpans
	var s scopeSpans
	if len(spans) > 0 {
		r.Resource.Attributes = encodeAttributes(spans[0].Resource().Attributes())
		s.Scope.Name = spans[0].InstrumentationScope().Name
	}
	for _, span := range spans {
		s.Spans = append(s.Spans, encodeSpan(span))
	}
	r.ScopeSpans = []scopeSpans{s}
	return tracesData{ResourceSpans: []resourceSpans{r}}
}

func encodeSpan(s sdktrace.ReadOnlySpan) otlpSpan {
	at, parent := s.SpanContext(), s.Parent()
	o := otlpSpan{
		TraceID: at.TraceID().String(), SpanID: at.SpanID().String(), TraceState: at.TraceState().String(),
		Flags: uint32(at.TraceFlags()) | hasIsRemote, Name: s.Name(), Kind: encodeKind(s.SpanKind()),
		Start: nanos(s.StartTime()), End: nanos(s.EndTime()), Attributes: encodeAttributes(s.Attributes()),
	}
	if parent.SpanID().IsValid() {
		o.ParentSpanID = parent.SpanID().String()
	}
	if parent.IsRemote() {
		o.Flags |= isRemote
	}
	for _, e := range s.Events() {
		o.Events = append(o.Events, otlpEvent{Time: nanos(e.Time), Name: e.Name})
	}
	switch status := s.Status(); status.Code {
	case codes.Ok:
		o.Status.Code = 1
	case codes.Error:
		o.Status = otlpStatus{Message: status.Description, Code: 2}
	case codes.Unset:
	}
	return o
}

func nanos(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// encodeKind gives a kind's number in Span.SpanKind.
func encodeKind(k trace.SpanKind) int {
	switch k {
	case trace.SpanKindServer:
		return 2
	case trace.SpanKindClient:
		return 3
	case trace.SpanKindProducer:
		return 4
	case trace.SpanKindConsumer:
		return 5
	default:
		return 1
	}
}

// encodeAttributes knows the types that Berth's spans have; others become text.
func encodeAttributes(all []attribute.KeyValue) []keyValue {
	list := make([]keyValue, 0, len(all))
	for _, a := range all {
		var v map[string]any
		switch a.Value.Type() {
		case attribute.INT64:
			v = map[string]any{"intValue": strconv.FormatInt(a.Value.AsInt64(), 10)}
		case attribute.BOOL:
			v = map[string]any{"boolValue": a.Value.AsBool()}
		case attribute.FLOAT64:
			v = map[string]any{"doubleValue": a.Value.AsFloat64()}
		default:
			v = map[string]any{"stringValue": a.Value.String()}
		}
		list = append(list, keyValue{string(a.Key), v})
	}
	return list
}
