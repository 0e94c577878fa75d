package gc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestADeletedImageGoesStepByStep(t *testing.T) {
	t.Parallel()
	each(t, settings{trash: 7 * day}, func(t *testing.T, b *bench) {
		d := b.image(repo, "config", "layer")
		b.image(repo, "other", "layer shared", "stays")
		kept := b.image(repo, "more", "layer shared")
		b.pass(2 * day)
		b.sweep() // finds all layers in use
		b.remove(repo, d)
		b.remove(repo, kept)
		b.wantFiles("after the deletion", 5)
		b.pass(day - time.Second)
		b.sweep()
		b.wantFiles("within the grace", 5)
		b.pass(6 * day)
		b.sweep() // the layers go, the blobs are in the trash
		b.wantFiles("within the window of the trash", 5)
		b.pass(time.Second)
		b.sweep()
		b.wantFiles("when its rows have just gone", 5)
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("an hour later", 2) // other and layer shared
		if !b.has(repo, "other") || !b.has(repo, "layer shared") {
			t.Error("an image that stays has lost layers")
		}
		if b.has(repo, "layer") {
			t.Error("a layer that no image has is there still")
		}
		b.image(repo, "config", "layer") // and can come again
		if !b.has(repo, "layer") {
			t.Error("a layer that came again is not there")
		}
	})
}

func TestALayerWithoutAnImageGoes(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.layer(repo, "alone")
		b.create("other")
		if _, mounted, err := b.MountLayer(t.Context(), root, "other", oci.FromBytes([]byte("alone")), repo); err != nil || !mounted {
			t.Fatalf("MountLayer: %v, %v", mounted, err)
		}
		b.pass(13 * time.Hour)
		if _, err := b.StatLayer(t.Context(), root, "other", oci.FromBytes([]byte("alone"))); err != nil { // the lease
			t.Fatal(err)
		}
		b.pass(11 * time.Hour)
		b.sweep()
		if b.has(repo, "alone") {
			t.Error("a layer that never got an image outlives its grace")
		}
		if !b.has("other", "alone") {
			t.Error("a layer went within the lease that HEAD gave")
		}
		b.pass(13 * time.Hour)
		b.sweep()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("after the lease", 0)
	})
}

func TestAnAbandonedUploadGoes(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		start := func() registry.Upload {
			u, err := b.StartUpload(t.Context(), root, repo, oci.SHA256)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		add := func(u registry.Upload, text string) error {
			_, err := b.AppendUpload(t.Context(), root, repo, u.ID, registry.Part{Start: registry.Anywhere, Size: int64(len(text)), Body: strings.NewReader(text)})
			return err
		}
		dead, alive := start(), start()
		if err := errors.Join(add(dead, "bytes"), add(alive, "bytes")); err != nil {
			t.Fatal(err)
		}
		b.pass(4 * day)
		if err := add(alive, "more"); err != nil {
			t.Fatal(err)
		}
		b.pass(4 * day)
		b.sweep()
		b.wantFiles("a week after the last byte of one", 1)
		if err := add(dead, "late"); err == nil {
			t.Error("an upload that was ended takes bytes")
		}
		if err := add(alive, "again"); err != nil {
			t.Errorf("an upload that is alive: %v", err)
		}
	})
}

func TestADeletedRepositoryGoes(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.create("other")
		for i := range 3 {
			b.image("other", fmt.Sprint("config", i), fmt.Sprint("layer", i))
		}
		b.image(repo, "config0", "mine")
		if _, err := b.DeleteRepository(t.Context(), root, "other", true); err != nil {
			t.Fatal(err)
		}
		b.pass(time.Second)
		b.sweep()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("after the repository", 2)
		if !b.has(repo, "config0") || !b.has(repo, "mine") {
			t.Error("another repository has lost layers")
		}
	})
}

// TestAStoreThatFails must not lose track of bytes, nor keep anything else from going.
func TestAStoreThatFails(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		store := &fails{Store: b.blobs}
		c := b.config
		c.Blobs = store
		b.gc = gc.New(c)
		sick := error(blob.ErrUnavailable)
		store.broken.Store(&sick)
		b.layer(repo, "one")
		b.pass(day)
		b.sweep()
		b.pass(time.Hour)
		if _, err := b.gc.SweepOnce(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("a store that fails: %v, want its error", err)
		}
		calls := store.calls.Load()
		if more, err := b.gc.SweepOnce(t.Context()); more || err != nil || store.calls.Load() != calls {
			t.Errorf("right after: %v, %v, %d calls, want it left alone", more, err, store.calls.Load()-calls)
		}
		store.broken.Store(nil)
		b.pass(15 * time.Minute)
		b.sweep()
		b.wantFiles("once the store works", 0)
	})
}

func TestAContextThatEnds(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.layer(repo, "one")
		b.pass(day)
		ctx, stop := context.WithCancel(t.Context())
		stop()
		if more, err := b.gc.SweepOnce(ctx); more || err == nil {
			t.Errorf("SweepOnce in a context that has ended: %v, %v", more, err)
		}
		b.sweep()
		b.pass(time.Hour)
		b.sweep()
		b.wantFiles("at the end", 0)
	})
}
