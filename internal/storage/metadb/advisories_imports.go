package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan"
)

var _ scan.AdvisoryImports = Advisories{}

// keptImports is how many imports are remembered.
const keptImports = 100

const importColumns = ` id, repository, digest, force, actor, requested_at, due_at, ended_at, attempts, outcomes `

func scanAdvisoryImport(rows *sql.Rows, i *scan.AdvisoryImport) error {
	var force int64
	err := rows.Scan(&i.ID, &i.Repository, &i.Digest, &force, &i.Actor, timeColumn{&i.RequestedAt}, timeColumn{&i.DueAt}, timeColumn{&i.EndedAt},
		&i.Attempts, jsonColumn{&i.Outcomes})
	i.Force = force != 0
	return err
}

// AddAdvisoryImport implements scan.AdvisoryImports.
func (a Advisories) AddAdvisoryImport(ctx context.Context, i scan.AdvisoryImport) (scan.AdvisoryImport, error) {
	force := 0
	if i.Force {
		force = 1
	}
	err := a.db.engine.update(ctx, func(t tx) (err error) {
		i.ID, err = one(ctx, t.s, scanOne[int64], `
			INSERT INTO advisory_imports (repository, digest, force, actor, requested_at, due_at, ended_at, attempts, outcomes)
			VALUES ($1, $2, $3, $4, $5, $6, 0, 0, '') RETURNING id`,
			i.Repository, string(i.Digest), force, i.Actor, micros(i.RequestedAt), micros(i.DueAt))
		if err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `DELETE FROM advisory_imports WHERE id <= $1 AND due_at = 0`, i.ID-keptImports)
		return err
	})
	return i, err
}

// AdvisoryImports implements scan.AdvisoryImports.
func (a Advisories) AdvisoryImports(ctx context.Context, limit int) ([]scan.AdvisoryImport, error) {
	return list(ctx, a.db.engine, scanAdvisoryImport, `SELECT `+importColumns+` FROM advisory_imports ORDER BY id DESC LIMIT $1`, limit)
}

// ClaimAdvisoryImport implements scan.AdvisoryImports. It looks before it writes, so that nothing to do costs no transaction.
func (a Advisories) ClaimAdvisoryImport(ctx context.Context, now, again time.Time) (scan.AdvisoryImport, bool, error) {
	waiting, err := exists(ctx, a.db.engine, `SELECT 1 FROM advisory_imports WHERE due_at > 0 AND due_at <= $1 LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return scan.AdvisoryImport{}, false, err
	}
	var claimed []scan.AdvisoryImport
	err = a.db.engine.update(ctx, func(t tx) (err error) {
		claimed, err = list(ctx, t.s, scanAdvisoryImport, `
			UPDATE advisory_imports SET due_at = $1, attempts = attempts + 1 WHERE id = (
				SELECT id FROM advisory_imports WHERE due_at > 0 AND due_at <= $2 ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
			AND due_at > 0 AND due_at <= $2 RETURNING `+importColumns, micros(again), micros(now))
		return err
	})
	if err != nil || len(claimed) == 0 {
		return scan.AdvisoryImport{}, false, err
	}
	return claimed[0], true, nil
}

// SettleAdvisoryImport implements scan.AdvisoryImports.
func (a Advisories) SettleAdvisoryImport(ctx context.Context, i scan.AdvisoryImport) error {
	outcomes, err := jsonText(i.Outcomes)
	if err != nil {
		return err
	}
	return a.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			UPDATE advisory_imports SET due_at = $1, ended_at = $2, outcomes = $3 WHERE id = $4 AND due_at > 0`,
			micros(i.DueAt), micros(i.EndedAt), outcomes, i.ID)
		return err
	})
}
