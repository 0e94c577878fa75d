// Package signing signs images when they are pushed, so that cosign can verify them with the registry's public
// key.
//
// A configuration names signing profiles and the repositories whose images each signs. For every profile that
// a configuration names the registry makes a key, once, and keeps it sealed under the master key. A push of a
// new image (see [Signer.Handle]) makes a row for each profile that its repository falls to; a job
// ([Signer.Once]) takes the rows of one image, signs and stores the signatures in the image's own repository,
// as what cosign itself would have put there (cosign.go). docs/design/signing.md says what that is and why.
//
// Signing can be repeated: keys sign deterministically (RFC 6979) and nothing in a signature tells the time, so
// that a second attempt makes the same bytes under the same digests, wherever a crash ended the first.
package signing

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// ErrNoKey is what Keys answers for a profile that has none.
var ErrNoKey = errors.New("no such signing key")

// Keys is where the keys of profiles rest.
type Keys interface {
	// SigningKey finds a profile's key by its ARN, or answers ErrNoKey.
	SigningKey(ctx context.Context, profile string) (SealedKey, error)
	// SigningKeysNamed lists the keys of the profiles whose ARNs end in that name, in order of ARN.
	SigningKeysNamed(ctx context.Context, name string) ([]SealedKey, error)
	// EnsureSigningKey stores a key, durably, unless its profile has one.
	EnsureSigningKey(ctx context.Context, key SealedKey) error
}

// SealedKey is a profile's private key as it rests.
type SealedKey struct {
	Profile   string // ARN
	Name      string // the profile's name: the last part of the ARN
	Sealed    []byte // PKCS #8, under the master key
	CreatedAt time.Time
}

// Work is the rows of what is to be signed.
type Work interface {
	// PlanSigning adds a pending row for each profile that has none for the image, due at once. An image
	// that is not there any more has no rows.
	PlanSigning(ctx context.Context, repositoryID int64, d oci.Digest, profiles []string, now time.Time) error
	// ClaimSigning takes the due rows of one image, oldest first, and makes them due again at the given time
	// in case whoever took them does not come back. It tells whether there were any.
	ClaimSigning(ctx context.Context, now, again time.Time) (Task, bool, error)
	// SettleSigning stores what became of a pending row.
	SettleSigning(ctx context.Context, imageID int64, s Status) error
	// Signings lists an image's rows in order of profile.
	Signings(ctx context.Context, repository string, d oci.Digest) ([]Status, error)
}

// Task is an image to be signed, by one profile or several.
type Task struct {
	ImageID      int64
	Repository   string
	Digest       oci.Digest
	MediaType    string
	ManifestSize int64
	Pending      []Status
}

// State is how far a signature is.
type State string

// The states.
const (
	Pending State = "pending"
	Done    State = "done"
	Failed  State = "failed"
)

// Status is how far one profile's signature of an image is.
type Status struct {
	Profile  string // ARN
	State    State
	Attempts int       // that have failed
	DueAt    time.Time // Pending: of the next attempt
	Code     string    // Failed: one of the Code constants
	Reason   string    // Failed: for people
}

// Config is what a Signer is made of; every field but Notify must be set.
type Config struct {
	Registry *registry.Registry
	Store    registry.Store // where the configuration is
	Keys     Keys
	Work     Work
	Master   identity.MasterKey
	// Host is the name by which clients know the registry, with a port where there is one: signatures name the
	// repository that an image was pushed to.
	Host string
	Now  func() time.Time
	// Notify is called when there is something to sign. It returns at once.
	Notify func()
}

// Signer signs one registry's images. Its methods may be called from many goroutines.
type Signer struct {
	registry *registry.Registry
	store    registry.Store
	keys     Keys
	work     Work
	master   identity.MasterKey
	host     string
	self     identity.Caller // the signer as who puts signatures into repositories
	now      func() time.Time
	notify   func()
}

// New makes a signer.
func New(c Config) *Signer {
	s := &Signer{
		registry: c.Registry, store: c.Store, keys: c.Keys, work: c.Work, master: c.Master, host: c.Host,
		self:   identity.Service(c.Registry.ID(), "signing"),
		now:    func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		notify: c.Notify,
	}
	if s.notify == nil {
		s.notify = func() {}
	}
	return s
}

// Statuses tells how far an image's signatures are, in order of profile (ecr:DescribeImageSigningStatus), and
// which image it is. An image that no profile signs has none.
func (s *Signer) Statuses(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (oci.Digest, []Status, error) {
	if err := s.registry.MayOnImage(ctx, caller, repository, id, policy.DescribeImageSigningStatus); err != nil {
		return "", nil, err
	}
	images, err := s.registry.DescribeImages(ctx, s.self, repository, []registry.ImageID{id})
	if err != nil {
		return "", nil, err
	}
	statuses, err := s.work.Signings(ctx, repository, images[0].Digest)
	return images[0].Digest, statuses, err
}
