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
	all := map[string][]int64{}
	for _, chain := range chainIDs {
		ids, err := list(ctx, s.db.engine, scanOne[int64], `
			SELECT image_id FROM image_inventories WHERE chain_id = $1 ORDER BY image_id LIMIT $2`, chain, limit)
		if err != nil {
			return nil, err
		}
		if len(ids) > 0 {
			all[chain] = ids
		}
	}
	return all, nil
}

// ImagesHit implements scan.InventoryReads. Which sets have a package is in no index: it looks through what advisories hit in each,
// which is half a second for a hundred thousand.
func (s Judging) ImagesHit(ctx context.Context, packages []int64, after int64, limit int) ([]int64, error) {
	var sets []int64
	err := s.db.engine.query(ctx, `SELECT id, vulnerable FROM package_sets`, func(rows *sql.Rows) error {
		var id int64
		var vulnerable []byte
		if err := rows.Scan(&id, &vulnerable); err != nil {
			return err
		}
		ids, err := match.UnpackIDs(vulnerable)
		if slices.ContainsFunc(packages, func(p int64) bool { _, hit := slices.BinarySearch(ids, p); return hit }) {
			sets = append(sets, id)
		}
		return err
	})
	if err != nil || len(sets) == 0 {
		return nil, err
	}
	text, err := listText(sets)
	if err != nil {
		return nil, err
	}
	return list(ctx, s.db.engine, scanOne[int64], `
		SELECT image_id FROM image_inventories WHERE set_id IN (SELECT CAST(value AS BIGINT) FROM texts($1)) AND image_id > $2
		ORDER BY image_id LIMIT $3`, text, after, limit)
}
