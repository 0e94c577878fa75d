package metadb_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestSweepUsesIndexes: what the sweep does costs in proportion to what is due, not to what is there.
func TestSweepUsesIndexes(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	r := addRepository(t, db, "app")
	fill(t, db, r)
	rows := db.Garbage()
	now := noon().Add(time.Hour)
	_, _ = rows.Due(t.Context(), gc.Deadlines{Now: now, Uploads: now})
	_, _ = rows.LayersDue(t.Context(), now, 1)
	_, _, _, _ = rows.UndueLayers(t.Context(), gc.Layer{}, 1)
	_, _, _, _ = rows.UndueBlobs(t.Context(), "", 1)
	ds := []oci.Digest{digest("a")}
	err := rows.Update(t.Context(), func(tx gc.Tx) error {
		_, _ = tx.TrashDue(t.Context(), now, 1)
		_ = tx.PurgeTrash(t.Context(), []int64{1}, now)
		_, _ = tx.ExpireUploads(t.Context(), noon().Add(-time.Hour), 1)
		_, _ = tx.LockRepository(t.Context(), r.ID)
		_, _ = tx.LayersOf(t.Context(), r.ID, ds, now)
		_ = tx.UnlinkLayers(t.Context(), r.ID, ds, now)
		_ = tx.SettleLayers(t.Context(), r.ID, ds)
		_ = tx.DueLayers(t.Context(), []gc.Layer{{RepositoryID: r.ID, Digest: ds[0]}}, now)
		_, _ = tx.BlobsDue(t.Context(), now, 1)
		_, _ = tx.BlobsNeeded(t.Context(), ds)
		_ = tx.SettleBlobs(t.Context(), ds)
		_ = tx.DeleteBlobs(t.Context(), []oci.Digest{digest("none")})
		_ = tx.Discard(t.Context(), []blob.Upload{{Key: "k"}}, now)
		_, _ = tx.ClaimGarbage(t.Context(), now, now, 1)
		return tx.ForgetGarbage(t.Context(), []blob.Key{"k"})
	})
	if err != nil {
		t.Fatal(err)
	}
	plans, err := metadb.Plans(t.Context(), db)
	if err != nil {
		t.Fatal(err)
	}
	for text, plan := range plans {
		for step := range strings.SplitSeq(plan, "\n") {
			few := strings.Contains(step, "texts") || step == "SCAN held" || strings.HasPrefix(step, "SCAN CONSTANT ROW") || step == "SCAN pulls"
			if strings.HasPrefix(step, "SCAN ") && !few || strings.Contains(step, "AUTOMATIC") {
				t.Errorf("%s\nruns as:\n%s", text, plan)
			}
		}
	}
}
