package app

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/berth"
	"github.com/hoopstat-haus/berth/internal/api/cloudtrail"
	"github.com/hoopstat-haus/berth/internal/api/cloudwatch"
	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/api/ecr"
	"github.com/hoopstat-haus/berth/internal/api/iam"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/api/ops"
	"github.com/hoopstat-haus/berth/internal/api/sts"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	readHeaderTimeout = 30 * time.Second
	// idleTimeout is longer than the idle timeouts of usual load balancers (60 s), so that it is they who
	// close a connection and never race a request against our closing it.
	idleTimeout    = 5 * time.Minute
	maxHeaderBytes = 64 << 10 // tokens are under 1 KiB, manifests' Accept lists under 2
)

// newServer makes the HTTP server. It puts no deadline on a whole request: a slow push lives as long as
// bytes come, which the middleware watches.
func (a *App) newServer(directory *identity.Directory) (*http.Server, error) {
	handler, err := a.handler(directory)
	if err != nil {
		return nil, err
	}
	s := &http.Server{
		Handler:           a.requests.counted(handler),
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         new(http.Protocols),
		// What net/http itself complains of is broken clients and port scanners.
		ErrorLog: slog.NewLogLogger(a.deps.Logger.Handler(), slog.LevelDebug),
	}
	s.RegisterOnShutdown(a.events.face.Close)
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetHTTP2(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	if a.cfg.TLSCert != "" {
		certificate := &certificate{certFile: a.cfg.TLSCert, keyFile: a.cfg.TLSKey, logger: a.deps.Logger}
		if _, err := certificate.get(nil); err != nil {
			return nil, fmt.Errorf("reading the TLS certificate: %w", err)
		}
		s.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate.get}
	}
	return s, nil
}

// handler puts the faces together. Paths under /v2 go to the registry face as they came: an http.ServeMux
// would clean them by redirecting.
func (a *App) handler(directory *identity.Directory) (http.Handler, error) {
	guard := a.newGuard(directory)
	auth := named{guard}
	aws, err := awswire.New(a.countOperations(awswire.Config{
		Authenticator: auth,
		Logger:        a.deps.Logger,
		RequestID:     func(r *http.Request) string { return middleware.RequestID(r.Context()) },
		Denials:       explained{a.access},
		Services: []awswire.Service{
			ecr.New(ecr.Config{
				Registry: a.registry, Lifecycle: a.lifecycle, Signing: a.signer, Replication: a.replication, PullThrough: a.caches, Scans: a.scans,
				Tokens: auth, Links: auth, Redirect: a.redirects(),
				ProxyEndpoint: a.url.String(), RepositoryHost: a.url.Host,
			}),
			sts.New(a.access),
			iam.New(a.access),
			cloudtrail.New(a.audits),
			cloudwatch.New(cloudwatch.Config{Usage: a.usage, Alarms: a.alarms, Now: a.deps.Now}),
			berth.New(berth.Config{
				Registry: a.registry, Signer: a.signer, Caches: a.caches, Keys: directory, Garbage: a.garbage, Checks: a.fsck,
				Policies: a.lifecycle, Advisories: a.advisories, Scans: a.scans, Attacher: a.sboms, Exceptions: a.vex,
				Usage: a.usage, Now: a.deps.Now, Notices: a.notices, Costs: a.costs, Log: a.audits,
			}),
		},
	}))
	if err != nil {
		return nil, fmt.Errorf("preparing the AWS APIs: %w", err)
	}
	oci := distribution.New(distribution.Config{
		Registry: a.registry, Pulls: a.caches, Auth: auth, Logger: a.deps.Logger,
		LinkCaller: identity.Service(a.cfg.Account, "download-links"), Redirect: a.redirects(), BaseURL: a.baseURL(), Denials: explained{a.access},
	})
	state := ops.New(ops.Config{
		Checks: a.checks(), Logger: a.deps.Logger, Now: a.deps.Now, Metrics: a.telemetry.Handler(), Caller: auth.scraper, May: a.registry.May,
	})
	feed := a.newEventFace(guard.Guard)
	faces := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := r.URL.Path; {
		case path == "/v2" || strings.HasPrefix(path, "/v2/"):
			oci.ServeHTTP(w, r)
		case ops.Serves(path):
			state.ServeHTTP(w, r)
		case path == "/events" || strings.HasPrefix(path, "/events/"):
			feed.ServeHTTP(w, r)
		default:
			aws.ServeHTTP(w, r)
		}
	})
	return a.telemetry.Requests(middleware.New(middleware.Config{
		Next: faces, Logger: a.deps.Logger, Now: time.Now, Proxies: a.cfg.TrustedProxies, Served: a.served(), Audit: a.record(),
	})), nil
}

func (a *App) redirects() bool { return a.cfg.Delivery == config.Redirect }

// baseURL answers absolute URLs by the name that clients are told to use, if the operator said which: behind
// a proxy that ends TLS the request itself looks like plain HTTP. Otherwise the face goes by the request,
// which also serves those who came by another name.
func (a *App) baseURL() func(*http.Request) string {
	if a.cfg.Hostname == "" {
		return nil
	}
	base := a.url.String()
	return func(*http.Request) string { return base }
}

// checks are what readiness depends on.
func (a *App) checks() []ops.Check {
	// No blob ever has this key, so a store that answers at all answers that it is not there.
	const nothing = blob.Key("00000000000000000000000000000000")
	database, blobs := a.database, a.blobs
	return []ops.Check{
		{Name: "database", Do: database.Ping},
		{Name: "blob store", Do: func(ctx context.Context) error {
			if _, err := blobs.Size(ctx, nothing); !errors.Is(err, blob.ErrNotFound) {
				return err
			}
			return nil
		}},
	}
}

// named is the authenticator that also tells the access log who signed an AWS request; the distribution face
// tells it whose token it was.
type named struct{ guard }

// SigV4 recognises the signer of an AWS request.
func (n named) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	c, err := n.guard.SigV4(r, body, service)
	if err == nil {
		middleware.NotePrincipal(r.Context(), c.ARN)
	}
	return c, err
}
