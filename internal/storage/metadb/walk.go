package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Known implements gc.Walking.
func (g garbageStore) Known(ctx context.Context, keys []blob.Key) (map[blob.Key]gc.Known, error) {
	known := make(map[blob.Key]gc.Known, len(keys))
	err := keyOwners(ctx, g.db.read.s, keys, func(key blob.Key, by keyOwner) {
		known[key] = gc.Known{Upload: by.table == "upload", State: by.state}
	})
	return known, err
}

// UndueLayers implements gc.Walking.
func (g garbageStore) UndueLayers(ctx context.Context, after gc.Layer, limit int) (strays []gc.Layer, last gc.Layer, looked int, err error) {
	err = g.db.read.s.query(ctx, `
		SELECT l.repository_id, l.digest, l.due_at = 0 AND NOT EXISTS (
			SELECT 1 FROM image_blobs b WHERE b.repository_id = l.repository_id AND b.digest = l.digest)
		FROM layers l WHERE (l.repository_id, l.digest) > ($1, $2) ORDER BY l.repository_id, l.digest LIMIT $3`,
		func(rows *sql.Rows) error {
			stray := false
			if err := rows.Scan(&last.RepositoryID, &last.Digest, &stray); err != nil {
				return err
			}
			if looked++; stray {
				strays = append(strays, last)
			}
			return nil
		}, after.RepositoryID, string(after.Digest), limit)
	return strays, last, looked, err
}

// UndueBlobs implements gc.Walking.
func (g garbageStore) UndueBlobs(ctx context.Context, after oci.Digest, limit int) (strays []oci.Digest, last oci.Digest, looked int, err error) {
	err = g.db.read.s.query(ctx, `
		SELECT b.digest, b.due_at = 0 AND NOT EXISTS (SELECT 1 FROM layers l WHERE l.digest = b.digest)
			AND NOT EXISTS (SELECT 1 FROM trash_blobs t WHERE t.digest = b.digest)
		FROM blobs b WHERE b.digest > $1 ORDER BY b.digest LIMIT $2`,
		func(rows *sql.Rows) error {
			stray := false
			if err := rows.Scan(&last, &stray); err != nil {
				return err
			}
			if looked++; stray {
				strays = append(strays, last)
			}
			return nil
		}, string(after), limit)
	return strays, last, looked, err
}

// DueLayers implements gc.LayerTx.
func (t sweepTx) DueLayers(ctx context.Context, layers []gc.Layer, due time.Time) error {
	for _, l := range layers {
		_, err := t.s.exec(ctx, `UPDATE layers SET due_at = $3 WHERE repository_id = $1 AND digest = $2 AND due_at = 0`,
			l.RepositoryID, string(l.Digest), micros(due))
		if err != nil {
			return err
		}
	}
	return nil
}
