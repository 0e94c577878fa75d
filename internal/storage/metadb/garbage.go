package metadb

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// markBlobs has the blobs that a query finds, by their digests and with arguments from $2 on, looked at when due. Their rows are held in
// the order of digests, as by everybody who holds several.
func markBlobs(ctx context.Context, s session, due time.Time, found string, args ...any) error {
	_, err := s.exec(ctx, `
		WITH held AS (SELECT b.digest FROM blobs b WHERE b.digest IN (`+found+`) ORDER BY b.digest FOR NO KEY UPDATE)
		UPDATE blobs SET due_at = $1 WHERE digest IN (SELECT digest FROM held)`, append([]any{micros(due)}, args...)...)
	if err != nil {
		return fmt.Errorf("marking blobs: %w", err)
	}
	return nil
}

// keyOwner is what names a key of the blob store.
type keyOwner struct {
	table string // blob, upload or garbage
	state []byte // of an upload
}

// keyOwners tells which of the keys a row names, in one statement: a key that moves from one table to another, in one transaction, is
// in one of them at each moment.
func keyOwners(ctx context.Context, s session, keys []blob.Key, found func(key blob.Key, by keyOwner)) error {
	which, err := jsonText(keys)
	if err != nil {
		return err
	}
	return s.query(ctx, `
		SELECT blob_key, 'blob', NULL FROM blobs WHERE blob_key IN (SELECT value FROM texts($1))
		UNION ALL SELECT blob_key, 'upload', blob_state FROM uploads WHERE blob_key IN (SELECT value FROM texts($1))
		UNION ALL SELECT blob_key, 'garbage', NULL FROM garbage WHERE blob_key IN (SELECT value FROM texts($1))`,
		func(rows *sql.Rows) error {
			var key blob.Key
			var by keyOwner
			if err := rows.Scan(&key, &by.table, &by.state); err != nil {
				return err
			}
			found(key, by)
			return nil
		}, which)
}

// Discard implements registry.GarbageWrites.
func (t tx) Discard(ctx context.Context, u blob.Upload, due time.Time) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO garbage (blob_key, size, blob_state, due_at) VALUES ($1, $2, $3, $4) ON CONFLICT (blob_key) DO NOTHING`,
		string(u.Key), u.Size, nullBytes(u.State), micros(due))
	return err
}

// TakeBack implements registry.GarbageWrites.
func (t tx) TakeBack(ctx context.Context, key blob.Key, due time.Time) (bool, error) {
	n, err := t.s.exec(ctx, `DELETE FROM garbage WHERE blob_key = $1 AND due_at = $2`, string(key), micros(due))
	return n > 0, err
}

// IsGarbage implements registry.GarbageWrites.
func (t tx) IsGarbage(ctx context.Context, key blob.Key) (bool, error) {
	return exists(ctx, t.s, `SELECT 1 FROM garbage WHERE blob_key = $1`, string(key))
}
