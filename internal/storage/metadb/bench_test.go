package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// populated is a database with one repository of so many images and tags; every image but each third has a
// tag.
func populated(b *testing.B, images int) (*metadb.DB, registry.Repository) {
	b.Helper()
	db := metadbtest.New(b)
	r := addRepository(b, db, "app")
	for done := 0; done < images; {
		update(b, db, func(ctx context.Context, tx registry.Tx) error {
			for range min(1000, images-done) {
				img, err := tx.InsertImage(ctx, r.ID, newImage(fmt.Sprint(done)), newReferences("layer"))
				if err != nil {
					return err
				}
				if done%3 != 2 {
					if err := tx.SetTag(ctx, r.ID, fmt.Sprintf("tag-%06d", done), img, noon()); err != nil {
						return err
					}
				}
				done++
			}
			return nil
		})
	}
	return db, r
}

func BenchmarkImageByTag(b *testing.B) {
	db, r := populated(b, 1000)
	for b.Loop() {
		if _, err := db.Read().ImageByTag(b.Context(), r.ID, "tag-000300"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkImageByTagParallel(b *testing.B) {
	db, r := populated(b, 1000)
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := db.Read().ImageByTag(b.Context(), r.ID, "tag-000300"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkRepository(b *testing.B) {
	db, _ := populated(b, 1)
	for b.Loop() {
		if _, err := db.Read().Repository(b.Context(), "app"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPutTag moves tags as the registry does, from 1 and from 16 clients.
func BenchmarkPutTag(b *testing.B) {
	for _, clients := range []int{1, 16} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			db, _ := populated(b, 100)
			before := db.Stats()
			var all sync.WaitGroup
			work := make(chan int)
			for range clients {
				all.Go(func() {
					for i := range work {
						if err := putTag(b.Context(), db, i); err != nil {
							b.Error(err)
						}
					}
				})
			}
			i := 0
			for b.Loop() {
				work <- i
				i++
			}
			close(work)
			all.Wait()
			after := db.Stats()
			b.ReportMetric(float64(after.Updates-before.Updates)/float64(after.Commits-before.Commits), "updates/commit")
		})
	}
}

func putTag(ctx context.Context, db *metadb.DB, i int) error {
	return db.Update(ctx, func(tx registry.Tx) error {
		r, err := tx.LockRepository(ctx, "app")
		if err != nil {
			return err
		}
		img, err := tx.ImageByDigest(ctx, r.ID, newImage(fmt.Sprint(i%100)).Digest)
		if err != nil {
			return err
		}
		tag := fmt.Sprintf("moving-%d", i%64)
		from, err := tx.ImageByTag(ctx, r.ID, tag)
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			return err
		}
		if err := tx.SetTag(ctx, r.ID, tag, img.ID, noon()); err != nil {
			return err
		}
		return tx.RecordTagChanges(ctx, []registry.TagChange{{Repository: "app", Tag: tag, From: from.Digest, To: img.Digest, At: noon(), Actor: "arn"}})
	})
}

func BenchmarkTagNames(b *testing.B) {
	db, r := populated(b, 15_000)
	for b.Loop() {
		names, err := db.Read().TagNames(b.Context(), r.ID, "", 20_000)
		if err != nil || len(names) != 10_000 {
			b.Fatalf("%d names, %v", len(names), err)
		}
	}
}

func BenchmarkImagesPage(b *testing.B) {
	db, r := populated(b, 100_000)
	for name, q := range map[string]registry.ImageQuery{
		"any":           {Tagged: registry.AnyTagStatus, AfterID: 50_000, Limit: 100},
		"tagged":        {Tagged: registry.OnlyTagged, AfterID: 50_000, Limit: 100},
		"untagged":      {Tagged: registry.OnlyUntagged, AfterID: 50_000, Limit: 100},
		"any 1000":      {Tagged: registry.AnyTagStatus, AfterID: 50_000, Limit: 1000},
		"past the end":  {Tagged: registry.OnlyUntagged, AfterID: 1 << 40, Limit: 1000},
		"last, of 1000": {Tagged: registry.OnlyUntagged, AfterID: 99_990, Limit: 1000},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := db.Read().Images(b.Context(), r.ID, q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("untagged, where all have a tag", func(b *testing.B) {
		if err := metadb.Exec(b.Context(), db, `INSERT INTO tags (repository_id, name, image_id, set_at) SELECT repository_id, 'more-' || id, id, 0 FROM images`); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if _, err := db.Read().Images(b.Context(), r.ID, registry.ImageQuery{Tagged: registry.OnlyUntagged, Limit: 100}); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDeleteRepository(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db, r := populated(b, 10_000)
		b.StartTimer()
		update(b, db, func(ctx context.Context, tx registry.Tx) error {
			_, err := tx.DeleteRepository(ctx, r.ID)
			return err
		})
	}
}
