// Package app puts Berth together: configuration in, a running server out. It owns the order in which
// things start and stop, and decides nothing else.
//
// Start: the data directory is locked (where it holds the database or the layers), the master key read or made, the
// database opened and migrated, the blob store opened, the root key ensured, the blob store compared with
// the one that the database knows, the faces put behind one listener, and where to find the server written
// down beside its root key, and the background work begun. Stop is the reverse: the listener closes, requests
// under way finish within the shutdown timeout, background work ends, pull times are written, blob store and database close, and the data directory is given
// up last.
package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/telemetry"
	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/notify"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/sbom"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/core/usage/alarm"
	"github.com/hoopstat-haus/berth/internal/core/usage/cost"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/jobs"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
	"github.com/hoopstat-haus/berth/internal/storage/journal"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// Deps is what the assembly needs from outside. Logger and Now must be set.
type Deps struct {
	Logger *slog.Logger
	Now    func() time.Time
	// Scanner says that this program reads a layer when it is started with extract.Arguments. Another program, such as a test that has
	// a server in it, would do who knows what: without it nothing is scanned.
	Scanner bool
	// BlobScanned is called for each blob that a scan begins to read; or nil.
	BlobScanned func(oci.Descriptor)
	// Uncounted leaves out what telemetry counts of requests, database, layers and jobs, for those who measure what that costs.
	Uncounted bool
}

// App is one Berth, listening and ready to serve.
type App struct {
	cfg  config.Config
	deps Deps

	telemetry *telemetry.Telemetry
	counted   blob.Store   // blobs, with what is asked of it counted
	ops       *http.Server // nil where metrics have no listener of their own
	opsAt     []net.Listener

	lock      io.Closer // nil where the data directory holds neither database nor layers
	database  *metadb.DB
	blobs     blob.Store
	registry  *registry.Registry
	access    *access.Service
	lifecycle *lifecycle.Service
	garbage   *gc.Service
	sweeping  jobs.Bell // rings when somebody waits for the sweep
	master    identity.MasterKey
	directory *identity.Directory
	signer    *signing.Signer
	vex       *scan.Exceptions
	signing   jobs.Bell // rings when there is something to sign
	fsck      *fsck.Service
	toCheck   jobs.Bell // rings when a check of what is stored was started
	upstreams *ociclient.Client
	caches    *pullthrough.Cache
	outbox    jobs.Bell // rings when there are events
	previews  jobs.Bell // rings when a lifecycle policy preview was started
	root      identity.AccessKey
	created   bool // the root key was made by this start
	url       *url.URL
	listeners []net.Listener
	server    *http.Server
	requests  requests

	audits   *audit.Service
	journal  *journal.Journal // nil: there is no audit log
	recorder *audit.Recorder
	indexer  *audit.Indexer
	itself   *audit.Itself
	toIndex  jobs.Bell // rings when the audit log has records to read

	advisories *scan.Advisories
	sboms      *sbom.Attacher
	usage      *usage.Service
	costs      *cost.Service
	toImport   jobs.Bell // rings when there are advisories to import
	toJudge    jobs.Bell // rings when advisories have changed

	extractor *extract.Extractor // nil: nothing can be scanned
	scans     *scan.Service
	judge     *scan.Judge
	toScan    jobs.Bell // rings when there is something to scan
	toRequest jobs.Bell // rings when images that were there may have to be scanned
	toTell    jobs.Bell // rings when there are changed findings to tell of

	alarms   *alarm.Service
	toWatch  jobs.Bell // rings when an alarm is to be looked at at once
	notices  *notify.Service
	toTarget map[string]jobs.Bell // each rings when its target has something to be sent
	events   *eventFeed

	replication *replicate.Service
	toSend      jobs.Bell   // rings when there are images to replicate
	toBackfill  jobs.Bell   // rings when there is a backfill to prepare
	remotes     []io.Closer // the clients of other registries
}

// New starts everything but the answering of requests, which Run does. What it opened before an error is
// closed again.
func New(ctx context.Context, cfg config.Config, deps Deps) (_ *App, err error) {
	a := &App{
		cfg: cfg, deps: deps, outbox: jobs.NewBell(), previews: jobs.NewBell(), sweeping: jobs.NewBell(), signing: jobs.NewBell(),
		toIndex: jobs.NewBell(), toSend: jobs.NewBell(), toBackfill: jobs.NewBell(), toCheck: jobs.NewBell(),
		toImport: jobs.NewBell(), toJudge: jobs.NewBell(), toScan: jobs.NewBell(), toRequest: jobs.NewBell(), toTell: jobs.NewBell(),
	}
	a.openTelemetry()
	defer func() {
		if err != nil {
			err = errors.Join(err, a.Close())
		}
	}()
	if err := os.MkdirAll(cfg.Data, 0o700); err != nil {
		return nil, fmt.Errorf("making the data directory: %w", err)
	}
	if cfg.Database == "" || cfg.Blobs == "" {
		if a.lock, err = lockData(filepath.Join(cfg.Data, "berth.lock")); err != nil {
			return nil, err
		}
	}
	directory, err := a.open(ctx)
	if err != nil {
		return nil, err
	}
	if a.listeners, err = listen(ctx, cfg.Listen); err != nil {
		return nil, err
	}
	a.url = cfg.PublicURL(port(a.listeners[0]))
	a.signer = a.newSigner()
	a.vex = a.newExceptions()
	a.scans = a.newScans()
	a.sboms = a.newSBOMs()
	a.usage = a.newUsage()
	a.openAlarms()
	if err := a.newEvents(); err != nil {
		return nil, err
	}
	a.costs = a.newCosts()
	if a.server, err = a.newServer(directory); err != nil {
		return nil, err
	}
	if err := a.listenOps(ctx); err != nil {
		return nil, err
	}
	return a, a.writeRootKey()
}

// open opens what is kept.
func (a *App) open(ctx context.Context) (*identity.Directory, error) {
	master, made, err := masterKey(a.cfg, a.deps.Now)
	if err != nil {
		return nil, err
	}
	if a.database, err = openDatabase(ctx, a.cfg); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if !a.deps.Uncounted {
		a.database.Observe(a.telemetry.Database())
	}
	if a.blobs, err = openBlobs(ctx, a.cfg); err != nil {
		return nil, fmt.Errorf("opening the blob store: %w", err)
	}
	a.counted = a.countedBlobs()
	a.master = master
	directory := identity.NewDirectory(identity.Config{
		Store: a.database, Vault: a.database.Vault(), Master: master, Account: a.cfg.Account, Now: a.deps.Now,
	})
	a.directory = directory
	if a.root, a.created, err = directory.EnsureRoot(ctx); err != nil {
		if made && errors.Is(err, identity.ErrWrongMasterKey) {
			// Another server made the key that counts. The new one protects nothing and would only mislead.
			err = fmt.Errorf("there is no master key in %s, and a new one does not do: %w", a.cfg.MasterKeyFile, err)
			err = errors.Join(err, os.Remove(a.cfg.MasterKeyFile))
		}
		return nil, fmt.Errorf("preparing the root access key: %w", err)
	}
	if err := a.checkBlobs(ctx); err != nil {
		return nil, err
	}
	if err := a.openAccess(directory); err != nil {
		return nil, err
	}
	a.openExtractor()
	a.registry = a.newRegistry()
	a.lifecycle = lifecycle.New(lifecycle.Config{
		Registry: a.registry, Archiver: a.registry, Store: a.database, Rows: a.database.Lifecycle(), Now: a.deps.Now, NotifyPreview: a.previews.Ring,
		Logger: a.deps.Logger,
	})
	a.garbage = a.newGarbage()
	if a.cfg.CreateOnPush {
		if err := a.registry.EnsureCreateOnPush(ctx, identity.Service(a.cfg.Account, "create-on-push")); err != nil {
			return nil, err
		}
	}
	if err := a.openAudit(ctx); err != nil {
		return nil, err
	}
	a.fsck = a.newFsck()
	a.replication = a.newReplication()
	a.openCaches()
	if err := a.openAdvisories(); err != nil {
		return nil, err
	}
	if err := a.openNotices(); err != nil {
		return nil, err
	}
	return directory, nil
}

// newRegistry makes the heart. Some of what it asks is made after it.
func (a *App) newRegistry() *registry.Registry {
	return registry.New(registry.Config{
		Exposures: exposures{a},
		Scanner:   a.extractor != nil, Scans: registry.ScanSettings{Daily: a.cfg.ScanDailyLimit, Wanted: a.scanWanted},
		Store: a.database, Blobs: a.counted, Account: a.cfg.Account, Region: a.cfg.Region, Now: a.deps.Now,
		Access:        a.telemetry.Access(a.access),
		Grace:         a.cfg.GCGrace,
		TrashWindow:   a.cfg.TrashWindow,
		Notify:        a.outbox.Ring,
		ReadLifecycle: func(text string) (string, error) { return a.lifecycle.Check(text) },

		PinnedDeployments: a.cfg.PinnedDeployments,
	})
}

func openDatabase(ctx context.Context, cfg config.Config) (*metadb.DB, error) {
	if cfg.Database != "" {
		return metadb.OpenPostgres(ctx, cfg.Database)
	}
	return metadb.OpenSQLite(ctx, cfg.DatabaseFile())
}

// URL is how clients reach this Berth.
func (a *App) URL() *url.URL { return a.url }

// CreatedRoot tells whether this start made the root access key.
func (a *App) CreatedRoot() bool { return a.created }

// Close gives up what New opened, in reverse. Run does it too; calling both is fine.
func (a *App) Close() error {
	var problems []error
	for _, l := range slices.Concat(a.listeners, a.opsAt) {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			problems = append(problems, err)
		}
	}
	a.events.close()
	for _, r := range a.remotes {
		problems = append(problems, r.Close())
	}
	if a.caches != nil {
		a.caches.Close()
		a.upstreams.Close()
	}
	if blobs, ok := a.blobs.(io.Closer); ok {
		problems = append(problems, blobs.Close())
	}
	a.blobs = nil
	if a.extractor != nil {
		problems = append(problems, a.extractor.Close())
		a.extractor = nil
	}
	if a.journal != nil {
		problems = append(problems, a.journal.Close())
		a.journal = nil
	}
	if a.database != nil {
		problems = append(problems, a.database.Close())
		a.database = nil
	}
	problems = append(problems, a.closeTelemetry())
	if a.lock != nil {
		problems = append(problems, a.lock.Close())
		a.lock = nil
	}
	return errors.Join(problems...)
}
