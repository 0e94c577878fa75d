package metadb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

// Signing gives the keys of signing profiles, and what is to be signed.
func (db *DB) Signing() Signing { return Signing{db} }

// Signing implements signing.Keys and signing.Work.
type Signing struct{ db *DB }

var (
	_ signing.Keys = Signing{}
	_ signing.Work = Signing{}
)

func scanSigningKey(rows *sql.Rows, k *signing.SealedKey) error {
	return rows.Scan(&k.Profile, &k.Name, &k.Sealed, timeColumn{&k.CreatedAt})
}

// SigningKey implements signing.Keys.
func (s Signing) SigningKey(ctx context.Context, profile string) (signing.SealedKey, error) {
	k, err := one(ctx, s.db.engine, scanSigningKey, `SELECT profile, name, sealed, created_at FROM signing_keys WHERE profile = $1`, profile)
	if errors.Is(err, registry.ErrNoRow) {
		err = signing.ErrNoKey
	}
	return k, err
}

// SigningKeysNamed implements signing.Keys.
func (s Signing) SigningKeysNamed(ctx context.Context, name string) ([]signing.SealedKey, error) {
	return list(ctx, s.db.engine, scanSigningKey, `
		SELECT profile, name, sealed, created_at FROM signing_keys WHERE name = $1 ORDER BY profile`, name)
}

// EnsureSigningKey implements signing.Keys.
func (s Signing) EnsureSigningKey(ctx context.Context, k signing.SealedKey) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			INSERT INTO signing_keys (profile, name, sealed, created_at) VALUES ($1, $2, $3, $4) ON CONFLICT (profile) DO NOTHING`,
			k.Profile, k.Name, k.Sealed, micros(k.CreatedAt))
		return err
	})
}

// PlanSigning implements signing.Work.
func (s Signing) PlanSigning(ctx context.Context, repositoryID int64, d oci.Digest, profiles []string, now time.Time) error {
	return s.db.engine.update(ctx, func(t tx) error {
		for _, p := range profiles {
			_, err := t.s.exec(ctx, `
				INSERT INTO signings (repository_id, image_id, profile, state, due_at, attempts, failure_code, failure_reason)
				SELECT i.repository_id, i.id, CAST($1 AS TEXT), 'pending', CAST($2 AS BIGINT), 0, '', '' FROM images i
				WHERE i.repository_id = $3 AND i.digest = $4
				ON CONFLICT (image_id, profile) DO NOTHING`, p, micros(now), repositoryID, string(d))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

func scanSigning(rows *sql.Rows, s *signing.Status) error {
	return rows.Scan(&s.Profile, &s.State, &s.Attempts, timeColumn{&s.DueAt}, &s.Code, &s.Reason)
}

// ClaimSigning implements signing.Work. It looks before it writes, so that nothing to do costs no transaction.
// The image is picked by = and not by IN: PostgreSQL may run what stands after IN once for each row, and with
// the rows that it has just updated left out it finds another image each time.
func (s Signing) ClaimSigning(ctx context.Context, now, again time.Time) (signing.Task, bool, error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM signings WHERE state = 'pending' AND due_at <= $1 LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return signing.Task{}, false, err
	}
	var task signing.Task
	scan := func(rows *sql.Rows, p *signing.Status) error {
		return rows.Scan(&task.ImageID, &p.Profile, &p.State, &p.Attempts, timeColumn{&p.DueAt})
	}
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		task = signing.Task{}
		task.Pending, err = list(ctx, t.s, scan, `
			UPDATE signings SET due_at = $1 WHERE image_id = (
				SELECT image_id FROM signings WHERE state = 'pending' AND due_at <= $2 ORDER BY due_at, image_id LIMIT 1 FOR UPDATE SKIP LOCKED)
			AND state = 'pending' AND due_at <= $2 RETURNING image_id, profile, state, attempts, due_at`, micros(again), micros(now))
		if err != nil || len(task.Pending) == 0 {
			return err
		}
		return t.s.query(ctx, `
			SELECT r.name, i.digest, i.media_type, i.manifest_size FROM images i JOIN repositories r ON r.id = i.repository_id WHERE i.id = $1`,
			func(rows *sql.Rows) error {
				return rows.Scan(&task.Repository, &task.Digest, &task.MediaType, &task.ManifestSize)
			}, task.ImageID)
	})
	return task, len(task.Pending) > 0, err
}

// SettleSigning implements signing.Work.
func (s Signing) SettleSigning(ctx context.Context, imageID int64, st signing.Status) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			UPDATE signings SET state = $1, due_at = $2, attempts = $3, failure_code = $4, failure_reason = $5
			WHERE image_id = $6 AND profile = $7 AND state = 'pending'`,
			string(st.State), micros(st.DueAt), st.Attempts, st.Code, st.Reason, imageID, st.Profile)
		return err
	})
}

// Signings implements signing.Work.
func (s Signing) Signings(ctx context.Context, repository string, d oci.Digest) ([]signing.Status, error) {
	return list(ctx, s.db.engine, scanSigning, `
		SELECT s.profile, s.state, s.attempts, s.due_at, s.failure_code, s.failure_reason
		FROM repositories r JOIN images i ON i.repository_id = r.id JOIN signings s ON s.image_id = i.id
		WHERE r.name = $1 AND i.digest = $2 ORDER BY s.profile`, repository, string(d))
}
