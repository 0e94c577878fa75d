package metadb

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// imageColumns are what lists read. An image's tags come in the same statement, so that image and tags
// are of one moment; a tag has no space in it.
const imageColumns = imageRow + `,
	COALESCE((SELECT string_agg(own.name, ' ') FROM tags own WHERE own.repository_id = i.repository_id AND own.image_id = i.id), '')`

func scanImage(rows *sql.Rows, i *registry.Image) error { return scanImageAnd(rows, i) }

func scanReferrer(rows *sql.Rows, i *registry.Image) error {
	return scanImageAnd(rows, i, jsonColumn{&i.Annotations})
}

func scanImageAnd(rows *sql.Rows, i *registry.Image, more ...any) error {
	var tags string
	err := rows.Scan(append(append(imageFields(i), &tags), more...)...)
	i.Tags = splitTags(tags)
	return err
}

// ImageByDigest implements registry.ImageQueries.
func (q queries) ImageByDigest(ctx context.Context, repositoryID int64, d oci.Digest) (registry.Image, error) {
	return one(ctx, q.s, scanImage, `
		SELECT `+imageColumns+` FROM images i WHERE i.repository_id = $1 AND i.digest = $2`, repositoryID, string(d))
}

// ImageByTag implements registry.ImageQueries.
func (q queries) ImageByTag(ctx context.Context, repositoryID int64, tag string) (registry.Image, error) {
	return one(ctx, q.s, scanImage, `
		SELECT `+imageColumns+` FROM tags t JOIN images i ON i.id = t.image_id
		WHERE t.repository_id = $1 AND t.name = $2`, repositoryID, tag)
}

// Images implements registry.ImageQueries. Images lie on four shelves, by whether they are archived and whether they have
// a tag, and each is in order: a page is the first of the shelves that are asked for.
func (q queries) Images(ctx context.Context, repositoryID int64, p registry.ImageQuery) ([]registry.Image, error) {
	var shelves []string
	for _, archived := range []bool{false, true} {
		for _, tagged := range []bool{false, true} {
			if p.Status.Selects(archived) && p.Tagged.Selects(tagged) {
				shelves = append(shelves, fmt.Sprintf(`SELECT id FROM (SELECT id FROM images
					WHERE repository_id = $1 AND archived = %t AND tagged = %t AND id > $2 ORDER BY id LIMIT $3) AS shelf%d`, archived, tagged, len(shelves)))
			}
		}
	}
	text := `SELECT ` + imageColumns + ` FROM images i WHERE i.id IN (` + strings.Join(shelves, ` UNION ALL `) + ` ORDER BY id LIMIT $3) ORDER BY i.id`
	const all = 4
	if len(shelves) == all {
		text = `SELECT ` + imageColumns + ` FROM images i WHERE i.repository_id = $1 AND i.id > $2 ORDER BY i.id LIMIT $3`
	}
	return list(ctx, q.s, scanImage, text, repositoryID, p.AfterID, p.Limit)
}

// ImagesByDigest implements registry.ImageQueries.
func (q queries) ImagesByDigest(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Image, error) {
	if len(ds) == 0 {
		return nil, nil
	}
	digests, err := jsonText(ds)
	if err != nil {
		return nil, err
	}
	return list(ctx, q.s, scanImageRow, `
		SELECT `+imageRow+` FROM images i
		WHERE i.repository_id = $1 AND i.digest IN (SELECT value FROM texts($2))`, repositoryID, digests)
}

// IndexesOf implements registry.ImageQueries.
func (q queries) IndexesOf(ctx context.Context, repositoryID int64, d oci.Digest) ([]oci.Digest, error) {
	return list(ctx, q.s, scanOne[oci.Digest], `
		SELECT i.digest FROM image_children c JOIN images i ON i.id = c.image_id
		WHERE c.repository_id = $1 AND c.digest = $2 ORDER BY i.digest`, repositoryID, string(d))
}

// Referrers implements registry.ImageQueries. It looks at the sizes of annotations first, and reads no more
// of them than fit.
func (q queries) Referrers(ctx context.Context, repositoryID int64, d oci.Digest, p registry.ReferrerQuery) ([]registry.Image, bool, error) {
	from := ` FROM images i JOIN manifests m ON m.image_id = i.id WHERE i.repository_id = $1 AND i.subject = $2 AND i.id > $3` + onShelf("i", p.Status)
	const limit = 3
	args := []any{repositoryID, string(d), p.AfterID, p.Limit + 1}
	if len(p.ArtifactTypes) > 0 {
		types, err := jsonText(p.ArtifactTypes)
		if err != nil {
			return nil, false, err
		}
		from += ` AND i.artifact_type IN (SELECT value FROM texts($5))`
		args = append(args, types)
	}
	type size struct{ id, bytes int64 }
	sizes, err := list(ctx, q.s, func(rows *sql.Rows, s *size) error { return rows.Scan(&s.id, &s.bytes) },
		`SELECT i.id, octet_length(m.annotations)`+from+` ORDER BY i.id LIMIT $4`, args...)
	if err != nil {
		return nil, false, err
	}
	var last, total int64
	fit := 0
	for _, s := range sizes {
		total += s.bytes
		if fit == p.Limit || fit > 0 && total > registry.MaxAnnotations {
			break
		}
		last, fit = s.id, fit+1
	}
	args[limit] = last
	images, err := list(ctx, q.s, scanReferrer, `SELECT `+imageColumns+`, m.annotations`+from+` AND i.id <= $4 ORDER BY i.id`, args...)
	// An image that went between the two statements leaves a shorter list, and the rest is still after it.
	return images, fit < len(sizes) && len(images) > 0, err
}

// VouchImage implements registry.ImageWrites.
func (t tx) VouchImage(ctx context.Context, id int64) error {
	_, err := t.s.exec(ctx, `UPDATE images SET vouched = TRUE WHERE id = $1`, id)
	return err
}

// InsertImage implements registry.ImageWrites.
func (t tx) InsertImage(ctx context.Context, repositoryID int64, img registry.Image, refs registry.References) (int64, error) {
	id, err := one(ctx, t.s, scanOne[int64], `
		INSERT INTO images (repository_id, digest, media_type, artifact_type, config_media_type, subject, size, manifest_size, pushed_at, last_pulled_at, tagged,
			archived_at, activated_at, vouched)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
		ON CONFLICT (repository_id, digest) DO NOTHING RETURNING id`,
		repositoryID, string(img.Digest), img.MediaType, img.ArtifactType, img.ConfigMediaType, nullText(img.Subject),
		img.Size, img.ManifestSize, micros(img.PushedAt), micros(img.LastPulledAt), len(img.Tags) > 0, micros(img.ArchivedAt), micros(img.ActivatedAt), img.Vouched)
	if err != nil {
		return 0, takenIfNoRow(err)
	}
	annotations := ""
	if len(img.Annotations) > 0 {
		if annotations, err = jsonText(img.Annotations); err != nil {
			return 0, err
		}
	}
	_, err = t.s.exec(ctx, `INSERT INTO manifests (image_id, annotations, body) VALUES ($1, $2, $3)`, id, annotations, img.Manifest)
	if err != nil {
		return 0, fmt.Errorf("storing manifest: %w", err)
	}
	if err := t.insertReferences(ctx, repositoryID, id, refs); err != nil {
		return 0, fmt.Errorf("storing references: %w", err)
	}
	return id, nil
}

func (t tx) insertReferences(ctx context.Context, repositoryID, imageID int64, refs registry.References) error {
	for _, kind := range []struct {
		text string
		list []oci.Digest
	}{
		{`INSERT INTO image_blobs (repository_id, image_id, digest) SELECT DISTINCT CAST($1 AS BIGINT), CAST($2 AS BIGINT), value FROM texts($3)`, refs.Blobs},
		{`INSERT INTO image_children (repository_id, image_id, digest) SELECT DISTINCT CAST($1 AS BIGINT), CAST($2 AS BIGINT), value FROM texts($3)`, refs.Children},
	} {
		if len(kind.list) == 0 {
			continue
		}
		digests, err := jsonText(kind.list)
		if err != nil {
			return err
		}
		if _, err := t.s.exec(ctx, kind.text, repositoryID, imageID, digests); err != nil {
			return err
		}
	}
	return nil
}

// DeleteImage implements registry.ImageWrites. What belongs to the image goes with it, by cascade.
func (t tx) DeleteImage(ctx context.Context, id int64) error {
	_, err := t.s.exec(ctx, `DELETE FROM images WHERE id = $1`, id)
	return err
}

// RecordPulls implements registry.ImageWrites.
func (t tx) RecordPulls(ctx context.Context, pulls map[int64]time.Time) error {
	type pull struct {
		ID int64 `json:"id"`
		At int64 `json:"at"`
	}
	// In order, so that two that record pulls of the same images do not wait for each other in a circle.
	all := make([]pull, 0, len(pulls))
	for id, at := range pulls {
		all = append(all, pull{ID: id, At: micros(at)})
	}
	slices.SortFunc(all, func(a, b pull) int { return cmp.Compare(a.ID, b.ID) })
	const atOnce = 1000
	for some := range slices.Chunk(all, atOnce) {
		recorded, err := jsonText(some)
		if err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `
			WITH pulls AS (SELECT CAST(value ->> 'id' AS BIGINT) AS id, CAST(value ->> 'at' AS BIGINT) AS at FROM objects($1)),
			held AS (SELECT i.id FROM images i JOIN pulls p ON p.id = i.id ORDER BY i.id FOR NO KEY UPDATE)
			UPDATE images SET last_pulled_at = p.at FROM pulls p, held h
			WHERE images.id = p.id AND h.id = p.id AND images.last_pulled_at < p.at`, recorded)
		if err != nil {
			return err
		}
	}
	return nil
}
