package distribution_test

import (
	"net/http"
	"strings"
	"testing"

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
