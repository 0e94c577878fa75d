package sbom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

const (
	// typeAttestation is the artifact type of BuildKit's attestations, whose layers are in-toto statements.
	typeAttestation = "application/vnd.docker.attestation.manifest.v1+json"
	// attestedAnnotation is of BuildKit's too: the image that an attestation in an index is about.
	attestedAnnotation = "vnd.docker.reference.digest"
	// maxClaims bounds the artifacts of one image that are read, and the documents of one artifact.
	maxClaims    = 10
	maxDocuments = 5
	// maxRead bounds what is read of all documents of one image, in bytes: the server reads them itself.
	maxRead    = 40 << 20
	maxIndexes = 5
)

func claims() []string { return []string{TypeCycloneDX, TypeSPDX, typeInToto, typeAttestation} }

func isClaim(artifactType string) bool { return slices.Contains(claims(), artifactType) }

// Claimed adds to what the layers of an image tell what the SBOMs that were attached to it know better (see Better): artifacts that
// refer to it, and BuildKit's attestations in indexes that have it. Our own are passed over, which tell only what was known already. A
// document that cannot be read is logged and counts for nothing. Those count first that somebody answers for (registry.Image.Vouched):
// where they tell anything of a kind, others do not. top is the place of the image's highest layer.
func (a *Attacher) Claimed(ctx context.Context, repo registry.Repository, image oci.Digest, found inventory.Image, top int) (inventory.Image, error) {
	artifacts, err := a.claims(ctx, repo, image)
	if err != nil {
		return found, fmt.Errorf("looking for SBOMs of %s@%s: %w", repo.Name, image, err)
	}
	left := int64(maxRead)
	for _, c := range artifacts {
		documents, err := a.documents(ctx, repo, c.digest, &left)
		if err != nil {
			return found, fmt.Errorf("reading the SBOM %s of %s@%s: %w", c.digest, repo.Name, image, err)
		}
		for _, doc := range documents {
			found = Better(found, doc, c.digest, c.vouched, top)
		}
	}
	return found, nil
}

// claim is an artifact that may have an SBOM.
type claim struct {
	digest  oci.Digest
	vouched bool
}

// claims lists the artifacts that may have an SBOM of an image, those first that somebody answers for.
func (a *Attacher) claims(ctx context.Context, repo registry.Repository, image oci.Digest) ([]claim, error) {
	q := a.store.Read()
	referrers, _, err := q.Referrers(ctx, repo.ID, image, registry.ReferrerQuery{ArtifactTypes: claims(), Limit: maxReferrers})
	if err != nil {
		return nil, err
	}
	var list []claim
	for _, r := range referrers {
		if r.Annotations[contentsAnnotation] == "" {
			list = append(list, claim{r.Digest, r.Vouched})
		}
	}
	indexes, err := q.IndexesOf(ctx, repo.ID, image)
	if err != nil {
		return nil, err
	}
	for _, d := range indexes[:min(len(indexes), maxIndexes)] {
		index, err := q.ManifestIn(ctx, repo.Name, oci.Reference{Digest: d})
		if errors.Is(err, registry.ErrNoRow) {
			continue
		}
		if err != nil {
			return nil, err
		}
		m, err := oci.ParseManifest(index.MediaType, index.Manifest)
		if err != nil {
			continue
		}
		for _, child := range m.Children {
			if child.Annotations[attestedAnnotation] != image.String() || slices.ContainsFunc(list, func(c claim) bool { return c.digest == child.Digest }) {
				continue
			}
			img, err := q.ImageIn(ctx, repo.Name, oci.Reference{Digest: child.Digest})
			if err := ignore(err); err != nil {
				return nil, err
			}
			list = append(list, claim{child.Digest, img.Vouched})
		}
	}
	slices.SortStableFunc(list, func(x, y claim) int {
		switch {
		case x.vouched == y.vouched:
			return 0
		case x.vouched:
			return -1
		}
		return 1
	})
	return list[:min(len(list), maxClaims)], nil
}

// documents reads what an artifact says, of no more than so many bytes. What is wrong with it is its pusher's, and logged.
func (a *Attacher) documents(ctx context.Context, repo registry.Repository, d oci.Digest, left *int64) ([]Document, error) {
	img, err := a.store.Read().ManifestIn(ctx, repo.Name, oci.Reference{Digest: d})
	if errors.Is(err, registry.ErrNoRow) || err == nil && img.Archived {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	m, err := oci.ParseManifest(img.MediaType, img.Manifest)
	if err != nil {
		return nil, nil //nolint:nilerr // it is no artifact that has documents
	}
	var list []Document
	for _, l := range m.Layers[:min(len(m.Layers), maxDocuments)] {
		if !isClaim(l.MediaType) || l.Size > MaxDocument {
			continue
		}
		doc, err := a.document(ctx, repo, l, left)
		_, refused := fault.Of(err)
		switch {
		case err == nil:
			list = append(list, doc)
		case ctx.Err() != nil, refused && (errors.Is(err, fault.Unavailable) || errors.Is(err, fault.StorageFull)):
			return nil, err
		default:
			a.logger.LogAttrs(ctx, slog.LevelWarn, "an SBOM that is attached to an image cannot be read",
				slog.String("repository", repo.Name), slog.String("artifact", d.String()), slog.String("reason", err.Error()))
		}
	}
	return list, nil
}

func (a *Attacher) document(ctx context.Context, repo registry.Repository, l oci.Descriptor, left *int64) (Document, error) {
	content, err := a.registry.Layer(ctx, a.self, repo.Name, l.Digest)
	if err != nil {
		return Document{}, err
	}
	if content.Size > min(*left, MaxDocument) {
		return Document{}, fmt.Errorf("%d bytes, after what was read before it: %w", content.Size, ErrLimit)
	}
	*left -= content.Size
	r, err := content.Open(ctx, 0, -1)
	if err != nil {
		return Document{}, err
	}
	defer r.Close()
	return Parse(io.LimitReader(r, content.Size), l.MediaType)
}

// rescan has an image scanned again whose scan has ended. It costs no layer: what they say is known.
func (a *Attacher) rescan(ctx context.Context, e event.Event) error {
	err := a.store.Update(ctx, func(tx registry.Tx) error {
		scanning, err := registry.ReadScanning(ctx, tx)
		if err != nil {
			return err
		}
		repo, err := tx.LockRepository(ctx, e.Repository)
		if err != nil || repo.ID != e.RepositoryID {
			return ignore(err)
		}
		img, err := tx.ImageByDigest(ctx, repo.ID, e.Subject)
		if err != nil || img.Archived {
			return ignore(err)
		}
		s, err := tx.Scan(ctx, img.ID, scanning.Kind)
		if err != nil || !s.Ended() {
			return ignore(err)
		}
		_, err = a.registry.RequestScan(ctx, tx, img.ID, s.Kind)
		return err
	})
	if err != nil {
		return fmt.Errorf("asking for another scan of %s@%s: %w", e.Repository, e.Subject, err)
	}
	a.wanted()
	return nil
}

// ignore takes what is gone for no error.
func ignore(err error) error {
	if errors.Is(err, registry.ErrNoRow) {
		return nil
	}
	return err
}
