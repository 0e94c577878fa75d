package metadb_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestImagesHitLooksNoFurtherThanItMust goes through all images that have a package, in pages: no set is read for each page, nor an
// image's for the next image that has the same.
func TestImagesHitLooksNoFurtherThanItMust(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		w.advise(said{source: "npm", id: "A", vulnerability: "CVE-1", severity: advisory.High, ecosystem: "npm", name: "left", fixed: "2.0.0", from: 1})
		w.source("npm", 1)
		images := w.images("a", 1200)
		var want []int64
		for i, id := range images {
			if i%3 == 0 {
				want = append(want, id)
				w.must(w.save(t.Context(), id, npm("left", "1.0.0"), npm("other", fmt.Sprintf("1.0.%d", i%6))))
			} else {
				w.must(w.save(t.Context(), id, npm("left", "2.0.0")))
			}
		}
		one, err := db.Judging().Inventory(t.Context(), images[0])
		w.must(err)
		hit, err := match.UnpackIDs(one.Set.Vulnerable)
		w.must(err)
		queries := 0
		metadb.SetGate(db, false, func(_ context.Context, text string) error {
			if strings.Contains(text, "image_inventories") || strings.Contains(text, "package_sets") {
				queries++
			}
			return nil
		})
		first, err := db.Judging().ImagesHit(t.Context(), hit, 0, 100)
		if err != nil || !slices.Equal(first, want[:100]) || queries != 2 {
			t.Errorf("for the first page %d queries, %v; want 2", queries, err)
		}
		var got []int64
		for after, n := int64(0), 150; n == 150; {
			page, err := db.Judging().ImagesHit(t.Context(), hit, after, 150)
			w.must(err)
			if n = len(page); n > 0 {
				got, after = append(got, page...), page[n-1]
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%d images, want %d", len(got), len(want))
		}
		members, err := db.Judging().Members(t.Context(), images[:2])
		if err != nil || len(members) != 2 || string(members[images[0]]) != string(one.Set.Members) {
			t.Errorf("members are %v, %v", members, err)
		}
	})
}

// TestChainImagesAsksOnce: of many chains there is one query, and of one that many images have no more than are asked for.
func TestChainImagesAsksOnce(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		images := w.images("a", 30)
		for i, id := range images {
			w.must(w.judge.Save(t.Context(), scan.Saved{ImageID: id, ChainID: map[bool]string{true: "popular", false: "rare"}[i < 27], Image: inventory.Image{}}))
		}
		queries := 0
		metadb.SetGate(db, false, func(context.Context, string) error { queries++; return nil })
		chains := []string{"rare", "popular"}
		for i := range 200 {
			chains = append(chains, fmt.Sprint("unknown", i))
		}
		got, err := db.Judging().ChainImages(t.Context(), chains, 10)
		if err != nil || queries != 1 || !slices.Equal(got["popular"], images[:10]) || !slices.Equal(got["rare"], images[27:]) || len(got) != 2 {
			t.Errorf("%d queries, %v, %v: %v", queries, slices.Collect(maps.Keys(got)), err, got)
		}
	})
}

// TestDocumentsAreBounded: of the documents that are attached to an image the newest are listed.
func TestDocumentsAreBounded(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		images := w.images("a", 8)
		repo, err := db.Read().Repository(t.Context(), "a")
		w.must(err)
		subject := oci.FromBytes([]byte("a0"))
		for i, id := range images[1:] {
			w.must(db.ScanExceptions().PutDocument(t.Context(), id, scan.Document{Subject: subject, Actor: fmt.Sprint(i), Problem: "no", ReadAt: time.Unix(1, 0)}, nil))
		}
		got, err := db.ScanExceptions().Documents(t.Context(), repo.ID, subject, 3)
		if err != nil || len(got) != 3 || got[0].Actor != "4" || got[2].Actor != "6" {
			t.Errorf("%+v, %v", got, err)
		}
	})
}
