package registry_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestReadingLostBytes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		l := b.layer(repo, "will be lost")
		content, err := b.Layer(t.Context(), root, repo, l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if err := b.blobs.Delete(t.Context(), content.Key); err != nil {
			t.Fatal(err)
		}
		if _, err = content.Open(t.Context(), 0, -1); err == nil {
			t.Fatal("bytes that are gone were opened")
		}
		wantFault(t, "Open of a layer whose bytes are gone", err, fault.LayerDamaged)
		if _, err := b.StatLayer(t.Context(), root, repo, l.Digest); err != nil {
			t.Errorf("StatLayer after a read that found nothing: %v, want it as before: a read marks nothing", err)
		}

		// The push of the layer heals it, and readers of the lost bytes are told to come again.
		b.layer(repo, "will be lost")
		if got := b.read(repo, l.Digest); got != "will be lost" {
			t.Errorf("after the layer was pushed again it reads %q", got)
		}
		_, err = content.Open(t.Context(), 0, -1)
		wantFault(t, "Open by the key of before", err, fault.Unavailable)

		// One that was unlinked meanwhile is not there.
		if err := b.DeleteLayer(t.Context(), root, repo, l.Digest); err != nil {
			t.Fatal(err)
		}
		_, err = content.Open(t.Context(), 0, -1)
		wantFault(t, "Open of a layer that was deleted", err, fault.LayerNotFound)
	})
}

func TestDamagedLayerIsNotThereForPushes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.create(registry.NewRepository{Name: "other"})
		manifest := b.manifest(repo, `{}`, "damaged")
		b.push(repo, manifest, "v1")
		l := b.layer(repo, "damaged")
		content, err := b.Layer(t.Context(), root, repo, l.Digest)
		if err != nil {
			t.Fatal(err)
		}
		if marked, err := b.db.Checks().MarkDamaged(t.Context(), l.Digest, content.Key, b.now); err != nil || !marked {
			t.Fatalf("MarkDamaged: %v, %v", marked, err)
		}

		_, err = b.Layer(t.Context(), root, repo, l.Digest)
		wantFault(t, "Layer of a damaged one", err, fault.LayerDamaged)
		_, err = b.StatLayer(t.Context(), root, repo, l.Digest)
		wantFault(t, "StatLayer of a damaged one", err, fault.LayerNotFound)
		if _, mounted, err := b.MountLayer(t.Context(), root, "other", l.Digest, repo); mounted || err != nil {
			t.Errorf("MountLayer of a damaged one: %v, %v, want that there is nothing to mount", mounted, err)
		}
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Tags: []string{"v2"}})
		wantFault(t, "PutImage over a damaged layer", err, fault.ReferencedLayersNotFound)

		b.layer(repo, "damaged")
		b.push(repo, manifest, "v2")
		if got := b.read(repo, l.Digest); got != "damaged" {
			t.Errorf("after the layer was pushed again it reads %q", got)
		}
	})
}
