package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func scanAccessKey(rows *sql.Rows, k *identity.SealedKey) error {
	return rows.Scan(&k.ID, &k.SealedSecret, &k.PrincipalARN, &k.UserID, &k.Root, timeColumn{&k.CreatedAt}, &k.Active)
}

// InsertAccessKey implements identity.Store. An id that is taken answers registry.ErrConflict.
func (db *DB) InsertAccessKey(ctx context.Context, k identity.SealedKey) error {
	err := db.engine.update(ctx, func(t tx) error { return insertAccessKey(ctx, t.s, k) })
	if err != nil {
		return fmt.Errorf("inserting access key %s: %w", k.ID, err)
	}
	return nil
}

func insertAccessKey(ctx context.Context, s session, k identity.SealedKey) error {
	_, err := s.exec(ctx, `
		INSERT INTO access_keys (id, sealed_secret, principal_arn, user_id, root, created_at, active) VALUES ($1, $2, $3, $4, $5, $6, $7)`,
		k.ID, k.SealedSecret, k.PrincipalARN, k.UserID, k.Root, micros(k.CreatedAt), k.Active)
	return err
}

// AccessKey implements identity.Store. A user's ARN is that of now, which changes with its name and path.
func (db *DB) AccessKey(ctx context.Context, id string) (identity.SealedKey, error) {
	k, err := one(ctx, db.engine, scanAccessKey, `
		SELECT k.id, k.sealed_secret, COALESCE(p.arn, k.principal_arn), k.user_id, k.root, k.created_at, k.active
		FROM access_keys k LEFT JOIN principals p ON p.id = k.user_id WHERE k.id = $1`, id)
	return k, notFoundIfNoRow(err)
}

// PrincipalARN implements identity.Store.
func (db *DB) PrincipalARN(ctx context.Context, id string) (string, error) {
	arn, err := one(ctx, db.engine, scanOne[string], `SELECT arn FROM principals WHERE id = $1`, id)
	return arn, notFoundIfNoRow(err)
}

// RootAccessKeys implements identity.Store.
func (db *DB) RootAccessKeys(ctx context.Context) ([]identity.SealedKey, error) {
	return list(ctx, db.engine, scanAccessKey, `
		SELECT id, sealed_secret, principal_arn, user_id, root, created_at, active FROM access_keys WHERE root ORDER BY created_at, id`)
}

// Secret implements identity.Store.
func (db *DB) Secret(ctx context.Context, name string, fallback []byte) ([]byte, error) {
	secret, err := secretOf(ctx, db.engine, name)
	if !errors.Is(err, registry.ErrNoRow) {
		return secret, err
	}
	err = db.engine.update(ctx, func(t tx) error {
		if _, err := t.s.exec(ctx, `INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, name, fallback); err != nil {
			return err
		}
		var err error
		secret, err = secretOf(ctx, t.s, name)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("storing secret %s: %w", name, err)
	}
	return secret, nil
}

func secretOf(ctx context.Context, s session, name string) ([]byte, error) {
	return one(ctx, s, scanOne[[]byte], `SELECT sealed FROM secrets WHERE name = $1`, name)
}

func notFoundIfNoRow(err error) error {
	if errors.Is(err, registry.ErrNoRow) {
		return identity.ErrNotFound
	}
	return err
}
