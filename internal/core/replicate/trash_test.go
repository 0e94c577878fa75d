package replicate_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// TestWhatComesBackFromTheTrashIsSent deletes an index with its image here and there, and restores it here.
func TestWhatComesBackFromTheTrashIsSent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.rules([]replicate.Destination{eu})
		one := b.image(repo, "one", "amd64")
		index := b.index(repo, []oci.Digest{one}, "v1")
		b.settle()
		b.wantContent(b.eu.side, repo, is("amd64", one), is("v1", index))
		for _, s := range []*side{b.side, b.eu.side} {
			for _, d := range []oci.Digest{index, one} {
				if err := s.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: d}); err != nil {
					t.Fatal(err)
				}
			}
		}
		b.settle()
		b.wantContent(b.eu.side, repo) // not sent while it is in the trash
		results, err := b.RestoreImages(t.Context(), root, repo, []registry.ImageID{{Tag: "v1"}}, registry.RestoreOptions{})
		if err != nil || results[0].Err != nil {
			t.Fatalf("RestoreImages: %+v, %v", results, err)
		}
		b.settle()
		b.wantContent(b.eu.side, repo, is("amd64", one), is("v1", index))
	})
}
