package scan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

// Document is a document about findings that is attached to an image.
type Document struct {
	Digest  oci.Digest // its own
	Subject oci.Digest // of the image, or the index, that it is attached to
	Actor   string     // the ARN of who attached it
	Problem string     // why nothing in it counts; empty: it does
	ReadAt  time.Time
}

// ExceptionStore is the rows of what documents say.
type ExceptionStore interface {
	// Exceptions lists those of an image: its own, those of indexes that it is in, and the repository's; expired ones among them.
	Exceptions(ctx context.Context, repositoryID int64, d oci.Digest) ([]Exception, error)
	// Documents lists those attached to an image, and to indexes that it is in, the newest ones, at most limit.
	Documents(ctx context.Context, repositoryID int64, d oci.Digest, limit int) ([]Document, error)
	// PutDocument stores what was read of a document, which is the image of that id, unless it is gone or known already. What is stored
	// goes with the image.
	PutDocument(ctx context.Context, imageID int64, d Document, exceptions []Exception) error
	// ExpireExceptions takes exceptions that have expired and of which nobody was told, at most limit, and records the events that
	// tell gives of them, once, whatever number of replicas asks. It gives how many there were.
	ExpireExceptions(ctx context.Context, now time.Time, limit int, tell func([]Exception) []event.Event) (int, error)
}

// ExceptionsConfig is what Exceptions are made of; every field must be set.
type ExceptionsConfig struct {
	Registry *registry.Registry
	Store    registry.Store
	Rows     ExceptionStore
	Now      func() time.Time
	// Notify is called when there are new events in the outbox. It returns at once.
	Notify func()
}

// Exceptions are findings that stop nothing, by the word of documents that are attached to images.
type Exceptions struct {
	registry *registry.Registry
	store    registry.Store
	rows     ExceptionStore
	now      func() time.Time
	notify   func()
	self     identity.Caller
}

// NewExceptions makes Exceptions.
func NewExceptions(c ExceptionsConfig) *Exceptions {
	return &Exceptions{
		registry: c.Registry, store: c.Store, rows: c.Rows, notify: c.Notify,
		now:  func() time.Time { return c.Now().UTC().Truncate(time.Microsecond) },
		self: identity.Service(c.Registry.ID(), "scan"),
	}
}

// MaxDocuments is how many of the documents that are attached to an image are listed: whoever may push may attach any number.
const MaxDocuments = 1000

// expiryBatch bounds how many exceptions one transaction tells of.
const expiryBatch = 500

var _ event.Handler = (*Exceptions)(nil)

// List gives the exceptions of an image, and the newest MaxDocuments of those that are attached to it, whether they count or not
// (ecr:DescribeImageScanFindings).
func (x *Exceptions) List(ctx context.Context, caller identity.Caller, repository string, id registry.ImageID) (registry.Image, []Exception, []Document, error) {
	if err := x.registry.MayOnImage(ctx, caller, repository, id, policy.DescribeImageScanFindings); err != nil {
		return registry.Image{}, nil, nil, err
	}
	images, err := x.registry.DescribeImages(ctx, x.self, repository, []registry.ImageID{id})
	if err != nil {
		return registry.Image{}, nil, nil, err
	}
	img := images[0]
	repo, err := x.store.Read().Repository(ctx, repository)
	if err != nil {
		return img, nil, nil, fmt.Errorf("reading repository %s: %w", repository, err)
	}
	exceptions, err := x.rows.Exceptions(ctx, repo.ID, img.Digest)
	if err != nil {
		return img, nil, nil, fmt.Errorf("reading the exceptions of %s@%s: %w", repository, img.Digest, err)
	}
	documents, err := x.rows.Documents(ctx, repo.ID, img.Digest, MaxDocuments)
	if err != nil {
		return img, nil, nil, fmt.Errorf("reading the documents of %s@%s: %w", repository, img.Digest, err)
	}
	return img, exceptions, documents, nil
}

// Handle reads a document that was attached to an image. One that counts for nothing is recorded with the reason.
func (x *Exceptions) Handle(ctx context.Context, e event.Event) error {
	if e.Kind != event.ImagePushed || e.ArtifactType != vex.MediaType || e.Subject == "" {
		return nil
	}
	img, err := x.store.Read().ManifestIn(ctx, e.Repository, oci.Reference{Digest: e.Digest})
	if errors.Is(err, registry.ErrNoRow) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading document %s of %s: %w", e.Digest, e.Repository, err)
	}
	d := Document{Digest: img.Digest, Subject: img.Subject, Actor: e.Actor, ReadAt: x.now()}
	var exceptions []Exception
	if !img.Vouched {
		d.Problem = "whoever attached it may not " + string(policy.PutImageScanningConfig) + " on the repository"
	} else {
		said, why, err := x.read(ctx, e.Repository, img)
		if err != nil {
			return err
		}
		if d.Problem = why; why == "" {
			if exceptions = exceptionsOf(said, e.Repository, img.Subject); len(exceptions) == 0 {
				d.Problem = "it excepts nothing in this repository"
			}
		}
	}
	if err := x.rows.PutDocument(ctx, img.ID, d, exceptions); err != nil {
		return fmt.Errorf("storing what document %s of %s says: %w", e.Digest, e.Repository, err)
	}
	return nil
}

// read reads a document. Why it cannot count is no error.
func (x *Exceptions) read(ctx context.Context, repository string, img registry.Image) (d vex.Document, why string, err error) {
	m, err := oci.ParseManifest(img.MediaType, img.Manifest)
	if err != nil {
		return d, "its manifest cannot be read", nil //nolint:nilerr // an answer
	}
	if len(m.Layers) != 1 {
		return d, fmt.Sprintf("it has %d layers, and not one, the document", len(m.Layers)), nil
	}
	if m.Layers[0].Size > vex.MaxSize {
		return d, fmt.Sprintf("it has more than %d bytes", vex.MaxSize), nil
	}
	raw, err := x.bytes(ctx, repository, m.Layers[0].Digest)
	if errors.Is(err, fault.LayerNotFound) || errors.Is(err, fault.LayerInaccessible) || errors.Is(err, fault.LayerDamaged) || errors.Is(err, fault.RepositoryNotFound) {
		return d, "its bytes are not there", nil
	}
	if err != nil {
		return d, "", fmt.Errorf("reading document %s of %s: %w", img.Digest, repository, err)
	}
	d, err = vex.Parse(raw)
	if err != nil {
		return d, err.Error(), nil //nolint:nilerr // an answer
	}
	return d, "", nil
}

func (x *Exceptions) bytes(ctx context.Context, repository string, d oci.Digest) (raw []byte, err error) {
	content, err := x.registry.Layer(ctx, x.self, repository, d)
	if err != nil {
		return nil, err
	}
	r, err := content.Open(ctx, 0, content.Size)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	var b bytes.Buffer
	if _, err := b.ReadFrom(io.LimitReader(r, min(content.Size, vex.MaxSize+1))); err != nil {
		return nil, fmt.Errorf("reading layer %s: %w", d, err)
	}
	return b.Bytes(), nil
}

// exceptionsOf gives the exceptions in a document that is attached to an image of the repository. It may speak of other images of the
// repository, or of all, and of no other repository's.
func exceptionsOf(d vex.Document, repository string, subject oci.Digest) []Exception {
	var all []Exception
	for _, s := range d.Exceptions() {
		products := s.Products
		if len(products) == 0 {
			products = []vex.Product{{Digest: subject}}
		}
		for _, p := range products {
			if p.Unknown() || p.Digest == "" && p.Repository != "" && p.Repository != repository {
				continue
			}
			e := Exception{
				Repository: repository, Digest: p.Digest, Vulnerability: s.Vulnerability, Aliases: s.Aliases, Status: string(s.Status),
				Owner: s.Owner, Reason: s.Reason, CreatedAt: s.Timestamp, ExpiresAt: s.Expires,
			}
			if p.Digest == "" && p.Repository == "" { // packages, in what it is attached to
				e.Digest = subject
			}
			packages := p.Packages
			if len(packages) == 0 {
				packages = make([]vex.Package, 1)
			}
			for _, pkg := range packages {
				e.Package, e.PackageType, e.Version = pkg.Name, pkg.Type, pkg.Version
				all = append(all, e)
			}
		}
	}
	return slices.Clip(all)
}

// ExpireOnce tells of a batch of exceptions that have expired, once each, and tells whether there may be more.
func (x *Exceptions) ExpireOnce(ctx context.Context) (more bool, err error) {
	n, err := x.rows.ExpireExceptions(ctx, x.now(), expiryBatch, func(expired []Exception) []event.Event {
		events := make([]event.Event, 0, len(expired))
		for _, e := range expired {
			events = append(events, event.Event{
				Kind: event.ExceptionExpired, At: x.now(), Actor: x.self.ARN, Repository: e.Repository, Digest: e.Digest, Reason: e.ended(),
			})
		}
		return events
	})
	if err != nil {
		return false, fmt.Errorf("looking for exceptions that have expired: %w", err)
	}
	if n > 0 {
		x.notify()
	}
	return n == expiryBatch, nil
}

// ended says in a sentence that the exception has expired.
func (e Exception) ended() string {
	text := "The exception for " + e.Vulnerability
	if e.Package != "" {
		text += " in " + e.Package
	}
	return text + fmt.Sprintf(" has expired, on %s: it is %s's to renew, or the finding to be fixed.", e.ExpiresAt.UTC().Format(time.RFC3339), e.Owner)
}
