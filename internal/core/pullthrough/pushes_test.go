package pullthrough_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestAPushWhileUpstreamIsAsked pushes to a tag while its manifest is on its way from upstream, where the tag is new
// here and where it is to be renewed: the push stands.
func TestAPushWhileUpstreamIsAsked(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.upstream.image("other")
		mine := b.pull(here, tagged("other"))
		for _, tag := range []string{"new", "old"} {
			b.upstream.image(tag)
			if tag == "old" {
				b.pull(here, tagged(tag))
				b.pass(1000 * time.Hour)
				b.upstream.image(tag)
			}
			b.upstream.doWrong(func(_ http.ResponseWriter, r *http.Request) bool {
				if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/manifests/"+tag) && r.Header.Get("Authorization") != "" {
					if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: here, Manifest: mine.Manifest, Tags: []string{tag}}); err != nil {
						t.Errorf("the push: %v", err)
					}
				}
				return false
			})
			for range 2 { // nor does the next pull move it
				if got, err := b.Image(t.Context(), root, here, tagged(tag)); err != nil || got.Digest != mine.Digest {
					t.Errorf("%s: the tag points to %s, %v; what was pushed is %s", tag, got.Digest, err, mine.Digest)
				}
				b.pass(1000 * time.Hour)
			}
			b.upstream.doWrong(nil)
		}
	})
}

// TestAPushOfACopiedIndex gives another tag to an index of which nothing else was pulled: its images are fetched first.
// One over images that nobody has is refused.
func TestAPushOfACopiedIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		index := b.upstream.index("v1")
		whole := b.pull(here, tagged("v1"))
		if _, err := b.PutImage(t.Context(), root, registry.Push{Repository: here, Manifest: whole.Manifest, Tags: []string{"mine"}}); err != nil {
			t.Fatalf("PutImage: %v", err)
		}
		m, err := index.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, child := range m.Manifests {
			if !b.stored(digested(child.Digest)) {
				t.Errorf("%s is not here", child.Digest)
			}
		}
		strange, err := random.Index(10, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := strange.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: here, Manifest: raw, MediaType: oci.MediaTypeOCIIndex})
		wantFault(t, "a push of an index over nothing", err, "referenced images not found")
	})
}
