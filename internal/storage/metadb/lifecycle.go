package metadb

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// LifecyclePolicy implements registry.LifecycleQueries.
func (q queries) LifecyclePolicy(ctx context.Context, repositoryID int64) (registry.LifecyclePolicy, error) {
	scan := func(rows *sql.Rows, p *registry.LifecyclePolicy) error {
		return rows.Scan(&p.Text, timeColumn{&p.EvaluatedAt})
	}
	return one(ctx, q.s, scan, `SELECT body, last_evaluated_at FROM lifecycle_policies WHERE repository_id = $1`, repositoryID)
}

// StandingImages implements registry.LifecycleQueries.
func (q queries) StandingImages(ctx context.Context, repositoryID int64, ids []int64) ([]registry.Image, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	all, err := jsonText(ids)
	if err != nil {
		return nil, err
	}
	belongs := map[int64]bool{}
	scan := func(rows *sql.Rows, i *registry.Image) error {
		var subject bool
		err := scanImageAnd(rows, i, &subject)
		belongs[i.ID] = subject && !registry.Named(i.Subject, i.Tags)
		return err
	}
	images, err := list(ctx, q.s, scan, `
		SELECT `+imageColumns+`,
			EXISTS (SELECT 1 FROM images s WHERE s.repository_id = i.repository_id AND s.digest = i.subject AND s.id <> i.id)
		FROM images i
		WHERE i.id IN (SELECT CAST(value AS BIGINT) FROM texts($2)) AND i.repository_id = $1
		AND NOT EXISTS (SELECT 1 FROM image_children c WHERE c.repository_id = i.repository_id AND c.digest = i.digest)`, repositoryID, all)
	return slices.DeleteFunc(images, func(i registry.Image) bool { return belongs[i.ID] }), err
}

// PutLifecyclePolicy implements registry.LifecycleWrites.
func (t tx) PutLifecyclePolicy(ctx context.Context, repositoryID int64, text string, at time.Time) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO lifecycle_policies (repository_id, body, updated_at, last_evaluated_at, due_at, claimed_until) VALUES ($1, $2, $3, 0, $3, 0)
		ON CONFLICT (repository_id) DO UPDATE SET body = excluded.body, updated_at = excluded.updated_at, due_at = excluded.due_at,
			last_evaluated_at = CASE WHEN lifecycle_policies.body = excluded.body THEN lifecycle_policies.last_evaluated_at ELSE 0 END`,
		repositoryID, text, micros(at))
	return err
}

// DeleteLifecyclePolicy implements registry.LifecycleWrites.
func (t tx) DeleteLifecyclePolicy(ctx context.Context, repositoryID int64) error {
	_, err := t.s.exec(ctx, `DELETE FROM lifecycle_policies WHERE repository_id = $1`, repositoryID)
	return err
}

// Lifecycle gives what the work on lifecycle policies needs.
func (db *DB) Lifecycle() lifecycle.Store { return lifecycleStore{db} }

type lifecycleStore struct{ db *DB }

// Touch implements lifecycle.PolicyStore. It looks before it writes: most repositories have no policy, and
// most changes come when it is due soon already.
func (l lifecycleStore) Touch(ctx context.Context, repositoryID int64, at time.Time) error {
	late, err := exists(ctx, l.db.read.s, `SELECT 1 FROM lifecycle_policies WHERE repository_id = $1 AND due_at > $2`, repositoryID, micros(at))
	if err != nil || !late {
		return err
	}
	return l.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `UPDATE lifecycle_policies SET due_at = $1 WHERE repository_id = $2 AND due_at > $1`, micros(at), repositoryID)
		return err
	})
}

// ClaimPolicy implements lifecycle.PolicyStore.
func (l lifecycleStore) ClaimPolicy(ctx context.Context, now, until time.Time) (lifecycle.Claim, error) {
	const due = `due_at <= $1 AND claimed_until <= $1`
	waiting, err := exists(ctx, l.db.read.s, `SELECT 1 FROM lifecycle_policies WHERE `+due+` LIMIT 1`, micros(now))
	if err != nil {
		return lifecycle.Claim{}, err
	}
	if !waiting {
		return lifecycle.Claim{}, registry.ErrNoRow
	}
	scan := func(rows *sql.Rows, c *lifecycle.Claim) error {
		return rows.Scan(&c.RepositoryID, &c.Text, &c.Repository)
	}
	return l.claim(ctx, until, scan, `
		UPDATE lifecycle_policies SET due_at = $2, claimed_until = $2 WHERE repository_id = (
			SELECT repository_id FROM lifecycle_policies WHERE `+due+` ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED)
		AND `+due+` RETURNING repository_id, body, (SELECT name FROM repositories r WHERE r.id = lifecycle_policies.repository_id)`,
		micros(now), micros(until))
}

// claim takes one row. In its text the row is = (SELECT … LIMIT 1): what follows IN, PostgreSQL may evaluate again
// for each row, and so claim more than one.
func (l lifecycleStore) claim(ctx context.Context, until time.Time, scan rowScan[lifecycle.Claim], text string, args ...any) (lifecycle.Claim, error) {
	var c lifecycle.Claim
	err := l.db.engine.update(ctx, func(t tx) (err error) {
		c, err = one(ctx, t.s, scan, text, args...)
		return err
	})
	c.Until = until
	return c, err
}

// FinishPolicy implements lifecycle.PolicyStore.
func (l lifecycleStore) FinishPolicy(ctx context.Context, c lifecycle.Claim, evaluatedAt, due time.Time) error {
	return l.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			UPDATE lifecycle_policies SET claimed_until = 0,
				due_at = CASE WHEN due_at = claimed_until OR due_at > $1 THEN $1 ELSE due_at END,
				last_evaluated_at = CASE WHEN body = $2 THEN $3 ELSE last_evaluated_at END
			WHERE repository_id = $4 AND claimed_until = $5`,
			micros(due), c.Text, micros(evaluatedAt), c.RepositoryID, micros(c.Until))
		return err
	})
}

// StartPreview implements lifecycle.PreviewStore.
func (l lifecycleStore) StartPreview(ctx context.Context, repositoryID int64, text string, at time.Time) (bool, error) {
	started := false
	err := l.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `DELETE FROM lifecycle_previews WHERE repository_id = $1 AND status <> 'IN_PROGRESS'`, repositoryID)
		if err != nil {
			return err
		}
		n, err := t.s.exec(ctx, `
			INSERT INTO lifecycle_previews (repository_id, body, status, started_at, ended_at, due_at, attempts, expiring, transitioning)
			VALUES ($1, $2, 'IN_PROGRESS', $3, 0, $3, 0, 0, 0) ON CONFLICT (repository_id) DO NOTHING`, repositoryID, text, micros(at))
		started = n > 0
		return err
	})
	return started && err == nil, err
}

// ClaimPreview implements lifecycle.PreviewStore.
func (l lifecycleStore) ClaimPreview(ctx context.Context, now, until time.Time) (lifecycle.Claim, error) {
	const due = `status = 'IN_PROGRESS' AND due_at <= $1`
	waiting, err := exists(ctx, l.db.read.s, `SELECT 1 FROM lifecycle_previews WHERE `+due+` LIMIT 1`, micros(now))
	if err != nil {
		return lifecycle.Claim{}, err
	}
	if !waiting {
		return lifecycle.Claim{}, registry.ErrNoRow
	}
	scan := func(rows *sql.Rows, c *lifecycle.Claim) error {
		return rows.Scan(&c.ID, &c.RepositoryID, &c.Text, &c.Attempts, &c.Repository)
	}
	c, err := l.claim(ctx, until, scan, `
		UPDATE lifecycle_previews SET due_at = $2, attempts = attempts + 1 WHERE id = (
			SELECT id FROM lifecycle_previews WHERE `+due+` ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
		AND `+due+` RETURNING id, repository_id, body, attempts, (SELECT name FROM repositories r WHERE r.id = lifecycle_previews.repository_id)`,
		micros(now), micros(until))
	if err != nil || c.Attempts == 1 {
		return c, err
	}
	err = l.db.engine.update(ctx, func(t tx) error { // what an earlier attempt has left
		return t.holdingPreview(ctx, c, func() error {
			_, err := t.s.exec(ctx, `DELETE FROM lifecycle_preview_parcels WHERE preview_id = $1`, c.ID)
			return err
		})
	})
	return c, err
}

// holdingPreview does something to a preview if the claim still holds, or answers registry.ErrConflict.
func (t tx) holdingPreview(ctx context.Context, c lifecycle.Claim, do func() error) error {
	held, err := exists(ctx, t.s, `
		SELECT 1 FROM lifecycle_previews WHERE id = $1 AND status = 'IN_PROGRESS' AND due_at = $2 FOR UPDATE`, c.ID, micros(c.Until))
	if err != nil {
		return err
	}
	if !held {
		return registry.ErrConflict
	}
	return do()
}

// EndPreview implements lifecycle.PreviewStore.
func (l lifecycleStore) EndPreview(ctx context.Context, c lifecycle.Claim, status lifecycle.PreviewStatus, s lifecycle.Summary, at time.Time) error {
	err := l.db.engine.update(ctx, func(t tx) error {
		return t.holdingPreview(ctx, c, func() error {
			_, err := t.s.exec(ctx, `UPDATE lifecycle_previews SET status = $1, ended_at = $2, expiring = $3, transitioning = $4 WHERE id = $5`,
				string(status), micros(at), s.Expiring, s.Transitioning, c.ID)
			return err
		})
	})
	if errors.Is(err, registry.ErrConflict) {
		return nil
	}
	return err
}

// Preview implements lifecycle.PreviewStore.
func (l lifecycleStore) Preview(ctx context.Context, repositoryID int64) (lifecycle.Preview, error) {
	scan := func(rows *sql.Rows, p *lifecycle.Preview) error {
		return rows.Scan(&p.ID, &p.Text, &p.Status, timeColumn{&p.EndedAt}, &p.Summary.Expiring, &p.Summary.Transitioning)
	}
	return one(ctx, l.db.read.s, scan, `
		SELECT id, body, status, ended_at, expiring, transitioning FROM lifecycle_previews WHERE repository_id = $1`, repositoryID)
}

// ExpirePreviews implements lifecycle.PreviewStore.
func (l lifecycleStore) ExpirePreviews(ctx context.Context, before time.Time, limit int) error {
	const old = `status = 'COMPLETE' AND ended_at < $1`
	there, err := exists(ctx, l.db.read.s, `SELECT 1 FROM lifecycle_previews WHERE `+old+` LIMIT 1`, micros(before))
	if err != nil || !there {
		return err
	}
	return l.db.engine.update(ctx, func(t tx) error {
		ids, err := list(ctx, t.s, scanOne[int64], `
			UPDATE lifecycle_previews SET status = 'EXPIRED' WHERE id IN (
				SELECT id FROM lifecycle_previews WHERE `+old+` ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED)
			AND `+old+` RETURNING id`, micros(before), limit)
		if err != nil {
			return err
		}
		for _, id := range ids {
			if _, err := t.s.exec(ctx, `DELETE FROM lifecycle_preview_parcels WHERE preview_id = $1`, id); err != nil {
				return err
			}
		}
		return nil
	})
}
