package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/api/ops"
	"github.com/hoopstat-haus/berth/internal/api/telemetry"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/jobs"
)

// lastSpans is how long the end may wait for the collector to take the last spans.
const lastSpans = 2 * time.Second

// openTelemetry makes what counts. It comes first, since the others are wrapped in it.
func (a *App) openTelemetry() {
	version, revision := build()
	c := a.cfg.Telemetry
	instance := a.cfg.Hostname
	if instance == "" {
		instance = a.cfg.Listen
	}
	a.telemetry = telemetry.New(telemetry.Config{
		Now: time.Now, Logger: a.deps.Logger, Version: version, Revision: revision, Repositories: c.Repositories,
		Traces: telemetry.Traces{Endpoint: c.OTLP, Headers: c.OTLPHeaders, Ratio: c.TraceRatio, Instance: instance},
	})
	if a.deps.Uncounted {
		return
	}
	a.deps.Logger = slog.New(a.telemetry.Logs(a.deps.Logger.Handler()))
}

// build is what the Go toolchain noted.
func build() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown"
	}
	version, revision = info.Main.Version, "unknown"
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			revision = s.Value
		}
	}
	return version, revision
}

// closeTelemetry sends the last spans.
func (a *App) closeTelemetry() error {
	if a.telemetry == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	err := a.telemetry.Close(ctx)
	a.telemetry = nil
	return err
}

// countOperations says which operations there are to be counted, before any is served.
func (a *App) countOperations(c awswire.Config) awswire.Config {
	a.telemetry.Operations(distribution.Face, distribution.Operations())
	a.telemetry.Operations(ops.Face, ops.Operations())
	for _, s := range c.Services {
		names := make([]string, 0, len(s.Operations))
		for name := range s.Operations {
			names = append(names, name)
		}
		a.telemetry.Operations(s.Name, names)
	}
	return c
}

// countedJobs counts runs of jobs. Those that do the same, and differ by a number, go together.
func (a *App) countedJobs(all []jobs.Job) []jobs.Job {
	if a.deps.Uncounted {
		return all
	}
	for i, j := range all {
		all[i].Do = a.telemetry.Job(strings.TrimRight(j.Name, " 0123456789"), j.Do)
	}
	return all
}

// countedHandlers counts what those who want to know of events are told.
func (a *App) countedHandlers() map[string]event.Handler {
	if a.deps.Uncounted {
		return a.handlers()
	}
	return a.telemetry.Handlers(a.handlers())
}

// countedBlobs counts what is asked of the blob store.
func (a *App) countedBlobs() blob.Store {
	if a.deps.Uncounted {
		return a.blobs
	}
	return a.telemetry.Blobs(a.blobs)
}

// served is who counts requests; nil: nobody.
func (a *App) served() func(context.Context, middleware.Served) {
	if a.deps.Uncounted {
		return nil
	}
	return a.telemetry.Served
}

// guard counts credentials that do not hold.
type guard struct {
	*authn.Guard

	telemetry *telemetry.Telemetry
}

func (a *App) newGuard(directory *identity.Directory) guard {
	return guard{authn.NewGuard(authn.New(authn.Config{Directory: directory, Now: a.deps.Now, Used: a.access.Used})), a.telemetry}
}

// Screen implements awswire.Authenticator.
func (g guard) Screen(r *http.Request, service string) error {
	err := g.Guard.Screen(r, service)
	g.telemetry.Credentials(telemetry.Signature, err)
	return err
}

// SigV4 implements awswire.Authenticator.
func (g guard) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	c, err := g.Guard.SigV4(r, body, service)
	g.telemetry.Credentials(telemetry.Signature, err)
	return c, err
}

// Basic implements distribution.Authenticator.
func (g guard) Basic(r *http.Request) (identity.Caller, error) {
	c, err := g.Guard.Basic(r)
	g.telemetry.Credentials(telemetry.Token, err)
	return c, err
}

// Bearer implements distribution.Authenticator.
func (g guard) Bearer(r *http.Request) (identity.Caller, error) {
	c, err := g.Guard.Bearer(r)
	g.telemetry.Credentials(telemetry.Bearer, err)
	return c, err
}

// Exchange implements distribution.Authenticator.
func (g guard) Exchange(r *http.Request) (authn.BearerToken, error) {
	t, err := g.Guard.Exchange(r)
	g.telemetry.Credentials(telemetry.Exchange, err)
	return t, err
}

// VerifyLink implements distribution.Authenticator.
func (g guard) VerifyLink(r *http.Request) error {
	err := g.Guard.VerifyLink(r)
	g.telemetry.Credentials(telemetry.Link, err)
	return err
}

// scraper recognises who asks for metrics: by a signature for ecr, an authorization token, or a bearer token.
func (n named) scraper(r *http.Request) (identity.Caller, error) {
	switch header := r.Header.Get("Authorization"); {
	case strings.HasPrefix(header, "AWS4-"):
		return n.SigV4(r, nil, "ecr")
	case len(header) > len("Bearer ") && strings.EqualFold(header[:len("Bearer ")], "Bearer "):
		return n.Bearer(r)
	default:
		return n.Basic(r)
	}
}

// listenOps opens the listener for metrics, where there is to be one.
func (a *App) listenOps(ctx context.Context) (err error) {
	a.watch()
	if a.cfg.Telemetry.OpsListen == "" {
		return nil
	}
	if a.opsAt, err = listen(ctx, a.cfg.Telemetry.OpsListen); err != nil {
		return fmt.Errorf("the listener for metrics: %w", err)
	}
	a.ops = &http.Server{
		Handler:           ops.NewListener(ops.Config{Checks: a.checks(), Logger: a.deps.Logger, Now: a.deps.Now, Metrics: a.telemetry.Handler()}),
		ReadHeaderTimeout: readHeaderTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(a.deps.Logger.Handler(), slog.LevelDebug),
	}
	return nil
}

// OpsAddress is where metrics are served without credentials; empty: nowhere.
func (a *App) OpsAddress() string {
	if len(a.opsAt) == 0 {
		return ""
	}
	return a.opsAt[0].Addr().String()
}

// serveOps answers at the listener for metrics until stopOps. That it breaks is no reason to stop.
func (a *App) serveOps() {
	ended := make(chan error)
	for _, l := range a.opsAt {
		go func() { ended <- a.ops.Serve(l) }()
	}
	for range a.opsAt {
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			a.deps.Logger.Error("the listener for metrics broke", slog.Any("error", err))
		}
	}
}

func (a *App) stopOps() {
	if a.ops != nil {
		_ = a.ops.Close() // whoever scrapes asks again
	}
}

// watch says where scrapes find what is only known when it is asked for.
func (a *App) watch() {
	database, self := a.database, identity.Service(a.cfg.Account, "metrics")
	a.telemetry.Watch(telemetry.Sources{
		InFlight: a.requests.count,
		Load: func() telemetry.Load {
			l, s := database.Load(), database.Stats()
			return telemetry.Load{Most: l.Most, Busy: l.Busy, Waits: l.Waits, Waited: l.Waited, Updates: s.Updates, Commits: s.Commits}
		},
		Size: database.Size,
		Queues: func(ctx context.Context) ([]telemetry.Queue, error) {
			all, err := database.Queues(ctx)
			queues := make([]telemetry.Queue, len(all))
			for i, q := range all {
				queues[i] = telemetry.Queue(q)
			}
			return queues, err
		},
		Garbage: func(ctx context.Context) (gc.Status, error) { return a.garbage.Status(ctx, self) },
		Scans:   func(ctx context.Context) (map[registry.ScanStatus]int64, error) { return database.ScanStates(ctx) },
		Holding: func(ctx context.Context) (telemetry.Holding, error) {
			h, err := database.Holding(ctx)
			return telemetry.Holding(h), err
		},
	})
}
