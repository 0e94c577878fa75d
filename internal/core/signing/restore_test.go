package signing_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

// TestRestoredImagesAreNotSignedAgain deletes a signed image and restores it: its signatures come back with it, and no others
// are made. One that comes back without is signed as if it were pushed.
func TestRestoredImagesAreNotSignedAgain(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.configure(signing.Rule{Profile: release})
		img := b.image(repo, "app", "v1")
		b.mustWork()
		again := func(purge bool) {
			t.Helper()
			var ds []oci.Digest
			for _, r := range b.referrers(repo, img.Digest, "") {
				ds = append(ds, r.Digest)
			}
			if err := b.registry.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: img.Digest}); err != nil {
				t.Fatal(err)
			}
			if purge {
				if _, err := b.registry.PurgeImages(t.Context(), root, repo, ds); err != nil {
					t.Fatal(err)
				}
			}
			results, err := b.registry.RestoreImages(t.Context(), root, repo, []registry.ImageID{{Tag: "v1"}}, registry.RestoreOptions{})
			if err != nil || results[0].Err != nil {
				t.Fatalf("RestoreImages: %+v, %v", results, err)
			}
			b.mustWork()
			b.signed(repo, img.Digest, release)
		}
		again(false)
		if diff := cmp.Diff(map[string]signing.State{}, b.statuses(repo, img.Digest)); diff != "" || len(b.referrers(repo, img.Digest, "")) != 2 {
			t.Errorf("with its signatures it was signed again (-want +got):\n%s", diff)
		}
		again(true)
		if diff := cmp.Diff(map[string]signing.State{release: signing.Done}, b.statuses(repo, img.Digest)); diff != "" {
			t.Errorf("without its signatures (-want +got):\n%s", diff)
		}
	})
}
