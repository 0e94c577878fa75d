// Package pullthrough is the cache of other registries' images: rules that say which repositories are copies
// of an upstream's, and what happens when somebody pulls from one.
//
// A [Cache] has the registry's own operations of a pull, under the same names, and does what they do. Where a
// rule is about the repository, it first fetches what was asked for and is not here, and nothing more: an index
// is stored while its images are upstream still, a manifest while its layers are. Manifests are kept byte for
// byte under the upstream's digest. What is here is served without asking; only tags grow old, by their rule's
// TTL, and then the upstream is asked by HEAD. An upstream that is away, slow, busy or refuses costs a client
// nothing as long as there is a stored copy. docs/design/pull-through.md has the whole.
package pullthrough

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// patience is how long a pull waits for an upstream's manifest.
	patience = 30 * time.Second
	// shortPatience is how long it waits where there is a stored copy. The asking goes on, for the next pull.
	shortPatience = 3 * time.Second
	// atOnce bounds how many layers, and how many manifests, are fetched at the same time; others wait.
	atOnce = 32
)

// Endpoint is a registry and what it is asked with.
type Endpoint struct {
	URL string // scheme and host
	Credentials
}

// Found is what an upstream says of a manifest. Body is empty when only its description was asked for; Digest is
// empty where the upstream does not say it.
type Found struct {
	Digest    oci.Digest
	MediaType string
	Body      []byte
}

// Upstream asks other registries. What is not there is fault.ImageNotFound or fault.LayerNotFound, what is
// refused fault.UpstreamDenied; a registry that wants to be left alone is fault.UpstreamBusy, with how long as
// its detail, and one that does not answer as it should fault.UpstreamUnavailable.
type Upstream interface {
	// Ping asks whether a registry is there and takes the credentials.
	Ping(ctx context.Context, at Endpoint) error
	// Head asks what a reference names.
	Head(ctx context.Context, at Endpoint, repository string, ref oci.Reference) (Found, error)
	// Manifest gets a manifest.
	Manifest(ctx context.Context, at Endpoint, repository string, ref oci.Reference) (Found, error)
	// LayerSize asks how large a layer is.
	LayerSize(ctx context.Context, at Endpoint, repository string, d oci.Digest) (int64, error)
	// Layer gets a layer's bytes and how many they are, negative when the upstream does not say.
	Layer(ctx context.Context, at Endpoint, repository string, d oci.Digest) (io.ReadCloser, int64, error)
	// Referrers lists what refers to a manifest.
	Referrers(ctx context.Context, at Endpoint, repository string, d oci.Digest) ([]oci.Descriptor, error)
}

// Check is when an upstream was asked, and what it said.
type Check struct {
	Digest oci.Digest
	At     time.Time
}

// Store is where rules and checks rest. A row that is not there is registry.ErrNoRow.
type Store interface {
	// Rules lists all rules.
	Rules(ctx context.Context) ([]Rule, error)
	// InsertRule adds one, or answers ErrRuleExists, or ErrTooManyRules when there are most already.
	InsertRule(ctx context.Context, r Rule, most int) error
	// ChangeRule changes one in a transaction and gives it as it then is.
	ChangeRule(ctx context.Context, prefix string, change func(*Rule)) (Rule, error)
	// DeleteRule removes one and gives it as it was.
	DeleteRule(ctx context.Context, prefix string) (Rule, error)
	// Checked tells when the upstream was last asked about a name of a repository.
	Checked(ctx context.Context, repository, name string) (Check, error)
	// SetChecked remembers it. A repository that is not there is no error.
	SetChecked(ctx context.Context, repository, name string, c Check) error
	// ForgetChecks removes those of names that are neither a tag nor an image of the repository any more.
	ForgetChecks(ctx context.Context, repositoryID int64, names []string) error
}

// Spool keeps the bytes of a layer while they arrive, for all who read along. It is written by one and read by
// many at the same time; closing it loses what is in it.
type Spool interface {
	io.Writer
	io.ReaderAt
	io.Closer
}

// Config is what a Cache needs; all of it must be set.
type Config struct {
	Registry *registry.Registry
	Store    Store
	Upstream Upstream
	Spool    func() (Spool, error)
	Secrets  map[string]Credentials // by the name that rules know them by
	Now      func() time.Time
	Logger   *slog.Logger
	// Tell records an event; nil: nobody is told.
	Tell func(ctx context.Context, e event.Event)
}

// Cache is the registry with other registries behind it. Its methods may be called from many goroutines.
type Cache struct {
	registry *registry.Registry
	store    Store
	upstream Upstream
	spool    func() (Spool, error)
	secrets  map[string]Credentials
	now      func() time.Time
	log      *slog.Logger
	self     identity.Caller // as whom what was fetched is stored

	record func(ctx context.Context, e event.Event) // may be nil
	told   told

	rules     ruleBook
	holds     holds
	manifests flights
	layers    fetches

	// What is fetched is fetched for whoever comes, so it ends with the cache and not with a request.
	life   context.Context
	stop   context.CancelFunc
	work   sync.WaitGroup
	closed sync.Once
}

// New makes a cache. Close ends it.
func New(c Config) *Cache {
	life, stop := context.WithCancel(context.Background())
	return &Cache{
		registry: c.Registry, store: c.Store, upstream: c.Upstream, spool: c.Spool, secrets: c.Secrets, log: c.Logger, record: c.Tell,
		now:  func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		self: identity.Service(c.Registry.ID(), "pull-through"),
		life: life, stop: stop,
		manifests: flights{slots: make(chan struct{}, atOnce)}, layers: fetches{slots: make(chan struct{}, atOnce)},
	}
}

// Close ends what is being fetched and waits for it. Nothing may be pulled any more.
func (c *Cache) Close() {
	c.closed.Do(c.stop)
	c.work.Wait()
}
