package gc_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestSweepRacesTheTrash pushes, deletes, restores and purges images, and deletes whole repositories, while two replicas sweep, with
// half a second in the trash. Locks that are taken in another order than everybody's show as errors that are no faults.
func TestSweepRacesTheTrash(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := newRace(t, db)
		const grace = 50 * time.Millisecond
		r.Registry = registry.New(registry.Config{
			Store: db, Blobs: r.blobs, Account: account, Region: "us-east-1", Now: time.Now, Grace: grace, TrashWindow: 10 * grace,
		})
		r.config.Grace = grace
		var workers, sweepers sync.WaitGroup
		for range 2 {
			sweepers.Go(func() { r.sweep(gc.New(r.config)) })
		}
		for seed := range 4 {
			workers.Go(func() { r.trash(rand.New(rand.NewPCG(uint64(seed), 2)), 100) }) //nolint:gosec // not a secret
		}
		workers.Wait()
		r.over.Store(true)
		sweepers.Wait()
		r.check()
		r.empty()
	})
}

func (r *race) trash(random *rand.Rand, times int) {
	ctx := r.t.Context()
	content := func() string { return fmt.Sprint("layer ", random.IntN(5)) }
	restored := 0
	for range times {
		name := r.repositories[random.IntN(len(r.repositories))]
		page, err := r.Trash(ctx, root, name, 20, "")
		if err != nil {
			r.t.Errorf("Trash: %v", err)
		}
		random.Shuffle(len(page.Items), func(i, j int) { page.Items[i], page.Items[j] = page.Items[j], page.Items[i] })
		var ds []oci.Digest
		var ids []registry.ImageID
		for _, i := range page.Items {
			ds, ids = append(ds, i.Digest), append(ids, registry.ImageID{Digest: i.Digest.String()})
		}
		switch random.IntN(12) {
		case 0:
			if _, err = r.DeleteRepository(ctx, root, name, true); err == nil {
				_, err = r.CreateRepository(ctx, root, registry.NewRepository{Name: name})
			}
		case 1, 2:
			err = r.DeleteImage(ctx, root, name, oci.Reference{Tag: content()[6:]})
		case 3, 4:
			if live, lerr := r.Images(ctx, root, name, registry.ImageFilter{}, 5, ""); lerr == nil {
				var ids []registry.ImageID
				for _, i := range live.Items {
					ids = append(ids, registry.ImageID{Digest: i.Digest.String()})
				}
				if len(ids) > 0 {
					_, err = r.DeleteImages(ctx, root, name, ids)
				}
			}
		case 5:
			if len(ds) > 0 {
				_, err = r.PurgeImages(ctx, root, name, ds)
			}
		case 6, 7, 8:
			if len(ids) > 0 {
				var res []registry.Restored
				res, err = r.RestoreImages(ctx, root, name, ids[:1+random.IntN(len(ids))], registry.RestoreOptions{})
				for _, one := range res {
					if one.Err == nil {
						restored++
					}
				}
			}
		default:
			err = r.pushImage(name, content(), content(), random.IntN(2) == 0, name)
		}
		if _, is := fault.Of(err); err != nil && !is {
			r.t.Errorf("%v, want success or a fault", err)
		}
	}
	r.t.Logf("%d images were restored", restored)
}
