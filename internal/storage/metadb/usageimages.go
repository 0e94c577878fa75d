package metadb

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

var _ usage.Images = Usage{}

// RepositoriesNamed implements usage.Images.
func (u Usage) RepositoriesNamed(ctx context.Context, names []string) (map[string]bool, error) {
	known := map[string]bool{}
	if len(names) == 0 {
		return known, nil
	}
	text, err := jsonText(names)
	if err != nil {
		return nil, err
	}
	return known, u.db.engine.query(ctx, `SELECT name FROM repositories WHERE name IN (SELECT value FROM texts($1))`, func(rows *sql.Rows) error {
		var name string
		err := rows.Scan(&name)
		known[name] = true
		return err
	}, text)
}

// RoleARN implements usage.Images.
func (u Usage) RoleARN(ctx context.Context, name string) (string, error) {
	arn, err := one(ctx, u.db.engine, scanOne[string], `SELECT arn FROM principals WHERE kind = 'role' AND folded = $1`, strings.ToLower(name))
	if errors.Is(err, registry.ErrNoRow) {
		return "", nil
	}
	return arn, err
}

// Labels implements usage.Images.
func (u Usage) Labels(ctx context.Context, images []usage.ImageRef) (map[usage.ImageRef]usage.Labeled, error) {
	if len(images) == 0 {
		return map[usage.ImageRef]usage.Labeled{}, nil
	}
	byRepository := map[string][]string{}
	for _, i := range images {
		byRepository[i.Repository] = append(byRepository[i.Repository], i.Digest.String())
	}
	all := map[usage.ImageRef]usage.Labeled{}
	for repository, digests := range byRepository {
		text, err := jsonText(digests)
		if err != nil {
			return nil, err
		}
		found, err := u.labeled(ctx, `i.repository_id = (SELECT id FROM repositories WHERE name = $1) AND i.digest IN (SELECT value FROM texts($2))`, repository, text)
		if err != nil {
			return nil, err
		}
		for _, f := range found {
			all[usage.ImageRef{Repository: repository, Digest: f.digest}] = f.Labeled
		}
	}
	return all, nil
}

// labeledImage is an image with its labels.
type labeledImage struct {
	usage.Labeled
	id     int64
	digest oci.Digest
}

// labeled gives the images that a condition selects, with their labels: the images, what is around them, and all their tags and
// annotations, each in one statement.
func (u Usage) labeled(ctx context.Context, where string, args ...any) ([]labeledImage, error) {
	images, err := list(ctx, u.db.engine, func(rows *sql.Rows, l *labeledImage) error { return rows.Scan(&l.id, &l.digest) },
		`SELECT i.id, i.digest FROM images i WHERE `+where, args...)
	if err != nil || len(images) == 0 {
		return nil, err
	}
	ids := make([]int64, len(images))
	place := map[int64]int{}
	for n, i := range images {
		ids[n], place[i.id] = i.id, n
	}
	text, err := jsonText(ids)
	if err != nil {
		return nil, err
	}
	around := map[int64][]int64{}
	err = u.db.engine.query(ctx, `
		SELECT id, other, digest, TRUE FROM (
			SELECT i.id AS id, p.id AS other, p.digest AS digest, ROW_NUMBER() OVER (PARTITION BY i.id ORDER BY p.id DESC) AS n
			FROM images i JOIN image_children c ON c.repository_id = i.repository_id AND c.digest = i.digest
			JOIN images p ON p.id = c.image_id WHERE i.id IN (SELECT CAST(value AS BIGINT) FROM texts($1))) x WHERE n <= $2
		UNION ALL
		SELECT i.id, s.id, s.digest, FALSE FROM images i JOIN images s ON s.repository_id = i.repository_id AND s.digest = i.subject
			WHERE i.id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, func(rows *sql.Rows) error {
		var id, other int64
		var digest oci.Digest
		var index bool
		if err := rows.Scan(&id, &other, &digest, &index); err != nil {
			return err
		}
		around[id] = append(around[id], other)
		if index {
			images[place[id]].Indexes = append(images[place[id]].Indexes, digest)
		}
		return nil
	}, text, usage.MaxIndexes)
	if err != nil {
		return nil, err
	}
	for _, others := range around {
		ids = append(ids, others...)
	}
	own, err := u.ownLabels(ctx, ids)
	if err != nil {
		return nil, err
	}
	for n, i := range images {
		images[n].Labels = own[i.id]
		for _, other := range around[i.id] {
			images[n].Around = append(images[n].Around, own[other])
		}
	}
	return images, nil
}

// ownLabels gives the tags and annotations of images.
func (u Usage) ownLabels(ctx context.Context, ids []int64) (map[int64]usage.Labels, error) {
	text, err := jsonText(ids)
	if err != nil {
		return nil, err
	}
	own := map[int64]usage.Labels{}
	err = u.db.engine.query(ctx, `
		SELECT i.id, t.name FROM images i JOIN tags t ON t.repository_id = i.repository_id AND t.image_id = i.id
		WHERE i.id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, func(rows *sql.Rows) error {
		var id int64
		var tag string
		if err := rows.Scan(&id, &tag); err != nil {
			return err
		}
		l := own[id]
		l.Tags = append(l.Tags, tag)
		own[id] = l
		return nil
	}, text)
	if err != nil {
		return nil, err
	}
	return own, u.db.engine.query(ctx, `
		SELECT image_id, annotations FROM manifests WHERE image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND annotations <> ''`, func(rows *sql.Rows) error {
		var id int64
		var text []byte
		if err := rows.Scan(&id, &text); err != nil {
			return err
		}
		l := own[id]
		// Texts of strangers: what is no object of texts says nothing.
		if json.Unmarshal(text, &l.Annotations) != nil {
			l.Annotations = nil
		}
		own[id] = l
		return nil
	}, text)
}
