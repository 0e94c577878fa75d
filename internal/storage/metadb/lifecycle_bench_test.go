package metadb_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkLifecycleImages reads what a policy looks at in a repository of 100,000 images with two tags each.
func BenchmarkLifecycleImages(b *testing.B) {
	const many = 100_000
	db := metadbtest.New(b)
	r := addRepository(b, db, "app")
	update(b, db, func(ctx context.Context, tx registry.Tx) error {
		for i := range many {
			img := registry.Image{
				Digest: oci.FromBytes(fmt.Append(nil, i)), MediaType: oci.MediaTypeOCIManifest,
				PushedAt: noon().Add(time.Duration(i) * time.Second), Manifest: []byte("{}"),
			}
			id, err := tx.InsertImage(ctx, r.ID, img, registry.References{})
			if err != nil {
				return err
			}
			for _, tag := range []string{fmt.Sprintf("app%d-%d", i%50, i), fmt.Sprintf("build-%d", i)} {
				if err := tx.SetTag(ctx, r.ID, tag, id, noon()); err != nil {
					return err
				}
			}
		}
		return nil
	})
	b.ReportAllocs()
	for b.Loop() {
		images, err := db.Lifecycle().Images(b.Context(), r.ID)
		if err != nil || len(images) != many {
			b.Fatalf("%d images (%v)", len(images), err)
		}
	}
}
