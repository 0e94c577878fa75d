package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	selectRepository     = `SELECT id, name, created_at, mutability, exclusions, scan_on_push, trash_window FROM repositories WHERE name = $1`
	selectRepositoryHeld = selectRepository + ` FOR KEY SHARE`
	selectRepositoryLock = selectRepository + ` FOR UPDATE`
)

func scanRepository(rows *sql.Rows, r *registry.Repository) error {
	return rows.Scan(&r.ID, &r.Name, timeColumn{&r.CreatedAt}, &r.Mutability, jsonColumn{&r.Exclusions}, &r.ScanOnPush, windowColumn{&r.TrashWindow})
}

// Repository implements registry.RepositoryQueries.
func (q queries) Repository(ctx context.Context, name string) (registry.Repository, error) {
	if q.inTx {
		return one(ctx, q.s, scanRepository, selectRepositoryHeld, name)
	}
	return one(ctx, q.s, scanRepository, selectRepository, name)
}

// LockRepository implements registry.RepositoryWrites.
func (t tx) LockRepository(ctx context.Context, name string) (registry.Repository, error) {
	return one(ctx, t.s, scanRepository, selectRepositoryLock, name)
}

// Repositories implements registry.RepositoryQueries.
func (q queries) Repositories(ctx context.Context, after string, limit int) ([]registry.Repository, error) {
	return list(ctx, q.s, scanRepository, `
		SELECT id, name, created_at, mutability, exclusions, scan_on_push, trash_window FROM repositories
		WHERE name > $1 ORDER BY name LIMIT $2`, after, limit)
}

// ResourceTags implements registry.RepositoryQueries.
func (q queries) ResourceTags(ctx context.Context, repositoryID int64) ([]registry.ResourceTag, error) {
	scan := func(rows *sql.Rows, t *registry.ResourceTag) error { return rows.Scan(&t.Key, &t.Value) }
	return list(ctx, q.s, scan, `SELECT key, value FROM repository_tags WHERE repository_id = $1 ORDER BY key`, repositoryID)
}

// HasImages implements registry.RepositoryQueries.
func (q queries) HasImages(ctx context.Context, repositoryID int64) (bool, error) {
	return exists(ctx, q.s, `SELECT 1 FROM images WHERE repository_id = $1 LIMIT 1`, repositoryID)
}

// InsertRepository implements registry.RepositoryWrites.
func (t tx) InsertRepository(ctx context.Context, r registry.Repository) (int64, error) {
	exclusions, err := storedExclusions(r)
	if err != nil {
		return 0, err
	}
	id, err := one(ctx, t.s, scanOne[int64], `
		INSERT INTO repositories (name, created_at, mutability, exclusions, scan_on_push, trash_window) VALUES ($1, $2, $3, $4, $5, $6)
		ON CONFLICT (name) DO NOTHING RETURNING id`,
		r.Name, micros(r.CreatedAt), string(r.Mutability), exclusions, r.ScanOnPush, storedWindow(r.TrashWindow))
	return id, takenIfNoRow(err)
}

// takenIfNoRow reads an insert that gave no row: the place was taken, and ON CONFLICT left it alone.
func takenIfNoRow(err error) error {
	if errors.Is(err, registry.ErrNoRow) {
		return registry.ErrConflict
	}
	return err
}

func storedExclusions(r registry.Repository) (string, error) {
	if len(r.Exclusions) == 0 {
		return "", nil
	}
	return jsonText(r.Exclusions)
}

// UpdateRepository implements registry.RepositoryWrites.
func (t tx) UpdateRepository(ctx context.Context, r registry.Repository) error {
	exclusions, err := storedExclusions(r)
	if err != nil {
		return err
	}
	n, err := t.s.exec(ctx, `UPDATE repositories SET mutability = $1, exclusions = $2, scan_on_push = $3, trash_window = $4 WHERE id = $5`,
		string(r.Mutability), exclusions, r.ScanOnPush, storedWindow(r.TrashWindow), r.ID)
	if err == nil && n == 0 {
		return registry.ErrConflict
	}
	return err
}

// DeleteRepository implements registry.RepositoryWrites. Each table is emptied by one statement, which is
// faster than the cascade from row to row that would do it as well.
func (t tx) DeleteRepository(ctx context.Context, id int64, due time.Time) ([]registry.Upload, error) {
	uploads, err := list(ctx, t.s, scanUpload, `DELETE FROM uploads WHERE repository_id = $1 RETURNING `+uploadColumns, id)
	if err != nil {
		return nil, err
	}
	if err := markBlobs(ctx, t.s, due, `SELECT l.digest FROM layers l WHERE l.repository_id = $2`, id); err != nil {
		return nil, err
	}
	for _, text := range []string{
		`DELETE FROM tags WHERE repository_id = $1`,
		`DELETE FROM image_blobs WHERE repository_id = $1`,
		`DELETE FROM image_children WHERE repository_id = $1`,
		`DELETE FROM manifests WHERE image_id IN (SELECT id FROM images WHERE repository_id = $1)`,
		`DELETE FROM scans WHERE image_id IN (SELECT id FROM images WHERE repository_id = $1)`,
		`DELETE FROM images WHERE repository_id = $1`,
		`DELETE FROM layers WHERE repository_id = $1`,
		`DELETE FROM repository_tags WHERE repository_id = $1`,
		`DELETE FROM repository_policies WHERE repository_id = $1`,
		`DELETE FROM repositories WHERE id = $1`,
	} {
		if _, err := t.s.exec(ctx, text, id); err != nil {
			return nil, fmt.Errorf("running %q: %w", text, err)
		}
	}
	return uploads, nil
}

// SetResourceTags implements registry.RepositoryWrites.
func (t tx) SetResourceTags(ctx context.Context, repositoryID int64, tags []registry.ResourceTag) error {
	if _, err := t.s.exec(ctx, `DELETE FROM repository_tags WHERE repository_id = $1`, repositoryID); err != nil {
		return err
	}
	for _, tag := range tags {
		_, err := t.s.exec(ctx, `INSERT INTO repository_tags (repository_id, key, value) VALUES ($1, $2, $3)`, repositoryID, tag.Key, tag.Value)
		if err != nil {
			return err
		}
	}
	return nil
}
