package distribution_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// TestDeployments: a second deployer gets 409, and what runs is not deleted.
func TestDeployments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest, image := s.pushImage(t, repo, "v1", "layer")
	s.pushBlob(t, repo, []byte(deployment.Empty))
	record := deployment.Record{
		ID: "4f1c9a7be2d05836", App: "web", Environment: "us-east", Action: deployment.Deploy, Outcome: deployment.Succeeded, Actor: "ada",
		Image: oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: image, Size: int64(len(manifest))},
		At:    time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC),
	}
	put := func(r deployment.Record, tag string) response {
		t.Helper()
		raw, err := r.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		return s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, raw, "Content-Type", oci.MediaTypeOCIManifest)
	}
	first := put(record, "deploy-us--east-web")
	wantStatus(t, first, http.StatusCreated)
	wantHeader(t, first, "Oci-Subject", image.String())
	wantStatus(t, put(record, "deploy-us--east-web"), http.StatusCreated) // whose answer was lost

	wantRefusal := func(what string, res response, status int, code, words string) {
		t.Helper()
		if res.status != status || !strings.Contains(string(res.body), `"code":"`+code+`"`) || !strings.Contains(string(res.body), words) {
			t.Errorf("%s: %d %s\nwant %d %s with %s", what, res.status, res.body, status, code, words)
		}
	}
	second := record
	second.ID = "another-deployment"
	wantRefusal("a second deployer", put(second, "deploy-us--east-web"), http.StatusConflict, "TAG_INVALID", "web was deployed to us-east before")
	wantRefusal("a record elsewhere", put(second, "v2"), http.StatusBadRequest, "TAG_INVALID", "under 'deploy-us--east-web'")
	wantRefusal("an image under a deploy tag", s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/deploy-us--east-web", manifest, "Content-Type", oci.MediaTypeOCIManifest),
		http.StatusConflict, "TAG_INVALID", "moves only to a deployment record")
	raw, err := record.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	bad := strings.Replace(string(raw), `"succeeded"`, `"done"`, 1)
	wantRefusal("a record that is none", s.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+oci.FromBytes([]byte(bad)).String(), []byte(bad), "Content-Type", oci.MediaTypeOCIManifest),
		http.StatusBadRequest, "MANIFEST_INVALID", `its outcome is \"done\"`)

	deleting := s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+image.String(), nil)
	wantRefusal("what runs", deleting, http.StatusMethodNotAllowed, "UNSUPPORTED", "it runs in us-east as web since 2026-11-24T10:00:00Z")
	if strings.Contains(deleting.header.Get("Allow"), http.MethodDelete) {
		t.Errorf("the answer allows %s", deleting.header.Get("Allow"))
	}
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/v1", nil), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodGet, "/v2/"+repo+"/manifests/"+image.String(), nil), http.StatusOK)
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/deploy-us--east-web", nil), http.StatusAccepted)
	wantStatus(t, s.call(t, http.MethodDelete, "/v2/"+repo+"/manifests/"+image.String(), nil), http.StatusAccepted)
}
