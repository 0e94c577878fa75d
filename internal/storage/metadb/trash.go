package metadb

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// windowColumn receives how long a repository's deleted images stay restorable.
type windowColumn struct{ w **time.Duration }

// Scan implements sql.Scanner.
func (c windowColumn) Scan(v any) error {
	n, ok := v.(int64)
	if !ok {
		return fmt.Errorf("a span of time is stored as %T, not as a number", v)
	}
	*c.w = nil
	if n >= 0 {
		w := time.Duration(n) * time.Microsecond
		*c.w = &w
	}
	return nil
}

func storedWindow(w *time.Duration) int64 {
	if w == nil {
		return -1
	}
	return w.Microseconds()
}

// whichImages selects an image of a repository, $3, or all of them where that is 0. It is one condition or the other: with an OR of
// both SQLite looks at all images of the repository for one.
func whichImages(imageID int64) string {
	if imageID == 0 {
		return `i.repository_id = $2 AND CAST($3 AS BIGINT) = 0`
	}
	return `i.repository_id = $2 AND i.id = $3`
}

// goesAlong selects what goes along with its subject where all of a repository's images go: what nobody gave a name of its own
// (registry's rule: tags that are made from the subject's digest are none).
const goesAlong = `$3 = 0 AND i.subject IS NOT NULL
	AND EXISTS (SELECT 1 FROM images s WHERE s.repository_id = i.repository_id AND s.digest = i.subject)
	AND NOT EXISTS (SELECT 1 FROM tags n WHERE n.repository_id = i.repository_id AND n.image_id = i.id
		AND n.name NOT LIKE REPLACE(i.subject, ':', '-') || '%')`

// TrashImages implements registry.TrashWrites. What is in the trash under the same digest is the same image, deleted before.
func (t tx) TrashImages(ctx context.Context, repo registry.Repository, imageID int64, d registry.Trashing) error {
	which := whichImages(imageID)
	// The one before may have had layers that the image has not had since, in a copy of an upstream registry's repository.
	err := t.dropTrash(ctx, d.At, `
		SELECT t.id, t.digest FROM images i JOIN trash t ON t.repository = $1 AND t.digest = i.digest WHERE `+which+`
		ORDER BY t.id FOR UPDATE`, nil, repo.Name, repo.ID, imageID)
	if err != nil {
		return fmt.Errorf("emptying its place in the trash: %w", err)
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO trash (repository, digest, media_type, artifact_type, config_media_type, subject, size, manifest_size,
			pushed_at, last_pulled_at, archived, archived_at, activated_at, vouched, tags, annotations, body,
			trashed_at, purge_at, actor, reason, went_with)
		SELECT $1, i.digest, i.media_type, i.artifact_type, i.config_media_type, i.subject, i.size, i.manifest_size,
			i.pushed_at, i.last_pulled_at, i.archived, i.archived_at, i.activated_at, i.vouched,
			COALESCE((SELECT string_agg(own.name, ' ') FROM tags own WHERE own.repository_id = i.repository_id AND own.image_id = i.id), ''),
			m.annotations, m.body, $4, $5, $6, $7, CASE WHEN `+goesAlong+` THEN i.subject ELSE $8 END
		FROM images i JOIN manifests m ON m.image_id = i.id WHERE `+which+` ORDER BY i.id`,
		repo.Name, repo.ID, imageID, micros(d.At), micros(d.PurgeAt), d.Actor, d.Reason, string(d.WentWith))
	if err != nil {
		return fmt.Errorf("moving it to the trash: %w", err)
	}
	// What an image names without having it, in a copy of an upstream registry's repository, there is nothing to keep of.
	_, err = t.s.exec(ctx, `
		INSERT INTO trash_blobs (trash_id, digest)
		SELECT t.id, b.digest FROM images i
		JOIN trash t ON t.repository = $1 AND t.digest = i.digest
		JOIN image_blobs b ON b.repository_id = i.repository_id AND b.image_id = i.id
		JOIN layers l ON l.repository_id = b.repository_id AND l.digest = b.digest
		WHERE `+which, repo.Name, repo.ID, imageID)
	if err != nil {
		return fmt.Errorf("keeping its layers for the trash: %w", err)
	}
	return nil
}

const trashedColumns = `t.id, t.digest, t.media_type, t.artifact_type, t.config_media_type, COALESCE(t.subject, ''), t.size, t.manifest_size,
	t.pushed_at, t.last_pulled_at, t.archived, t.archived_at, t.activated_at, t.vouched,
	t.tags, t.trashed_at, t.purge_at, t.actor, t.reason, t.went_with`

func scanTrashed(rows *sql.Rows, t *registry.Trashed) error { return scanTrashedAnd(rows, t) }

func scanTrashedWhole(rows *sql.Rows, t *registry.Trashed) error {
	return scanTrashedAnd(rows, t, jsonColumn{&t.Annotations}, &t.Manifest)
}

func scanTrashedAnd(rows *sql.Rows, t *registry.Trashed, more ...any) error {
	var tags string
	fields := append(imageFields(&t.Image), &tags, timeColumn{&t.At}, timeColumn{&t.PurgeAt}, &t.Actor, &t.Reason, &t.WentWith)
	err := rows.Scan(append(fields, more...)...)
	t.Tags = splitTags(tags)
	return err
}

// TrashedImages implements registry.TrashQueries.
func (q queries) TrashedImages(ctx context.Context, repository string, beforeID int64, limit int) ([]registry.Trashed, error) {
	if beforeID == 0 {
		beforeID = math.MaxInt64
	}
	return list(ctx, q.s, scanTrashed, `
		SELECT `+trashedColumns+` FROM trash t WHERE t.repository = $1 AND t.id < $2 ORDER BY t.id DESC LIMIT $3`, repository, beforeID, limit)
}

const selectTrashed = `SELECT ` + trashedColumns + `, t.annotations, t.body FROM trash t WHERE t.repository = $1 AND t.digest = $2`

// TrashedImage implements registry.TrashQueries.
func (q queries) TrashedImage(ctx context.Context, repository string, d oci.Digest) (registry.Trashed, error) {
	text := selectTrashed
	if q.inTx {
		text += ` FOR UPDATE`
	}
	return one(ctx, q.s, scanTrashedWhole, text, repository, string(d))
}

// WentWith implements registry.TrashQueries.
func (q queries) WentWith(ctx context.Context, repository string, d oci.Digest) ([]oci.Digest, error) {
	return list(ctx, q.s, scanOne[oci.Digest], `
		SELECT digest FROM trash WHERE repository = $1 AND went_with = $2 AND went_with <> '' ORDER BY id`, repository, string(d))
}

// TrashedLayers implements registry.TrashQueries.
func (q queries) TrashedLayers(ctx context.Context, id int64) ([]registry.Layer, error) {
	scan := func(rows *sql.Rows, l *registry.Layer) error {
		return rows.Scan(&l.Digest, &l.Size, &l.Key, timeColumn{&l.DamagedAt})
	}
	return list(ctx, q.s, scan, `
		SELECT b.digest, b.size, b.blob_key, b.damaged_at FROM trash_blobs k JOIN blobs b ON b.digest = k.digest
		WHERE k.trash_id = $1 ORDER BY b.digest`, id)
}

// onlyTrash sums up the blobs of which a set of digests tells, but for those that are somebody's layer for all to see.
const onlyTrash = `FROM blobs b WHERE NOT EXISTS (SELECT 1 FROM layers l WHERE l.digest = b.digest AND l.hidden = FALSE) AND b.digest IN `

// TrashUsage implements registry.TrashQueries.
func (q queries) TrashUsage(ctx context.Context, repository string) (images int, bytes int64, err error) {
	in, args := `(SELECT k.digest FROM trash_blobs k)`, []any{}
	of := ``
	if repository != "" {
		in, args = `(SELECT k.digest FROM trash t JOIN trash_blobs k ON k.trash_id = t.id WHERE t.repository = $1)`, []any{repository}
		of = ` WHERE repository = $1`
	}
	type usage struct {
		images int
		bytes  int64
	}
	u, err := one(ctx, q.s, func(rows *sql.Rows, u *usage) error { return rows.Scan(&u.images, &u.bytes) }, `
		SELECT (SELECT COUNT(*) FROM trash`+of+`), CAST(COALESCE(SUM(b.size), 0) AS BIGINT) `+onlyTrash+in, args...)
	return u.images, u.bytes, err
}

// TakeFromTrash implements registry.TrashWrites.
func (t tx) TakeFromTrash(ctx context.Context, id int64) error {
	_, err := t.s.exec(ctx, `DELETE FROM trash WHERE id = $1`, id)
	return err
}

// PurgeTrash implements registry.TrashWrites.
func (t tx) PurgeTrash(ctx context.Context, repository string, ds []oci.Digest, due time.Time) (purged []oci.Digest, err error) {
	digests, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	err = t.dropTrash(ctx, due, `
		SELECT t.id, t.digest FROM trash t WHERE t.repository = $1 AND t.digest IN (SELECT value FROM texts($2))
		ORDER BY t.id FOR UPDATE`, &purged, repository, digests)
	return purged, err
}

// dropTrash removes what a query finds in the trash, with id and digest, and has its blobs looked at when due. The rows are held
// before anything else, so that what is restored at this moment stays.
func (t tx) dropTrash(ctx context.Context, due time.Time, found string, dropped *[]oci.Digest, args ...any) error {
	type row struct {
		id     int64
		digest oci.Digest
	}
	rows, err := list(ctx, t.s, func(rows *sql.Rows, r *row) error { return rows.Scan(&r.id, &r.digest) }, found, args...)
	if err != nil || len(rows) == 0 {
		return err
	}
	ids := make([]int64, len(rows))
	for i, r := range rows {
		ids[i] = r.id
		if dropped != nil {
			*dropped = append(*dropped, r.digest)
		}
	}
	return removeTrash(ctx, t.s, ids, due)
}

// removeTrash removes rows that are held from the trash, and has their blobs looked at when due.
func removeTrash(ctx context.Context, s session, ids []int64, due time.Time) error {
	held, err := jsonText(ids)
	if err != nil {
		return err
	}
	err = markBlobs(ctx, s, due, `SELECT k.digest FROM trash_blobs k WHERE k.trash_id IN (SELECT CAST(value AS BIGINT) FROM texts($2))`, held)
	if err != nil {
		return err
	}
	_, err = s.exec(ctx, `DELETE FROM trash WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, held)
	return err
}
