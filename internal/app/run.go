package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/jobs"
)

const (
	// flushPullsEvery bounds how many pull times, and uses of keys, a crash can lose.
	flushPullsEvery = 10 * time.Second
	// cutOff is how long handlers get to store what they have once their connections are cut.
	cutOff = 10 * time.Second
)

// Run answers requests until ctx ends or a listener breaks, then finishes what is under way and closes
// everything. It is called once.
func (a *App) Run(ctx context.Context) error {
	background, stopBackground := context.WithCancel(context.WithoutCancel(ctx))
	defer stopBackground()
	var work sync.WaitGroup
	work.Go(func() { a.flushPulls(background) })
	if a.journal != nil {
		work.Go(func() { a.journal.Run(background) })
	}
	work.Go(func() { jobs.Run(background, a.deps.Logger, a.countedJobs(a.jobs())) })

	broken := make(chan error, len(a.listeners))
	for _, l := range a.listeners {
		work.Go(func() { broken <- a.serve(l) })
	}
	work.Go(a.serveOps)
	var failure error
	select {
	case err := <-broken:
		failure = fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	a.shutdown(context.WithoutCancel(ctx))
	a.stopOps()
	stopBackground()
	work.Wait()
	a.indexRest(context.WithoutCancel(ctx))
	return errors.Join(failure, a.Close())
}

func (a *App) serve(l net.Listener) error {
	if a.cfg.TLSCert != "" { // not TLSConfig: net/http sets that too, when it prepares for HTTP/2
		return a.server.ServeTLS(l, "", "")
	}
	return a.server.Serve(l)
}

// shutdown lets requests finish, cuts those that take longer than they may, and returns when no handler
// runs any more (or a stuck one had its chance): only then may the database close.
func (a *App) shutdown(ctx context.Context) {
	grace, cancel := context.WithTimeout(ctx, a.cfg.ShutdownTimeout)
	defer cancel()
	if err := a.server.Shutdown(grace); err == nil {
		return
	}
	a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "cutting requests that did not finish in time",
		slog.Int("requests", a.requests.count()), slog.Duration("waited", a.cfg.ShutdownTimeout))
	if err := a.server.Close(); err != nil {
		a.deps.Logger.LogAttrs(ctx, slog.LevelWarn, "closing connections", slog.Any("error", err))
	}
	select {
	case <-a.requests.done():
	case <-time.After(cutOff):
		a.deps.Logger.LogAttrs(ctx, slog.LevelError, "requests go on although their connections are cut",
			slog.Int("requests", a.requests.count()))
	}
}

// flushPulls writes pull times, and when keys and roles were used, from time to time, and once more at the end.
func (a *App) flushPulls(ctx context.Context) {
	tick := time.NewTicker(flushPullsEvery)
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			last = true
		}
		if err := a.registry.FlushPulls(context.WithoutCancel(ctx)); err != nil {
			a.deps.Logger.LogAttrs(ctx, slog.LevelError, "writing pull times", slog.Any("error", err))
		}
		if err := a.access.FlushUses(context.WithoutCancel(ctx)); err != nil {
			a.deps.Logger.LogAttrs(ctx, slog.LevelError, "writing when keys were used", slog.Any("error", err))
		}
	}
}

// requests knows how many handlers are running.
type requests struct {
	mu      sync.Mutex
	running int
	idle    chan struct{} // closed when running falls to 0; nil unless somebody waits
}

// counted counts the requests that next serves.
func (q *requests) counted(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		q.add(1)
		defer q.add(-1)
		next.ServeHTTP(w, r)
	})
}

func (q *requests) add(n int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.running += n
	if q.running == 0 && q.idle != nil {
		close(q.idle)
		q.idle = nil
	}
}

func (q *requests) count() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running
}

// done is closed when no handler runs. It is called once, after no new requests can come.
func (q *requests) done() <-chan struct{} {
	q.mu.Lock()
	defer q.mu.Unlock()
	idle := make(chan struct{})
	if q.running == 0 {
		close(idle)
	} else {
		q.idle = idle
	}
	return idle
}
