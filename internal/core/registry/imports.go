package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// MayImport answers nil when a pull by the caller may bring an image from an upstream registry into the
// repository (ecr:BatchImportUpstreamImage; ecr:CreateRepository too where the repository is not there yet).
func (r *Registry) MayImport(ctx context.Context, caller identity.Caller, repository string) error {
	if err := r.onRepository(ctx, caller, repository, policy.BatchImportUpstreamImage); err != nil {
		return err
	}
	_, err := r.store.Read().Repository(ctx, repository)
	switch {
	case errors.Is(err, ErrNoRow):
		return r.mayMake(ctx, caller, repository, ForPullThrough)
	case err != nil:
		return fmt.Errorf("reading repository %s: %w", repository, err)
	}
	return nil
}

// RefersTo tells whether an image of the repository refers to the layer, be it there or, in a copy of an upstream
// registry's repository, not yet (ecr:BatchCheckLayerAvailability).
func (r *Registry) RefersTo(ctx context.Context, caller identity.Caller, repository string, d oci.Digest) (bool, error) {
	if err := r.onRepository(ctx, caller, repository, policy.BatchCheckLayerAvailability); err != nil {
		return false, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return false, err
	}
	used, err := q.LayerInUse(ctx, repo.ID, d)
	if err != nil {
		return false, fmt.Errorf("looking for images of layer %s: %w", d, err)
	}
	return used, nil
}

// arrivesInPieces tells whether what the image of such a push refers to may come later: from an upstream
// registry only what somebody asks for is fetched, so an index comes before its images, and an image before its
// layers.
func arrivesInPieces(source event.Source) bool { return source == event.PullThrough }

// expected describes what a manifest that arrives in pieces refers to. Its size is what its descriptors say; an
// index's is that of the largest of its images that are there, and grows as others come.
func (r *Registry) expected(ctx context.Context, q Queries, repo Repository, m oci.Manifest) (References, int64, error) {
	refs, size := References{}, int64(0)
	images, layers := splitChildren(m)
	for _, l := range append(m.Blobs(), layers...) {
		refs.Blobs = append(refs.Blobs, l.Digest)
		size += l.Size
	}
	for _, c := range images {
		refs.Children = append(refs.Children, c.Digest)
	}
	there, err := q.ImagesByDigest(ctx, repo.ID, refs.Children)
	if err != nil {
		return References{}, 0, fmt.Errorf("looking for images: %w", err)
	}
	largest := int64(0)
	for _, i := range there {
		largest = max(largest, i.Size)
	}
	return refs, size + largest, nil
}

// raiseIndexes tells the indexes that were there before an image of theirs how large they are now, and those
// that hold such indexes.
func (r *Registry) raiseIndexes(ctx context.Context, tx Tx, repo Repository, img Image) error {
	seen := map[oci.Digest]bool{}
	for next := []oci.Digest{img.Digest}; len(next) > 0; {
		child := next[0]
		next = next[1:]
		if seen[child] {
			continue
		}
		seen[child] = true
		holders, err := tx.IndexesOf(ctx, repo.ID, child)
		if err != nil {
			return fmt.Errorf("looking for indexes of %s: %w", child, err)
		}
		if len(holders) == 0 {
			continue
		}
		if err := tx.RaiseIndexSizes(ctx, repo.ID, child, img.Size); err != nil {
			return fmt.Errorf("raising the size of indexes of %s: %w", child, err)
		}
		next = append(next, holders...)
	}
	return nil
}
