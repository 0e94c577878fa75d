package middleware

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Served is what a request came to, for those who count. Face, Operation and Fault are words of the program's own, out of its tables,
// never a client's: there are only so many.
type Served struct {
	Face      string // registry, ecr, sts …; empty where no face took it
	Operation string // of the face's table; empty where the request named none of it
	Fault     string // why it was not done: a fault.Code, cancelled or internal; empty where it was, or nobody said
	Status    int
	In, Out   int64 // bytes of the bodies
	Duration  time.Duration
}

// internalFault is the Fault of what goes wrong without being in the list of faults, and cancelled that of clients who left.
const (
	internalFault  = "internal"
	cancelledFault = "cancelled"
)

// labels are what the faces have said of a request so far.
type labels struct{ face, operation, fault string }

// Label says which operation of which face a request asks for. Both are words of the face's own table. The goroutine that serves the
// request calls it.
func Label(ctx context.Context, face, operation string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		x.labels.face, x.labels.operation = face, operation
	}
}

// LabelFault says why a request was not done. The goroutine that serves the request calls it.
func LabelFault(ctx context.Context, err error) {
	x, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok {
		return
	}
	switch f, known := fault.Of(err); {
	case known:
		x.labels.fault = string(f.Code)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		x.labels.fault = cancelledFault
	default:
		x.labels.fault = internalFault
	}
}

// Labels gives what has been said of the request that the context belongs to.
func Labels(ctx context.Context) (face, operation string) {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x.labels.face, x.labels.operation
	}
	return "", ""
}

// tell hands the request to whoever counts.
func (h *Handler) tell(x *exchange, r *http.Request, now time.Time) {
	if h.Served == nil {
		return
	}
	status := x.status
	if status == 0 {
		status = http.StatusOK // what net/http sends for a handler that wrote nothing
	}
	h.Served(r.Context(), Served{
		Face: x.labels.face, Operation: x.labels.operation, Fault: x.labels.fault,
		Status: status, In: x.in, Out: x.out, Duration: now.Sub(x.started),
	})
}

// attrs are what a log line says of it.
func (l labels) attrs(to []slog.Attr) []slog.Attr {
	if l.face != "" {
		to = append(to, slog.String("face", l.face))
	}
	if l.fault != "" {
		to = append(to, slog.String("fault", l.fault))
	}
	return to
}
