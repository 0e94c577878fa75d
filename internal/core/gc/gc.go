// Package gc removes what nothing needs any more: images whose time in the trash is over, layers that no image of their repository
// refers to, blobs that nothing has, bytes that no row names, and uploads that were given up.
//
// Nothing is searched for. Whoever takes a reference away sets, in the same transaction, when the thing it pointed to is
// looked at; [Service.SweepOnce] takes what is due. Only what a crash may have left without a row is looked for, slowly, by
// [Service.WalkOnce]. docs/design/gc.md says why nothing that is needed can go.
package gc

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Config is what a Service needs. Rows, Blobs and Now must be set.
type Config struct {
	Rows   Store
	Blobs  blob.Store
	Walker blob.Walker // nil where the store cannot tell what it holds
	Now    func() time.Time
	Grace  time.Duration // as the registry's (registry.Config); 0: registry.DefaultGrace
	// UploadTTL is how long an upload may go without a byte; 0: for ever.
	UploadTTL time.Duration
	// Rate bounds how many things a second one replica takes, each stage counted; 0: no bound.
	Rate int
	// MaxJump is how far the clock may be ahead of when any replica last looked; more holds everything up for a while. 0: no matter.
	MaxJump time.Duration
	// May answers nil when the caller may do the action on the registry as a whole: registry.Registry.May. Nil allows nothing.
	May func(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
	// Wake, where it is set, has the sweep begun at once instead of within seconds.
	Wake func()
	// Logger is told what went for good, at most once a minute; nil: nobody is.
	Logger *slog.Logger
}

// Service is the garbage collector of one replica. Any number may work on one database.
type Service struct {
	Config

	id string // this replica's, in the claim of a walk

	mu      sync.Mutex
	done    [stages]Amount // since the start
	busy    time.Duration  // time spent on that, pauses of the pace included
	resting time.Time      // until when the blob store is left alone, since it failed
	clock   clockGuard
	told    [stages]Amount // of done, what is in the log
	toldAt  time.Time
}

// New makes a Service.
func New(c Config) *Service {
	c.Grace = cmp.Or(c.Grace, registry.DefaultGrace)
	now := c.Now
	c.Now = func() time.Time { return now().UTC().Truncate(time.Microsecond) }
	if c.Wake == nil {
		c.Wake = func() {}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{Config: c, id: rand.Text()}
}

// longestLink is how long a link to a layer's bytes is good for, and more than any request takes to open what it found.
const longestLink = time.Hour

// bytesStay is how long bytes stay after the last row that named them.
func (s *Service) bytesStay() time.Duration { return min(s.Grace, longestLink) }

// again is how long a claim on garbage lasts, and when what could not be removed is tried again. A claim moves the time at which
// garbage is due, by which the registry knows not to take it back (GarbageWrites.TakeBack).
func (s *Service) again() time.Duration { return s.bytesStay() / 4 }
