package metadb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Checks gives the checks of what is stored, what they look at and what they can do about it.
func (db *DB) Checks() Checks { return Checks{db} }

// Checks implements fsck.Checks, fsck.Contents and fsck.Repairs.
type Checks struct{ db *DB }

var (
	_ fsck.Checks   = Checks{}
	_ fsck.Contents = Checks{}
	_ fsck.Repairs  = Checks{}
)

const checkColumns = `id, actor, scrub, repair, quick, rate, state, reason, started_at, ended_at, phase, place,
	blobs, bytes, images, things, things, seen_bytes, strays, stray_bytes, strays_held, total_blobs, total_bytes, attempts, due_at`

func checkFields(c *fsck.Check) []any {
	return []any{
		&c.ID, &c.Actor, &c.Scrub, &c.Repair, &c.Quick, &c.Rate, &c.State, &c.Reason,
		timeColumn{&c.StartedAt},
		timeColumn{&c.EndedAt},
		&c.Phase, &c.Cursor,
		&c.Progress.Blobs, &c.Progress.Bytes, &c.Progress.Images, &c.Progress.Things,
		&c.Census.Seen.Things, &c.Census.Seen.Bytes, &c.Census.Found.Things, &c.Census.Found.Bytes, &c.Census.Held, &c.TotalBlobs, &c.TotalBytes, &c.Attempts,
		timeColumn{&c.DueAt},
	}
}

func scanCheck(rows *sql.Rows, c *fsck.Check) error { return rows.Scan(checkFields(c)...) }

// StartCheck implements fsck.Checks.
func (s Checks) StartCheck(ctx context.Context, c fsck.Check) (fsck.Check, error) {
	err := s.db.engine.update(ctx, func(t tx) (err error) {
		c.ID, err = one(ctx, t.s, scanOne[int64], `
			INSERT INTO checks (actor, scrub, repair, quick, rate, state, reason, started_at, ended_at, phase, place,
				blobs, bytes, images, things, total_blobs, total_bytes, attempts, due_at)
			VALUES ($1, $2, $3, $4, $5, $6, '', $7, 0, $8, '', 0, 0, 0, 0, $9, $10, 0, $11) ON CONFLICT DO NOTHING RETURNING id`,
			c.Actor, c.Scrub, c.Repair, c.Quick, c.Rate, string(c.State), micros(c.StartedAt), string(c.Phase), c.TotalBlobs, c.TotalBytes, micros(c.DueAt))
		return takenIfNoRow(err)
	})
	return c, err
}

// Check implements fsck.Checks.
func (s Checks) Check(ctx context.Context, id int64, scrub bool) (fsck.Check, error) {
	scan := func(rows *sql.Rows, c *fsck.Check) error {
		return rows.Scan(append(checkFields(c), &c.Problems, &c.Repaired)...)
	}
	const columns = `SELECT ` + checkColumns + `,
		(SELECT COUNT(*) FROM check_findings f WHERE f.check_id = checks.id AND f.kind <> 'RESTORED'),
		(SELECT COUNT(*) FROM check_findings f WHERE f.check_id = checks.id AND f.done = 'DISCARDED') FROM checks `
	if id != 0 {
		return one(ctx, s.db.read.s, scan, columns+`WHERE id = $1`, id)
	}
	return one(ctx, s.db.read.s, scan, columns+`WHERE id = (SELECT MAX(id) FROM checks WHERE scrub = $1)`, scrub)
}

func scanFinding(rows *sql.Rows, f *fsck.Finding) error {
	return rows.Scan(&f.ID, &f.Kind, &f.Name, &f.Digest, &f.Key, &f.Repository, &f.Size, &f.Detail, jsonColumn{&f.Needs}, &f.Done, timeColumn{&f.At})
}

// Findings implements fsck.Checks.
func (s Checks) Findings(ctx context.Context, check, after int64, limit int) ([]fsck.Finding, error) {
	return list(ctx, s.db.read.s, scanFinding, `
		SELECT id, kind, name, digest, blob_key, repository, size, detail, needs, done, found_at FROM check_findings
		WHERE check_id = $1 AND id > $2 ORDER BY id LIMIT $3`, check, after, limit)
}

// StopCheck implements fsck.Checks.
func (s Checks) StopCheck(ctx context.Context, id int64, at time.Time) (stopped bool, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `UPDATE checks SET state = $1, ended_at = $2 WHERE id = $3 AND state = 'RUNNING'`, string(fsck.Stopped), micros(at), id)
		stopped = n > 0
		return err
	})
	return stopped, err
}

// ClaimCheck implements fsck.Checks. It looks before it writes, so that nothing to do costs no transaction.
func (s Checks) ClaimCheck(ctx context.Context, scrub bool, now, again time.Time) (fsck.Check, bool, error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM checks WHERE state = 'RUNNING' AND scrub = $1 AND due_at <= $2`, scrub, micros(now))
	if err != nil || !waiting {
		return fsck.Check{}, false, err
	}
	var c fsck.Check
	err = s.db.engine.update(ctx, func(t tx) (err error) {
		c, err = one(ctx, t.s, scanCheck, `
			UPDATE checks SET due_at = $1 WHERE state = 'RUNNING' AND scrub = $2 AND due_at <= $3 RETURNING `+checkColumns, micros(again), scrub, micros(now))
		return err
	})
	if errors.Is(err, registry.ErrNoRow) { // somebody was quicker
		return fsck.Check{}, false, nil
	}
	return c, err == nil, err
}

// SaveCheck implements fsck.Checks.
func (s Checks) SaveCheck(ctx context.Context, c fsck.Check, due time.Time, found []fsck.Finding) error {
	return s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `
			UPDATE checks SET state = $1, reason = $2, ended_at = $3, phase = $4, place = $5, blobs = $6, bytes = $7, images = $8, things = $9,
				attempts = $10, due_at = $11, seen_bytes = $14, strays = $15, stray_bytes = $16, strays_held = $17
			WHERE id = $12 AND state = 'RUNNING' AND due_at = $13`,
			string(c.State), c.Reason, micros(c.EndedAt), string(c.Phase), c.Cursor, c.Progress.Blobs, c.Progress.Bytes, c.Progress.Images, c.Progress.Things,
			c.Attempts, micros(c.DueAt), c.ID, micros(due),
			c.Census.Seen.Bytes, c.Census.Found.Things, c.Census.Found.Bytes, c.Census.Held)
		if err != nil {
			return err
		}
		if n == 0 {
			return registry.ErrConflict
		}
		for _, f := range found {
			if err := t.insertFinding(ctx, c.ID, f); err != nil {
				return fmt.Errorf("recording a finding: %w", err)
			}
		}
		return nil
	})
}

func (t tx) insertFinding(ctx context.Context, check int64, f fsck.Finding) error {
	needs, err := jsonText(f.Needs)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO check_findings (check_id, kind, name, digest, blob_key, repository, size, detail, needs, done, found_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (check_id, kind, name) DO NOTHING`,
		check, string(f.Kind), f.Name, string(f.Digest), string(f.Key), f.Repository, f.Size, f.Detail, needs, string(f.Done), micros(f.At))
	return err
}

// PurgeChecks implements fsck.Checks.
func (s Checks) PurgeChecks(ctx context.Context, before time.Time) error {
	return s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			DELETE FROM checks WHERE state <> 'RUNNING' AND ended_at < $1 AND id NOT IN (SELECT MAX(id) FROM checks GROUP BY scrub)`, micros(before))
		return err
	})
}

// TotalBlobs implements fsck.Contents.
func (s Checks) TotalBlobs(ctx context.Context) (blobs, bytes int64, err error) {
	err = s.db.read.s.query(ctx, `SELECT COUNT(*), CAST(COALESCE(SUM(size), 0) AS BIGINT) FROM blobs`, func(rows *sql.Rows) error {
		return rows.Scan(&blobs, &bytes)
	})
	return blobs, bytes, err
}

func scanCheckedBlob(rows *sql.Rows, b *fsck.Blob) error {
	return rows.Scan(&b.Digest, &b.Size, &b.Key, timeColumn{&b.DamagedAt})
}

// BlobsAfter implements fsck.Contents.
func (s Checks) BlobsAfter(ctx context.Context, after oci.Digest, limit int) ([]fsck.Blob, error) {
	return list(ctx, s.db.read.s, scanCheckedBlob, `
		SELECT digest, size, blob_key, damaged_at FROM blobs WHERE digest > $1 ORDER BY digest LIMIT $2`, string(after), limit)
}

// FindBlob implements fsck.Contents.
func (s Checks) FindBlob(ctx context.Context, d oci.Digest) (fsck.Blob, error) {
	return one(ctx, s.db.read.s, scanCheckedBlob, `SELECT digest, size, blob_key, damaged_at FROM blobs WHERE digest = $1`, string(d))
}

// NeededBy implements fsck.Contents.
func (s Checks) NeededBy(ctx context.Context, d oci.Digest, limit int) ([]string, error) {
	scan := func(rows *sql.Rows, name *string) error {
		var digest string
		err := rows.Scan(name, &digest)
		if digest != "" {
			*name += "@" + digest
		}
		return err
	}
	return list(ctx, s.db.read.s, scan, `
		SELECT name, digest FROM (
			SELECT r.name AS name, COALESCE(i.digest, '') AS digest FROM layers l JOIN repositories r ON r.id = l.repository_id
			LEFT JOIN image_blobs b ON b.repository_id = l.repository_id AND b.digest = l.digest
			LEFT JOIN images i ON i.repository_id = b.repository_id AND i.id = b.image_id
			WHERE l.digest = $1
			UNION ALL
			SELECT t.repository AS name, t.digest AS digest FROM trash_blobs b JOIN trash t ON t.id = b.trash_id WHERE b.digest = $1
		) needs ORDER BY name, digest LIMIT $2`, string(d), limit)
}

// checkedImage is an image with its manifest and whether its repository is, or was, a copy of an upstream registry's.
const checkedImage = `SELECT i.id, r.name, i.digest, m.body,
	EXISTS (SELECT 1 FROM pull_through_checks c WHERE c.repository_id = i.repository_id)
	OR EXISTS (SELECT 1 FROM pull_through_rules p WHERE p.prefix = 'ROOT' OR substr(r.name, 1, length(p.prefix) + 1) = p.prefix || '/')
	FROM images i JOIN repositories r ON r.id = i.repository_id JOIN manifests m ON m.image_id = i.id
	WHERE i.id > $1 ORDER BY i.id LIMIT $2`

// ImagesAfter implements fsck.Contents. An image and what it refers to come and go in one transaction, so that each of the
// statements sees both or neither.
func (s Checks) ImagesAfter(ctx context.Context, after int64, limit int) ([]fsck.Image, error) {
	images, err := list(ctx, s.db.read.s, func(rows *sql.Rows, i *fsck.Image) error {
		return rows.Scan(&i.ID, &i.Repository, &i.Digest, &i.Manifest, &i.Copy)
	}, checkedImage, after, limit)
	if err != nil || len(images) == 0 {
		return nil, err
	}
	at := map[int64]*fsck.Image{}
	for n := range images {
		at[images[n].ID] = &images[n]
	}
	lacks := func(text string, add func(i *fsck.Image, d oci.Digest)) error {
		return s.db.read.s.query(ctx, text, func(rows *sql.Rows) error {
			var id int64
			var d oci.Digest
			err := rows.Scan(&id, &d)
			if i, ok := at[id]; ok {
				add(i, d)
			}
			return err
		}, after, images[len(images)-1].ID)
	}
	err = lacks(`
		SELECT i.id, b.digest FROM images i JOIN image_blobs b ON b.repository_id = i.repository_id AND b.image_id = i.id
		WHERE i.id > $1 AND i.id <= $2
		AND NOT EXISTS (SELECT 1 FROM layers l WHERE l.repository_id = b.repository_id AND l.digest = b.digest) ORDER BY i.id, b.digest`,
		func(i *fsck.Image, d oci.Digest) { i.Layers = append(i.Layers, d) })
	if err != nil {
		return nil, err
	}
	err = lacks(`
		SELECT i.id, c.digest FROM images i JOIN image_children c ON c.repository_id = i.repository_id AND c.image_id = i.id
		WHERE i.id > $1 AND i.id <= $2
		AND NOT EXISTS (SELECT 1 FROM images k WHERE k.repository_id = c.repository_id AND k.digest = c.digest) ORDER BY i.id, c.digest`,
		func(i *fsck.Image, d oci.Digest) { i.Images = append(i.Images, d) })
	return images, err
}

// KnownKeys implements fsck.Contents.
func (s Checks) KnownKeys(ctx context.Context, keys []blob.Key) (map[blob.Key]fsck.Owner, error) {
	owners := make(map[blob.Key]fsck.Owner, len(keys))
	err := keyOwners(ctx, s.db.read.s, keys, func(key blob.Key, by keyOwner) { owners[key] = fsck.Owner(by.table) })
	return owners, err
}

// MarkDamaged implements fsck.Repairs.
func (s Checks) MarkDamaged(ctx context.Context, d oci.Digest, key blob.Key, at time.Time) (bool, error) {
	return s.change(ctx, `
		UPDATE blobs SET damaged_at = CASE WHEN damaged_at = 0 THEN CAST($1 AS BIGINT) ELSE damaged_at END WHERE digest = $2 AND blob_key = $3`,
		micros(at), string(d), string(key))
}

// MarkWhole implements fsck.Repairs.
func (s Checks) MarkWhole(ctx context.Context, d oci.Digest, key blob.Key) (bool, error) {
	return s.change(ctx, `UPDATE blobs SET damaged_at = 0 WHERE digest = $1 AND blob_key = $2 AND damaged_at <> 0`, string(d), string(key))
}

// DiscardStray implements fsck.Repairs.
func (s Checks) DiscardStray(ctx context.Context, key blob.Key, size int64, due time.Time) (bool, error) {
	return s.change(ctx, `
		INSERT INTO garbage (blob_key, size, blob_state, due_at)
		SELECT CAST($1 AS TEXT), CAST($2 AS BIGINT), NULL, CAST($3 AS BIGINT)
		WHERE NOT EXISTS (SELECT 1 FROM blobs WHERE blob_key = $1) AND NOT EXISTS (SELECT 1 FROM uploads WHERE blob_key = $1)
		ON CONFLICT (blob_key) DO NOTHING`, string(key), size, micros(due))
}

// change runs one statement in a transaction and tells whether it changed anything.
func (s Checks) change(ctx context.Context, text string, args ...any) (changed bool, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, text, args...)
		changed = n > 0
		return err
	})
	return changed, err
}
