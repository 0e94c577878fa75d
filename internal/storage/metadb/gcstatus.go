package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// waitingColumns count what a stage has before it, by when it is due and its size.
func waitingColumns(stage, due, size, deadline string) string {
	return `SELECT ` + stage + `, COUNT(*) FILTER (WHERE ` + due + ` <= ` + deadline + `),
		CAST(COALESCE(SUM(` + size + `) FILTER (WHERE ` + due + ` <= ` + deadline + `), 0) AS BIGINT), COUNT(*) FILTER (WHERE ` + due + ` > ` + deadline + `),
		CAST(COALESCE(SUM(` + size + `) FILTER (WHERE ` + due + ` > ` + deadline + `), 0) AS BIGINT),
		COALESCE(MIN(` + due + `) FILTER (WHERE ` + due + ` > ` + deadline + `), 0) `
}

// Waiting implements gc.Looking.
func (g garbageStore) Waiting(ctx context.Context, d gc.Deadlines) (all [gc.NumStages]gc.Waiting, err error) {
	text := waitingColumns("0", "t.purge_at", "t.size", "$1") + `FROM trash t UNION ALL ` +
		waitingColumns("1", "u.updated_at", "u.size", "$2") + `FROM uploads u UNION ALL ` +
		waitingColumns("2", "l.due_at", "b.size", "$1") + `FROM layers l JOIN blobs b ON b.digest = l.digest WHERE l.due_at > 0 AND NOT EXISTS (
			SELECT 1 FROM image_blobs i WHERE i.repository_id = l.repository_id AND i.digest = l.digest) UNION ALL ` +
		waitingColumns("3", "b.due_at", "b.size", "$1") + `FROM blobs b WHERE b.due_at > 0 UNION ALL ` +
		waitingColumns("4", "g.due_at", "g.size", "$1") + `FROM garbage g`
	err = g.db.read.s.query(ctx, text, func(rows *sql.Rows) error {
		var stage int
		var w gc.Waiting
		err := rows.Scan(&stage, &w.Due.Things, &w.Due.Bytes, &w.Later.Things, &w.Later.Bytes, timeColumn{&w.NextAt})
		all[stage] = w
		return err
	}, micros(d.Now), micros(d.Uploads))
	return all, err
}

// freed are blobs that nothing would have once all that is due were gone.
const freed = ` FROM blobs b WHERE b.digest IN (
		SELECT digest FROM blobs WHERE due_at > 0 AND due_at <= $1
		UNION SELECT digest FROM layers WHERE due_at > 0 AND due_at <= $1
		UNION SELECT o.digest FROM trash t JOIN trash_blobs o ON o.trash_id = t.id WHERE t.purge_at <= $1)
	AND NOT EXISTS (SELECT 1 FROM layers l WHERE l.digest = b.digest AND (l.due_at = 0 OR l.due_at > $1 OR EXISTS (
		SELECT 1 FROM image_blobs i WHERE i.repository_id = l.repository_id AND i.digest = l.digest)))
	AND NOT EXISTS (SELECT 1 FROM trash_blobs o JOIN trash t ON t.id = o.trash_id WHERE o.digest = b.digest AND t.purge_at > $1)`

// Freed implements gc.Looking.
func (g garbageStore) Freed(ctx context.Context, now time.Time) (gc.Amount, error) {
	scan := func(rows *sql.Rows, a *gc.Amount) error { return rows.Scan(&a.Things, &a.Bytes) }
	return one(ctx, g.db.read.s, scan, `SELECT COUNT(*), CAST(COALESCE(SUM(b.size), 0) AS BIGINT)`+freed, micros(now))
}

// FreedBlobs implements gc.Looking.
func (g garbageStore) FreedBlobs(ctx context.Context, now time.Time, after oci.Digest, limit int) ([]gc.Blob, error) {
	scan := func(rows *sql.Rows, b *gc.Blob) error { return rows.Scan(&b.Digest, &b.Key, &b.Size) }
	return list(ctx, g.db.read.s, scan, `SELECT b.digest, b.blob_key, b.size`+freed+` AND b.digest > $2 ORDER BY b.digest LIMIT $3`,
		micros(now), string(after), limit)
}

// Facts implements gc.Looking. Its statements may each see another moment.
func (g garbageStore) Facts(ctx context.Context, d oci.Digest, limit int) (f gc.Facts, err error) {
	s := g.db.read.s
	blobs, err := list(ctx, s, func(rows *sql.Rows, b *gc.BlobFact) error {
		return rows.Scan(&b.Size, timeColumn{&b.CreatedAt}, timeColumn{&b.DueAt}, timeColumn{&b.DamagedAt})
	}, `SELECT size, created_at, due_at, damaged_at FROM blobs WHERE digest = $1`, string(d))
	if err != nil {
		return f, err
	}
	if len(blobs) > 0 {
		f.Blob = &blobs[0]
	}
	f.Layers, err = several(ctx, s, func(rows *sql.Rows, l *gc.LayerFact) error {
		return rows.Scan(&l.Repository, timeColumn{&l.LinkedAt}, timeColumn{&l.DueAt}, &l.Hidden, &l.Used)
	}, `r.name, l.linked_at, l.due_at, l.hidden, EXISTS (
		SELECT 1 FROM image_blobs i WHERE i.repository_id = l.repository_id AND i.digest = l.digest)`,
		`FROM layers l JOIN repositories r ON r.id = l.repository_id WHERE l.digest = $1`, `r.name`, d, limit)
	if err != nil {
		return f, err
	}
	f.Users, err = several(ctx, s, scanImageFact, imageFact, `FROM layers l JOIN image_blobs b ON b.repository_id = l.repository_id AND b.digest = l.digest
		JOIN images i ON i.id = b.image_id JOIN repositories r ON r.id = i.repository_id WHERE l.digest = $1`, `r.name, i.id DESC`, d, limit)
	if err != nil {
		return f, err
	}
	f.Images, err = several(ctx, s, scanImageFact, imageFact,
		`FROM repositories r JOIN images i ON i.repository_id = r.id WHERE i.digest = $1`, `r.name`, d, limit)
	if err != nil {
		return f, err
	}
	f.Trash, err = several(ctx, s, func(rows *sql.Rows, t *gc.TrashFact) error {
		return rows.Scan(&t.Repository, &t.Digest, &t.Actor, timeColumn{&t.TrashedAt}, timeColumn{&t.PurgeAt})
	}, `t.repository, t.digest, t.actor, t.trashed_at, t.purge_at`,
		`FROM trash t WHERE t.digest = $1 OR t.id IN (SELECT o.trash_id FROM trash_blobs o WHERE o.digest = $1)`, `t.purge_at DESC, t.id`, d, limit)
	return f, err
}

// imageFact is an image with five of its tags, how many it has, the subject that is there, and an index that holds it.
const imageFact = `r.name, i.digest,
	COALESCE((SELECT string_agg(five.name, ' ') FROM (
		SELECT t.name FROM tags t WHERE t.repository_id = i.repository_id AND t.image_id = i.id ORDER BY t.name LIMIT 5) AS five), ''),
	(SELECT COUNT(*) FROM tags t WHERE t.repository_id = i.repository_id AND t.image_id = i.id),
	COALESCE((SELECT o.digest FROM images o WHERE o.repository_id = i.repository_id AND o.digest = i.subject), ''),
	COALESCE((SELECT MIN(o.digest) FROM image_children c JOIN images o ON o.id = c.image_id
		WHERE c.repository_id = i.repository_id AND c.digest = i.digest), '')`

func scanImageFact(rows *sql.Rows, i *gc.ImageFact) error {
	var tags string
	err := rows.Scan(&i.Repository, &i.Digest, &tags, &i.Tags.Count, &i.Subject, &i.Index)
	i.Tags.Some = splitTags(tags)
	return err
}

// several gives the first rows of a result, and how many there are.
func several[T any](ctx context.Context, s session, scan rowScan[T], columns, from, order string, d oci.Digest, limit int) (gc.Several[T], error) {
	some, err := list(ctx, s, scan, `SELECT `+columns+` `+from+` ORDER BY `+order+` LIMIT $2`, string(d), limit)
	if err != nil {
		return gc.Several[T]{}, err
	}
	count, err := one(ctx, s, scanOne[int64], `SELECT COUNT(*) `+from, string(d))
	return gc.Several[T]{Some: some, Count: count}, err
}
