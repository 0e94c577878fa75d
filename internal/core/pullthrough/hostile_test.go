package pullthrough_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestAPushWhileTheTagIsFetched sets a tag here while the upstream still answers about it: it is the repository's then.
func TestAPushWhileTheTagIsFetched(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		mine := digestOf(t, b.upstream.image("mine"))
		manifest := b.pull(here, tagged("mine")).Manifest
		m, err := oci.ParseManifest("", manifest)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Blobs() { // a push needs them here
			if _, err := b.read(t.Context(), l.Digest, 0, -1); err != nil {
				t.Fatal(err)
			}
		}
		b.upstream.image("old")
		b.pull(here, tagged("old"))
		b.upstream.image("old") // a newer one, which is to be fetched
		b.upstream.image("new")
		b.pass(48 * time.Hour)
		b.upstream.doWrong(func(_ http.ResponseWriter, r *http.Request) bool {
			tag := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
			if r.Method == http.MethodGet && (tag == "old" || tag == "new") && r.Header.Get("Authorization") != "" {
				if _, err := b.registry.PutImage(t.Context(), root, registry.Push{Repository: here, Manifest: manifest, Tags: []string{tag}}); err != nil {
					t.Errorf("pushing %s: %v", tag, err)
				}
			}
			return false
		})
		for _, tag := range []string{"old", "new"} {
			for range 2 {
				if got := b.pull(here, tagged(tag)).Digest; got != mine {
					t.Errorf("%s is %s, want what was pushed meanwhile, %s", tag, got, mine)
				}
				b.pass(48 * time.Hour)
			}
		}
	})
}

// TestAReferrerThatIsNone has an upstream list, among others, what cannot be stored: whoever pushes to it decides that.
func TestAReferrerThatIsNone(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.upstream.image("v1")
		subject, err := partialDescriptor(img)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := random.Image(100, 1)
		if err != nil {
			t.Fatal(err)
		}
		referrer, _ := mutate.Subject(signature, subject).(v1.Image)
		if err := remote.Write(b.upstream.ref("sig"), referrer, b.upstream.auth()); err != nil {
			t.Fatal(err)
		}
		bad := oci.FromBytes([]byte("nonsense"))
		b.upstream.doWrong(func(w http.ResponseWriter, r *http.Request) bool {
			switch {
			case strings.Contains(r.URL.Path, "/referrers/"):
				_, _ = w.Write([]byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIIndex + `","manifests":[` +
					`{"mediaType":"application/vnd.oci.artifact.manifest.v1+json","digest":"` + bad.String() + `","size":8},` +
					`{"mediaType":"` + oci.MediaTypeOCIManifest + `","digest":"` + digestOf(t, referrer).String() + `","size":8}]}`))
				return true
			case strings.HasSuffix(r.URL.Path, bad.String()):
				_, _ = w.Write([]byte("nonsense"))
				return true
			}
			return false
		})
		b.pull(here, tagged("v1"))
		page, err := b.Referrers(t.Context(), root, here, digestOf(t, img), registry.ReferrerFilter{}, 0, "")
		if err != nil || len(page.Items) != 1 || page.Items[0].Digest != digestOf(t, referrer) {
			t.Errorf("Referrers: %+v, %v", page.Items, err)
		}
	})
}

func partialDescriptor(img v1.Image) (v1.Descriptor, error) {
	d, err := img.Digest()
	if err != nil {
		return v1.Descriptor{}, err
	}
	size, err := img.Size()
	if err != nil {
		return v1.Descriptor{}, err
	}
	media, err := img.MediaType()
	return v1.Descriptor{Digest: d, Size: size, MediaType: media}, err
}

// TestNamesThatAreNone asks about repositories whose names would lead elsewhere in an upstream's paths.
func TestNamesThatAreNone(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		u := newUpstream(t)
		b := newBench(t, db, u)
		b.rule(pullthrough.Rule{Prefix: pullthrough.Root, Upstream: u.url, Credential: secretARN})
		u.doWrong(func(_ http.ResponseWriter, r *http.Request) bool {
			t.Errorf("the upstream was asked for %s", r.URL)
			return false
		})
		for _, name := range []string{"team/../../x", "a?b=", "a#", "a%2f..", "A", "", "a//b", "a b", strings.Repeat("a", 300)} {
			_, many := b.PullImages(t.Context(), root, name, []registry.ImageID{{Tag: "v1"}})
			_, one := b.Image(t.Context(), root, name, tagged("v1"))
			_, layers := b.LayersAvailable(t.Context(), root, name, []string{oci.FromBytes(nil).String()})
			if many == nil || one == nil || layers == nil {
				t.Errorf("%q: %v, %v, %v", name, many, one, layers)
			}
		}
	})
}
