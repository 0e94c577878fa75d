package metadb_test

import (
	"context"
	"fmt"
	"regexp"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestListsUseIndexes: PostgreSQL looks for each thing of a list, and does not read a whole table, also as long as it has no
// statistics of what was pushed a moment ago.
func TestListsUseIndexes(t *testing.T) {
	t.Parallel()
	db := metadbtest.NewPostgres(t)
	r := addRepository(t, db, "app")
	fillWithoutStatistics(t, db, r.ID)
	ds := []oci.Digest{"sha256:5", "sha256:7"}
	if _, err := db.Read().ImagesByDigest(t.Context(), r.ID, ds); err != nil {
		t.Error(err)
	}
	if _, err := db.Read().Layers(t.Context(), r.ID, ds); err != nil {
		t.Error(err)
	}
	if _, err := db.Read().StandingImages(t.Context(), r.ID, []int64{5, 7}); err != nil {
		t.Error(err)
	}
	if known, err := db.Garbage().Known(t.Context(), []blob.Key{"key5", "key7", "nobody's"}); err != nil || len(known) != 2 {
		t.Errorf("%d keys are known, %v", len(known), err)
	}
	err := db.Garbage().Update(t.Context(), func(tx gc.Tx) error {
		for _, do := range []func() error{
			func() error { _, err := tx.LayersOf(t.Context(), r.ID, ds, noon()); return err },
			func() error { return tx.SettleLayers(t.Context(), r.ID, ds) },
			func() error { return tx.UnlinkLayers(t.Context(), r.ID, ds, noon()) },
			func() error { _, err := tx.BlobsNeeded(t.Context(), ds); return err },
			func() error { return tx.SettleBlobs(t.Context(), ds) },
			func() error { return tx.DueBlobs(t.Context(), ds, noon()) },
			func() error { return tx.DeleteBlobs(t.Context(), ds) },
			func() error { return tx.ForgetGarbage(t.Context(), []blob.Key{"a", "b"}) },
		} {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	plans, err := metadb.PostgresPlans(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	const fewest = 10
	if len(plans) < fewest {
		t.Errorf("only %d statements have a list", len(plans))
	}
	scan := regexp.MustCompile(`(?m)Seq Scan on (blobs|layers|images|image_blobs)\b|Index Scan.* images_.*\n *Index Cond: \(repository_id = \$\d+\)$`)
	for text, plan := range plans {
		if scan.MatchString(plan) {
			t.Errorf("a table, or all of a repository, is read for\n%s\n%s", text, plan)
		}
	}
}

// fillWithoutStatistics makes a repository of 100,000 images, each of one layer.
func fillWithoutStatistics(t testing.TB, db *metadb.DB, repository int64) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		const numbers = `generate_series(1, 100000) AS n`
		for _, text := range []string{
			`ALTER TABLE blobs SET (autovacuum_enabled = false)`,
			`ALTER TABLE layers SET (autovacuum_enabled = false)`,
			`ALTER TABLE images SET (autovacuum_enabled = false)`,
			`ALTER TABLE image_blobs SET (autovacuum_enabled = false)`,
			`INSERT INTO blobs (digest, size, blob_key, created_at) SELECT 'sha256:' || n, 5, 'key' || n, 5 FROM ` + numbers,
			`INSERT INTO layers (repository_id, digest, linked_at) SELECT ` + fmt.Sprint(repository) + `, 'sha256:' || n, 5 FROM ` + numbers,
			`INSERT INTO images (id, repository_id, digest, media_type, artifact_type, config_media_type, size, manifest_size, pushed_at, last_pulled_at)
				OVERRIDING SYSTEM VALUE SELECT n, ` + fmt.Sprint(repository) + `, 'sha256:' || n, 'm', '', 'c', 5, 5, 5, 0 FROM ` + numbers,
			`INSERT INTO image_blobs (repository_id, image_id, digest) SELECT ` + fmt.Sprint(repository) + `, n, 'sha256:' || n FROM ` + numbers,
		} {
			if err := metadb.ExecIn(ctx, tx, text); err != nil {
				return fmt.Errorf("%s: %w", text, err)
			}
		}
		return nil
	})
}

// TestListsThatAreNot: a condition that something is not in a list holds for an empty one.
func TestListsThatAreNot(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		addRepository(t, db, "app")
		addRepository(t, db, "other")
		for _, c := range []struct {
			condition, list string
			want            int64
		}{
			{"name IN (SELECT value FROM texts($1))", `["app", "nobody's"]`, 1},
			{"name IN (SELECT value FROM texts($1))", `[]`, 0},
			{"name NOT IN (SELECT value FROM texts($1))", `["app", "nobody's"]`, 1},
			{"name NOT IN (SELECT value FROM texts($1))", `[]`, 2},
			{"id IN (SELECT CAST(value AS BIGINT) FROM texts($1))", `[1, 2, 3]`, 2},
			{"id NOT IN (SELECT CAST(value AS BIGINT) FROM texts($1))", `[1]`, 1},
		} {
			n, err := metadb.Number(t.Context(), db, `SELECT COUNT(*) FROM repositories WHERE `+c.condition, c.list)
			if err != nil || n != c.want {
				t.Errorf("%s with %s holds for %d (%v), want %d", c.condition, c.list, n, err, c.want)
			}
		}
	})
}
