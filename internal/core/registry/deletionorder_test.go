package registry_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestATagAndTheIndexThatHoldsItsImage deletes an image's only tag and its index in one call, in either order, and
// the tag without the index.
func TestATagAndTheIndexThatHoldsItsImage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for name, order := range map[string][2]int{"tag first": {0, 1}, "index first": {1, 0}, "tag alone": {0, 0}} {
			child := b.pushNew(name, "child")
			index := b.push(repo, b.index(b.manifestOf(child))).Image
			both := []registry.ImageID{{Tag: "child"}, {Digest: index.Digest.String()}}
			ids := []registry.ImageID{both[order[0]], both[order[1]]}
			if name == "tag alone" {
				ids = ids[:1]
			}
			results, err := b.DeleteImages(t.Context(), root, repo, ids)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range results {
				if r.Err != nil || len(r.Gone) != 1 {
					t.Errorf("%s: %+v", name, r)
				}
			}
			_, err = b.StatImage(t.Context(), root, repo, oci.Reference{Digest: child.Digest})
			if name == "tag alone" {
				if err != nil {
					t.Errorf("%s: the image is gone with its tag, and an index needs it: %v", name, err)
				}
				continue
			}
			wantFault(t, name+": the image", err, fault.ImageNotFound)
		}
	})
}

// TestATagTwiceInACall names the only tag of an image that an index holds twice: the second time it is gone, and says so
// by itself.
func TestATagTwiceInACall(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		child := b.pushNew("child", "child")
		b.push(repo, b.index(b.manifestOf(child)))
		ids := []registry.ImageID{{Tag: "child"}, {Tag: "child", Digest: child.Digest.String()}}
		results, err := b.DeleteImages(t.Context(), root, repo, ids)
		if err != nil || len(results) != len(ids) {
			t.Fatalf("DeleteImages: %+v, %v", results, err)
		}
		if results[0].Err != nil || len(results[0].Gone) != 1 {
			t.Errorf("the first: %+v", results[0])
		}
		wantFault(t, "the second", results[1].Err, fault.ImageNotFound)
		if _, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: child.Digest}); err != nil {
			t.Errorf("the index's image: %v", err)
		}
	})
}
