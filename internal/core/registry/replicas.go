package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// ReplicationImage finds an image to tell how its replication goes (ecr:DescribeImageReplicationStatus).
func (r *Registry) ReplicationImage(ctx context.Context, caller identity.Caller, repository string, id ImageID) (Image, error) {
	results, err := r.lookUp(ctx, caller, policy.DescribeImageReplicationStatus, repository, []ImageID{id}, withTags)
	if err != nil {
		return Image{}, err
	}
	return results[0].Image, r.NamedImageError(repository, id, results[0].Err)
}

// Missing is what a repository lacks of an image.
type Missing struct {
	Image  bool
	Layers []oci.Digest
}

// PrepareReplica is how another registry begins to send an image: the repository is made where it is missing
// (ecr:ReplicateImage, and ecr:CreateRepository for that), layers of other repositories that the caller may read
// are mounted, and the answer tells what is to be sent.
func (r *Registry) PrepareReplica(ctx context.Context, caller identity.Caller, repository string, d oci.Digest, layers []oci.Digest) (Missing, error) {
	if err := r.onRepository(ctx, caller, repository, policy.ReplicateImage); err != nil {
		return Missing{}, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if errors.Is(err, fault.RepositoryNotFound) {
		repo, err = r.EnsureRepository(ctx, caller, repository, ForReplication)
	}
	if err != nil {
		return Missing{}, err
	}
	if whole, err := r.whole(ctx, q, repo, d); err != nil || whole {
		return Missing{}, err
	}
	rows, err := q.Layers(ctx, repo.ID, layers)
	if err != nil {
		return Missing{}, fmt.Errorf("looking for layers: %w", err)
	}
	there := make(map[oci.Digest]bool, len(rows))
	for _, l := range rows {
		err := ErrNoRow
		if l.there() {
			err = r.keep(ctx, repository, l)
		}
		if err != nil && !errors.Is(err, ErrNoRow) {
			return Missing{}, err
		}
		there[l.Digest] = err == nil
	}
	missing := Missing{Image: true}
	for _, l := range layers {
		if there[l] {
			continue
		}
		there[l] = true
		_, mounted, err := r.MountLayer(ctx, caller, repository, l, "")
		if _, refused := fault.Of(err); err != nil && !refused {
			return Missing{}, err
		}
		if !mounted { // or not allowed: then its bytes come
			missing.Layers = append(missing.Layers, l)
		}
	}
	return missing, nil
}

// whole tells whether the repository has the image with all that it is made of, images of indexes and their layers too.
// What came from an upstream registry may lack some.
func (r *Registry) whole(ctx context.Context, q Queries, repo Repository, digest oci.Digest) (bool, error) {
	seen := map[oci.Digest]bool{}
	for next := []oci.Digest{digest}; len(next) > 0; {
		d := next[0]
		next = next[1:]
		if seen[d] {
			continue
		}
		seen[d] = true
		img, err := q.ManifestIn(ctx, repo.Name, oci.Reference{Digest: d})
		if errors.Is(err, ErrNoRow) {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("looking for image %s: %w", d, err)
		}
		m, err := oci.ParseManifest(img.MediaType, img.Manifest)
		if err != nil {
			return false, fmt.Errorf("reading image %s: %w", d, err)
		}
		refs, _, err := r.require(ctx, q, repo, m)
		if _, lacks := fault.Of(err); lacks {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		next = append(next, refs.Children...)
	}
	return true, nil
}

// PutReplica stores an image that another registry sends (ecr:ReplicateImage): PutImage, but that tags which the
// repository does not let move are left out, and named in the answer. Everything that the manifest names must
// have been sent before.
func (r *Registry) PutReplica(ctx context.Context, caller identity.Caller, p Push) (Pushed, error) {
	p.Source = event.Replication
	return r.PutImage(ctx, caller, p)
}

// movableTags parts the tags that may point to an image from those that are immutable and point elsewhere.
func movableTags(ctx context.Context, tx Tx, repo Repository, d oci.Digest, tags []string) (movable, fixed []string, err error) {
	for _, t := range tags {
		from, err := tx.ImageIn(ctx, repo.Name, oci.Reference{Tag: t})
		switch {
		case err != nil && !errors.Is(err, ErrNoRow):
			return nil, nil, fmt.Errorf("looking for tag %s: %w", t, err)
		case err == nil && from.Digest != d && !repo.TagMovable(t):
			fixed = append(fixed, t)
		default:
			movable = append(movable, t)
		}
	}
	return movable, fixed, nil
}
