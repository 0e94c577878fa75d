package metadb

import (
	"context"
	"database/sql"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

const scanLayerColumns = `l.id, l.diff_id, l.revision, l.problem, l.facts, l.scanned_at`

func scanLayerInto(l *scan.StoredLayer) []any {
	return []any{&l.ID, &l.DiffID, &l.Revision, &l.Problem, &l.Facts, timeColumn{&l.ScannedAt}}
}

// LayersByBlob implements scan.LayerStore.
func (s Judging) LayersByBlob(ctx context.Context, blobs []oci.Digest, revision int) (map[oci.Digest]scan.StoredLayer, error) {
	text, err := listText(blobs)
	if err != nil {
		return nil, err
	}
	all := make(map[oci.Digest]scan.StoredLayer, len(blobs))
	err = s.db.engine.query(ctx, `
		SELECT b.digest, `+scanLayerColumns+` FROM scan_blobs b JOIN scan_layers l ON l.id = b.layer_id
		WHERE b.digest IN (SELECT value FROM texts($1)) AND l.revision >= $2`,
		func(rows *sql.Rows) error {
			var d oci.Digest
			var l scan.StoredLayer
			if err := rows.Scan(append([]any{&d}, scanLayerInto(&l)...)...); err != nil {
				return err
			}
			all[d] = l
			return nil
		}, text, revision)
	return all, err
}

// LayersByID implements scan.LayerStore.
func (s Judging) LayersByID(ctx context.Context, ids []int64) (map[int64]scan.StoredLayer, error) {
	text, err := listText(ids)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]scan.StoredLayer, len(ids))
	err = s.db.engine.query(ctx, `SELECT `+scanLayerColumns+` FROM scan_layers l WHERE l.id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var l scan.StoredLayer
			if err := rows.Scan(scanLayerInto(&l)...); err != nil {
				return err
			}
			all[l.ID] = l
			return nil
		}, text)
	return all, err
}

// PutLayer implements scan.LayerStore.
func (s Judging) PutLayer(ctx context.Context, blob oci.Digest, l scan.StoredLayer) (id int64, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		_, err := t.s.exec(ctx, `
			INSERT INTO scan_layers (diff_id, revision, problem, facts, scanned_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (diff_id) DO UPDATE SET revision = excluded.revision, problem = excluded.problem, facts = excluded.facts,
				scanned_at = excluded.scanned_at
			WHERE scan_layers.revision < excluded.revision OR (scan_layers.revision = excluded.revision AND scan_layers.problem <> '')`,
			string(l.DiffID), l.Revision, l.Problem, notNil(l.Facts), micros(l.ScannedAt))
		if err != nil {
			return err
		}
		if id, err = one(ctx, t.s, scanOne[int64], `SELECT id FROM scan_layers WHERE diff_id = $1 FOR KEY SHARE`, string(l.DiffID)); err != nil {
			return err
		}
		_, err = t.s.exec(ctx, `
			INSERT INTO scan_blobs (digest, layer_id) VALUES ($1, $2) ON CONFLICT (digest) DO UPDATE SET layer_id = excluded.layer_id`,
			string(blob), id)
		return err
	})
	return id, err
}

// ChainImages implements scan.InventoryReads.
func (s Judging) ChainImages(ctx context.Context, chainIDs []string, limit int) (map[string][]int64, error) {
	wanted, err := listText(chainIDs)
	if err != nil {
		return nil, err
	}
	all := map[string][]int64{}
	err = s.db.engine.query(ctx, `
		SELECT i.chain_id, i.image_id FROM (SELECT value, (
				SELECT x.image_id FROM image_inventories x WHERE x.chain_id = value ORDER BY x.image_id LIMIT 1 OFFSET $2) AS beyond
			FROM texts($1)) o CROSS JOIN image_inventories i
		WHERE i.chain_id = o.value AND (o.beyond IS NULL OR i.image_id < o.beyond) ORDER BY i.chain_id, i.image_id`,
		func(rows *sql.Rows) error {
			var chain string
			var id int64
			err := rows.Scan(&chain, &id)
			all[chain] = append(all[chain], id)
			return err
		}, wanted, limit)
	return all, err
}

// Pages of images that ImagesHit looks at, the first and the largest: where many are hit few need be looked at.
const (
	hitPage    = 500
	maxHitPage = 8000
)

// ImagesHit implements scan.InventoryReads. Which sets have a package is in no index: it looks through what advisories hit in the sets of
// images, in order of image, and no further than there are enough. All pages together go through a hundred thousand in half a second.
func (s Judging) ImagesHit(ctx context.Context, packages []int64, after int64, limit int) (found []int64, err error) {
	type image struct{ id, set int64 }
	hit := map[int64]bool{} // by set
	for page := hitPage; len(found) < limit; page = min(4*page, maxHitPage) {
		images, err := list(ctx, s.db.engine, func(rows *sql.Rows, i *image) error { return rows.Scan(&i.id, &i.set) }, `
			SELECT image_id, set_id FROM image_inventories WHERE image_id > $1 ORDER BY image_id LIMIT $2`, after, page)
		if err != nil || len(images) == 0 {
			return found, err
		}
		var sets []int64
		for _, i := range images {
			if _, known := hit[i.set]; !known {
				hit[i.set] = false
				sets = append(sets, i.set)
			}
		}
		if err := s.setsHit(ctx, sets, packages, hit); err != nil {
			return nil, err
		}
		for _, i := range images {
			if after = i.id; !hit[i.set] {
				continue
			}
			if found = append(found, i.id); len(found) == limit {
				break
			}
		}
	}
	return found, nil
}

// setsHit notes which sets have one of the packages among those that advisories hit.
func (s Judging) setsHit(ctx context.Context, sets, packages []int64, hit map[int64]bool) error {
	wanted, err := listText(sets)
	if err != nil || len(sets) == 0 {
		return err
	}
	return s.db.engine.query(ctx, `SELECT id, vulnerable FROM package_sets WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`,
		func(rows *sql.Rows) error {
			var id int64
			var vulnerable []byte
			if err := rows.Scan(&id, &vulnerable); err != nil {
				return err
			}
			ids, err := match.UnpackIDs(vulnerable)
			hit[id] = slices.ContainsFunc(packages, func(p int64) bool { _, is := slices.BinarySearch(ids, p); return is })
			return err
		}, wanted)
}

// Members implements scan.InventoryReads.
func (s Judging) Members(ctx context.Context, imageIDs []int64) (map[int64][]byte, error) {
	wanted, err := listText(imageIDs)
	if err != nil {
		return nil, err
	}
	all := make(map[int64][]byte, len(imageIDs))
	err = s.db.engine.query(ctx, `
		SELECT i.image_id, s.members FROM image_inventories i JOIN package_sets s ON s.id = i.set_id
		WHERE i.image_id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, func(rows *sql.Rows) error {
		var id int64
		var members []byte
		err := rows.Scan(&id, &members)
		all[id] = members
		return err
	}, wanted)
	return all, err
}
