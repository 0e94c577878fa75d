package metadb

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/usage"
)

var _ usage.Gauging = Usage{}

// RepositoriesAfter implements usage.Gauging.
func (u Usage) RepositoriesAfter(ctx context.Context, id int64, limit int) ([]usage.RepositoryRef, error) {
	return list(ctx, u.db.engine, func(rows *sql.Rows, r *usage.RepositoryRef) error { return rows.Scan(&r.ID, &r.Name) },
		`SELECT id, name FROM repositories WHERE id > $1 ORDER BY id LIMIT $2`, id, limit)
}

// ImagesAfter implements usage.Gauging.
func (u Usage) ImagesAfter(ctx context.Context, repositoryID, id int64, limit int) ([]usage.GaugedImage, error) {
	images, err := u.labeled(ctx, `i.repository_id = $1 AND i.id > $2 ORDER BY i.id LIMIT $3`, repositoryID, id, limit)
	if err != nil || len(images) == 0 {
		return nil, err
	}
	all := make([]usage.GaugedImage, len(images))
	place := map[int64]int{}
	ids := make([]int64, len(images))
	for n, i := range images {
		all[n] = usage.GaugedImage{ID: i.id, Labels: i.Labels}
		place[i.id], ids[n] = n, i.id
	}
	text, err := jsonText(ids)
	if err != nil {
		return nil, err
	}
	err = u.db.engine.query(ctx, `SELECT image_id, app FROM usage_apps WHERE image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, func(rows *sql.Rows) error {
		var id int64
		var app string
		err := rows.Scan(&id, &app)
		all[place[id]].App = app
		return err
	}, text)
	if err != nil {
		return nil, err
	}
	return all, u.db.engine.query(ctx, `
		SELECT v.image_id, s.counts FROM image_inventories v JOIN package_sets s ON s.id = v.set_id
		WHERE v.image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, func(rows *sql.Rows) error {
		var id int64
		var counts scan.Counts
		if err := rows.Scan(&id, jsonColumn{&counts}); err != nil {
			return err
		}
		found := map[string]int{}
		for severity, n := range counts.All {
			found[string(severity)] += n
		}
		all[place[id]].Findings = found
		return nil
	}, text)
}

// SetApps implements usage.Gauging. An image that is gone meanwhile is left out.
func (u Usage) SetApps(ctx context.Context, apps map[int64]string) error {
	type row struct {
		ID  int64  `json:"i"`
		App string `json:"a"`
	}
	var set []row
	var none []int64
	for _, id := range slices.Sorted(maps.Keys(apps)) {
		if apps[id] == "" {
			none = append(none, id)
		} else {
			set = append(set, row{id, apps[id]})
		}
	}
	return u.db.engine.update(ctx, func(t tx) error {
		if len(none) > 0 {
			text, err := jsonText(none)
			if err != nil {
				return err
			}
			if _, err := t.s.exec(ctx, `DELETE FROM usage_apps WHERE image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, text); err != nil {
				return err
			}
		}
		if len(set) == 0 {
			return nil
		}
		text, err := jsonText(set)
		if err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `
			INSERT INTO usage_apps (image_id, app) SELECT i.id, o.value ->> 'a' FROM (SELECT value FROM objects($1)) o JOIN images i ON i.id = CAST(o.value ->> 'i' AS BIGINT) WHERE true
			ON CONFLICT (image_id) DO UPDATE SET app = excluded.app`, text)
		return err
	})
}

// LayersAfter implements usage.Gauging: which layers, and where else they are; then who has them, counted by the database.
func (u Usage) LayersAfter(ctx context.Context, repositoryID int64, d oci.Digest, limit int) (layers []usage.GaugedLayer, next oci.Digest, err error) {
	n, place := 0, map[oci.Digest]int{}
	last := d
	err = u.db.engine.query(ctx, `
		SELECT p.digest, COALESCE(b.size, -1), EXISTS (SELECT 1 FROM layers o JOIN image_blobs x ON x.repository_id = o.repository_id AND x.digest = o.digest
			WHERE o.digest = p.digest AND o.repository_id <> $1)
		FROM (SELECT DISTINCT digest FROM image_blobs WHERE repository_id = $1 AND digest > $2 ORDER BY digest LIMIT $3) p
		LEFT JOIN layers l ON l.repository_id = $1 AND l.digest = p.digest LEFT JOIN blobs b ON b.digest = l.digest ORDER BY p.digest`, func(rows *sql.Rows) error {
		var l usage.GaugedLayer
		if err := rows.Scan(&l.Digest, &l.Size, &l.Outside); err != nil {
			return err
		}
		n++
		last = l.Digest
		if l.Size >= 0 { // or else it has not come yet: an upstream's images come in pieces
			place[l.Digest] = len(layers)
			l.Users = map[string]int{}
			layers = append(layers, l)
		}
		return nil
	}, repositoryID, string(d), limit)
	if err != nil || n == 0 {
		return nil, "", err
	}
	if n == limit {
		next = last
	}
	return layers, next, u.db.engine.query(ctx, `
		SELECT b.digest, COALESCE(a.app, ''), COUNT(*) FROM image_blobs b LEFT JOIN usage_apps a ON a.image_id = b.image_id
		WHERE b.repository_id = $1 AND b.digest > $2 AND b.digest <= $3 GROUP BY b.digest, COALESCE(a.app, '')`, func(rows *sql.Rows) error {
		var digest oci.Digest
		var app string
		var images int
		if err := rows.Scan(&digest, &app, &images); err != nil {
			return err
		}
		if i, ok := place[digest]; ok {
			layers[i].Users[app] = images
		}
		return nil
	}, repositoryID, string(d), string(last))
}

// TrashBytes implements usage.Gauging.
func (u Usage) TrashBytes(ctx context.Context, repository string) (int64, error) {
	_, bytes, err := u.db.read.TrashUsage(ctx, repository)
	return bytes, err
}
