package metadb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// discard moves an image with those layers into the trash, and deletes it.
func discard(t *testing.T, db *metadb.DB, r registry.Repository, name string, layers ...string) registry.Image {
	t.Helper()
	for _, l := range layers {
		linkLayer(t, db, r.ID, newLayer(l))
	}
	img := newImage(name)
	img.ArchivedAt, img.ActivatedAt = noon().Add(time.Second), noon().Add(2*time.Second)
	img.Annotations = map[string]string{"of": name}
	img = addImage(t, db, r.ID, img, newReferences(layers...))
	setTag(t, db, r.ID, "z-"+name, img.ID)
	setTag(t, db, r.ID, "a-"+name, img.ID)
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		trashing := registry.Trashing{At: noon(), PurgeAt: noon().Add(time.Hour), Actor: "somebody", Reason: "No reason.", WentWith: digest("another")}
		return errors.Join(tx.TrashImages(ctx, r, img.ID, trashing), tx.DeleteImage(ctx, img.ID))
	})
	return img
}

func TestTrash(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		r := addRepository(t, db, "app")
		wanted := registry.Trashed{Image: discard(t, db, r, "one", "shared", "own"), Trashing: registry.Trashing{
			At: noon(), PurgeAt: noon().Add(time.Hour), Actor: "somebody", Reason: "No reason.", WentWith: digest("another"),
		}}
		wanted.Tags = []string{"a-one", "z-one"}
		q := db.Read()
		got, err := q.TrashedImage(t.Context(), "app", wanted.Digest)
		wanted.ID = got.ID // of the place in the trash
		want(t, "TrashedImage", got, err, wanted)
		other := discard(t, db, r, "two", "shared")
		list, err := q.TrashedImages(t.Context(), "app", 0, 1)
		if err != nil || len(list) != 1 || list[0].Digest != other.Digest {
			t.Fatalf("TrashedImages gave %+v, %v", list, err)
		}
		wanted.Image = withoutManifest(wanted.Image)
		list, err = q.TrashedImages(t.Context(), "app", list[0].ID, 9)
		want(t, "TrashedImages, the rest", list, err, []registry.Trashed{wanted})
		went, err := q.WentWith(t.Context(), "app", digest("another"))
		want(t, "WentWith", went, err, []oci.Digest{wanted.Digest, other.Digest})
		layers, err := q.TrashedLayers(t.Context(), wanted.ID)
		if err != nil || len(layers) != 2 || layers[0].Digest > layers[1].Digest || layers[0].Key == "" {
			t.Errorf("TrashedLayers gave %+v, %v", layers, err)
		}
		if _, err := q.TrashedImage(t.Context(), "elsewhere", wanted.Digest); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("TrashedImage elsewhere: %v, want ErrNoRow", err)
		}
	})
}

// TestPurgeTrash has the blobs of what leaves the trash for good looked at, and no others.
func TestPurgeTrash(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		r := addRepository(t, db, "app")
		one, two := discard(t, db, r, "one", "shared", "own"), discard(t, db, r, "two", "shared", "kept")
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			purged, err := tx.PurgeTrash(ctx, "app", []oci.Digest{digest("none"), one.Digest}, noon())
			want(t, "PurgeTrash", purged, err, []oci.Digest{one.Digest})
			purged, err = tx.PurgeTrash(ctx, "app", []oci.Digest{one.Digest}, noon())
			want(t, "PurgeTrash again", purged, err, nil)
			return nil
		})
		due := func(blob string) int64 {
			n, err := metadb.Number(t.Context(), db, `SELECT due_at FROM blobs WHERE digest = $1`, string(digest(blob)))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		for blob, wanted := range map[string]int64{"own": noon().UnixMicro(), "shared": noon().UnixMicro(), "kept": 0} {
			if got := due(blob); got != wanted {
				t.Errorf("the blob %s is due at %d, want %d", blob, got, wanted)
			}
		}
		left, err := metadb.Number(t.Context(), db, `SELECT COUNT(*) FROM trash_blobs`)
		want(t, "what is left of the trash's blobs", left, err, 2)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			got, err := tx.TrashedImage(ctx, "app", two.Digest)
			if err != nil {
				return err
			}
			return tx.TakeFromTrash(ctx, got.ID)
		})
		left, err = metadb.Number(t.Context(), db, `SELECT COUNT(*) FROM trash_blobs`)
		want(t, "what is left when all is restored", left, err, 0)
		if got := due("kept"); got != 0 {
			t.Errorf("a blob that was restored is due at %d", got)
		}
	})
}

// TestTrashedTwice takes the place of an image in the trash that had a layer more, as copies of an upstream registry's may.
func TestTrashedTwice(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		r := addRepository(t, db, "app")
		img := discard(t, db, r, "one", "always", "once")
		discard(t, db, r, "one", "always")
		list, err := db.Read().TrashedImages(t.Context(), "app", 0, 9)
		if err != nil || len(list) != 1 || list[0].Digest != img.Digest {
			t.Fatalf("TrashedImages gave %+v, %v", list, err)
		}
		layers, err := db.Read().TrashedLayers(t.Context(), list[0].ID)
		if err != nil || len(layers) != 1 || layers[0].Digest != digest("always") {
			t.Errorf("TrashedLayers gave %+v, %v", layers, err)
		}
		due, err := metadb.Number(t.Context(), db, `SELECT due_at FROM blobs WHERE digest = $1`, string(digest("once")))
		want(t, "when the other blob is looked at", due, err, noon().UnixMicro())
	})
}
