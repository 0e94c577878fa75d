package metadb

import (
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Tags implements registry.TagQueries.
func (q queries) Tags(ctx context.Context, repositoryID int64, status registry.Status, after string, limit int) ([]registry.Tag, error) {
	scan := func(rows *sql.Rows, t *registry.Tag) error {
		return rows.Scan(&t.Name, &t.Digest, timeColumn{&t.SetAt})
	}
	return list(ctx, q.s, scan, `
		SELECT t.name, i.digest, t.set_at FROM tags t JOIN images i ON i.id = t.image_id
		WHERE t.repository_id = $1`+onShelf("t", status)+` AND t.name > $2 ORDER BY t.name LIMIT $3`, repositoryID, after, limit)
}

// TagNames implements registry.TagQueries.
func (q queries) TagNames(ctx context.Context, repositoryID int64, after string, limit int) ([]string, error) {
	return list(ctx, q.s, scanOne[string],
		`SELECT name FROM tags WHERE repository_id = $1 AND archived = FALSE AND name > $2 ORDER BY name LIMIT $3`, repositoryID, after, limit)
}

// HasTags implements registry.TagQueries.
func (q queries) HasTags(ctx context.Context, repositoryID, imageID int64, n int) (bool, error) {
	return exists(ctx, q.s, `SELECT 1 FROM tags WHERE repository_id = $1 AND image_id = $2 LIMIT 1 OFFSET $3`, repositoryID, imageID, n-1)
}

// TagHistory implements registry.TagQueries.
func (q queries) TagHistory(ctx context.Context, repository, tag string, beforeID int64, limit int) ([]registry.TagChange, error) {
	if beforeID == 0 {
		beforeID = math.MaxInt64
	}
	scan := func(rows *sql.Rows, c *registry.TagChange) error {
		return rows.Scan(&c.ID, &c.Repository, &c.Tag, &c.From, &c.To, timeColumn{&c.At}, &c.Actor)
	}
	return list(ctx, q.s, scan, `
		SELECT id, repository, tag, from_digest, to_digest, at, actor FROM tag_history
		WHERE repository = $1 AND tag = $2 AND id < $3 ORDER BY id DESC LIMIT $4`, repository, tag, beforeID, limit)
}

// TagPointedTo implements registry.TagQueries.
func (q queries) TagPointedTo(ctx context.Context, repository, tag string, d oci.Digest) (bool, error) {
	return exists(ctx, q.s, `
		SELECT 1 FROM tag_history WHERE repository = $1 AND tag = $2 AND (to_digest = $3 OR from_digest = $3) LIMIT 1`, repository, tag, string(d))
}

// SetTag implements registry.TagWrites.
func (t tx) SetTag(ctx context.Context, repositoryID int64, tag string, imageID int64, at time.Time) error {
	_, err := t.s.exec(ctx, `
		INSERT INTO tags (repository_id, name, image_id, set_at) VALUES ($1, $2, $3, $4)
		ON CONFLICT (repository_id, name) DO UPDATE SET image_id = excluded.image_id, set_at = excluded.set_at, archived = FALSE`,
		repositoryID, tag, imageID, micros(at))
	return err
}

// DeleteTag implements registry.TagWrites.
func (t tx) DeleteTag(ctx context.Context, repositoryID int64, tag string) error {
	_, err := t.s.exec(ctx, `DELETE FROM tags WHERE repository_id = $1 AND name = $2`, repositoryID, tag)
	return err
}

// RecordTagChanges implements registry.TagWrites.
func (t tx) RecordTagChanges(ctx context.Context, changes []registry.TagChange) error {
	if len(changes) == 1 { // nearly always
		c := changes[0]
		_, err := t.s.exec(ctx, `
			INSERT INTO tag_history (repository, tag, from_digest, to_digest, at, actor) VALUES ($1, $2, $3, $4, $5, $6)`,
			c.Repository, c.Tag, string(c.From), string(c.To), micros(c.At), c.Actor)
		return err
	}
	for some := range slices.Chunk(changes, 1000) {
		if err := t.recordSome(ctx, some); err != nil {
			return err
		}
	}
	return nil
}

// recordSome writes many entries in one statement, for the end of a repository with all its tags.
func (t tx) recordSome(ctx context.Context, changes []registry.TagChange) error {
	type entry struct {
		N                                int
		Repository, Tag, From, To, Actor string
		At                               int64
	}
	entries := make([]entry, len(changes))
	for i, c := range changes {
		entries[i] = entry{
			N: i, Repository: c.Repository, Tag: c.Tag, From: string(c.From), To: string(c.To), Actor: c.Actor, At: micros(c.At),
		}
	}
	text, err := jsonText(entries)
	if err != nil {
		return err
	}
	_, err = t.s.exec(ctx, `
		INSERT INTO tag_history (repository, tag, from_digest, to_digest, at, actor)
		SELECT value ->> 'Repository', value ->> 'Tag', value ->> 'From', value ->> 'To', CAST(value ->> 'At' AS BIGINT), value ->> 'Actor'
		FROM objects($1) ORDER BY CAST(value ->> 'N' AS BIGINT)`, text)
	return err
}
