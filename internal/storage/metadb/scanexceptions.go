package metadb

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// ScanExceptions gives what documents that are attached to images say of findings.
func (db *DB) ScanExceptions() ScanExceptions { return ScanExceptions{db} }

// ScanExceptions implements scan.ExceptionStore.
type ScanExceptions struct{ db *DB }

var _ scan.ExceptionStore = ScanExceptions{}

const exceptionColumns = `e.id, r.name, e.digest, e.vulnerability, e.aliases, e.package, e.package_type, e.package_version, e.status, e.owner, e.reason, d.digest,
	e.created_at, e.expires_at`

func scanException(rows *sql.Rows, e *scan.Exception) error {
	return rows.Scan(&e.ID, &e.Repository, &e.Digest, &e.Vulnerability, jsonColumn{&e.Aliases}, &e.Package, &e.PackageType, &e.Version, &e.Status,
		&e.Owner, &e.Reason, &e.Document, timeColumn{&e.CreatedAt}, timeColumn{&e.ExpiresAt})
}

// around is an image, $2 of repository $1, and the indexes that it is in, at whatever depth.
const around = `WITH RECURSIVE around (digest) AS (
	SELECT digest FROM images WHERE repository_id = $1 AND digest = $2
	UNION
	SELECT i.digest FROM around a JOIN image_children c ON c.repository_id = $1 AND c.digest = a.digest JOIN images i ON i.id = c.image_id)`

// Exceptions implements scan.ExceptionStore.
func (s ScanExceptions) Exceptions(ctx context.Context, repositoryID int64, d oci.Digest) ([]scan.Exception, error) {
	return list(ctx, s.db.engine, scanException, around+`
		SELECT `+exceptionColumns+` FROM scan_exceptions e JOIN scan_documents d ON d.image_id = e.document_id JOIN repositories r ON r.id = e.repository_id
		WHERE e.repository_id = $1 AND (e.digest = '' OR e.digest IN (SELECT digest FROM around)) ORDER BY e.id`, repositoryID, string(d))
}

// HasExceptions implements scan.ExceptionReads.
func (s ScanExceptions) HasExceptions(ctx context.Context, repositoryID int64) (bool, error) {
	return exists(ctx, s.db.engine, `SELECT 1 FROM scan_exceptions WHERE repository_id = $1 LIMIT 1`, repositoryID)
}

// Documents implements scan.ExceptionStore.
func (s ScanExceptions) Documents(ctx context.Context, repositoryID int64, d oci.Digest, limit int) ([]scan.Document, error) {
	scanDocument := func(rows *sql.Rows, d *scan.Document) error {
		return rows.Scan(&d.Digest, &d.Subject, &d.Actor, &d.Problem, timeColumn{&d.ReadAt})
	}
	all, err := list(ctx, s.db.engine, scanDocument, around+`
		SELECT d.digest, d.subject, d.actor, d.problem, d.read_at FROM scan_documents d
		WHERE d.repository_id = $1 AND d.subject IN (SELECT digest FROM around) ORDER BY d.image_id DESC LIMIT $3`, repositoryID, string(d), limit)
	slices.Reverse(all)
	return all, err
}

// PutDocument implements scan.ExceptionStore. A document never changes, so what is there of it stays, unless nothing in it counted.
func (s ScanExceptions) PutDocument(ctx context.Context, imageID int64, d scan.Document, exceptions []scan.Exception) error {
	return s.db.engine.update(ctx, func(t tx) error {
		n, err := t.s.exec(ctx, `
			INSERT INTO scan_documents (image_id, repository_id, digest, subject, actor, problem, read_at)
			SELECT i.id, i.repository_id, i.digest, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS BIGINT) FROM images i WHERE i.id = $1
			ON CONFLICT (image_id) DO UPDATE SET actor = excluded.actor, problem = excluded.problem, read_at = excluded.read_at
			WHERE scan_documents.problem <> ''`, imageID, string(d.Subject), d.Actor, d.Problem, micros(d.ReadAt))
		if err != nil || n == 0 {
			return err
		}
		for _, e := range exceptions {
			aliases, err := jsonText(e.Aliases)
			if err != nil {
				return err
			}
			_, err = t.s.exec(ctx, `
				INSERT INTO scan_exceptions (document_id, repository_id, digest, vulnerability, aliases, package, package_type, package_version,
					status, owner, reason, created_at, expires_at, told)
				SELECT d.image_id, d.repository_id, CAST($2 AS TEXT), CAST($3 AS TEXT), CAST($4 AS TEXT), CAST($5 AS TEXT), CAST($6 AS TEXT), CAST($7 AS TEXT),
					CAST($8 AS TEXT), CAST($9 AS TEXT), CAST($10 AS TEXT), CAST($11 AS BIGINT), CAST($12 AS BIGINT), FALSE
				FROM scan_documents d WHERE d.image_id = $1`,
				imageID, string(e.Digest), e.Vulnerability, aliases, e.Package, e.PackageType, e.Version, e.Status, e.Owner, e.Reason,
				micros(e.CreatedAt), micros(e.ExpiresAt))
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// ExpireExceptions implements scan.ExceptionStore. It looks before it writes, so that nothing to do costs no transaction.
func (s ScanExceptions) ExpireExceptions(ctx context.Context, now time.Time, limit int, tell func([]scan.Exception) []event.Event) (int, error) {
	waiting, err := exists(ctx, s.db.read.s, `SELECT 1 FROM scan_exceptions WHERE told = FALSE AND expires_at <= $1 LIMIT 1`, micros(now))
	if err != nil || !waiting {
		return 0, err
	}
	var expired []scan.Exception
	err = s.db.engine.update(ctx, func(t tx) error {
		ids, err := list(ctx, t.s, scanOne[int64], `
			UPDATE scan_exceptions SET told = TRUE WHERE id IN (
				SELECT id FROM scan_exceptions WHERE told = FALSE AND expires_at <= $1 ORDER BY expires_at, id LIMIT $2 FOR UPDATE SKIP LOCKED)
			AND told = FALSE RETURNING id`, micros(now), limit)
		if err != nil || len(ids) == 0 {
			expired = nil
			return err
		}
		told, err := jsonText(ids)
		if err != nil {
			return err
		}
		expired, err = list(ctx, t.s, scanException, `
			SELECT `+exceptionColumns+` FROM scan_exceptions e JOIN scan_documents d ON d.image_id = e.document_id JOIN repositories r ON r.id = e.repository_id
			WHERE e.id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) ORDER BY e.id`, told)
		if err != nil {
			return err
		}
		return t.RecordEvents(ctx, tell(expired))
	})
	return len(expired), err
}
