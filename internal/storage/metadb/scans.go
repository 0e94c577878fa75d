package metadb

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// Scans gives the scans that wait.
func (db *DB) Scans() Scans { return Scans{db} }

// Scans implements scan.Work.
type Scans struct{ db *DB }

var _ scan.Work = Scans{}

// ClaimScan implements scan.Work. It looks before it writes, so that nothing to do costs no transaction. The scan is picked by = and not
// by IN, as in ClaimSigning.
func (s Scans) ClaimScan(ctx context.Context, now, again time.Time) (scan.Claim, bool, error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM scans WHERE due_at > 0 AND due_at <= $1 LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return scan.Claim{}, false, err
	}
	first, err := s.ofIdle(ctx, now)
	if err != nil {
		return scan.Claim{}, false, err
	}
	var c scan.Claim
	found := false
	err = s.db.engine.update(ctx, func(t tx) error {
		c, found = scan.Claim{DueAt: again}, false
		claim := func(among string, which ...any) error {
			return t.s.query(ctx, `
				UPDATE scans SET due_at = $1, attempts = attempts + 1, status = 'IN_PROGRESS',
					changed_at = CASE WHEN status = 'IN_PROGRESS' THEN changed_at ELSE $2 END
				WHERE (image_id, kind) = (
					SELECT image_id, kind FROM scans WHERE due_at > 0 AND due_at <= $2`+among+` ORDER BY due_at, image_id LIMIT 1 FOR UPDATE SKIP LOCKED)
				AND due_at > 0 AND due_at <= $2 RETURNING image_id, kind, attempts, requested_at`, func(rows *sql.Rows) error {
				found = true
				return rows.Scan(&c.ImageID, &c.Kind, &c.Attempts, timeColumn{&c.RequestedAt})
			}, append([]any{micros(again), micros(now)}, which...)...)
		}
		err := claim(" AND image_id = $3", first)
		if err == nil && !found {
			err = claim("")
		}
		if err != nil || !found {
			return err
		}
		return t.claimedImage(ctx, &c)
	})
	return c, found, err
}

// claimedImage reads the image of a claim, with its repository.
func (t tx) claimedImage(ctx context.Context, c *scan.Claim) error {
	return t.s.query(ctx, `
		SELECT r.id, r.name, r.scan_on_push, `+imageColumns+`, m.body
		FROM images i JOIN repositories r ON r.id = i.repository_id JOIN manifests m ON m.image_id = i.id WHERE i.id = $1`,
		func(rows *sql.Rows) error {
			var tags string
			columns := append([]any{&c.Repository.ID, &c.Repository.Name, &c.Repository.ScanOnPush}, imageFields(&c.Image)...)
			err := rows.Scan(append(columns, &tags, &c.Image.Manifest)...)
			c.Image.Tags = splitTags(tags)
			return err
		}, c.ImageID)
}

// ofIdle finds the oldest that is due of a repository of which no scan is under way, so that whoever pushes much does not keep the others
// waiting; 0: there is none.
func (s Scans) ofIdle(ctx context.Context, now time.Time) (int64, error) {
	id, err := one(ctx, s.db.read.s, scanOne[int64], `
		SELECT s.image_id FROM scans s JOIN images i ON i.id = s.image_id WHERE s.due_at > 0 AND s.due_at <= $1 AND i.repository_id NOT IN (
			SELECT p.repository_id FROM scans o JOIN images p ON p.id = o.image_id WHERE o.due_at > 0 AND o.due_at > $1 AND o.status = 'IN_PROGRESS')
		ORDER BY s.due_at, s.image_id LIMIT 1`, micros(now))
	if errors.Is(err, registry.ErrNoRow) {
		return 0, nil
	}
	return id, err
}

// held is the condition that a claim still holds.
const held = ` WHERE image_id = $1 AND kind = $2 AND status = 'IN_PROGRESS' AND due_at = $3`

// KeepScan implements scan.Work.
func (s Scans) KeepScan(ctx context.Context, c scan.Claim, again time.Time) (scan.Claim, bool, error) {
	var n int64
	err := s.db.engine.update(ctx, func(t tx) (err error) {
		n, err = t.s.exec(ctx, `UPDATE scans SET due_at = $4`+held, c.ImageID, string(c.Kind), micros(c.DueAt), micros(again))
		return err
	})
	c.DueAt = again
	return c, n > 0, err
}

// SettleScan implements scan.Work.
func (s Scans) SettleScan(ctx context.Context, c scan.Claim, o scan.Outcome, told *event.Event) (bool, error) {
	var n int64
	err := s.db.engine.update(ctx, func(t tx) (err error) {
		n, err = t.s.exec(ctx, `
			UPDATE scans SET status = $4, description = $5, due_at = $6, attempts = $7,
				changed_at = CASE WHEN status = $4 THEN changed_at ELSE $8 END`+held,
			c.ImageID, string(c.Kind), micros(c.DueAt), string(o.Status), o.Description, micros(o.DueAt), o.Attempts, micros(o.At))
		if err != nil || n == 0 || told == nil {
			return err
		}
		return t.RecordEvents(ctx, []event.Event{*told})
	})
	return n > 0, err
}

// WaitingScans implements scan.Work.
func (s Scans) WaitingScans(ctx context.Context, now time.Time, limit int) (int, error) {
	return one(ctx, s.db.read.s, scanOne[int], `
		SELECT COUNT(*) FROM (SELECT 1 AS it FROM scans WHERE due_at > 0 AND due_at <= $1 AND status = 'PENDING' LIMIT $2) AS waiting`, micros(now), limit)
}

// Unscanned implements scan.Work.
func (s Scans) Unscanned(ctx context.Context, kind registry.ScanKind, after int64, limit int) ([]scan.Unscanned, error) {
	read := func(rows *sql.Rows, u *scan.Unscanned) error {
		return rows.Scan(append([]any{&u.Repository.ID, &u.Repository.Name, &u.Repository.ScanOnPush}, imageFields(&u.Image)...)...)
	}
	return list(ctx, s.db.read.s, read, `
		SELECT r.id, r.name, r.scan_on_push, `+imageRow+` FROM images i JOIN repositories r ON r.id = i.repository_id
		WHERE i.id > $1 AND NOT i.archived AND i.config_media_type <> ''
		AND NOT EXISTS (SELECT 1 FROM scans s WHERE s.image_id = i.id AND s.kind = $2 AND s.status <> 'FAILED') ORDER BY i.id LIMIT $3`, after, string(kind), limit)
}
