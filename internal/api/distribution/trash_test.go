package distribution_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestTrashIsInvisible asks everything that can be read about an image before it is pushed, and again when it is in the
// trash: the answers are the same. Then it comes back, and all of them are others.
func TestTrashIsInvisible(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "hoopstat-haus/other")
	s.pushImage(t, repo, "stays", "another")
	manifest := `{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIManifest + `",` +
		`"config":` + descriptor("application/vnd.oci.image.config.v1+json", oci.FromBytes([]byte("{}")), 2) + `,` +
		`"layers":[` + descriptor("application/vnd.oci.image.layer.v1.tar", oci.FromBytes([]byte("only its own")), 12) + `]}`
	d, layer := oci.FromBytes([]byte(manifest)), oci.FromBytes([]byte("only its own"))
	look := func() map[string]string {
		t.Helper()
		answers := map[string]string{}
		for _, path := range []string{
			"/manifests/v1", "/manifests/" + d.String(), "/tags/list", "/tags/list?n=1", "/referrers/" + d.String(), "/blobs/" + layer.String(),
		} {
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				res := s.call(t, method, "/v2/"+repo+path, nil)
				answers[method+" "+path] = fmt.Sprintf("%d %s %s", res.status, res.header.Get("Docker-Content-Digest"), res.body)
			}
		}
		mount := s.call(t, http.MethodPost, "/v2/hoopstat-haus/other/blobs/uploads/?mount="+layer.String()+"&from="+repo, nil)
		answers["mount"] = fmt.Sprint(mount.status)
		anywhere := s.call(t, http.MethodPost, "/v2/hoopstat-haus/other/blobs/uploads/?mount="+layer.String(), nil)
		answers["mount from anywhere"] = fmt.Sprint(anywhere.status)
		missing, err := s.registry.PrepareReplica(t.Context(), root, repo, d, []oci.Digest{layer})
		answers["replication"] = fmt.Sprint(missing, err)
		refers, err := s.registry.RefersTo(t.Context(), root, repo, layer)
		answers["pull-through"] = fmt.Sprint(refers, err)
		return answers
	}
	before := look()
	if got, _ := s.pushImage(t, repo, "v1", "only its own"); string(got) != manifest {
		t.Fatalf("pushed %s, want %s", got, manifest)
	}
	sbom := s.makeManifest(t, repo, "sbom", `,"subject":`+descriptor(oci.MediaTypeOCIManifest, d, len(manifest)))
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+oci.FromBytes(sbom).String(), sbom, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+d.String(), nil), http.StatusAccepted)
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("what is in the trash is seen (-before it was pushed +in the trash):\n%s", diff)
	}

	results, err := s.registry.RestoreImages(t.Context(), root, repo, []registry.ImageID{{Digest: d.String()}}, registry.RestoreOptions{})
	if err != nil || results[0].Err != nil || len(results[0].Along) != 1 {
		t.Fatalf("RestoreImages: %+v, %v", results, err)
	}
	for question, answer := range look() {
		// A page of one tag is the other's.
		if answer == before[question] && question != "GET /tags/list?n=1" && question[:5] != "HEAD " {
			t.Errorf("restored, %s is answered as before: %s", question, answer)
		}
	}
	wantStatus(t, s.call(t, http.MethodGet, "/v2/"+repo+"/blobs/"+layer.String(), nil), http.StatusOK)
}
