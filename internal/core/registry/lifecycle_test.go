package registry_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// about asks about each image alone.
func about(still registry.Still) registry.Ask {
	return func(registry.Queries) (registry.Still, error) { return still, nil }
}

func TestDeleteImagesIf(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		keep, drop := b.pushNew("keep", "v1"), b.pushNew("drop", "v2", "latest")
		child := b.pushNew("child")
		b.push(repo, b.index(b.manifestOf(child)), "index")
		service := identity.Service(account, "lifecycle")
		ds := []oci.Digest{keep.Digest, oci.FromBytes([]byte("nothing")), child.Digest, drop.Digest}

		broken := errors.New("broken")
		_, err := b.DeleteImagesIf(t.Context(), service, repo, ds, about(func(img registry.Image) (bool, string, error) {
			if img.ID == drop.ID {
				return false, "", broken
			}
			return true, "", nil
		}))
		if !errors.Is(err, broken) {
			t.Errorf("a look that fails: %v, want its error", err)
		}
		b.tagTarget("v1") // nothing was deleted

		results, err := b.DeleteImagesIf(t.Context(), service, repo, ds, about(func(img registry.Image) (bool, string, error) {
			return !slices.Contains(img.Tags, "v1"), "", nil
		}))
		if err != nil || len(results) != len(ds) {
			t.Fatalf("DeleteImagesIf: %+v, %v", results, err)
		}
		if r := results[0]; r.Err != nil || r.Gone != nil {
			t.Errorf("an image to keep: %+v, want neither Gone nor Err", r)
		}
		wantFault(t, "an image that is not there", results[1].Err, fault.ImageNotFound)
		wantFault(t, "an image of an index", results[2].Err, fault.ImageReferenced)
		if r := results[3]; r.Err != nil || len(r.Gone) != 2 {
			t.Errorf("an image to delete: %+v, want both its tags gone", r)
		}
		b.tagTarget("v1")
		_, err = b.StatImage(t.Context(), root, repo, oci.Reference{Tag: "latest"})
		wantFault(t, "the deleted image", err, fault.ImageNotFound)
		_, err = b.DeleteImagesIf(t.Context(), service, "none", ds, nil)
		wantFault(t, "no repository", err, fault.RepositoryNotFound)
	})
}
