package metadb_test

import (
	"context"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// An index has no blobs: a batch of the trash may have none.
func TestAnIndexLeavesTheTrash(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "one")
		img := addImage(t, db, r.ID, newImage("index"), registry.References{})
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if _, _, err := tx.LinkLayer(ctx, r.ID, registry.Layer{Digest: digest("another's"), Size: 1, Key: "k", LinkedAt: noon()}); err != nil {
				return err
			}
			return tx.TrashImages(ctx, r, img.ID, registry.Trashing{At: noon(), PurgeAt: noon().Add(time.Hour)})
		})
		purged := 0
		err := db.Garbage().Update(t.Context(), func(tx gc.Tx) error {
			ids, err := tx.TrashDue(t.Context(), noon().Add(time.Hour), 10)
			purged = len(ids)
			if err != nil {
				return err
			}
			return tx.PurgeTrash(t.Context(), ids, noon())
		})
		if err != nil || purged != 1 {
			t.Errorf("purging an index: %d, %v", purged, err)
		}
	})
}
