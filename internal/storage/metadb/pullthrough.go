package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

// RaiseIndexSizes implements registry.ImageWrites.
func (t tx) RaiseIndexSizes(ctx context.Context, repositoryID int64, child oci.Digest, size int64) error {
	_, err := t.s.exec(ctx, `
		UPDATE images SET size = $1 WHERE repository_id = $2 AND size < $1
		AND id IN (SELECT image_id FROM image_children WHERE repository_id = $2 AND digest = $3)`, size, repositoryID, string(child))
	return err
}

// PullThrough gives the rules of the pull-through cache, and when upstream registries were asked.
func (db *DB) PullThrough() pullthrough.Store { return pullThrough{db} }

type pullThrough struct{ db *DB }

const ruleColumns = `prefix, upstream, kind, upstream_prefix, credential, ttl, created_at, updated_at`

func scanRule(rows *sql.Rows, r *pullthrough.Rule) error {
	var ttl int64
	err := rows.Scan(&r.Prefix, &r.Upstream, &r.Kind, &r.UpstreamPrefix, &r.Credential, &ttl,
		timeColumn{&r.CreatedAt}, timeColumn{&r.UpdatedAt})
	r.TTL = time.Duration(ttl) * time.Microsecond
	return err
}

// Rules implements pullthrough.Store.
func (p pullThrough) Rules(ctx context.Context) ([]pullthrough.Rule, error) {
	return list(ctx, p.db.read.s, scanRule, `SELECT `+ruleColumns+` FROM pull_through_rules ORDER BY prefix`)
}

// InsertRule implements pullthrough.Store. Two that insert the last rule at the same time may both succeed: the
// quota keeps the list short, and nothing rests on it.
func (p pullThrough) InsertRule(ctx context.Context, r pullthrough.Rule, most int) error {
	return p.db.engine.update(ctx, func(t tx) error {
		there, err := one(ctx, t.s, scanOne[int], `SELECT COUNT(*) FROM pull_through_rules WHERE prefix <> $1`, r.Prefix)
		if err != nil {
			return err
		}
		if there >= most {
			return pullthrough.ErrTooManyRules
		}
		added, err := t.s.exec(ctx, `
			INSERT INTO pull_through_rules (`+ruleColumns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (prefix) DO NOTHING`,
			r.Prefix, r.Upstream, string(r.Kind), r.UpstreamPrefix, r.Credential, r.TTL.Microseconds(), micros(r.CreatedAt), micros(r.UpdatedAt))
		if err == nil && added == 0 {
			return pullthrough.ErrRuleExists
		}
		return err
	})
}

// ChangeRule implements pullthrough.Store. The members that name the rule and its upstream do not change.
func (p pullThrough) ChangeRule(ctx context.Context, prefix string, change func(*pullthrough.Rule)) (r pullthrough.Rule, err error) {
	err = p.db.engine.update(ctx, func(t tx) error {
		r, err = one(ctx, t.s, scanRule, `SELECT `+ruleColumns+` FROM pull_through_rules WHERE prefix = $1 FOR UPDATE`, prefix)
		if err != nil {
			return err
		}
		change(&r)
		_, err = t.s.exec(ctx, `UPDATE pull_through_rules SET credential = $1, ttl = $2, updated_at = $3 WHERE prefix = $4`,
			r.Credential, r.TTL.Microseconds(), micros(r.UpdatedAt), prefix)
		return err
	})
	return r, err
}

// DeleteRule implements pullthrough.Store.
func (p pullThrough) DeleteRule(ctx context.Context, prefix string) (r pullthrough.Rule, err error) {
	err = p.db.engine.update(ctx, func(t tx) error {
		r, err = one(ctx, t.s, scanRule, `DELETE FROM pull_through_rules WHERE prefix = $1 RETURNING `+ruleColumns, prefix)
		return err
	})
	return r, err
}

// Checked implements pullthrough.Store.
func (p pullThrough) Checked(ctx context.Context, repository, name string) (pullthrough.Check, error) {
	scan := func(rows *sql.Rows, c *pullthrough.Check) error { return rows.Scan(&c.Digest, timeColumn{&c.At}) }
	return one(ctx, p.db.read.s, scan, `
		SELECT c.digest, c.checked_at FROM repositories r JOIN pull_through_checks c ON c.repository_id = r.id
		WHERE r.name = $1 AND c.name = $2`, repository, name)
}

// SetChecked implements pullthrough.Store.
func (p pullThrough) SetChecked(ctx context.Context, repository, name string, c pullthrough.Check) error {
	return p.db.engine.update(ctx, func(t tx) error {
		// WHERE also tells SQLite that ON CONFLICT is no join.
		_, err := t.s.exec(ctx, `
			INSERT INTO pull_through_checks (repository_id, name, digest, checked_at)
			SELECT r.id, CAST($1 AS TEXT), CAST($2 AS TEXT), CAST($3 AS BIGINT) FROM repositories r WHERE r.name = $4
			ON CONFLICT (repository_id, name) DO UPDATE SET digest = excluded.digest, checked_at = excluded.checked_at`,
			name, string(c.Digest), micros(c.At), repository)
		return err
	})
}

// ForgetChecks implements pullthrough.Store. Most repositories are no copies, so it looks before it writes.
func (p pullThrough) ForgetChecks(ctx context.Context, repositoryID int64, names []string) error {
	gone, err := jsonText(names)
	if err != nil {
		return err
	}
	const checks = `FROM pull_through_checks WHERE repository_id = $1 AND name IN (SELECT value FROM texts($2))`
	there, err := exists(ctx, p.db.read.s, `SELECT 1 `+checks+` LIMIT 1`, repositoryID, gone)
	if err != nil || !there {
		return err
	}
	return p.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `DELETE `+checks+`
			AND NOT EXISTS (SELECT 1 FROM tags WHERE tags.repository_id = $1 AND tags.name = pull_through_checks.name)
			AND NOT EXISTS (SELECT 1 FROM images WHERE images.repository_id = $1 AND images.digest = pull_through_checks.name)`, repositoryID, gone)
		return err
	})
}
