package metadb

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Vault gives everything that is sealed under the master key.
func (db *DB) Vault() Vault { return Vault{db} }

// Vault implements identity.Vault.
type Vault struct{ db *DB }

var _ identity.Vault = Vault{}

// sealedColumn is a column that holds what the master key sealed, as the name that prefix and key make.
type sealedColumn struct{ prefix, table, key, sealed string }

// sealedColumns is all of them. A migration that adds one adds it here.
func sealedColumns() []sealedColumn {
	return []sealedColumn{
		{"access-key/", "access_keys", "id", "sealed_secret"},
		{"secret/", "secrets", "name", "sealed"},
		{"signing-key/", "signing_keys", "profile", "sealed"},
	}
}

// sealedRows is a subquery of all that is sealed, with its name.
func sealedRows() string {
	var parts []string
	for _, c := range sealedColumns() {
		parts = append(parts, fmt.Sprintf("SELECT '%s' || %s AS name, %s AS sealed FROM %s", c.prefix, c.key, c.sealed, c.table))
	}
	return "(" + strings.Join(parts, " UNION ALL ") + ") AS s"
}

// FindSecret implements identity.Vault.
func (v Vault) FindSecret(ctx context.Context, name string) ([]byte, error) {
	sealed, err := secretOf(ctx, v.db.engine, name)
	return sealed, notFoundIfNoRow(err)
}

// ReplaceSecret implements identity.Vault.
func (v Vault) ReplaceSecret(ctx context.Context, name string, old, sealed []byte) error {
	text, args := `INSERT INTO secrets (name, sealed) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING`, []any{name, sealed}
	if old != nil {
		text, args = `UPDATE secrets SET sealed = $2 WHERE name = $1 AND sealed = $3`, append(args, old)
	}
	return v.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, text, args...)
		if err == nil && n == 0 {
			err = fmt.Errorf("replacing secret %s: %w", name, identity.ErrChanged)
		}
		return err
	})
}

// SealedOtherwise implements identity.Vault.
func (v Vault) SealedOtherwise(ctx context.Context, header []byte, after string, limit int) ([]identity.SealedRow, error) {
	scan := func(rows *sql.Rows, r *identity.SealedRow) error { return rows.Scan(&r.Name, &r.Sealed) }
	return list(ctx, v.db.engine, scan, `
		SELECT s.name, s.sealed FROM `+sealedRows()+`
		WHERE substr(s.sealed, 1, $1) <> $2 AND s.name > $3 ORDER BY s.name LIMIT $4`, len(header), header, after, limit)
}

// Reseal implements identity.Vault. The marker is held, so that no rotation comes between.
func (v Vault) Reseal(ctx context.Context, marker []byte, rows []identity.Resealing) (int, error) {
	total := 0
	err := v.db.engine.update(ctx, func(t tx) error {
		total = 0
		now, err := one(ctx, t.s, scanOne[[]byte], `SELECT sealed FROM secrets WHERE name = $1 FOR UPDATE`, identity.MasterKeySecret)
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			return err
		}
		if !bytes.Equal(now, marker) {
			return fmt.Errorf("which master key seals: %w", identity.ErrChanged)
		}
		for _, r := range rows {
			n, err := reseal(ctx, t.s, r)
			if err != nil {
				return err
			}
			total += n
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return total, nil
}

func reseal(ctx context.Context, s session, r identity.Resealing) (int, error) {
	for _, c := range sealedColumns() {
		key, ok := strings.CutPrefix(r.Name, c.prefix)
		if !ok {
			continue
		}
		n, err := s.exec(ctx, fmt.Sprintf("UPDATE %s SET %s = $1 WHERE %s = $2 AND %s = $3", c.table, c.sealed, c.key, c.sealed), r.New, key, r.Old)
		return int(n), err
	}
	return 0, fmt.Errorf("nothing is sealed as %q", r.Name)
}

// SealHeaders implements identity.Vault.
func (v Vault) SealHeaders(ctx context.Context, size int) (map[string]int, error) {
	counts := map[string]int{}
	err := v.db.engine.query(ctx, `SELECT substr(s.sealed, 1, $1), COUNT(*) FROM `+sealedRows()+` GROUP BY 1`, func(rows *sql.Rows) error {
		var header []byte
		var n int
		if err := rows.Scan(&header, &n); err != nil {
			return err
		}
		counts[string(header)] = n
		return nil
	}, size)
	return counts, err
}
