package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestTagsMove(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		a := addImage(t, db, r.ID, newImage("a"), registry.References{})
		b := addImage(t, db, r.ID, newImage("b"), registry.References{})
		setTag(t, db, r.ID, "latest", a.ID)
		later := noon().Add(time.Hour)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return tx.SetTag(ctx, r.ID, "latest", b.ID, later)
		})
		tags, err := db.Read().Tags(t.Context(), r.ID, registry.OnlyActive, "", 10)
		want(t, "Tags", tags, err, []registry.Tag{{Name: "latest", Digest: b.Digest, SetAt: later}})
		img, err := db.Read().ImageByDigest(t.Context(), r.ID, a.Digest)
		want(t, "the first image's tags", img.Tags, err, nil)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return errors.Join(tx.DeleteTag(ctx, r.ID, "latest"), tx.DeleteTag(ctx, r.ID, "none"))
		})
		tags, err = db.Read().Tags(t.Context(), r.ID, registry.OnlyActive, "", 10)
		want(t, "Tags after DeleteTag", tags, err, nil)
		if _, err := db.Read().ImageByTag(t.Context(), r.ID, "latest"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("ImageByTag after DeleteTag: %v, want ErrNoRow", err)
		}
	})
}

func TestTagsAreListedByBytes(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		a := addImage(t, db, r.ID, newImage("a"), registry.References{})
		b := addImage(t, db, r.ID, newImage("b"), registry.References{})
		elsewhere := addImage(t, db, other.ID, newImage("a"), registry.References{})
		names := []string{"b", "B", "a.1", "a-1", "a_1", "a1", "_", "9", "10"}
		for i, name := range names {
			setTag(t, db, r.ID, name, []int64{a.ID, b.ID}[i%2])
			setTag(t, db, other.ID, name+"x", elsewhere.ID)
		}
		slices.Sort(names)
		got, err := db.Read().TagNames(t.Context(), r.ID, "", 100)
		want(t, "TagNames", got, err, names)
		got, err = db.Read().TagNames(t.Context(), r.ID, "B", 2)
		want(t, "TagNames after B", got, err, []string{"_", "a-1"})
		got, err = db.Read().TagNames(t.Context(), r.ID, "B", 0)
		want(t, "TagNames with limit 0", got, err, nil)
		tags, err := db.Read().Tags(t.Context(), r.ID, registry.OnlyActive, "a.1", 2)
		want(t, "Tags after a.1", tags, err, []registry.Tag{
			{Name: "a1", Digest: b.Digest, SetAt: noon()}, {Name: "a_1", Digest: a.Digest, SetAt: noon()},
		})
	})
}

func TestTagNeedsItsRepositorysImage(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		img := addImage(t, db, other.ID, newImage("a"), registry.References{})
		for what, id := range map[string]int64{"an image that is gone": 4711, "another repository's image": img.ID} {
			err := db.Update(t.Context(), func(tx registry.Tx) error { return tx.SetTag(t.Context(), r.ID, "t", id, noon()) })
			if !errors.Is(err, registry.ErrConflict) {
				t.Errorf("SetTag to %s: %v, want ErrConflict", what, err)
			}
		}
	})
}

func TestTagHistory(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		var changes []registry.TagChange
		for i := range 7 {
			changes = append(changes, registry.TagChange{
				Repository: "app", Tag: "latest", From: digest(fmt.Sprint(i)), To: digest(fmt.Sprint(i + 1)), At: noon().Add(time.Duration(i) * time.Second), Actor: "arn",
			})
		}
		changes[0].From, changes[6].To = "", ""
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return errors.Join(
				tx.RecordTagChanges(ctx, changes[:5]),
				tx.RecordTagChanges(ctx, []registry.TagChange{{Repository: "app", Tag: "other"}, {Repository: "app2", Tag: "latest"}}),
				tx.RecordTagChanges(ctx, changes[5:]),
				tx.RecordTagChanges(ctx, nil),
			)
		})
		var got []registry.TagChange
		for before := int64(0); ; {
			page, err := db.Read().TagHistory(t.Context(), "app", "latest", before, 3)
			if err != nil {
				t.Fatalf("TagHistory: %v", err)
			}
			if len(page) == 0 {
				break
			}
			before = page[len(page)-1].ID
			got = append(got, page...)
		}
		last := int64(math.MaxInt64)
		for i := range got {
			if got[i].ID >= last {
				t.Errorf("TagHistory has id %d after %d, want the newest first", got[i].ID, last)
			}
			last, got[i].ID = got[i].ID, 0
		}
		slices.Reverse(changes)
		want(t, "TagHistory", got, nil, changes)
	})
}
