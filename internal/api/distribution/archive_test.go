package distribution_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func (s *server) archive(t *testing.T, d oci.Digest) {
	t.Helper()
	results, err := s.registry.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Digest: d.String()}}, registry.Archive)
	if err != nil || results[0].Err != nil {
		t.Fatalf("archiving %s: %+v, %v", d, results, err)
	}
}

func TestArchivedImageIsNotFound(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest, d := s.pushImage(t, repo, "old", "hello")
	_, young := s.pushImage(t, repo, "young", "other")
	sbom := s.makeManifest(t, repo, "sbom", `,"subject":`+descriptor(oci.MediaTypeOCIManifest, d, len(manifest)))
	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+oci.FromBytes(sbom).String(), sbom, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	referrers := func(want int) {
		t.Helper()
		res := s.call(t, http.MethodGet, "/v2/"+repo+"/referrers/"+d.String(), nil)
		wantStatus(t, res, http.StatusOK)
		if got := strings.Count(string(res.body), `"digest"`); got != want {
			t.Errorf("%d referrers, want %d: %s", got, want, res.body)
		}
	}
	referrers(1)
	s.archive(t, d)
	for _, ref := range []string{"old", d.String()} {
		res := s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/"+ref, nil)
		wantStatus(t, res, http.StatusNotFound)
		if !strings.Contains(string(res.body), `"MANIFEST_UNKNOWN"`) || !strings.Contains(string(res.body), "archived") {
			t.Errorf("GET %s says %s", ref, res.body)
		}
		wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/"+ref, nil), http.StatusNotFound)
	}
	wantStatus(t, s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/"+young.String(), nil), http.StatusOK)
	if res := s.call(t, http.MethodGet, "/v2/"+repo+"/tags/list", nil); !strings.Contains(string(res.body), `["young"]`) {
		t.Errorf("the list of tags is %s", res.body)
	}
	referrers(0)
	layer := "/v2/" + repo + "/blobs/" + oci.FromBytes([]byte("hello")).String()
	wantStatus(t, s.call(t, http.MethodGet, layer, nil), http.StatusNotFound)
	wantStatus(t, s.call(t, http.MethodHead, layer, nil), http.StatusOK) // so that a push need not send it again

	wantStatus(t, s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/old", manifest, "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
	wantStatus(t, s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/old", nil), http.StatusOK)
	wantStatus(t, s.call(t, http.MethodGet, layer, nil), http.StatusOK)
	referrers(1)

	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+d.String(), nil), http.StatusAccepted)
	referrers(0)
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/manifests/"+oci.FromBytes(sbom).String(), nil), http.StatusNotFound)
}
