package scan_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestAnImageThatComesInPieces has the cache of another registry store a manifest before its layers, which come when somebody pulls
// them, or never.
func TestAnImageThatComesInPieces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		pulled := func(seed string) (img registry.Image, config, layer []byte) {
			layer = b.json(content{Seed: seed, OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
			config = b.json(map[string]any{"rootfs": map[string]any{"type": "layers", "diff_ids": []oci.Digest{oci.FromBytes(layer)}}})
			manifest := b.json(map[string]any{
				"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest,
				"config": oci.Descriptor{MediaType: configType, Digest: oci.FromBytes(config), Size: int64(len(config))},
				"layers": []oci.Descriptor{{MediaType: layerType, Digest: oci.FromBytes(layer), Size: int64(len(layer))}},
			})
			p, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: repo, Tags: []string{seed}, Manifest: manifest, Source: event.PullThrough})
			if err != nil {
				t.Fatal(err)
			}
			return p.Image, config, layer
		}
		comes := func(raw []byte) {
			part := registry.Part{Start: registry.Anywhere, Size: int64(len(raw)), Body: bytes.NewReader(raw)}
			if _, err := b.registry.PutLayer(t.Context(), root, repo, oci.FromBytes(raw), part); err != nil {
				t.Fatal(err)
			}
		}
		img, config, layer := pulled("slow")
		b.work()
		b.wantScan(img, registry.ScanPending, "not here as a whole yet")
		comes(config)
		for range 10 { // more than the attempts that may fail
			b.wait(time.Minute)
			b.work()
		}
		b.wantScan(img, registry.ScanPending, "not here as a whole yet")
		if n, err := b.db.Scans().WaitingScans(t.Context(), b.clock(), 10); err != nil || n != 0 {
			t.Errorf("%d scans stand in the way of others, %v", n, err)
		}
		comes(layer)
		b.wait(20 * time.Minute)
		b.work()
		b.wantScan(img, registry.ScanComplete, "")

		never, _, _ := pulled("never")
		for range 30 {
			b.wait(time.Hour)
			b.work()
		}
		b.wantScan(never, registry.ScanFailed, "not read as a whole")
	})
}

// TestAWrongSizeIsItsManifestsOwn has another registry's manifest give a layer fewer bytes than it has: the layer is read as
// a whole, since what is read counts for all images that have it.
func TestAWrongSizeIsItsManifestsOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		base := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		config := b.blob(configType, b.json(map[string]any{"rootfs": map[string]any{"diff_ids": []oci.Digest{base.Digest}}}))
		short := base
		short.Size--
		manifest := b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": []oci.Descriptor{short}})
		p, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: repo, Tags: []string{"short"}, Manifest: manifest, Source: event.PullThrough})
		if err != nil {
			t.Fatal(err)
		}
		b.work()
		b.wantScan(p.Image, registry.ScanComplete, "")
		good := b.image("good", base)
		b.work()
		b.wantScan(good, registry.ScanComplete, "")
	})
}
