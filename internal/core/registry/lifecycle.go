package registry

import (
	"context"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// LifecyclePolicy is what is kept of a repository's lifecycle policy. Package lifecycle knows what its text
// means, and stores and carries out nothing that it has not read.
type LifecyclePolicy struct {
	Text        string
	EvaluatedAt time.Time // zero: never, since it has this text
}

// LifecycleQueries reads lifecycle policies.
type LifecycleQueries interface {
	// LifecyclePolicy gives a repository's policy, or ErrNoRow.
	LifecyclePolicy(ctx context.Context, repositoryID int64) (LifecyclePolicy, error)
}

// LifecycleWrites changes lifecycle policies.
type LifecycleWrites interface {
	// PutLifecyclePolicy stores a text that lifecycle.Parse has accepted, as its Policy.Text writes it, in the
	// place of what there was. It is due to be carried out from then on.
	PutLifecyclePolicy(ctx context.Context, repositoryID int64, text string, at time.Time) error
	// DeleteLifecyclePolicy removes it. One that is not there is no error.
	DeleteLifecyclePolicy(ctx context.Context, repositoryID int64) error
}

// MayOnRepository answers nil when the caller may do something to a repository of that name, be it there or not:
// for other parts, whose operations ask first as the registry's own do.
func (r *Registry) MayOnRepository(_ context.Context, caller identity.Caller, repository string, action policy.Action) error {
	return r.onRepository(caller, repository, action)
}

// DeleteImagesIf deletes images by digest with all their tags (ecr:BatchDeleteImage), but only those about which
// still says, inside the deleting transaction, that they are to go. Each succeeds or fails by itself; what
// still keeps has neither Gone nor Err. still sees the image with its tags, touches nothing but its
// arguments, and may be asked more than once.
func (r *Registry) DeleteImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, still func(q Queries, img Image) (bool, error)) ([]Deleted, error) {
	if err := r.onRepository(caller, repository, policy.BatchDeleteImage); err != nil {
		return nil, err
	}
	var results []Deleted
	err := r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		results = make([]Deleted, 0, len(ds))
		d := deletion{registry: r, tx: tx, caller: caller, repo: repo}
		for _, digest := range ds {
			res := Deleted{ID: ImageID{Digest: digest.String()}}
			res.Gone, res.Err = d.imageIf(ctx, digest, still)
			if _, isFault := fault.Of(res.Err); res.Err != nil && !isFault {
				return res.Err
			}
			results = append(results, res)
		}
		return nil
	})
	return results, err
}

// imageIf deletes an image that is there, if it is still to go.
func (d deletion) imageIf(ctx context.Context, digest oci.Digest, still func(Queries, Image) (bool, error)) ([]ImageID, error) {
	img, err := image(ctx, d.tx, d.repo, oci.Reference{Digest: digest}, withTags)
	if err != nil {
		return nil, err
	}
	goes, err := still(d.tx, img)
	if err != nil {
		return nil, fmt.Errorf("looking at image %s again: %w", digest, err)
	}
	if !goes {
		return nil, nil
	}
	return d.image(ctx, img)
}
