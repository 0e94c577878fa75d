package metadb

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// Backfills gives the backfills of replication.
func (db *DB) Backfills() replicate.Backfills { return backfills{db} }

type backfills struct{ db *DB }

const backfillColumns = `seq, id, region, registry_id, status, failure_code, started_at, ended_at, total, after_repository, after_image`

func scanBackfill(rows *sql.Rows, b *replicate.Backfill) error {
	return rows.Scan(&b.Seq, &b.ID, &b.Destination.Region, &b.Destination.RegistryID, &b.Status, &b.FailureCode,
		timeColumn{&b.StartedAt}, timeColumn{&b.EndedAt}, &b.Total, &b.AfterRepository, &b.AfterImage)
}

const resultColumns = `id, repository, digest, tag, is_index, status, failure_code, sub_failures`

func scanResult(rows *sql.Rows, r *replicate.Result) error {
	return rows.Scan(&r.ID, &r.Repository, &r.Digest, &r.Tag, &r.Index, &r.Status, &r.FailureCode, jsonColumn{&r.SubFailures})
}

// Update implements replicate.Backfills.
func (s backfills) Update(ctx context.Context, f func(tx replicate.BackfillTx) error) error {
	return s.db.engine.update(ctx, func(t tx) error { return f(backfillTx{t}) })
}

// Running implements replicate.Backfills.
func (s backfills) Running(ctx context.Context) ([]replicate.Backfill, error) {
	return list(ctx, s.db.read.s, scanBackfill, `SELECT `+backfillColumns+` FROM replication_backfills WHERE ended_at = 0 ORDER BY seq`)
}

// Backfill implements replicate.Backfills.
func (s backfills) Backfill(ctx context.Context, id string) (replicate.Backfill, error) {
	b, err := one(ctx, s.db.read.s, scanBackfill, `SELECT `+backfillColumns+` FROM replication_backfills WHERE id = $1`, id)
	if err != nil {
		return b, err
	}
	all, err := s.withProgress(ctx, []replicate.Backfill{b})
	if err != nil {
		return replicate.Backfill{}, err
	}
	return all[0], nil
}

// Backfills implements replicate.Backfills.
func (s backfills) Backfills(ctx context.Context, before int64, limit int) ([]replicate.Backfill, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	all, err := list(ctx, s.db.read.s, scanBackfill, `
		SELECT `+backfillColumns+` FROM replication_backfills WHERE seq < $1 ORDER BY seq DESC LIMIT $2`, before, limit)
	if err != nil {
		return nil, err
	}
	return s.withProgress(ctx, all)
}

// withProgress counts the results of backfills.
func (s backfills) withProgress(ctx context.Context, all []replicate.Backfill) ([]replicate.Backfill, error) {
	seqs := []int64{}
	for _, b := range all {
		seqs = append(seqs, b.Seq)
	}
	list, err := jsonText(seqs)
	if err != nil {
		return nil, err
	}
	err = s.db.read.s.query(ctx, `
		SELECT backfill, status, failure_code, COUNT(*) FROM replication_backfill_results
		WHERE backfill IN (SELECT CAST(value AS BIGINT) FROM texts($1)) GROUP BY backfill, status, failure_code ORDER BY backfill, failure_code`,
		func(rows *sql.Rows) error {
			var seq int64
			var status replicate.Status
			var code string
			var n int
			if err := rows.Scan(&seq, &status, &code, &n); err != nil {
				return err
			}
			p := &all[slices.IndexFunc(all, func(b replicate.Backfill) bool { return b.Seq == seq })].Progress
			switch status { //nolint:exhaustive // the others are under way
			case replicate.Complete:
				p.Completed += n
			case replicate.Failed:
				p.Failed += n
				p.FailureCodes = append(p.FailureCodes, code)
			}
			return nil
		}, list)
	return all, err
}

// Results implements replicate.Backfills.
func (s backfills) Results(ctx context.Context, seq int64, status replicate.Status, after int64, limit int) ([]replicate.Result, error) {
	return list(ctx, s.db.read.s, scanResult, `
		SELECT `+resultColumns+` FROM replication_backfill_results
		WHERE backfill = $1 AND (status = $2 OR $2 = '') AND id > $3 ORDER BY id LIMIT $4`, seq, string(status), after, limit)
}

// Purge implements replicate.Backfills.
func (s backfills) Purge(ctx context.Context, before time.Time) error {
	const old = `ended_at > 0 AND ended_at < $1`
	there, err := exists(ctx, s.db.read.s, `SELECT 1 FROM replication_backfills WHERE `+old+` LIMIT 1`, micros(before))
	if err != nil || !there {
		return err
	}
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `DELETE FROM replication_backfills WHERE `+old, micros(before))
		return err
	})
}

// backfillTx implements replicate.BackfillTx.
type backfillTx struct{ tx }

// LockBackfill implements replicate.BackfillQueries.
func (t backfillTx) LockBackfill(ctx context.Context, id string) (replicate.Backfill, error) {
	return one(ctx, t.s, scanBackfill, `SELECT `+backfillColumns+` FROM replication_backfills WHERE id = $1 FOR UPDATE`, id)
}

// RunningBackfills implements replicate.BackfillQueries.
func (t backfillTx) RunningBackfills(ctx context.Context) (int, error) {
	return one(ctx, t.s, scanOne[int], `SELECT COUNT(*) FROM replication_backfills WHERE ended_at = 0`)
}

// ResultCounts implements replicate.BackfillQueries.
func (t backfillTx) ResultCounts(ctx context.Context, seq int64) (map[replicate.Status]int, error) {
	counts := map[replicate.Status]int{}
	err := t.s.query(ctx, `SELECT status, COUNT(*) FROM replication_backfill_results WHERE backfill = $1 GROUP BY status`,
		func(rows *sql.Rows) error {
			var status replicate.Status
			var n int
			if err := rows.Scan(&status, &n); err != nil {
				return err
			}
			counts[status] = n
			return nil
		}, seq)
	return counts, err
}

// WaitingResults implements replicate.BackfillQueries.
func (t backfillTx) WaitingResults(ctx context.Context, seq int64, limit int) ([]replicate.Result, error) {
	return list(ctx, t.s, scanResult, `
		SELECT `+resultColumns+` FROM replication_backfill_results WHERE backfill = $1 AND status = $2 ORDER BY id LIMIT $3`,
		seq, string(replicate.Waiting), limit)
}

// InsertBackfill implements replicate.BackfillTx.
func (t backfillTx) InsertBackfill(ctx context.Context, b replicate.Backfill) error {
	_, err := one(ctx, t.s, scanOne[int64], `
		INSERT INTO replication_backfills (id, region, registry_id, status, failure_code, started_at, ended_at, total, after_repository, after_image)
		VALUES ($1, $2, $3, $4, $5, $6, 0, $7, '', 0) ON CONFLICT DO NOTHING RETURNING seq`,
		b.ID, b.Destination.Region, b.Destination.RegistryID, string(b.Status), b.FailureCode, micros(b.StartedAt), b.Total)
	return takenIfNoRow(err)
}

// SaveBackfill implements replicate.BackfillTx.
func (t backfillTx) SaveBackfill(ctx context.Context, b replicate.Backfill) error {
	_, err := t.s.exec(ctx, `
		UPDATE replication_backfills SET status = $1, failure_code = $2, ended_at = $3, total = $4, after_repository = $5, after_image = $6
		WHERE seq = $7`,
		string(b.Status), b.FailureCode, micros(b.EndedAt), b.Total, b.AfterRepository, b.AfterImage, b.Seq)
	return err
}

// AddResults implements replicate.BackfillTx.
func (t backfillTx) AddResults(ctx context.Context, seq int64, results []replicate.Result) error {
	for some := range slices.Chunk(results, 1000) {
		text, err := jsonText(some)
		if err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `
			INSERT INTO replication_backfill_results (backfill, repository, digest, tag, is_index, status, failure_code, sub_failures)
			SELECT CAST($2 AS BIGINT), value ->> 'Repository', value ->> 'Digest', value ->> 'Tag', CAST(value ->> 'Index' AS BOOLEAN), CAST($3 AS TEXT), '', ''
			FROM objects($1) WHERE true ON CONFLICT DO NOTHING`, text, seq, string(replicate.Waiting))
		if err != nil {
			return err
		}
	}
	return nil
}

// Send implements replicate.BackfillTx.
func (t backfillTx) Send(ctx context.Context, seq int64, results []replicate.Result, wants []replicate.Want, at time.Time) error {
	if len(results) == 0 {
		return nil
	}
	if err := t.wantReplications(ctx, wants, at); err != nil {
		return err
	}
	// Waiting results are taken in order, so that those to the last one are these.
	_, err := t.s.exec(ctx, `UPDATE replication_backfill_results SET status = $1 WHERE backfill = $2 AND status = $3 AND id <= $4`,
		string(replicate.InProgress), seq, string(replicate.Waiting), results[len(results)-1].ID)
	return err
}

// DropUnsent implements replicate.BackfillTx.
func (t backfillTx) DropUnsent(ctx context.Context, b replicate.Backfill, now time.Time) error {
	_, err := t.s.exec(ctx, `
		DELETE FROM replications WHERE region = $1 AND registry_id = $2 AND status = 'IN_PROGRESS' AND NOT pushed AND claimed_until <= $3
		AND EXISTS (SELECT 1 FROM replication_backfill_results r WHERE r.backfill = $4 AND r.status = 'IN_PROGRESS'
			AND r.repository = replications.repository AND r.digest = replications.digest)`,
		b.Destination.Region, b.Destination.RegistryID, micros(now), b.Seq)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		DELETE FROM replication_backfill_results WHERE backfill = $1 AND (status = 'WAITING' OR status = 'IN_PROGRESS' AND NOT EXISTS (
			SELECT 1 FROM replications r WHERE r.repository = replication_backfill_results.repository AND r.digest = replication_backfill_results.digest
			AND r.region = $2 AND r.registry_id = $3 AND r.status = 'IN_PROGRESS' AND r.claimed_until > $4))`,
		b.Seq, b.Destination.Region, b.Destination.RegistryID, micros(now))
	return err
}
