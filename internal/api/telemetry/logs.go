package telemetry

import (
	"context"
	"log/slog"

	"go.opentelemetry.io/otel/trace"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

// Logs has log lines say which request and trace they belong to.
func (t *Telemetry) Logs(h slog.Handler) slog.Handler { return logs{h} }

type logs struct{ slog.Handler }

// requestID is what the access log calls it too.
const requestID = "request_id"

// Handle implements slog.Handler.
func (l logs) Handle(ctx context.Context, r slog.Record) error {
	id := middleware.RequestID(ctx)
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == requestID {
			id = ""
		}
		return id != ""
	})
	traced := trace.SpanContextFromContext(ctx)
	if id != "" || traced.IsValid() {
		r = r.Clone()
	}
	if id != "" {
		r.AddAttrs(slog.String(requestID, id))
	}
	if traced.IsValid() {
		r.AddAttrs(slog.String("trace_id", traced.TraceID().String()), slog.String("span_id", traced.SpanID().String()))
	}
	return l.Handler.Handle(ctx, r) //nolint:wrapcheck // it is the handler's own
}

// WithAttrs implements slog.Handler.
func (l logs) WithAttrs(attrs []slog.Attr) slog.Handler { return logs{l.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (l logs) WithGroup(name string) slog.Handler { return logs{l.Handler.WithGroup(name)} }
