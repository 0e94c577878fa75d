package metadb_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// BenchmarkTrashRepository deletes a repository of BERTH_BENCH_IMAGES images with a layer of their own each, with a trash.
func BenchmarkTrashRepository(b *testing.B) {
	images := 10_000
	if n, err := strconv.Atoi(os.Getenv("BERTH_BENCH_IMAGES")); err == nil {
		images = n
	}
	for b.Loop() {
		b.StopTimer()
		db, r := populated(b, 0)
		for done := 0; done < images; {
			update(b, db, func(ctx context.Context, tx registry.Tx) error {
				for range min(1000, images-done) {
					d := oci.FromBytes([]byte(strconv.Itoa(done)))
					l := registry.Layer{Digest: d, Key: blob.Key(fmt.Sprintf("%032x", done)), LinkedAt: noon()}
					if _, _, err := tx.LinkLayer(ctx, r.ID, l); err != nil {
						return err
					}
					img, err := tx.InsertImage(ctx, r.ID, newImage(fmt.Sprint(done)), registry.References{Blobs: []oci.Digest{d}})
					if err != nil {
						return err
					}
					if err := tx.SetTag(ctx, r.ID, fmt.Sprintf("tag-%06d", done), img, noon()); err != nil {
						return err
					}
					done++
				}
				return nil
			})
		}
		b.StartTimer()
		began := time.Now()
		var copied time.Duration
		update(b, db, func(ctx context.Context, tx registry.Tx) error {
			if err := tx.TrashImages(ctx, r, 0, registry.Trashing{At: noon(), PurgeAt: noon()}); err != nil {
				return err
			}
			copied = time.Since(began)
			_, err := tx.DeleteRepository(ctx, r.ID, r.CreatedAt)
			return err
		})
		b.ReportMetric(copied.Seconds(), "s-of-copying/op")
	}
}
