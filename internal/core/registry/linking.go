package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// link makes the stored bytes a layer of the repository and ends the upload, in one transaction. It tells
// whether the repository had the layer before.
func (r *Registry) link(ctx context.Context, caller identity.Caller, repository string, u Upload, d oci.Digest, hasRow bool) (Layer, bool, error) {
	layer, had := Layer{}, false
	var due time.Time // when the bytes go, where they are a second copy
	ctx = context.WithoutCancel(ctx)
	err := r.pushTo(ctx, caller, repository, func(tx Tx, repo Repository) (err error) {
		if hasRow {
			there, err := tx.DeleteUpload(ctx, repo.ID, u.ID)
			if err != nil {
				return fmt.Errorf("ending upload %s: %w", u.ID, err)
			}
			if !there {
				return r.uploadNotFound(repository, u.ID)
			}
		} else if err := r.seen(u); err != nil { // this process may have slept since it looked
			return err
		}
		at := r.now()
		layer, had, err = tx.LinkLayer(ctx, repo.ID, Layer{
			Digest: d, Size: u.Blob.Size, Key: u.Blob.Key, LinkedAt: at, DueAt: r.due(at),
		})
		if err != nil {
			return fmt.Errorf("linking layer %s: %w", d, err)
		}
		if layer.Key == u.Blob.Key {
			return r.notGarbage(ctx, tx, u)
		}
		due = r.bytesDue()
		return tx.Discard(ctx, blob.Upload{Key: u.Blob.Key, Size: u.Blob.Size}, due)
	})
	if err != nil {
		return Layer{}, false, err
	}
	if layer.Key != u.Blob.Key {
		layer, err = r.keepOne(ctx, layer, u.Blob.Key, due)
	}
	return layer, had, err
}

// notGarbage refuses bytes that were found without a row, and taken for garbage, before they got one.
func (r *Registry) notGarbage(ctx context.Context, tx Tx, u Upload) error {
	garbage, err := tx.IsGarbage(ctx, u.Blob.Key)
	if err != nil {
		return fmt.Errorf("looking for garbage: %w", err)
	}
	if garbage {
		return fault.New(fault.UploadNotFound, "The upload with id '%s' has lost bytes in the blob store: start it again", u.ID)
	}
	return nil
}

// keepOne drops the second copy of bytes that the registry had already, which is garbage by now, after making sure that it
// still has them: should the first copy be gone or damaged (a bad disk, an older backup), the second takes its place,
// and so a push heals what was lost.
//
// It takes the second back only as it put it on the list itself, due at the same time, and not when half of that time is over: a replica
// that removes it has moved the time, be its grace another one.
func (r *Registry) keepOne(ctx context.Context, known Layer, second blob.Key, due time.Time) (Layer, error) {
	size, err := r.blobs.Size(ctx, known.Key)
	switch {
	case err == nil && size == known.Size && known.DamagedAt.IsZero():
		_ = r.blobs.Delete(ctx, second) // at once; if not, when the garbage is removed
		return known, nil
	case err != nil && !errors.Is(err, blob.ErrNotFound):
		return Layer{}, blobFault(err, "looking for the bytes of layer "+known.Digest.String())
	}
	healed := false
	err = r.store.Update(ctx, func(tx Tx) error {
		healed = false
		there := due.Sub(r.now()) > min(r.grace, linkLife)/2
		if there {
			var err error
			if there, err = tx.TakeBack(ctx, second, due); err != nil {
				return err
			}
		}
		if !there { // removed already, or soon: this took longer than garbage stays
			return fault.New(fault.Unavailable, "the bytes of the layer with digest '%s' took too long to be looked for: send it again", known.Digest)
		}
		var err error
		if healed, err = tx.MoveBlob(ctx, known.Digest, known.Key, second); err != nil {
			return err
		}
		loser := second // another push was quicker
		if healed {
			loser = known.Key
		}
		return tx.Discard(ctx, blob.Upload{Key: loser, Size: known.Size}, r.bytesDue())
	})
	if _, isFault := fault.Of(err); isFault {
		return Layer{}, err
	}
	if err != nil {
		return Layer{}, fmt.Errorf("healing layer %s: %w", known.Digest, err)
	}
	if healed {
		known.Key, known.DamagedAt = second, time.Time{}
	}
	return known, nil
}
