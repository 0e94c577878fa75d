package telemetry

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// queueLength is how many spans wait for the collector at most: some seconds of a busy server, and a few megabytes.
	queueLength = 4096
	// batchLength is how many are sent at once.
	batchLength = 512
	sendEvery   = 5 * time.Second
	sendTimeout = 10 * time.Second
	// complainEvery bounds how often the log tells of a collector that does not answer.
	complainEvery = 12 // failures in a row
)

// queue hands spans to an exporter, and nobody ever waits for it: what does not fit is dropped, and counted.
// The SDK's own would do so as well, and not tell.
type queue struct {
	export func(ctx context.Context, spans []sdktrace.ReadOnlySpan) error
	counts spanCounts
	logger *slog.Logger

	spans chan sdktrace.ReadOnlySpan
	stop  chan struct{}
	once  sync.Once
	ended chan struct{}
	// hurry ends all sending.
	hurry context.CancelFunc
}

var _ sdktrace.SpanProcessor = (*queue)(nil)

func startQueue(e *exporter, counts spanCounts, logger *slog.Logger) *queue {
	q := &queue{
		export: e.export, counts: counts, logger: logger,
		spans: make(chan sdktrace.ReadOnlySpan, queueLength), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	ctx, cancel := context.WithCancel(context.Background())
	q.hurry = cancel
	go func() {
		defer close(q.ended)
		defer e.close()
		q.run(ctx)
	}()
	return q
}

// OnStart implements sdktrace.SpanProcessor: a run of a job that has a span in it is not idle.
func (q *queue) OnStart(parent context.Context, _ sdktrace.ReadWriteSpan) {
	if r, ok := parent.Value(runKey{}).(*run); ok {
		r.busy.Store(true)
	}
}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() || slices.Contains(s.Attributes(), idle) {
		return
	}
	select {
	case q.spans <- s:
	default:
		q.counts.dropped.Inc()
	}
}

func (q *queue) run(ctx context.Context) {
	tick := time.NewTicker(sendEvery)
	defer tick.Stop()
	batch := make([]sdktrace.ReadOnlySpan, 0, batchLength)
	failures := 0
	send := func() {
		if len(batch) > 0 {
			failures = q.send(ctx, batch, failures)
			batch = batch[:0]
		}
	}
	for {
		select {
		case s := <-q.spans:
			if batch = append(batch, s); len(batch) == batchLength {
				send()
			}
		case <-tick.C:
			send()
		case <-q.stop:
			for len(q.spans) > 0 { // nobody makes spans any more
				if batch = append(batch, <-q.spans); len(batch) == batchLength {
					send()
				}
			}
			send()
			return
		}
	}
}

// send sends a batch, and gives how many have failed in a row.
func (q *queue) send(ctx context.Context, batch []sdktrace.ReadOnlySpan, failures int) int {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	if err := q.export(ctx, batch); err != nil {
		q.counts.failed.Add(float64(len(batch)))
		if failures%complainEvery == 0 {
			q.logger.LogAttrs(ctx, slog.LevelWarn, "the collector did not take spans", slog.Int("spans", len(batch)), slog.Any("error", err))
		}
		return failures + 1
	}
	q.counts.sent.Add(float64(len(batch)))
	return 0
}

// Shutdown implements sdktrace.SpanProcessor: what is left is sent, as long as ctx lasts.
func (q *queue) Shutdown(ctx context.Context) error {
	defer context.AfterFunc(ctx, q.hurry)()
	q.once.Do(func() { close(q.stop) })
	<-q.ended
	q.hurry()
	return nil
}

// ForceFlush implements sdktrace.SpanProcessor. Nobody asks for it.
func (q *queue) ForceFlush(context.Context) error { return nil }
