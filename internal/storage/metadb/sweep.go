package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Garbage gives what the garbage collector needs.
func (db *DB) Garbage() gc.Store { return garbageStore{db} }

type garbageStore struct{ db *DB }

// sweepTx implements gc.Tx.
type sweepTx struct{ s session }

// Update implements gc.Store.
func (g garbageStore) Update(ctx context.Context, f func(gc.Tx) error) error {
	return g.db.engine.update(ctx, func(t tx) error { return f(sweepTx{t.s}) })
}

// What is due, by each table's index.
const (
	layersDue = `due_at > 0 AND due_at <= $1`
	blobsDue  = `due_at > 0 AND due_at <= $1`
)

// Due implements gc.Store.
func (g garbageStore) Due(ctx context.Context, d gc.Deadlines) (due gc.Stages, err error) {
	scan := func(rows *sql.Rows, v *gc.Stages) error {
		return rows.Scan(&v[gc.Trash], &v[gc.Uploads], &v[gc.Layers], &v[gc.Blobs], &v[gc.Bytes])
	}
	return one(ctx, g.db.read.s, scan, `
		SELECT EXISTS (SELECT 1 FROM trash WHERE purge_at <= $1), EXISTS (SELECT 1 FROM uploads WHERE updated_at <= $2),
			EXISTS (SELECT 1 FROM layers WHERE `+layersDue+`), EXISTS (SELECT 1 FROM blobs WHERE `+blobsDue+`),
			EXISTS (SELECT 1 FROM garbage WHERE due_at <= $1)`, micros(d.Now), micros(d.Uploads))
}

// LayersDue implements gc.Store.
func (g garbageStore) LayersDue(ctx context.Context, now time.Time, limit int) ([]gc.Layer, error) {
	return list(ctx, g.db.read.s, func(rows *sql.Rows, l *gc.Layer) error { return rows.Scan(&l.RepositoryID, &l.Digest) }, `
		SELECT repository_id, digest FROM layers WHERE `+layersDue+` ORDER BY due_at LIMIT $2`, micros(now), limit)
}

// Setting implements gc.Settings.
func (g garbageStore) Setting(ctx context.Context, name registry.SettingName) (string, error) {
	return g.db.read.Setting(ctx, name)
}

// SwapSetting implements gc.Settings.
func (g garbageStore) SwapSetting(ctx context.Context, name registry.SettingName, from, to string, at time.Time) (swapped bool, err error) {
	err = g.db.engine.update(ctx, func(t tx) error {
		var n int64
		if from == "" {
			n, err = t.s.exec(ctx, `
				INSERT INTO settings (name, body, updated_at) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING`, string(name), to, micros(at))
		} else {
			n, err = t.s.exec(ctx, `
				UPDATE settings SET body = $2, updated_at = $3 WHERE name = $1 AND body = $4`, string(name), to, micros(at), from)
		}
		swapped = n > 0
		return err
	})
	return swapped && err == nil, err
}

// TrashDue implements gc.TrashTx.
func (t sweepTx) TrashDue(ctx context.Context, now time.Time, limit int) ([]int64, error) {
	return list(ctx, t.s, scanOne[int64], `
		SELECT id FROM trash WHERE purge_at <= $1 ORDER BY purge_at LIMIT $2 FOR UPDATE SKIP LOCKED`, micros(now), limit)
}

// PurgeTrash implements gc.TrashTx.
func (t sweepTx) PurgeTrash(ctx context.Context, ids []int64, due time.Time) error {
	return removeTrash(ctx, t.s, ids, due)
}

// DueBlobs implements gc.BlobTx.
func (t sweepTx) DueBlobs(ctx context.Context, ds []oci.Digest, due time.Time) error {
	if len(ds) == 0 { // a null list is none to PostgreSQL
		return nil
	}
	which, err := jsonText(ds)
	if err != nil {
		return err
	}
	return markBlobs(ctx, t.s, due, `SELECT value FROM texts($2)`, which)
}

// ExpireUploads implements gc.TrashTx. An upload that got bytes since it was found is not ended: the row is looked at again
// once it is locked.
func (t sweepTx) ExpireUploads(ctx context.Context, before time.Time, limit int) ([]blob.Upload, error) {
	return list(ctx, t.s, scanGarbage, `
		DELETE FROM uploads WHERE (repository_id, id) IN (
			SELECT repository_id, id FROM uploads WHERE updated_at <= $1 ORDER BY updated_at LIMIT $2 FOR UPDATE SKIP LOCKED)
		AND updated_at <= $1 RETURNING blob_key, size, blob_state`, micros(before), limit)
}

func scanGarbage(rows *sql.Rows, u *blob.Upload) error { return rows.Scan(&u.Key, &u.Size, &u.State) }

// LockRepository implements gc.LayerTx.
func (t sweepTx) LockRepository(ctx context.Context, id int64) (bool, error) {
	return exists(ctx, t.s, `SELECT 1 FROM repositories WHERE id = $1 FOR UPDATE`, id)
}

// LayersOf implements gc.LayerTx.
func (t sweepTx) LayersOf(ctx context.Context, repositoryID int64, ds []oci.Digest, now time.Time) ([]gc.Layer, error) {
	which, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	scan := func(rows *sql.Rows, l *gc.Layer) error {
		l.RepositoryID = repositoryID
		return rows.Scan(&l.Digest, &l.Used)
	}
	return list(ctx, t.s, scan, `
		SELECT l.digest, EXISTS (SELECT 1 FROM image_blobs b WHERE b.repository_id = l.repository_id AND b.digest = l.digest)
		FROM layers l WHERE l.repository_id = $2 AND l.digest IN (SELECT value FROM texts($3)) AND l.due_at > 0 AND l.due_at <= $1`,
		micros(now), repositoryID, which)
}

// UnlinkLayers implements gc.LayerTx.
func (t sweepTx) UnlinkLayers(ctx context.Context, repositoryID int64, ds []oci.Digest, due time.Time) error {
	which, err := jsonText(ds)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `DELETE FROM layers WHERE repository_id = $1 AND digest IN (SELECT value FROM texts($2))`, repositoryID, which)
	if err != nil {
		return err
	}
	return t.DueBlobs(ctx, ds, due)
}

// SettleLayers implements gc.LayerTx.
func (t sweepTx) SettleLayers(ctx context.Context, repositoryID int64, ds []oci.Digest) error {
	which, err := jsonText(ds)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		UPDATE layers SET hidden = FALSE, due_at = 0 WHERE repository_id = $1 AND digest IN (SELECT value FROM texts($2))`, repositoryID, which)
	return err
}

// BlobsDue implements gc.BlobTx.
func (t sweepTx) BlobsDue(ctx context.Context, now time.Time, limit int) ([]gc.Blob, error) {
	return list(ctx, t.s, func(rows *sql.Rows, b *gc.Blob) error { return rows.Scan(&b.Digest, &b.Key, &b.Size) }, `
		SELECT digest, blob_key, size FROM blobs WHERE `+blobsDue+` ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED`, micros(now), limit)
}

// BlobsNeeded implements gc.BlobTx.
func (t sweepTx) BlobsNeeded(ctx context.Context, ds []oci.Digest) ([]oci.Digest, error) {
	which, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	return list(ctx, t.s, scanOne[oci.Digest], `
		SELECT value FROM texts($1) WHERE EXISTS (SELECT 1 FROM layers l WHERE l.digest = value)
		OR EXISTS (SELECT 1 FROM trash_blobs t WHERE t.digest = value)`, which)
}

// DeleteBlobs implements gc.BlobTx.
func (t sweepTx) DeleteBlobs(ctx context.Context, ds []oci.Digest) error {
	which, err := jsonText(ds)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `DELETE FROM blobs WHERE digest IN (SELECT value FROM texts($1))`, which)
	return err
}

// SettleBlobs implements gc.BlobTx.
func (t sweepTx) SettleBlobs(ctx context.Context, ds []oci.Digest) error {
	which, err := jsonText(ds)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `UPDATE blobs SET due_at = 0 WHERE digest IN (SELECT value FROM texts($1))`, which)
	return err
}

// Discard implements gc.GarbageTx.
func (t sweepTx) Discard(ctx context.Context, garbage []blob.Upload, due time.Time) error {
	for _, u := range garbage {
		if err := (tx{queries{s: t.s, inTx: true}}).Discard(ctx, u, due); err != nil {
			return err
		}
	}
	return nil
}

// ClaimGarbage implements gc.GarbageTx. PostgreSQL may take more than limit, as in Outbox.Claim. What a row names is no garbage, whoever
// put it on the list: it is taken off.
func (t sweepTx) ClaimGarbage(ctx context.Context, now, again time.Time, limit int) ([]blob.Upload, error) {
	type claim struct {
		blob.Upload
		named bool
	}
	claims, err := list(ctx, t.s, func(rows *sql.Rows, c *claim) error { return rows.Scan(&c.Key, &c.Size, &c.State, &c.named) }, `
		UPDATE garbage SET due_at = $2 WHERE blob_key IN (
			SELECT blob_key FROM garbage WHERE due_at <= $1 ORDER BY due_at, blob_key LIMIT $3 FOR UPDATE SKIP LOCKED)
		AND due_at <= $1 RETURNING blob_key, size, blob_state,
			EXISTS (SELECT 1 FROM blobs b WHERE b.blob_key = garbage.blob_key) OR EXISTS (SELECT 1 FROM uploads u WHERE u.blob_key = garbage.blob_key)`,
		micros(now), micros(again), limit)
	if err != nil {
		return nil, err
	}
	var claimed []blob.Upload
	var named []blob.Key
	for _, c := range claims {
		if c.named {
			named = append(named, c.Key)
		} else {
			claimed = append(claimed, c.Upload)
		}
	}
	if len(named) > 0 {
		err = t.ForgetGarbage(ctx, named)
	}
	return claimed, err
}

// ForgetGarbage implements gc.GarbageTx.
func (t sweepTx) ForgetGarbage(ctx context.Context, keys []blob.Key) error {
	which, err := jsonText(keys)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `DELETE FROM garbage WHERE blob_key IN (SELECT value FROM texts($1))`, which)
	return err
}
