package scan

import (
	"context"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Config is what a Service is made of; every field but Exceptions, Claims, Notify, Told, Read and Logger must be set.
type Config struct {
	Registry   *registry.Registry
	Store      registry.Store // where settings, manifests and tags are
	Work       Work
	Layers     LayerStore
	Saver      Saver
	Inventory  InventoryReads
	Advisories AdvisoryReads
	Reads      ScanReads
	Names      NamesReads
	Exceptions ExceptionReads // or nil: there are none
	Extractor  Extractor
	Claims     Claims // or nil: documents that are attached to images count for nothing
	Now        func() time.Time
	// Notify is called when there is something to scan. It returns at once.
	Notify func()
	// Told is called when there are new events in the outbox. It returns at once.
	Told func()
	// Read is called for each blob that a scan begins to read: what is told of images without it cost no blob.
	Read   func(oci.Descriptor)
	Logger *slog.Logger
}

// Saver keeps what images have installed, judged by the advisories that there are. *Judge does.
type Saver interface {
	// Save stores an image's inventory in the place of what was known before. An image that is not there is registry.ErrNoRow;
	// ErrLayerGone asks for a layer to be read again.
	Save(ctx context.Context, s Saved) error
}

// Service scans the images of one registry. Its methods may be called from many goroutines.
type Service struct {
	registry   *registry.Registry
	store      registry.Store
	work       Work
	layers     LayerStore
	saver      Saver
	inventory  InventoryReads
	advisories AdvisoryReads
	reads      ScanReads
	names      NamesReads
	sets       setCache
	heard      releases
	exceptions ExceptionReads
	extractor  Extractor
	claims     Claims
	self       identity.Caller // the scanner as who reads layers
	now        func() time.Time
	notify     func()
	told       func()
	read       func(oci.Descriptor)
	logger     *slog.Logger
	busy       keyed
}

// New makes a service.
func New(c Config) *Service {
	s := &Service{
		registry: c.Registry, store: c.Store, work: c.Work, layers: c.Layers, saver: c.Saver, extractor: c.Extractor,
		inventory: c.Inventory, advisories: c.Advisories, reads: c.Reads, names: c.Names, exceptions: c.Exceptions, claims: c.Claims,
		self:   identity.Service(c.Registry.ID(), "scan"),
		now:    func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		notify: c.Notify, told: c.Told, read: c.Read, logger: c.Logger,
	}
	if s.notify == nil {
		s.notify = func() {}
	}
	if s.told == nil {
		s.told = func() {}
	}
	if s.read == nil {
		s.read = func(oci.Descriptor) {}
	}
	if s.logger == nil {
		s.logger = slog.New(slog.DiscardHandler)
	}
	return s
}

var _ event.Handler = (*Service)(nil)

// Handle wakes whoever scans. The scan itself was recorded with the push, or with what brought the image back; it goes with the image.
func (s *Service) Handle(_ context.Context, e event.Event) error {
	if e.Kind == event.ImagePushed && e.New || e.Kind == event.ImageRestored {
		s.notify()
	}
	return nil
}
