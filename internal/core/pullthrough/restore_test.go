package pullthrough_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestRestoreOfACopy deletes an index of which one image was pulled, and of that no layer: what was there comes back;
// the rest when it is asked for.
func TestRestoreOfACopy(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		index := b.upstream.index("v1")
		m, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		one := digested(m.Manifests[0].Digest)
		whole := b.pull(here, tagged("v1"))
		b.pull(here, one)
		for _, ref := range []oci.Reference{{Digest: whole.Digest}, one} {
			if err := b.registry.DeleteImage(t.Context(), root, here, ref); err != nil {
				t.Fatal(err)
			}
		}
		results, err := b.RestoreImages(t.Context(), root, here, []registry.ImageID{{Tag: "v1"}})
		if err != nil || results[0].Err != nil || len(results[0].Along) != 1 {
			t.Fatalf("RestoreImages: %+v, %v", results, err)
		}
		if !b.stored(tagged("v1")) || !b.stored(one) {
			t.Error("it is not there")
		}
		// The rest comes from upstream still.
		b.pull(here, digested(m.Manifests[1].Digest))
	})
}
