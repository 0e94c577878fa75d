// Package replicate sends images on to other registries (Amazon ECR, "Private image replication"), and sends
// afterwards what was there before (backfills).
//
// Life of a replicated push: the outbox hands the push to [Service.Handle], which writes a [Row] for each
// destination that a rule names. [Service.SendOnce], which several jobs of each process call, claims a row that
// is due and sends the image: what it is made of first (the images of an index, the image that it refers to,
// the layers that the destination lacks), then the manifest as it is, with its tags. The row stays, and is the image's
// replication status.
//
// What decides is the state at the time of sending: an image that is gone is no longer sent, a tag that moved
// on is left to the image that has it now. A destination that does not answer is tried again for as long as
// it takes; only what it refuses for good is FAILED. What came in by replication is not sent on, and
// deletions are not replicated.
package replicate

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Destination is a registry in a region.
type Destination struct {
	Region     string `json:"region"`
	RegistryID string `json:"registryId"`
}

// String gives region/registry.
func (d Destination) String() string { return d.Region + "/" + d.RegistryID }

// Registry is what replication needs of this registry.
type Registry interface {
	// ID gives its account.
	ID() string
	// May answers nil when the caller may do an action on a repository or, where it is empty, on the
	// registry as a whole.
	May(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	// ReplicationImage finds one by id, for DescribeImageReplicationStatus.
	ReplicationImage(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (registry.Image, error)
	// Layer gets one to read.
	Layer(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (registry.Content, error)
}

// Database is where the registry's rows and its settings are.
type Database interface {
	Update(ctx context.Context, f func(tx registry.Tx) error) error
	Read() registry.Queries
}

// Config is what a Service needs; every field but Remotes, the two Wakes and Report must be set.
type Config struct {
	Registry  Registry
	Database  Database
	Store     Store
	Backfills Backfills
	Region    string // of this registry
	// Remotes are the destinations that this server knows how to reach. A rule may name no others.
	Remotes map[Destination]Remote
	Now     func() time.Time
	// Wake is called when there is something to send. It returns at once.
	Wake func()
	// WakeBackfills is called when there is a backfill to prepare. It returns at once.
	WakeBackfills func()
	// Report is told of attempts that failed. One that is no [Refused] is made again.
	Report func(ctx context.Context, row Row, err error)
}

// Service is replication. Its methods may be called from many goroutines.
type Service struct {
	Config
	rests rests
	turns turns
}

// New makes the service.
func New(c Config) *Service {
	now := c.Now
	c.Now = func() time.Time { return now().UTC().Truncate(time.Microsecond) }
	return &Service{Config: c}
}
