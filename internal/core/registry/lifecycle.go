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
	// StandingImages finds those of the ids, with tags, that stand for themselves: no index of the repository refers to
	// them, and what they refer to is not there, or they have a name of their own (Named).
	StandingImages(ctx context.Context, repositoryID int64, ids []int64) ([]Image, error)
}

// LifecycleWrites changes lifecycle policies.
type LifecycleWrites interface {
	// PutLifecyclePolicy stores a text that lifecycle.Parse has accepted, as its Policy.Text writes it, in the
	// place of what there was. It is due to be carried out from then on.
	PutLifecyclePolicy(ctx context.Context, repositoryID int64, text string, at time.Time) error
	// DeleteLifecyclePolicy removes it. One that is not there is no error.
	DeleteLifecyclePolicy(ctx context.Context, repositoryID int64) error
}

// DeleteImagesIf deletes images by digest with all their tags (ecr:BatchDeleteImage), but only those about which
// the Still that ask gives says, inside the deleting transaction, that they are to go. Each succeeds or fails by itself; what
// it keeps has neither Gone nor Err.
func (r *Registry) DeleteImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, ask Ask) ([]Deleted, error) {
	return r.onImagesIf(ctx, caller, repository, policy.BatchDeleteImage, ds, ask, func(tx Tx, repo Repository, img Image, reason string) ([]ImageID, error) {
		d := r.deletion(tx, caller, repo)
		d.reason = reason
		return d.image(ctx, img)
	})
}

// Still tells, inside the transaction that acts, whether what was decided about an image is to be done still, and why, in a
// sentence for people. It sees the image with its tags.
type Still func(img Image) (goes bool, reason string, err error)

// Ask looks at what concerns all images of such a transaction, once the repository is held, and gives what tells about each. It may be
// called more than once, each time for an attempt of its own, and what it gives reads by the same q.
type Ask func(q Queries) (Still, error)

// ArchiveImagesIf moves images by digest into the archive (ecr:UpdateImageStorageClass), as DeleteImagesIf deletes
// them: Gone names those that were moved.
func (r *Registry) ArchiveImagesIf(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest, ask Ask) ([]Deleted, error) {
	return r.onImagesIf(ctx, caller, repository, policy.UpdateImageStorageClass, ds, ask, func(tx Tx, repo Repository, img Image, reason string) ([]ImageID, error) {
		m := move{registry: r, tx: tx, caller: caller, repo: repo, at: r.now(), reason: reason}
		if _, err := m.archive(ctx, img); err != nil {
			return nil, err
		}
		return []ImageID{{Digest: img.Digest.String()}}, nil
	})
}

// onImagesIf does something to each of the images that is there and about which still says so, in one transaction.
func (r *Registry) onImagesIf(ctx context.Context, caller identity.Caller, repository string, action policy.Action, ds []oci.Digest,
	ask Ask, do func(tx Tx, repo Repository, img Image, reason string) ([]ImageID, error),
) ([]Deleted, error) {
	ids := make([]ImageID, len(ds))
	for i, d := range ds {
		ids[i].Digest = d.String()
	}
	if err := r.onImages(ctx, caller, repository, action, ids, r.readKeys); err != nil {
		return nil, err
	}
	var results []Deleted
	err := r.change(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		still, err := ask(tx)
		if err != nil {
			return err
		}
		results = make([]Deleted, 0, len(ds))
		for _, digest := range ds {
			res := Deleted{ID: ImageID{Digest: digest.String()}}
			img, err := image(ctx, tx, repo, oci.Reference{Digest: digest}, withTags)
			goes, reason := false, ""
			if err == nil {
				goes, reason, err = still(img)
			}
			if goes && err == nil {
				res.Gone, err = do(tx, repo, img, reason)
			}
			if _, isFault := fault.Of(err); err != nil && !isFault {
				return fmt.Errorf("image %s: %w", digest, err)
			}
			res.Err = err
			results = append(results, res)
		}
		return nil
	})
	return results, err
}
