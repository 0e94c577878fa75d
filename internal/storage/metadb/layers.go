package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// layerColumns are a layer's. Most repositories archive nothing: whether an archived image has the layer is asked first. Few
// layers are hidden: only of those it is asked whether an image has come that shows them, from a replica of the version
// before this one, or without its layers, from an upstream registry.
const layerColumns = `l.digest, b.size, b.blob_key, l.linked_at,
	l.hidden AND NOT EXISTS (SELECT 1 FROM image_blobs a WHERE a.repository_id = l.repository_id AND a.digest = l.digest),
	l.due_at, b.damaged_at,
	EXISTS (SELECT 1 FROM image_blobs a WHERE a.repository_id = l.repository_id AND a.digest = l.digest AND a.archived = TRUE)
	AND NOT EXISTS (SELECT 1 FROM image_blobs a WHERE a.repository_id = l.repository_id AND a.digest = l.digest AND a.archived = FALSE)`

func scanLayer(rows *sql.Rows, l *registry.Layer) error {
	return rows.Scan(&l.Digest, &l.Size, &l.Key, timeColumn{&l.LinkedAt}, &l.Hidden, timeColumn{&l.DueAt}, timeColumn{&l.DamagedAt}, &l.Archived)
}

// Layer implements registry.LayerQueries.
func (q queries) Layer(ctx context.Context, repositoryID int64, d oci.Digest) (registry.Layer, error) {
	return one(ctx, q.s, scanLayer, `
		SELECT `+layerColumns+` FROM layers l JOIN blobs b ON b.digest = l.digest
		WHERE l.repository_id = $1 AND l.digest = $2`, repositoryID, string(d))
}

// Layers implements registry.LayerQueries.
func (q queries) Layers(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Layer, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	digests, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanLayer, `
		SELECT `+layerColumns+` FROM layers l JOIN blobs b ON b.digest = l.digest
		WHERE l.repository_id = $1 AND l.digest IN (SELECT value FROM texts($2))
		ORDER BY l.digest`, repositoryID, digests)
}

// LayerInUse implements registry.LayerQueries.
func (q queries) LayerInUse(ctx context.Context, repositoryID int64, d oci.Digest) (bool, error) {
	return exists(ctx, q.s, `SELECT 1 FROM image_blobs WHERE repository_id = $1 AND digest = $2 LIMIT 1`, repositoryID, string(d))
}

// ImagesWithLayer implements registry.LayerQueries.
func (q queries) ImagesWithLayer(ctx context.Context, repositoryID int64, d oci.Digest, limit int) ([]registry.Image, error) {
	return list(ctx, q.s, scanImageRow, `
		SELECT `+imageRow+` FROM image_blobs b JOIN images i ON i.id = b.image_id
		WHERE b.repository_id = $1 AND b.digest = $2 AND NOT b.archived ORDER BY b.image_id DESC LIMIT $3`, repositoryID, string(d), limit)
}

// RepositoriesWithLayer implements registry.LayerQueries.
func (q queries) RepositoriesWithLayer(ctx context.Context, d oci.Digest, limit int) ([]string, error) {
	return list(ctx, q.s, scanOne[string], `
		SELECT r.name FROM layers l JOIN repositories r ON r.id = l.repository_id
		WHERE l.digest = $1 AND l.hidden = FALSE ORDER BY r.name LIMIT $2`, string(d), limit)
}

// LinkLayer implements registry.LayerWrites. The blob's row is held, so that it does not go before the layer refers to it; one
// that goes at this moment is seen as gone, and made anew.
func (t tx) LinkLayer(ctx context.Context, repositoryID int64, l registry.Layer) (registry.Layer, bool, error) {
	for {
		added, err := t.s.exec(ctx, `
			INSERT INTO blobs (digest, size, blob_key, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (digest) DO NOTHING`,
			string(l.Digest), l.Size, string(l.Key), micros(l.LinkedAt))
		if err != nil {
			return registry.Layer{}, false, fmt.Errorf("recording blob: %w", err)
		}
		if added > 0 {
			break
		}
		known, err := one(ctx, t.s, func(rows *sql.Rows, b *registry.Layer) error {
			return rows.Scan(&b.Size, &b.Key, timeColumn{&b.DamagedAt})
		}, `SELECT size, blob_key, damaged_at FROM blobs WHERE digest = $1 FOR KEY SHARE`, string(l.Digest))
		if errors.Is(err, registry.ErrNoRow) {
			continue
		}
		if err != nil {
			return registry.Layer{}, false, fmt.Errorf("reading blob: %w", err)
		}
		if known.Size != l.Size {
			return registry.Layer{}, false, fmt.Errorf("blob %s is recorded with %d bytes, and came with %d", l.Digest, known.Size, l.Size)
		}
		l.Key, l.DamagedAt = known.Key, known.DamagedAt
		break
	}
	added, err := t.s.exec(ctx, `
		INSERT INTO layers (repository_id, digest, linked_at, due_at) VALUES ($1, $2, $3, $4) ON CONFLICT (repository_id, digest) DO NOTHING`,
		repositoryID, string(l.Digest), micros(l.LinkedAt), micros(l.DueAt))
	if err != nil {
		return registry.Layer{}, false, fmt.Errorf("linking blob: %w", err)
	}
	if added > 0 {
		return l, false, nil
	}
	return t.linkAgain(ctx, repositoryID, l)
}

// linkAgain makes a layer that the repository has one that was just linked. It tells false where it was hidden: as far as
// anybody could see it was not there.
func (t tx) linkAgain(ctx context.Context, repositoryID int64, l registry.Layer) (registry.Layer, bool, error) {
	shown, err := t.s.exec(ctx, `
		UPDATE layers SET hidden = FALSE, due_at = $3 WHERE repository_id = $1 AND digest = $2 AND hidden = TRUE`,
		repositoryID, string(l.Digest), micros(l.DueAt))
	if err != nil {
		return registry.Layer{}, false, fmt.Errorf("linking blob: %w", err)
	}
	if _, err := t.KeepLayer(ctx, repositoryID, l.Digest, l.DueAt); err != nil {
		return registry.Layer{}, false, fmt.Errorf("linking blob: %w", err)
	}
	l, err = t.Layer(ctx, repositoryID, l.Digest)
	return l, shown == 0, err
}

// KeepLayer implements registry.LayerWrites.
func (t tx) KeepLayer(ctx context.Context, repositoryID int64, d oci.Digest, until time.Time) (bool, error) {
	n, err := t.s.exec(ctx, `
		UPDATE layers SET due_at = CASE WHEN due_at = 0 OR due_at > $3 THEN due_at ELSE $3 END
		WHERE repository_id = $1 AND digest = $2 AND hidden = FALSE`, repositoryID, string(d), micros(until))
	return n > 0, err
}

// HideLayers implements registry.LayerWrites.
func (t tx) HideLayers(ctx context.Context, repositoryID, imageID int64, due time.Time) error {
	_, err := t.s.exec(ctx, `
		UPDATE layers SET hidden = TRUE, due_at = $3
		WHERE repository_id = $1 AND digest IN (SELECT b.digest FROM image_blobs b WHERE b.repository_id = $1 AND b.image_id = $2)
		AND NOT EXISTS (SELECT 1 FROM image_blobs o WHERE o.repository_id = $1 AND o.digest = layers.digest AND o.image_id <> $2)`,
		repositoryID, imageID, micros(due))
	return err
}

// ShowLayers implements registry.LayerWrites.
func (t tx) ShowLayers(ctx context.Context, repositoryID int64, ds []oci.Digest) error {
	digests, err := jsonText(ds)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		UPDATE layers SET hidden = FALSE WHERE repository_id = $1 AND digest IN (SELECT value FROM texts($2)) AND hidden = TRUE`,
		repositoryID, digests)
	return err
}

// MoveBlob implements registry.LayerWrites.
func (t tx) MoveBlob(ctx context.Context, d oci.Digest, from, to blob.Key) (bool, error) {
	n, err := t.s.exec(ctx, `
		UPDATE blobs SET blob_key = $1, damaged_at = 0 WHERE digest = $2 AND blob_key = $3`, string(to), string(d), string(from))
	return n > 0, err
}

// UnlinkLayer implements registry.LayerWrites.
func (t tx) UnlinkLayer(ctx context.Context, repositoryID int64, d oci.Digest, due time.Time) error {
	_, err := t.s.exec(ctx, `DELETE FROM layers WHERE repository_id = $1 AND digest = $2`, repositoryID, string(d))
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `UPDATE blobs SET due_at = $1 WHERE digest = $2`, micros(due), string(d))
	return err
}
