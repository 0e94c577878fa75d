package metadb

import (
	"context"
	"database/sql"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan"
)

// BeginCleaning implements scan.CleanStore.
func (s Judging) BeginCleaning(ctx context.Context, holder string) (start scan.CleanStart, idle bool, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		j, err := t.hold(ctx, holder)
		if idle = j.Phase == scan.Idle; err != nil || !idle {
			return err
		}
		start, err = one(ctx, t.s, func(rows *sql.Rows, c *scan.CleanStart) error { return rows.Scan(&c.Epoch, &c.Set, &c.Package) }, `
			UPDATE scan_judgement SET epoch = epoch + 1 WHERE id = 1
			RETURNING epoch, (SELECT COALESCE(MAX(id), 0) FROM package_sets), (SELECT COALESCE(MAX(id), 0) FROM packages)`)
		return err
	})
	return start, idle, err
}

// removing runs f, which removes something, while nobody saves.
func (s Judging) removing(ctx context.Context, holder string, until time.Time, f func(tx) (int64, error)) (n int64, err error) {
	err = s.db.engine.update(ctx, func(t tx) error {
		if _, err := t.hold(ctx, holder); err != nil {
			return err
		}
		if n, err = f(t); err != nil {
			return err
		}
		_, err := t.s.exec(ctx, `UPDATE scan_judgement SET lease_until = $1, epoch = epoch + $2 WHERE id = 1`, micros(until), min(n, 1))
		return err
	})
	return n, err
}

// CleanSets implements scan.CleanStore.
func (s Judging) CleanSets(ctx context.Context, holder string, until, before time.Time, limit int) (int64, error) {
	return s.removing(ctx, holder, until, func(t tx) (int64, error) {
		return t.s.exec(ctx, `
			DELETE FROM package_sets WHERE id IN (
				SELECT s.id FROM package_sets s
				WHERE s.judged_at < $1 AND NOT EXISTS (SELECT 1 FROM image_inventories i WHERE i.set_id = s.id) ORDER BY s.id LIMIT $2)`,
			micros(before), limit)
	})
}

// PackageIDsAfter implements scan.CleanStore.
func (s Judging) PackageIDsAfter(ctx context.Context, after, upto int64, limit int) ([]int64, error) {
	return list(ctx, s.db.engine, scanOne[int64], `SELECT id FROM packages WHERE id > $1 AND id <= $2 ORDER BY id LIMIT $3`, after, upto, limit)
}

// CleanPackages implements scan.CleanStore.
func (s Judging) CleanPackages(ctx context.Context, holder string, until time.Time, set int64, unused func([][]byte) ([]int64, error)) error {
	_, err := s.removing(ctx, holder, until, func(t tx) (int64, error) {
		members, err := list(ctx, t.s, scanOne[[]byte], `SELECT members FROM package_sets WHERE id > $1`, set)
		if err != nil {
			return 0, err
		}
		return t.removeIDs(ctx, `DELETE FROM packages WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, members, unused)
	})
	return err
}

func (t tx) removeIDs(ctx context.Context, text string, users [][]byte, unused func([][]byte) ([]int64, error)) (int64, error) {
	ids, err := unused(users)
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	all, err := listText(ids)
	if err != nil {
		return 0, err
	}
	return t.s.exec(ctx, text, all)
}

// LayersUsed implements scan.CleanStore.
func (s Judging) LayersUsed(ctx context.Context, after int64, limit int, f func([]byte) error) (last int64, err error) {
	err = s.db.engine.query(ctx, `SELECT image_id, layers FROM image_inventories WHERE image_id > $1 ORDER BY image_id LIMIT $2`,
		func(rows *sql.Rows) error {
			var layers []byte
			if err := rows.Scan(&last, &layers); err != nil {
				return err
			}
			return f(layers)
		}, after, limit)
	return last, err
}

// LayerIDsBefore implements scan.CleanStore.
func (s Judging) LayerIDsBefore(ctx context.Context, before time.Time, after int64, limit int) ([]int64, error) {
	return list(ctx, s.db.engine, scanOne[int64], `
		SELECT id FROM scan_layers WHERE id > $1 AND scanned_at < $2 ORDER BY id LIMIT $3`, after, micros(before), limit)
}

// CleanLayers implements scan.CleanStore.
func (s Judging) CleanLayers(ctx context.Context, holder string, until time.Time, epoch int64, unused func([][]byte) ([]int64, error)) error {
	_, err := s.removing(ctx, holder, until, func(t tx) (int64, error) {
		layers, err := list(ctx, t.s, scanOne[[]byte], `SELECT layers FROM image_inventories WHERE epoch >= $1`, epoch)
		if err != nil {
			return 0, err
		}
		return t.removeIDs(ctx, `DELETE FROM scan_layers WHERE id IN (SELECT CAST(value AS BIGINT) FROM texts($1))`, layers, unused)
	})
	return err
}
