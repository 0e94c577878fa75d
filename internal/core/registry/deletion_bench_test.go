package registry_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkDelete deletes from a repository of 100,000 images with a tag each, which share a layer and have one of their own: one image
// by digest, one by its tag, and 25 as the lifecycle does, into the trash. Its bound is 20 ms for an image.
func BenchmarkDelete(b *testing.B) {
	const many = 100_000
	engines := map[string]func(testing.TB) *metadb.DB{"sqlite": metadbtest.New}
	if os.Getenv("BERTH_TEST_POSTGRES") != "" {
		engines["postgres"] = metadbtest.NewPostgres
	}
	for name, open := range engines {
		b.Run(name, func(b *testing.B) {
			blobs, err := diskblob.Open(b.TempDir())
			if err != nil {
				b.Fatal(err)
			}
			db := open(b)
			r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: time.Now, TrashWindow: 7 * 24 * time.Hour})
			repository, err := r.CreateRepository(b.Context(), root, registry.NewRepository{Name: repo})
			if err != nil {
				b.Fatal(err)
			}
			fillForDeletion(b, db, repository.ID, many)
			next := 0
			some := func(n int) (ids []registry.ImageID, ds []oci.Digest) {
				for ; n > 0; n-- {
					d := benchDigest("image", next)
					ids, ds = append(ids, registry.ImageID{Digest: d.String()}), append(ds, d)
					next++
				}
				return ids, ds
			}
			check := func(what string, results []registry.Deleted, err error) {
				for _, res := range results {
					if res.Err != nil || len(res.Gone) != 1 || err != nil {
						b.Fatalf("%s: %+v, %v", what, res, err)
					}
				}
			}
			b.Run("digest", func(b *testing.B) {
				for b.Loop() {
					ids, _ := some(1)
					results, err := r.DeleteImages(b.Context(), root, repo, ids)
					check("by digest", results, err)
				}
			})
			b.Run("tag", func(b *testing.B) {
				for b.Loop() {
					_, _ = some(1)
					results, err := r.DeleteImages(b.Context(), root, repo, []registry.ImageID{{Tag: fmt.Sprintf("v%d", next-1)}})
					check("by tag", results, err)
				}
			})
			b.Run("lifecycle-25", func(b *testing.B) {
				for b.Loop() {
					_, ds := some(25)
					results, err := r.DeleteImagesIf(b.Context(), root, repo, ds, about(func(registry.Image) (bool, string, error) {
						return true, "Rule 1 keeps the youngest 10, and this is number 11.", nil
					}))
					check("25", results, err)
				}
			})
		})
	}
}

func benchDigest(kind string, i int) oci.Digest { return oci.FromBytes(fmt.Append(nil, kind, i)) }

func fillForDeletion(b *testing.B, db *metadb.DB, repositoryID int64, many int) {
	b.Helper()
	base := benchDigest("base", 0)
	add := func(ctx context.Context, tx registry.Tx, i int) error {
		own := benchDigest("layer", i)
		for _, d := range []oci.Digest{base, own} {
			l := registry.Layer{Digest: d, Size: 100, Key: blob.Key(d.String()), LinkedAt: time.Now()}
			if d == base && i > 0 {
				continue
			}
			if _, _, err := tx.LinkLayer(ctx, repositoryID, l); err != nil {
				return err
			}
		}
		img := registry.Image{Digest: benchDigest("image", i), MediaType: oci.MediaTypeOCIManifest, PushedAt: time.Now(), Manifest: []byte("{}")}
		id, err := tx.InsertImage(ctx, repositoryID, img, registry.References{Blobs: []oci.Digest{base, own}})
		if err != nil {
			return err
		}
		return tx.SetTag(ctx, repositoryID, fmt.Sprintf("v%d", i), id, time.Now())
	}
	const atOnce = 5000
	for from := 0; from < many; from += atOnce {
		err := db.Update(b.Context(), func(tx registry.Tx) error {
			for i := from; i < min(from+atOnce, many); i++ {
				if err := add(b.Context(), tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
