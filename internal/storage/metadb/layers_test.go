package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestLinkLayer(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		first := newLayer("content")
		linked, had := linkLayer(t, db, r.ID, first)
		want(t, "LinkLayer", linked, nil, first)
		want(t, "LinkLayer: had it", had, nil, false)

		again := first
		again.Key, again.LinkedAt = "another copy", noon().Add(time.Hour)
		linked, had = linkLayer(t, db, r.ID, again)
		want(t, "LinkLayer of what is there", linked, nil, first)
		want(t, "LinkLayer of what is there: had it", had, nil, true)

		linked, had = linkLayer(t, db, other.ID, again)
		wanted := again
		wanted.Key = first.Key
		want(t, "LinkLayer in another repository", linked, nil, wanted)
		want(t, "LinkLayer in another repository: had it", had, nil, false)

		got, err := db.Read().Layer(t.Context(), r.ID, first.Digest)
		want(t, "Layer", got, err, first)
		got, err = db.Read().Layer(t.Context(), other.ID, first.Digest)
		want(t, "Layer in another repository", got, err, wanted)
	})
}

func TestLinkLayerRefusesAnotherSize(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		l := newLayer("content")
		linkLayer(t, db, r.ID, l)
		l.Size++
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			_, _, err := tx.LinkLayer(t.Context(), r.ID, l)
			return err
		})
		if err == nil || !strings.Contains(err.Error(), "7 bytes, and came with 8") {
			t.Errorf("LinkLayer of the same digest with another size: %v, want an error that names both sizes", err)
		}
	})
}

func TestUnlinkLayer(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		l := newLayer("content")
		linkLayer(t, db, r.ID, l)
		linkLayer(t, db, other.ID, l)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return errors.Join(tx.UnlinkLayer(ctx, r.ID, l.Digest, r.CreatedAt), tx.UnlinkLayer(ctx, r.ID, digest("none"), r.CreatedAt))
		})
		if _, err := db.Read().Layer(t.Context(), r.ID, l.Digest); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Layer after UnlinkLayer: %v, want ErrNoRow", err)
		}
		got, err := db.Read().Layer(t.Context(), other.ID, l.Digest)
		want(t, "Layer of the other repository", got, err, l)
		// The blob is still known, under its first key.
		l.Key, l.LinkedAt = "another copy", noon().Add(time.Hour)
		linked, had := linkLayer(t, db, r.ID, l)
		l.Key = "key of content"
		want(t, "LinkLayer after UnlinkLayer", linked, nil, l)
		want(t, "LinkLayer after UnlinkLayer: had it", had, nil, false)
	})
}

func TestLayers(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		var ask []oci.Digest
		wanted := map[oci.Digest]registry.Layer{}
		for i := range 300 {
			l := newLayer(fmt.Sprint(i))
			ask = append(ask, l.Digest, l.Digest)
			switch i % 3 {
			case 0:
				wanted[l.Digest], _ = linkLayer(t, db, r.ID, l)
			case 1:
				linkLayer(t, db, other.ID, l)
			}
		}
		layers, err := db.Read().Layers(t.Context(), r.ID, ask)
		got := map[oci.Digest]registry.Layer{}
		for _, l := range layers {
			got[l.Digest] = l
		}
		want(t, "Layers", got, err, wanted)
		want(t, "how many Layers", len(layers), nil, len(wanted))
		layers, err = db.Read().Layers(t.Context(), r.ID, nil)
		want(t, "Layers of none", layers, err, nil)
	})
}

func TestRepositoriesWithLayer(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		names := []string{"c", "a/b", "a-b", "B"}
		for _, name := range names {
			linkLayer(t, db, addRepository(t, db, name).ID, newLayer("content"))
		}
		addRepository(t, db, "without")
		slices.Sort(names)
		got, err := db.Read().RepositoriesWithLayer(t.Context(), digest("content"), 100)
		want(t, "RepositoriesWithLayer", got, err, names)
		got, err = db.Read().RepositoriesWithLayer(t.Context(), digest("content"), 2)
		want(t, "RepositoriesWithLayer, limit 2", got, err, names[:2])
	})
}

func TestUploadsComeBackAsStored(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		u := newUpload(r.ID, "u1")
		update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.InsertUpload(ctx, u) })
		got, err := db.Read().UploadIn(t.Context(), r.Name, "u1")
		want(t, "UploadIn", got, err, u)
		if _, err := db.Read().UploadIn(t.Context(), other.Name, "u1"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("UploadIn of another repository: %v, want ErrNoRow", err)
		}

		u.Blob = blob.Upload{Key: u.Blob.Key, Size: 52_000 << 20, State: []byte("\x00\xffparts")}
		u.UpdatedAt, u.Algorithm, u.HashState = noon().Add(time.Hour), oci.SHA512, []byte("sha\x03state\x00")
		u.LastPart, u.SmallPart = 5<<20, true
		save := func(fromSize int64) error {
			return db.Update(t.Context(), func(tx registry.Tx) error { return tx.SaveUpload(t.Context(), u, fromSize) })
		}
		if err := save(7); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("SaveUpload from another size: %v, want ErrConflict", err)
		}
		if err := save(0); err != nil {
			t.Fatalf("SaveUpload: %v", err)
		}
		got, err = db.Read().UploadIn(t.Context(), r.Name, "u1")
		want(t, "UploadIn after SaveUpload", got, err, u)

		remove := func(repositoryID int64) (there bool) {
			update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
				there, err = tx.DeleteUpload(ctx, repositoryID, "u1")
				return err
			})
			return there
		}
		want(t, "DeleteUpload in another repository", remove(other.ID), nil, false)
		want(t, "DeleteUpload", remove(r.ID), nil, true)
		want(t, "DeleteUpload again", remove(r.ID), nil, false)
		if err := save(u.Blob.Size); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("SaveUpload of an upload that is gone: %v, want ErrConflict", err)
		}
	})
}
