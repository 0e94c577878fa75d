// Package registry is the heart of Berth: repositories, images, tags, layers and uploads.
//
// Every exported operation takes the [identity.Caller] who asks, and asks the permission first. Rules are
// decided here, inside the transaction that writes; the database ([Store]) and the bytes (blob.Store) only
// obey. The order of a push is bytes first, row second, answer last: a crash leaves bytes without a row,
// which cost room and nothing else, and never a row without bytes.
//
// Life of a push: StatLayer for each layer; StartUpload, AppendUpload and CompleteUpload (or PutLayer, in
// one) for those that are missing, each durable and linked to its repository when it returns; then
// PutImage, which checks in one transaction that everything the manifest names is there, keeps the
// manifest's bytes as they came, moves the tags and writes their history.
package registry

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Config is what a Registry needs; every field but Notify, Scanner, Scans, ReadLifecycle, Grace, TrashWindow, PinnedDeployments, Access and Exposures must be set.
type Config struct {
	Store   Store
	Blobs   blob.Store
	Account string // 12 digits: the registry's id
	Region  string
	Now     func() time.Time
	// Notify is called when there are new events in the outbox. It returns at once.
	Notify func()
	// Scanner says that there is one, which takes on the scans that are pending. Without it they fail at once.
	Scanner bool
	Scans   ScanSettings
	// ReadLifecycle reads a lifecycle policy that a creation template is to stamp, and gives the text to stamp, or
	// the fault that is wrong with it. Nil takes any JSON object.
	ReadLifecycle func(text string) (string, error)
	// Grace is how long a layer stays that no image needs any more, or yet: a push has so much time between being told that
	// the layer is there, or sending it, and its manifest. Zero is DefaultGrace.
	Grace time.Duration
	// TrashWindow is how long deleted images stay restorable in repositories that do not say otherwise; 0: not at all.
	TrashWindow time.Duration
	// PinnedDeployments is how many images, of those that each application ran in each environment, are kept from being
	// deleted and archived. 0 keeps none.
	PinnedDeployments int
	// Access decides what callers may do. Nil: the account's root principal everything, and nobody else anything.
	Access Access
	// Exposures tells of images' findings, where policies ask for them (ecr:ImageScanSeverity). Nil: nothing is known of any image.
	Exposures Exposures
}

// Access decides what callers may do.
type Access interface {
	// Authorize answers nil when the caller may, or fault.AccessDenied, whose message names principal, action, resource
	// and reason.
	Authorize(ctx context.Context, caller identity.Caller, r policy.Request) error
}

// Registry is one account's registry. Its methods may be called from many goroutines.
type Registry struct {
	store   Store
	blobs   blob.Store
	account string
	region  string
	now     func() time.Time
	notify  func()
	scanner bool
	scans   ScanSettings
	grace   time.Duration
	trash   time.Duration
	pulls   *pullRecorder
	busy    sync.Map // upload ids that a request is working on, each to itself

	readLifecycle func(text string) (string, error) // or nil
	access        Access                            // or nil
	pinDepth      int
	sides         sideCache
	exposures     Exposures // or nil
	exposed       exposureCache
}

// New makes a registry.
func New(c Config) *Registry {
	return &Registry{
		store: c.Store, blobs: c.Blobs, account: c.Account, region: c.Region,
		now:           func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		notify:        c.Notify,
		scanner:       c.Scanner,
		scans:         c.Scans,
		grace:         cmp.Or(c.Grace, DefaultGrace),
		trash:         c.TrashWindow,
		pulls:         newPullRecorder(),
		readLifecycle: c.ReadLifecycle,
		access:        c.Access,
		pinDepth:      c.PinnedDeployments,
		exposures:     c.Exposures,
	}
}

// ID gives the registry's id, which is its account.
func (r *Registry) ID() string { return r.account }

// ARN names a repository of this registry.
func (r *Registry) ARN(repository string) string {
	return policy.RepositoryARN(r.region, r.account, repository)
}

// MayGetToken answers nil when the caller may have an authorization token (ecr:GetAuthorizationToken).
func (r *Registry) MayGetToken(ctx context.Context, caller identity.Caller) error {
	return r.authorize(ctx, caller, policy.GetAuthorizationToken, policy.AnyResource)
}

// authorize asks for what is about no one repository: the registry's policy alone has a say in it beside the caller's.
func (r *Registry) authorize(ctx context.Context, caller identity.Caller, action policy.Action, resource string) error {
	return r.ask(ctx, caller, question{action: action, resource: resource})
}

// question is what is asked before an operation.
type question struct {
	action     policy.Action
	resource   string
	below      bool           // the resource ends in *, and stands for all that begins so
	repository string         // whose policy and tags have a say, if it is there; or empty
	request    policy.Context // the keys that are about the request itself, or nil
}

// ask is where every operation asks. It may read from the database, and is never called within a transaction: under load
// a connection that holds one would wait for another that never comes.
func (r *Registry) ask(ctx context.Context, caller identity.Caller, q question) error {
	if (caller.Root || caller.Service) && caller.Session == nil && caller.Account == r.account {
		return nil
	}
	action, resource := q.action, q.resource
	if r.access != nil {
		side, err := r.side(ctx, q.repository)
		if err != nil {
			return err
		}
		return r.access.Authorize(ctx, caller, policy.Request{
			Action: action, Resource: resource, Below: q.below, Account: r.account, Resources: side.policies, Context: side.context(q.request),
		})
	}
	who := caller.ARN
	if who == "" {
		who = "anonymous"
	}
	return fault.New(fault.AccessDenied, "%s", policy.Denied(who, action, resource))
}

// onRepository checks a repository's name and that the caller may do all of the actions on it.
func (r *Registry) onRepository(ctx context.Context, caller identity.Caller, name string, actions ...policy.Action) error {
	return r.onRepositoryWith(ctx, caller, name, nil, actions...)
}

// onRepositoryWith is onRepository with condition keys that are about the request.
func (r *Registry) onRepositoryWith(ctx context.Context, caller identity.Caller, name string, request policy.Context, actions ...policy.Action) error {
	if _, err := oci.ParseRepositoryName(name); err != nil {
		return err
	}
	for _, a := range actions {
		if err := r.ask(ctx, caller, question{action: a, resource: r.ARN(name), repository: name, request: request}); err != nil {
			return err
		}
	}
	return nil
}

// repository reads one by name from q, or answers fault.RepositoryNotFound.
func (r *Registry) repository(ctx context.Context, q RepositoryQueries, name string) (Repository, error) {
	repo, err := q.Repository(ctx, name)
	return repo, r.repositoryError(err, name)
}

// lockRepository is repository for transactions that decide from what the repository holds.
func (r *Registry) lockRepository(ctx context.Context, tx Tx, name string) (Repository, error) {
	repo, err := tx.LockRepository(ctx, name)
	return repo, r.repositoryError(err, name)
}

func (r *Registry) repositoryError(err error, name string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrNoRow):
		return r.RepositoryNotFound(name, r.account)
	default:
		return fmt.Errorf("reading repository %s: %w", name, err)
	}
}

// absent tells why a look-up by a repository's name found nothing: there is no such repository, or what is
// in it lacks what was asked for, which notThere words.
func (r *Registry) absent(ctx context.Context, repository string, notThere error) error {
	if _, err := r.repository(ctx, r.store.Read(), repository); err != nil {
		return err
	}
	return notThere
}

// RepositoryNotFound words the fault for a repository that a registry of that id does not have.
func (r *Registry) RepositoryNotFound(name, registryID string) error {
	return fault.New(fault.RepositoryNotFound, "The repository with name '%s' does not exist in the registry with id '%s'", name, registryID)
}

// randomHex gives 2n lower-case hexadecimal digits that nobody can guess.
func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails: it ends the program instead (crypto/rand)
	return fmt.Sprintf("%x", b)
}

// blobFault turns a blob store's failure into the fault a caller can act on.
func blobFault(err error, doing string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, blob.ErrFull):
		return fault.Wrap(fault.StorageFull, err, "the registry's blob store is full: nothing was stored")
	case errors.Is(err, blob.ErrUnavailable):
		return fault.Wrap(fault.Unavailable, err, "the registry's blob store does not answer: nothing was stored, try again")
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}
