// Package ops answers those who operate Berth rather than use it: is it alive, can it work, how does it do.
//
// The first two answers are open to anybody, so they say little and cost little: readiness is found out at most
// once a second however often it is asked for. What exactly failed is in the log.
package ops

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	checkTimeout = 5 * time.Second
	remembered   = time.Second
)

// Check tells whether one thing that Berth depends on answers.
type Check struct {
	Name string // as people call it: database
	Do   func(ctx context.Context) error
}

// Config is what the handlers need; every field must be set.
type Config struct {
	Checks []Check
	Logger *slog.Logger
	Now    func() time.Time

	Metrics http.Handler // answers scrapes
	Caller  func(*http.Request) (identity.Caller, error)
	May     may
}

// New makes the handler of /healthz and /readyz, which are open to anybody, and of /metrics, which is for those who may.
func New(c Config) http.Handler {
	r := &readiness{Config: c}
	mux := http.NewServeMux()
	c.state(mux, r)
	mux.HandleFunc("GET /metrics", c.metrics)
	return counted(mux)
}

func (c Config) state(mux *http.ServeMux, r *readiness) {
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "alive\n") })
	mux.HandleFunc("GET /readyz", r.serve)
}

// readiness is what was last found out.
type readiness struct {
	Config

	mu     sync.Mutex // held while finding out, so that everybody who waits gets one answer
	at     time.Time  // guarded by mu
	failed []string   // guarded by mu: the names of what did not answer
}

func (r *readiness) serve(w http.ResponseWriter, req *http.Request) {
	failed := r.check(req.Context())
	if len(failed) == 0 {
		answer(w, http.StatusOK, "ready\n")
		return
	}
	answer(w, http.StatusServiceUnavailable, fmt.Sprintf("not ready: no answer from the %s\n", strings.Join(failed, " and the ")))
}

// check runs all checks side by side and gives the names of those that failed.
func (r *readiness) check(ctx context.Context) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.at.IsZero() && r.Now().Sub(r.at) < remembered {
		return r.failed
	}
	// Others share the answer, so one client that goes away must not spoil it.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTimeout)
	defer cancel()
	results := make([]error, len(r.Checks))
	var running sync.WaitGroup
	for i, c := range r.Checks {
		running.Go(func() { results[i] = c.Do(ctx) })
	}
	running.Wait()
	r.failed = nil
	for i, err := range results {
		if err != nil {
			r.failed = append(r.failed, r.Checks[i].Name)
			r.Logger.LogAttrs(ctx, slog.LevelWarn, "not ready", slog.String("part", r.Checks[i].Name), slog.Any("error", err))
		}
	}
	r.at = r.Now()
	return r.failed
}

func answer(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_, _ = fmt.Fprint(w, text) // to a client that has gone there is nothing more to say
}
