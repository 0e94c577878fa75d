package distribution_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestCreateOnPush pushes to repositories that are missing, in each way in which a push may begin.
func TestCreateOnPush(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	there := s.pushBlob(t, repo, []byte("there"))
	hello := oci.FromBytes([]byte("hello"))
	index := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIIndex + `","manifests":[]}`)
	pushes := map[string]struct {
		method, path string
		body         []byte
		status       int
	}{
		"upload":   {http.MethodPost, "blobs/uploads/", nil, http.StatusAccepted},
		"at once":  {http.MethodPost, "blobs/uploads/?digest=" + hello.String(), []byte("hello"), http.StatusCreated},
		"mount":    {http.MethodPost, "blobs/uploads/?from=" + repo + "&mount=" + there.String(), nil, http.StatusCreated},
		"no mount": {http.MethodPost, "blobs/uploads/?from=" + repo + "&mount=" + hello.String(), nil, http.StatusAccepted},
		"manifest": {http.MethodPut, "manifests/v1", index, http.StatusCreated},
	}
	all := func(template string) {
		for name, p := range pushes {
			base := "/v2/team/" + strings.ReplaceAll(name, " ", "-") + "/"
			for _, look := range []string{"manifests/v1", "blobs/" + hello.String()} {
				wantStatus(t, s.call(t, http.MethodHead, base+look, nil), http.StatusNotFound)
				if res := s.call(t, http.MethodGet, base+look, nil); res.status != http.StatusNotFound || !strings.Contains(string(res.body), "NAME_UNKNOWN") {
					t.Errorf("%s: GET %s answers %d %s, want 404 NAME_UNKNOWN", template, look, res.status, res.body)
				}
			}
			want := p.status
			if template == "" {
				want = http.StatusNotFound
			}
			res := s.call(t, p.method, base+p.path, p.body, "Content-Type", oci.MediaTypeOCIIndex)
			if res.status != want {
				t.Errorf("%s with the template %q: %d %s, want %d", name, template, res.status, res.body, want)
			}
			if _, err := s.registry.Repository(t.Context(), root, "team/"+strings.ReplaceAll(name, " ", "-")); (err == nil) != (template != "") {
				t.Errorf("%s with the template %q: the repository: %v", name, template, err)
			}
		}
	}
	all("")
	if _, err := s.registry.CreateTemplate(t.Context(), root, registry.Template{Prefix: "team", Uses: []registry.TemplateUse{registry.ForPush}}); err != nil {
		t.Fatal(err)
	}
	all("team")
}

// TestClientCreatesOnPush has a client of its own ways push an image, side by side with another.
func TestClientCreatesOnPush(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	r, opts := s.repository(t, "team/new"), options(t, "good")
	img := randomImage(t, 10_000, 3)
	index, err := random.Index(1000, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(r.Tag("v1"), img, opts...); err == nil {
		t.Fatal("without a template a client pushes to a repository that is missing")
	}
	if err := s.registry.EnsureCreateOnPush(t.Context(), root); err != nil {
		t.Fatal(err)
	}
	var pushers sync.WaitGroup
	pushers.Go(func() {
		if err := remote.Write(r.Tag("v1"), img, opts...); err != nil {
			t.Errorf("pushing an image: %v", err)
		}
	})
	pushers.Go(func() {
		if err := remote.WriteIndex(r.Tag("all"), index, opts...); err != nil {
			t.Errorf("pushing an index: %v", err)
		}
	})
	pushers.Wait()
	got, err := remote.Image(r.Tag("v1"), opts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(got); err != nil {
		t.Errorf("what was pulled: %v", err)
	}
}
