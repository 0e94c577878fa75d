package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// populated is a database with one repository of so many images and tags; every image but each third has a
// tag. It is on PostgreSQL when tests use that too.
func populated(b *testing.B, images int) (*metadb.DB, registry.Repository) {
	b.Helper()
	db := metadbtest.New(b)
	if os.Getenv("BERTH_TEST_POSTGRES") != "" {
		db = metadbtest.NewPostgres(b)
	}
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

// BenchmarkPushImage adds images, each with a tag, as a push does: one transaction after the other.
func BenchmarkPushImage(b *testing.B) {
	db, r := populated(b, 1000)
	i := 0
	for b.Loop() {
		i++
		name := fmt.Sprint("new-", i)
		update(b, db, func(ctx context.Context, tx registry.Tx) error {
			if _, err := tx.LockRepository(ctx, "app"); err != nil {
				return err
			}
			pushed := newImage(name)
			pushed.Tags = []string{name}
			img, err := tx.InsertImage(ctx, r.ID, pushed, newReferences("layer", name))
			if err != nil {
				return err
			}
			return tx.SetTag(ctx, r.ID, name, img, noon())
		})
	}
}

// BenchmarkImagesPage reads first pages of 1,000 by every filter, from a repository of 1,000 images of the kind and from
// those of 100,000 in which they are all, or few and last.
func BenchmarkImagesPage(b *testing.B) {
	filters := map[string]registry.ImageQuery{}
	for tagged, name := range []string{"any", "tagged", "untagged"} {
		for status, of := range []string{"active", "archived", "any status"} {
			filters[name+", "+of] = registry.ImageQuery{Tagged: registry.TagStatus(tagged), Status: registry.Status(status), Limit: 1001}
		}
	}
	const few = `id > (SELECT max(id) FROM images) - 10`
	for _, c := range []struct {
		name   string
		images int
		change string
	}{
		{"1000 images", 1000, ""},
		{"100000 images", 100_000, ""},
		{"100000 with tag but ten", 100_000, `INSERT INTO tags (repository_id, name, image_id, set_at) SELECT repository_id, 'more-' || id, id, 0 FROM images WHERE NOT (` + few + `)`},
		{"100000 archived but ten", 100_000, `UPDATE images SET archived = TRUE WHERE NOT (` + few + `)`},
	} {
		db, r := populated(b, c.images)
		if c.change != "" {
			if err := metadb.Exec(b.Context(), db, c.change); err != nil {
				b.Fatal(err)
			}
		}
		for name, q := range filters {
			b.Run(c.name+"/"+name, func(b *testing.B) {
				for b.Loop() {
					if _, err := db.Read().Images(b.Context(), r.ID, q); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkDeleteRepository(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		db, r := populated(b, 10_000)
		b.StartTimer()
		update(b, db, func(ctx context.Context, tx registry.Tx) error {
			_, err := tx.DeleteRepository(ctx, r.ID, r.CreatedAt)
			return err
		})
	}
}
