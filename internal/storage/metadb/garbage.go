package metadb

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

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
