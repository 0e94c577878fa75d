package registry

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Trashing is a deletion after which an image can be restored.
type Trashing struct {
	At       time.Time
	PurgeAt  time.Time // from when on it cannot be restored any more
	Actor    string    // the caller's ARN
	Reason   string    // a sentence, where whoever deletes gives one
	WentWith oci.Digest
}

// TrashWrites moves images into the trash and back.
type TrashWrites interface {
	// TrashImages copies an image of the repository, or all where the id is 0, with its tags into the trash, in the place of
	// what has the same digest there. Their layers' blobs stay as long as they do. Deleting the images is a step of its own.
	TrashImages(ctx context.Context, repo Repository, imageID int64, t Trashing) error
}

// trashWindow is how long a repository's deleted images stay restorable.
func (r *Registry) trashWindow(repo Repository) time.Duration {
	if repo.TrashWindow != nil {
		return *repo.TrashWindow
	}
	return r.trash
}
