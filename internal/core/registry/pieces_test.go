package registry_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestAPushCountsOnNothingThatNeverArrived pushes what came from upstream without its parts: the answer to a push, or
// to another registry, says that everything is here, so it is an error until that is true.
func TestAPushCountsOnNothingThatNeverArrived(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const from = "hoopstat-haus/upstream"
		b.create(registry.NewRepository{Name: from})
		image := b.manifest(from, `{"a":1}`, "a layer")
		digest := oci.FromBytes(image)
		index := b.index(image)
		arrive := func(manifest []byte) {
			t.Helper()
			if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Source: event.PullThrough}); err != nil {
				t.Fatal(err)
			}
		}
		tryAll := func(what string, manifest []byte, code fault.Code) {
			t.Helper()
			_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Tags: []string{"mine"}})
			wantFault(t, "a push of "+what, err, code)
			_, err = b.PutReplica(t.Context(), root, registry.Push{Repository: repo, Manifest: manifest, Tags: []string{"mine"}})
			wantFault(t, "a replica of "+what, err, code)
			if missing, err := b.PrepareReplica(t.Context(), root, repo, oci.FromBytes(manifest), nil); err != nil || !missing.Image {
				t.Errorf("PrepareReplica for %s: %+v, %v; want the image to be sent", what, missing, err)
			}
		}
		arrive(index)
		tryAll("an index without its images", index, fault.ReferencedImagesNotFound)
		arrive(image)
		tryAll("an image without its layers", image, fault.ReferencedLayersNotFound)
		arrive(image) // from upstream the rest comes when it is asked for
		for _, content := range []string{`{"a":1}`, "a layer"} {
			b.layer(repo, content)
		}
		for _, manifest := range [][]byte{image, index} {
			b.push(repo, manifest, "mine")
			if missing, err := b.PrepareReplica(t.Context(), root, repo, oci.FromBytes(manifest), nil); err != nil || missing.Image {
				t.Errorf("PrepareReplica for what is whole: %+v, %v", missing, err)
			}
		}
		if got := b.tagTarget("mine"); got != oci.FromBytes(index) {
			t.Errorf("the tag points to %s, not the index over %s", got, digest)
		}
	})
}
