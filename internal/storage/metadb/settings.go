package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// RepositoryPolicy implements registry.PolicyQueries.
func (q queries) RepositoryPolicy(ctx context.Context, repositoryID int64) (string, error) {
	return one(ctx, q.s, scanOne[string], `SELECT body FROM repository_policies WHERE repository_id = $1`, repositoryID)
}

// PutRepositoryPolicy implements registry.PolicyWrites.
func (t tx) PutRepositoryPolicy(ctx context.Context, repositoryID int64, text string, open bool, at time.Time) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO repository_policies (repository_id, body, updated_at, open) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at, open = excluded.open`,
		repositoryID, text, micros(at), open)
	return err
}

// DeleteRepositoryPolicy implements registry.PolicyWrites.
func (t tx) DeleteRepositoryPolicy(ctx context.Context, repositoryID int64) error {
	_, err := t.s.exec(ctx, `DELETE FROM repository_policies WHERE repository_id = $1`, repositoryID)
	return err
}

// PullExclusions implements registry.PullExclusionQueries.
func (q queries) PullExclusions(ctx context.Context, after string, limit int) ([]registry.PullExclusion, error) {
	scan := func(rows *sql.Rows, e *registry.PullExclusion) error {
		return rows.Scan(&e.PrincipalARN, timeColumn{&e.CreatedAt})
	}
	return list(ctx, q.s, scan, `
		SELECT principal_arn, created_at FROM pull_exclusions WHERE principal_arn > $1 ORDER BY principal_arn LIMIT $2`, after, limit)
}

// InsertPullExclusion implements registry.PullExclusionWrites.
func (t tx) InsertPullExclusion(ctx context.Context, e registry.PullExclusion) error {
	n, err := t.s.exec(ctx, `
		INSERT INTO pull_exclusions (principal_arn, created_at) VALUES ($1, $2) ON CONFLICT (principal_arn) DO NOTHING`,
		e.PrincipalARN, micros(e.CreatedAt))
	if err == nil && n == 0 {
		return registry.ErrConflict
	}
	return err
}

// DeletePullExclusion implements registry.PullExclusionWrites.
func (t tx) DeletePullExclusion(ctx context.Context, principalARN string) (bool, error) {
	n, err := t.s.exec(ctx, `DELETE FROM pull_exclusions WHERE principal_arn = $1`, principalARN)
	return n > 0, err
}

// Scan implements registry.ScanQueries.
func (q queries) Scan(ctx context.Context, imageID int64, kind registry.ScanKind) (registry.Scan, error) {
	scan := func(rows *sql.Rows, s *registry.Scan) error {
		return rows.Scan(&s.ImageID, &s.Kind, &s.Status, &s.Description, timeColumn{&s.RequestedAt}, timeColumn{&s.ChangedAt})
	}
	return one(ctx, q.s, scan, `
		SELECT image_id, kind, status, description, requested_at, changed_at FROM scans WHERE image_id = $1 AND kind = $2`,
		imageID, string(kind))
}

// PutScan implements registry.ScanWrites. A scan that is pending is due at once.
func (t tx) PutScan(ctx context.Context, s registry.Scan) error {
	var due int64
	if s.Status == registry.ScanPending {
		due = micros(s.RequestedAt)
	}
	_, err := t.s.exec(ctx, `
		INSERT INTO scans (image_id, kind, status, description, requested_at, changed_at, due_at, attempts) VALUES ($1, $2, $3, $4, $5, $6, $7, 0)
		ON CONFLICT (image_id, kind) DO UPDATE SET status = excluded.status, description = excluded.description,
			requested_at = excluded.requested_at, changed_at = excluded.changed_at, due_at = excluded.due_at, attempts = excluded.attempts`,
		s.ImageID, string(s.Kind), string(s.Status), s.Description, micros(s.RequestedAt), micros(s.ChangedAt), due)
	return err
}
