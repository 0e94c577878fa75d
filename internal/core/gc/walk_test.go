package gc_test

import (
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func (b *bench) walk() {
	b.t.Helper()
	for range 1000 {
		more, err := b.gc.WalkOnce(b.t.Context())
		if err != nil {
			b.t.Fatalf("WalkOnce: %v", err)
		}
		if !more {
			return
		}
	}
	b.t.Fatal("the walk does not come to an end")
}

// stray puts bytes into the blob store that no row names.
func (b *bench) stray(key blob.Key, content string) {
	b.t.Helper()
	u, err := b.blobs.Append(b.t.Context(), blob.Upload{Key: key}, strings.NewReader(content))
	if err == nil {
		err = b.blobs.Complete(b.t.Context(), u)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestBytesWithoutARowGo(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.image(repo, "config", "layer", "v1")
		u, err := b.StartUpload(t.Context(), root, repo, oci.SHA256)
		if err != nil {
			t.Fatal(err)
		}
		part := registry.Part{Start: registry.Anywhere, Size: 5, Body: strings.NewReader("bytes")}
		if _, err := b.AppendUpload(t.Context(), root, repo, u.ID, part); err != nil {
			t.Fatal(err)
		}
		b.stray("00000000000000000000000000000001", "stray")
		b.walk()
		b.sweep()
		b.wantFiles("when the stray is young", 4)
		b.pass(day)
		b.walk()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("after a day", 4)
		b.pass(day)
		b.walk()
		b.sweep()
		b.wantFiles("when it has become garbage", 4)
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("an hour later", 3)
		if !b.has(repo, "config") || !b.has(repo, "layer") {
			t.Error("the walk took bytes that have a row")
		}
	})
}

// TestAWalkGoesOn where another replica left it, and not while that is at it.
func TestAWalkGoesOn(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.layer(repo, "layer")
		other := gc.New(b.config)
		if more, err := b.gc.WalkOnce(t.Context()); !more || err != nil {
			t.Fatalf("the first page: %v, %v", more, err)
		}
		if more, err := other.WalkOnce(t.Context()); more || err != nil {
			t.Fatalf("another replica meanwhile: %v, %v, want nothing", more, err)
		}
		b.pass(time.Hour) // the first one is gone
		if more, err := other.WalkOnce(t.Context()); !more || err != nil {
			t.Fatalf("another replica later: %v, %v", more, err)
		}
		if more, err := b.gc.WalkOnce(t.Context()); more || err != nil {
			t.Fatalf("the first replica, back again: %v, %v, want nothing", more, err)
		}
		if more, err := other.WalkOnce(t.Context()); more || err != nil {
			t.Fatalf("the last page: %v, %v", more, err)
		}
	})
}

// TestRowsThatNothingLooksAt are found: a replica of an older version leaves them.
func TestRowsThatNothingLooksAt(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.image(repo, "config", "layer", "v1")
		b.layer(repo, "alone")
		left := oci.FromBytes([]byte("alone"))
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		err = b.db.Garbage().Update(t.Context(), func(tx gc.Tx) error {
			return tx.SettleLayers(t.Context(), repository.ID, []oci.Digest{left})
		})
		if err != nil {
			t.Fatal(err)
		}
		b.pass(2 * day)
		b.sweep()
		if !b.has(repo, "alone") {
			t.Fatal("the layer is gone: this test tests nothing")
		}
		b.walk()
		b.pass(day - time.Second)
		b.sweep()
		if !b.has(repo, "alone") {
			t.Error("a layer that was found had no grace")
		}
		b.pass(time.Second)
		b.sweep()
		if b.has(repo, "alone") || !b.has(repo, "layer") {
			t.Error("want the layer gone that no image has, and no other")
		}
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("at the end", 2)
	})
}

// TestBlobsThatNothingLooksAt are found, too.
func TestBlobsThatNothingLooksAt(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.layer(repo, "alone")
		left := []oci.Digest{oci.FromBytes([]byte("alone"))}
		b.pass(day)
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		err = b.db.Garbage().Update(t.Context(), func(tx gc.Tx) error {
			if err := tx.UnlinkLayers(t.Context(), repository.ID, left, b.now()); err != nil {
				return err
			}
			return tx.SettleBlobs(t.Context(), left)
		})
		if err != nil {
			t.Fatal(err)
		}
		b.sweep()
		b.walk()
		b.sweep()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("at the end", 0)
	})
}
