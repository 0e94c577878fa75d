package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// MaxTrashWindow is the longest that deleted images can stay restorable.
const MaxTrashWindow = 10 * 365 * 24 * time.Hour

// Trashing is a deletion after which an image can be restored.
type Trashing struct {
	At       time.Time
	PurgeAt  time.Time // from when on it cannot be restored any more
	Actor    string    // the caller's ARN
	Reason   string    // a sentence, where whoever deletes gives one
	WentWith oci.Digest
}

// Trashed is an image that was deleted and can be restored: as it was when it went. Its ID is that of its place in the trash;
// lists leave its annotations and its manifest out.
type Trashed struct {
	Image
	Trashing
}

// TrashUsage is what a repository's trash, or all trash, takes up.
type TrashUsage struct {
	Images int
	Bytes  int64 // of layers that nothing but trash has
	// Window is how long what is deleted from now on stays restorable, and Own whether the repository itself says so.
	Window time.Duration
	Own    bool
}

// TrashQueries reads the trash. It goes by the repository's name: what was deleted with its repository is there as well.
type TrashQueries interface {
	// TrashedImages lists newest first, before beforeID (0: from the newest), at most limit.
	TrashedImages(ctx context.Context, repository string, beforeID int64, limit int) ([]Trashed, error)
	// TrashedImage finds one with annotations and manifest, or ErrNoRow. Inside Update the row is held, so that nobody
	// else restores or purges it.
	TrashedImage(ctx context.Context, repository string, d oci.Digest) (Trashed, error)
	// WentWith lists the digests of what went along with an image, in order of id.
	WentWith(ctx context.Context, repository string, d oci.Digest) ([]oci.Digest, error)
	// TrashedLayers lists the blobs that the image in that place of the trash has, in order of digest.
	TrashedLayers(ctx context.Context, id int64) ([]Layer, error)
	// TrashUsage counts the images of a repository's trash, or of all trash where the name is empty, and their bytes: those
	// of blobs that no repository has as a layer for all to see, each once.
	TrashUsage(ctx context.Context, repository string) (images int, bytes int64, err error)
}

// TrashWrites moves images into the trash and out of it.
type TrashWrites interface {
	// TrashImages copies an image of the repository, or all where the id is 0, with its tags into the trash, in the place of
	// what has the same digest there. Their layers' blobs stay as long as they do. Deleting the images is a step of its own.
	TrashImages(ctx context.Context, repo Repository, imageID int64, t Trashing) error
	// TakeFromTrash removes what was restored.
	TakeFromTrash(ctx context.Context, id int64) error
	// PurgeTrash removes what of the digests is in the repository's trash, for good, and tells which that was. Whether
	// anything else has their blobs is looked at when due.
	PurgeTrash(ctx context.Context, repository string, ds []oci.Digest, due time.Time) ([]oci.Digest, error)
}

// trashWindow is how long a repository's deleted images stay restorable.
func (r *Registry) trashWindow(repo Repository) time.Duration {
	if repo.TrashWindow != nil {
		return *repo.TrashWindow
	}
	return r.trash
}

// Trash lists a repository's deleted images that can be restored, newest first (ecr:ListImages). The repository need not be
// there any more. A limit of 0 means DefaultPage.
func (r *Registry) Trash(ctx context.Context, caller identity.Caller, repository string, limit int, token string) (Page[Trashed], error) {
	if err := r.onRepository(ctx, caller, repository, policy.ListImages); err != nil {
		return Page[Trashed]{}, err
	}
	listing := "trash/" + repository
	c, err := parseCursor(listing, token)
	if err != nil {
		return Page[Trashed]{}, err
	}
	limit = pageLimit(limit, DefaultPage)
	rows, err := r.store.Read().TrashedImages(ctx, repository, c.ID, limit+1)
	if err != nil {
		return Page[Trashed]{}, fmt.Errorf("listing the trash of %s: %w", repository, err)
	}
	return cut(rows, limit, listing, func(t Trashed) cursor { return cursor{ID: t.ID} }), nil
}

// TrashUsage tells what a repository's trash takes up (ecr:DescribeRepositories), be the repository there or not; without
// a name, what all trash does.
func (r *Registry) TrashUsage(ctx context.Context, caller identity.Caller, repository string) (TrashUsage, error) {
	if err := r.mayDescribe(ctx, caller, repository); err != nil {
		return TrashUsage{}, err
	}
	q := r.store.Read()
	usage := TrashUsage{Window: r.trash}
	if repository != "" {
		repo, err := q.Repository(ctx, repository)
		if err != nil && !errors.Is(err, ErrNoRow) {
			return TrashUsage{}, fmt.Errorf("reading repository %s: %w", repository, err)
		}
		usage.Window, usage.Own = r.trashWindow(repo), repo.TrashWindow != nil
	}
	var err error
	if usage.Images, usage.Bytes, err = q.TrashUsage(ctx, repository); err != nil {
		return TrashUsage{}, fmt.Errorf("counting what is in the trash: %w", err)
	}
	return usage, nil
}

func (r *Registry) mayDescribe(ctx context.Context, caller identity.Caller, repository string) error {
	if repository == "" {
		return r.authorize(ctx, caller, policy.DescribeRepositories, r.ARN("*"))
	}
	return r.onRepository(ctx, caller, repository, policy.DescribeRepositories)
}

// PutTrashWindow sets how long images of a repository that are deleted from now on stay restorable, in whole seconds
// (ecr:PutLifecyclePolicy, which decides when images go): nil as long as the server's configuration says, 0 not at all. What is in the trash stays as
// long as it was to.
func (r *Registry) PutTrashWindow(ctx context.Context, caller identity.Caller, repository string, window *time.Duration) (TrashUsage, error) {
	if err := r.onRepository(ctx, caller, repository, policy.PutLifecyclePolicy); err != nil {
		return TrashUsage{}, err
	}
	if window != nil && (*window < 0 || *window > MaxTrashWindow || *window%time.Second != 0) {
		return TrashUsage{}, fault.BadParameter("windowSeconds", "must be from 0 to ten years of seconds")
	}
	repo, err := r.changeRepository(ctx, repository, func(repo *Repository) { repo.TrashWindow = window })
	if err != nil {
		return TrashUsage{}, err
	}
	usage := TrashUsage{Window: r.trashWindow(repo), Own: window != nil}
	if usage.Images, usage.Bytes, err = r.store.Read().TrashUsage(ctx, repository); err != nil {
		return TrashUsage{}, fmt.Errorf("counting what is in the trash: %w", err)
	}
	return usage, nil
}

// Purged is what one of several digests to purge came to: nil, or a fault.
type Purged struct {
	Digest oci.Digest
	Err    error
}

// PurgeImages takes images out of a repository's trash for good (ecr:BatchDeleteImage). Each succeeds or fails by itself.
func (r *Registry) PurgeImages(ctx context.Context, caller identity.Caller, repository string, ds []oci.Digest) ([]Purged, error) {
	ids := make([]ImageID, len(ds))
	for i, d := range ds {
		ids[i].Digest = d.String()
	}
	if err := r.onImages(ctx, caller, repository, policy.BatchDeleteImage, ids, r.trashedKeys); err != nil {
		return nil, err
	}
	gone := map[oci.Digest]bool{}
	err := r.store.Update(ctx, func(tx Tx) error {
		clear(gone)
		purged, err := tx.PurgeTrash(ctx, repository, ds, r.now())
		for _, d := range purged {
			gone[d] = true
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("purging the trash of %s: %w", repository, err)
	}
	results := make([]Purged, len(ds))
	for i, d := range ds {
		results[i].Digest = d
		if !gone[d] {
			results[i].Err = notInTrash(repository, d)
		}
	}
	return results, nil
}

// purgeBatch bounds the images that one transaction purges.
const purgeBatch = 100

// EmptyTrash takes all that was in a repository's trash out of it for good, and tells how many images that were
// (ecr:BatchDeleteImage). What is deleted meanwhile stays.
func (r *Registry) EmptyTrash(ctx context.Context, caller identity.Caller, repository string) (int, error) {
	if err := r.onRepository(ctx, caller, repository, policy.BatchDeleteImage); err != nil {
		return 0, err
	}
	total := 0
	for before := int64(0); ; {
		rows, err := r.store.Read().TrashedImages(ctx, repository, before, purgeBatch)
		if err != nil {
			return total, fmt.Errorf("listing the trash of %s: %w", repository, err)
		}
		if len(rows) == 0 {
			return total, nil
		}
		ds := make([]oci.Digest, len(rows))
		for i, t := range rows {
			ds[i], before = t.Digest, t.ID
		}
		purged, err := r.PurgeImages(ctx, caller, repository, ds)
		if err != nil {
			return total, err
		}
		for _, p := range purged {
			if p.Err == nil {
				total++
			}
		}
	}
}

func notInTrash(repository string, d oci.Digest) error {
	return fault.New(fault.ImageNotFound, "The image with digest '%s' is not in the trash of the repository with name '%s'", d, repository)
}

// trashedKeys are those of a request about an image in the trash: its digest and the tags that it had.
func (r *Registry) trashedKeys(ctx context.Context, repository string, id ImageID) *imageKeys {
	return &imageKeys{look: func() ([]string, []string, error) {
		t, err := r.store.Read().TrashedImage(ctx, repository, oci.Digest(id.Digest))
		if err != nil && !errors.Is(err, ErrNoRow) {
			return nil, nil, fmt.Errorf("looking for image %s in the trash of %s: %w", id.Digest, repository, err)
		}
		return t.Tags, []string{id.Digest}, nil
	}}
}
