package metadb

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// Replications gives the images on their way to other registries.
func (db *DB) Replications() replicate.Store { return replications{db} }

type replications struct{ db *DB }

const replicationColumns = `id, repository, digest, region, registry_id, tags, status, failure_code, version, attempts, due_at`

func scanReplication(rows *sql.Rows, r *replicate.Row) error {
	return rows.Scan(&r.ID, &r.Repository, &r.Digest, &r.Destination.Region, &r.Destination.RegistryID, jsonColumn{&r.Tags},
		&r.Status, &r.FailureCode, &r.Version, &r.Attempts, timeColumn{&r.DueAt})
}

// Want implements replicate.Store.
func (s replications) Want(ctx context.Context, wants []replicate.Want, at time.Time) error {
	if len(wants) == 0 {
		return nil
	}
	return s.db.engine.update(ctx, func(t tx) error { return t.wantReplications(ctx, wants, at) })
}

func (t tx) wantReplications(ctx context.Context, wants []replicate.Want, at time.Time) error {
	for _, w := range wants {
		if err := t.wantReplication(ctx, w, at); err != nil {
			return err
		}
	}
	return nil
}

// wantReplication adds the tags in a second statement: the first has locked the row.
func (t tx) wantReplication(ctx context.Context, w replicate.Want, at time.Time) error {
	again := `UPDATE SET pushed = replications.pushed OR excluded.pushed, status = excluded.status, failure_code = '',
		version = replications.version + 1, attempts = 0, due_at = excluded.due_at`
	if w.IfNew {
		again = `NOTHING`
	}
	row, err := one(ctx, t.s, scanReplication, `
		INSERT INTO replications (repository, digest, region, registry_id, tags, pushed, status, failure_code, version, attempts, due_at, claimed_until)
		VALUES ($1, $2, $3, $4, '[]', $5, $6, '', 1, 0, $7, 0)
		ON CONFLICT (repository, digest, region, registry_id) DO `+again+` RETURNING `+replicationColumns,
		w.Repository, string(w.Digest), w.Destination.Region, w.Destination.RegistryID, !w.Backfill, string(replicate.InProgress), micros(at))
	if errors.Is(err, registry.ErrNoRow) { // there already, and left alone
		return nil
	}
	if err != nil || len(w.Tags) == 0 {
		return err
	}
	tags := slices.Concat(row.Tags, w.Tags)
	slices.Sort(tags)
	text, err := jsonText(slices.Compact(tags))
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `UPDATE replications SET tags = $1 WHERE id = $2`, text, row.ID)
	return err
}

// LookAgain implements replicate.Store. Most images were never replicated, so it looks before it writes.
func (s replications) LookAgain(ctx context.Context, repository string, d oci.Digest, at time.Time) error {
	there, err := exists(ctx, s.db.read.s, `SELECT 1 FROM replications WHERE repository = $1 AND (digest = $2 OR $2 = '') LIMIT 1`,
		repository, string(d))
	if err != nil || !there {
		return err
	}
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `UPDATE replications SET due_at = $1 WHERE repository = $2 AND (digest = $3 OR $3 = '')`,
			micros(at), repository, string(d))
		return err
	})
}

// Claim implements replicate.Store. It looks before it writes, as the outbox does.
func (s replications) Claim(ctx context.Context, now, until time.Time, resting []replicate.Destination) (replicate.Row, error) {
	names := []string{}
	for _, d := range resting {
		names = append(names, d.String())
	}
	list, err := jsonText(names)
	if err != nil {
		return replicate.Row{}, err
	}
	const due = `due_at > 0 AND due_at <= $1 AND claimed_until <= $1 AND region || '/' || registry_id NOT IN (SELECT value FROM texts($2))`
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM replications WHERE `+due+` LIMIT 1`, micros(now), list)
	if err != nil {
		return replicate.Row{}, err
	}
	if !waiting {
		return replicate.Row{}, registry.ErrNoRow
	}
	var row replicate.Row
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		row, err = one(ctx, t.s, scanReplication, `
			UPDATE replications SET claimed_until = $3 WHERE id = (
				SELECT id FROM replications WHERE `+due+` ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
			AND claimed_until <= $1 RETURNING `+replicationColumns, micros(now), list, micros(until))
		return err
	})
	return row, err
}

// Extend implements replicate.Store.
func (s replications) Extend(ctx context.Context, id int64, until time.Time) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `UPDATE replications SET claimed_until = $1 WHERE id = $2`, micros(until), id)
		return err
	})
}

// Settle implements replicate.Store.
func (s replications) Settle(ctx context.Context, r replicate.Row, o replicate.Settlement) error {
	tags, code := "[]", o.FailureCode
	if o.Status == replicate.InProgress {
		code = ""
		var err error
		if tags, err = jsonText(slices.Concat([]string{}, r.Tags)); err != nil {
			return err
		}
	}
	return s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `
			UPDATE replications SET claimed_until = 0, status = $1, failure_code = $2, tags = $3, attempts = $4, due_at = $5
			WHERE id = $6 AND version = $7`,
			string(o.Status), code, tags, o.Attempts, micros(o.DueAt), r.ID, r.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := t.s.exec(ctx, `UPDATE replications SET claimed_until = 0, due_at = $1 WHERE id = $2`, micros(o.Now), r.ID)
			return err
		}
		if o.Event != nil {
			if err := t.RecordEvents(ctx, []event.Event{*o.Event}); err != nil {
				return err
			}
		}
		switch {
		case o.Incomplete:
			failed := o
			failed.Status = replicate.Failed
			return t.settleBackfills(ctx, r, failed)
		case o.Status == replicate.InProgress:
			return nil
		}
		return t.settleBackfills(ctx, r, o)
	})
}

// settleBackfills tells the backfills that wait for an image and its tags what came of it.
func (t tx) settleBackfills(ctx context.Context, r replicate.Row, o replicate.Settlement) error {
	settle := func(status replicate.Status, code string, tags []string) error {
		list, err := jsonText(tags)
		if err != nil {
			return err
		}
		sub, err := jsonText(slices.Concat([]string{}, o.SubFailures))
		if err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `
			UPDATE replication_backfill_results SET status = $1, failure_code = $2, sub_failures = CASE WHEN is_index THEN $3 ELSE '' END
			WHERE repository = $4 AND digest = $5 AND status IN ('WAITING', 'IN_PROGRESS') AND tag IN (SELECT value FROM texts($6))
			AND backfill IN (SELECT seq FROM replication_backfills WHERE region = $7 AND registry_id = $8 AND ended_at = 0)`,
			string(status), code, sub, r.Repository, string(r.Digest), list, r.Destination.Region, r.Destination.RegistryID)
		return err
	}
	if len(o.Dropped) > 0 {
		if err := settle(replicate.Failed, replicate.CodeTagImmutable, o.Dropped); err != nil {
			return err
		}
	}
	return settle(o.Status, o.FailureCode, slices.Concat([]string{""}, r.Tags))
}

// Forget implements replicate.Store.
func (s replications) Forget(ctx context.Context, r replicate.Row, now time.Time) error {
	return s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `DELETE FROM replications WHERE id = $1 AND version = $2`, r.ID, r.Version)
		if err != nil {
			return err
		}
		if n == 0 {
			_, err := t.s.exec(ctx, `UPDATE replications SET claimed_until = 0, due_at = $1 WHERE id = $2`, micros(now), r.ID)
			return err
		}
		return t.settleBackfills(ctx, r, replicate.Settlement{Status: replicate.Failed, FailureCode: replicate.CodeImageGone})
	})
}

// Rows implements replicate.Store.
func (s replications) Rows(ctx context.Context, repository string, d oci.Digest) ([]replicate.Row, error) {
	return list(ctx, s.db.read.s, scanReplication, `
		SELECT `+replicationColumns+` FROM replications WHERE repository = $1 AND digest = $2 ORDER BY region, registry_id`,
		repository, string(d))
}
