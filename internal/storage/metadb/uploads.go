package metadb

import (
	"context"
	"database/sql"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const uploadColumns = `repository_id, id, actor, started_at, updated_at, blob_key, size, algorithm, last_part, small_part, hash_state, blob_state`

const uploadColumnsOfU = `u.repository_id, u.id, u.actor, u.started_at, u.updated_at, u.blob_key, u.size, u.algorithm, u.last_part, u.small_part,
	u.hash_state, u.blob_state`

func scanUpload(rows *sql.Rows, u *registry.Upload) error {
	return rows.Scan(&u.RepositoryID, &u.ID, &u.Actor, timeColumn{&u.StartedAt}, timeColumn{&u.UpdatedAt}, &u.Blob.Key, &u.Blob.Size,
		&u.Algorithm, &u.LastPart, &u.SmallPart, &u.HashState, &u.Blob.State)
}

// UploadIn implements registry.LookUps.
func (q queries) UploadIn(ctx context.Context, repository, id string) (registry.Upload, error) {
	return one(ctx, q.s, scanUpload, `
		SELECT `+uploadColumnsOfU+` FROM repositories r JOIN uploads u ON u.repository_id = r.id
		WHERE r.name = $1 AND u.id = $2`, repository, id)
}

// InsertUpload implements registry.UploadWrites.
func (t tx) InsertUpload(ctx context.Context, u registry.Upload) error {
	_, err := t.s.exec(ctx, `INSERT INTO uploads (`+uploadColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)`,
		u.RepositoryID, u.ID, u.Actor, micros(u.StartedAt), micros(u.UpdatedAt), string(u.Blob.Key), u.Blob.Size,
		string(u.Algorithm), u.LastPart, u.SmallPart, nullBytes(u.HashState), nullBytes(u.Blob.State))
	return err
}

// SaveUpload implements registry.UploadWrites. Who started the upload, when, and under which key stays.
func (t tx) SaveUpload(ctx context.Context, u registry.Upload, fromSize int64) error {
	n, err := t.s.exec(ctx, `
		UPDATE uploads SET updated_at = $1, size = $2, algorithm = $3, last_part = $4, small_part = $5, hash_state = $6, blob_state = $7
		WHERE repository_id = $8 AND id = $9 AND size = $10`,
		micros(u.UpdatedAt), u.Blob.Size, string(u.Algorithm), u.LastPart, u.SmallPart, nullBytes(u.HashState), nullBytes(u.Blob.State),
		u.RepositoryID, u.ID, fromSize)
	if err == nil && n == 0 {
		return registry.ErrConflict
	}
	return err
}

// DeleteUpload implements registry.UploadWrites.
func (t tx) DeleteUpload(ctx context.Context, repositoryID int64, id string) (bool, error) {
	n, err := t.s.exec(ctx, `DELETE FROM uploads WHERE repository_id = $1 AND id = $2`, repositoryID, id)
	return n > 0, err
}
