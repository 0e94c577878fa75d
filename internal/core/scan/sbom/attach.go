package sbom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

const (
	emptyConfigType = "application/vnd.oci.empty.v1+json"
	emptyConfig     = "{}"
	// createdAnnotation is image-spec's (annotations.md).
	createdAnnotation = "org.opencontainers.image.created"
	// contentsAnnotation is the digest of what a document of ours says, without when it was written. It tells our documents from
	// others', and spares attaching one again that says nothing new.
	contentsAnnotation = "vnd.berth.sbom.contents"
	revisionAnnotation = "vnd.berth.sbom.revision" // of the extractors
	// maxReferrers is how many SBOMs of one image are looked at.
	maxReferrers = 100
)

// Inventory tells what images have installed; *scan.Service does.
type Inventory interface {
	Contents(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (scan.Contents, error)
}

// Config is what an Attacher is made of; every field but Wanted and Logger must be set.
type Config struct {
	Registry  *registry.Registry
	Store     registry.Store // where settings and referrers are
	Inventory Inventory
	Now       func() time.Time
	// Wanted is called when there is something to scan. It returns at once.
	Wanted func()
	Logger *slog.Logger
}

// Attacher attaches SBOMs to images that have been scanned, where the settings want it, and reads what others have attached.
type Attacher struct {
	registry  *registry.Registry
	store     registry.Store
	inventory Inventory
	now       func() time.Time
	wanted    func()
	logger    *slog.Logger
	self      identity.Caller
}

// New makes an Attacher.
func New(c Config) *Attacher {
	a := &Attacher{
		registry: c.Registry, store: c.Store, inventory: c.Inventory, wanted: c.Wanted, logger: c.Logger,
		now:  func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		self: identity.Service(c.Registry.ID(), "scan"),
	}
	if a.wanted == nil {
		a.wanted = func() {}
	}
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	return a
}

var _ event.Handler = (*Attacher)(nil)

// Handle attaches SBOMs to an image whose scan has come to a good end, and has an image scanned again that somebody has attached an
// SBOM to, since that may know better, or taken one from; also where somebody answers now for one that was there. It may be told more than once.
func (a *Attacher) Handle(ctx context.Context, e event.Event) error {
	switch {
	case e.Kind == event.ImageScanned && e.ScanStatus == string(registry.ScanComplete):
		s, err := a.settings(ctx)
		if err != nil || !s.wants(e.Repository) {
			return err
		}
		c, err := a.inventory.Contents(ctx, a.self, e.Repository, registry.ImageID{Digest: e.Digest.String()})
		if err != nil {
			return a.leave(ctx, e, err)
		}
		return a.leave(ctx, e, a.Attach(ctx, c))
	case (e.Kind == event.ImagePushed || e.Kind == event.ImageDeleted) && e.Subject != "" && e.Source != event.Scan && isClaim(e.ArtifactType):
		return a.rescan(ctx, e)
	}
	return nil
}

// leave makes nothing of a refusal: the image is gone, or its repository takes no document. What may go better later stays an error.
func (a *Attacher) leave(ctx context.Context, e event.Event, err error) error {
	f, refused := fault.Of(err)
	if !refused || errors.Is(err, fault.StorageFull) || errors.Is(err, fault.Unavailable) {
		return err
	}
	a.logger.LogAttrs(ctx, slog.LevelWarn, "an SBOM was not attached",
		slog.String("repository", e.Repository), slog.String("image", e.Digest.String()), slog.String("reason", f.Message))
	return nil
}

// Attach attaches the documents that the settings want to an image, as artifacts that refer to it. One that says what there is already
// is not attached again.
func (a *Attacher) Attach(ctx context.Context, c scan.Contents) error {
	s, err := a.settings(ctx)
	if err != nil || !s.wants(c.Repository) {
		return err
	}
	for _, f := range s.Formats {
		if err := a.attach(ctx, c, f); err != nil {
			return fmt.Errorf("attaching an SBOM to %s@%s: %w", c.Repository, c.Image.Digest, err)
		}
	}
	return nil
}

func (a *Attacher) attach(ctx context.Context, c scan.Contents, f Format) error {
	contents, err := contentsOf(c, f)
	if err != nil {
		return err
	}
	if there, err := a.attached(ctx, c, f, contents); err != nil || there {
		return err
	}
	var document bytes.Buffer
	if err := Write(&document, f, c); err != nil {
		return err
	}
	manifest, err := artifact(c, f, document.Bytes(), contents)
	if err != nil {
		return err
	}
	for _, b := range [][]byte{document.Bytes(), []byte(emptyConfig)} {
		part := registry.Part{Start: registry.Anywhere, Size: int64(len(b)), Body: bytes.NewReader(b)}
		if _, err := a.registry.PutLayer(ctx, a.self, c.Repository, oci.FromBytes(b), part); err != nil {
			return fmt.Errorf("storing the document: %w", err)
		}
	}
	_, err = a.registry.PutImage(ctx, a.self, registry.Push{
		Repository: c.Repository, Manifest: manifest, MediaType: oci.MediaTypeOCIManifest, Source: event.Scan,
	})
	return err
}

// contentsOf is the digest of what a document says.
func contentsOf(c scan.Contents, f Format) (oci.Digest, error) {
	c.ScannedAt = time.Time{}
	var b bytes.Buffer
	err := Write(&b, f, c)
	return oci.FromBytes(b.Bytes()), err
}

// attached tells whether a document that says the same refers to the image.
func (a *Attacher) attached(ctx context.Context, c scan.Contents, f Format, contents oci.Digest) (bool, error) {
	q := a.store.Read()
	repo, err := q.Repository(ctx, c.Repository)
	if err != nil {
		return false, fmt.Errorf("reading the repository: %w", err)
	}
	for after := int64(0); ; {
		list, more, err := q.Referrers(ctx, repo.ID, c.Image.Digest, registry.ReferrerQuery{ArtifactTypes: []string{f.MediaType()}, AfterID: after, Limit: maxReferrers})
		if err != nil {
			return false, fmt.Errorf("looking for its SBOMs: %w", err)
		}
		for _, r := range list {
			if r.Annotations[contentsAnnotation] == contents.String() {
				return true, nil
			}
			after = r.ID
		}
		if !more {
			return false, nil
		}
	}
}

// artifact is the manifest of a document.
func artifact(c scan.Contents, f Format, document []byte, contents oci.Digest) ([]byte, error) {
	return json.Marshal(struct {
		SchemaVersion int               `json:"schemaVersion"`
		MediaType     string            `json:"mediaType"`
		ArtifactType  string            `json:"artifactType"`
		Config        oci.Descriptor    `json:"config"`
		Layers        []oci.Descriptor  `json:"layers"`
		Subject       oci.Descriptor    `json:"subject"`
		Annotations   map[string]string `json:"annotations"`
	}{
		SchemaVersion: 2, MediaType: oci.MediaTypeOCIManifest, ArtifactType: f.MediaType(),
		Config:  oci.Descriptor{MediaType: emptyConfigType, Digest: oci.FromBytes([]byte(emptyConfig)), Size: int64(len(emptyConfig))},
		Layers:  []oci.Descriptor{{MediaType: f.MediaType(), Digest: oci.FromBytes(document), Size: int64(len(document))}},
		Subject: oci.Descriptor{MediaType: c.Image.MediaType, Digest: c.Image.Digest, Size: c.Image.ManifestSize},
		Annotations: map[string]string{
			createdAnnotation: timestamp(c), contentsAnnotation: contents.String(), revisionAnnotation: strconv.Itoa(c.Revision),
		},
	})
}
