package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// DefaultGrace is how long a layer that no image needs stays, where Config does not say.
const DefaultGrace = 24 * time.Hour

// GarbageWrites records which bytes in the blob store nothing refers to any more. Package gc removes them.
type GarbageWrites interface {
	// Discard records the bytes of an upload, or of a blob under its key, as garbage, to be removed when due. Nothing may refer
	// to them, and nothing ever will.
	Discard(ctx context.Context, u blob.Upload, due time.Time) error
	// TakeBack makes bytes that are garbage, and due at exactly the time given, something to refer to again, and tells whether they
	// were. Whoever removes them moves that time first.
	TakeBack(ctx context.Context, key blob.Key, due time.Time) (bool, error)
	// IsGarbage tells whether a key's bytes are garbage.
	IsGarbage(ctx context.Context, key blob.Key) (bool, error)
}

// due is when a layer that nothing needs from now on may go. Whoever was told a moment ago that it is there has so long to
// push the image that refers to it.
func (r *Registry) due(now time.Time) time.Time { return now.Add(r.grace) }

// bytesDue is when bytes may be removed to which nothing refers from now on: when requests that found them are done, and
// links that were given out for them have ended.
func (r *Registry) bytesDue() time.Time { return r.now().Add(min(r.grace, linkLife)) }

// keep holds a layer that somebody is told is there. While an image refers to it, it needs nothing: when the last one goes,
// the layer stays for the whole grace. One that waits for its image is given time, unless it has at least half of the
// grace left. It answers ErrNoRow for one that has gone meanwhile.
func (r *Registry) keep(ctx context.Context, repository string, layers ...Layer) error {
	for _, l := range layers {
		if l.DueAt.IsZero() {
			continue
		}
		now := r.now()
		if l.DueAt.Sub(now) >= r.grace/2 {
			continue
		}
		err := r.store.Update(ctx, func(tx Tx) error {
			repo, err := tx.Repository(ctx, repository)
			if err != nil {
				return err
			}
			kept, err := tx.KeepLayer(ctx, repo.ID, l.Digest, r.due(now))
			if err == nil && !kept {
				err = ErrNoRow
			}
			return err
		})
		if err != nil {
			if errors.Is(err, ErrNoRow) {
				return ErrNoRow
			}
			return fmt.Errorf("keeping layer %s: %w", l.Digest, err)
		}
	}
	return nil
}
