package registry_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestImagesThatArriveInPieces stores an index of an index, then the images, from the outside in; sizes and
// what may be deleted are right at each step.
func TestImagesThatArriveInPieces(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const from = "hoopstat-haus/upstream"
		b.create(registry.NewRepository{Name: from})
		small, large := b.manifest(from, `{"a":1}`, "small"), b.manifest(from, `{"a":2}`, "a larger layer")
		inner := b.index(small, large)
		outer := b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": []oci.Descriptor{
			{MediaType: oci.MediaTypeOCIIndex, Digest: oci.FromBytes(inner), Size: int64(len(inner))},
		}})
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: outer})
		wantFault(t, "a push of an index without its images", err, fault.ReferencedImagesNotFound)
		arrive := func(manifest []byte, tags ...string) {
			t.Helper()
			p, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Tags: tags, Source: event.PullThrough})
			if err != nil || p.Known {
				t.Fatalf("PutImage: %+v, %v", p, err)
			}
		}
		size := func(manifest []byte) int64 {
			t.Helper()
			img, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: oci.FromBytes(manifest)})
			if err != nil {
				t.Fatal(err)
			}
			return img.Size
		}
		arrive(outer, "v1")
		arrive(inner)
		if got := size(outer); got != 0 {
			t.Errorf("an index of nothing has %d bytes", got)
		}
		arrive(large)
		want := int64(len(`{"a":2}`) + len("a larger layer"))
		for i := range 2 {
			if got := [3]int64{size(large), size(inner), size(outer)}; got != [3]int64{want, want, want} {
				t.Errorf("after image %d: sizes are %v, want %d three times", i+1, got, want)
			}
			if i == 0 {
				arrive(small)
			}
		}
		for _, m := range [][]byte{small, large, inner} {
			err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: oci.FromBytes(m)})
			wantFault(t, "deleting what an index refers to", err, fault.ImageReferenced)
		}
		layer := oci.FromBytes([]byte("small"))
		for repository, want := range map[string]bool{repo: true, from: false} {
			if used, err := b.RefersTo(t.Context(), root, repository, layer); err != nil || used != want {
				t.Errorf("RefersTo(%s): %t, %v", repository, used, err)
			}
		}
		_, err = b.Layer(t.Context(), root, repo, layer)
		wantFault(t, "a layer that has not arrived", err, fault.LayerNotFound)
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifest(from, `{"a":3}`, "small")})
		wantFault(t, "a push that counts on it", err, fault.ReferencedLayersNotFound)
	})
}
