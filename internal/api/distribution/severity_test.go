package distribution_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// noCriticals is a policy that denies what has critical findings.
type noCriticals struct{}

func (noCriticals) Authorize(_ context.Context, caller identity.Caller, r policy.Request) error {
	if values, _ := r.Context("ecr:imagescanseverity"); slices.Contains(values, "CRITICAL") {
		return fault.New(fault.AccessDenied, "User: %s is not authorized to perform: %s", caller.ARN, r.Action)
	}
	return nil
}

// found is what is known of images by digest.
type found map[oci.Digest]registry.Exposure

func (f found) Exposure(_ context.Context, _ registry.Repository, img registry.Image) (registry.Exposure, error) {
	return f[img.Digest], nil
}

// TestPullsByFindings does what docker pull does: HEAD, GET of the manifest, GET of a blob.
func TestPullsByFindings(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	open := serverOn(t, db, t.TempDir())
	open.createRepository(t, repo)
	layers := map[string]oci.Digest{"bad": open.pushBlob(t, repo, []byte("bad layer")), "good": open.pushBlob(t, repo, []byte("good layer"))}
	known := found{}
	config := open.pushBlob(t, repo, []byte(`{"os":"linux"}`))
	for tag, layer := range layers {
		manifest := []byte(`{"schemaVersion":2,"mediaType":"` + oci.MediaTypeOCIManifest + `","config":` +
			descriptor("application/vnd.oci.image.config.v1+json", config, len(`{"os":"linux"}`)) + `,"layers":[` +
			descriptor("application/vnd.oci.image.layer.v1.tar", layer, len(tag+" layer")) + `]}`)
		wantStatus(t, open.call(t, http.MethodPut, "/v2/"+repo+"/manifests/"+tag, manifest, "Authorization", basic("good"), "Content-Type", oci.MediaTypeOCIManifest), http.StatusCreated)
		if tag == "bad" {
			known[oci.FromBytes(manifest)] = registry.Exposure{Worst: "CRITICAL", Findings: 2}
		}
	}
	gated := registry.New(registry.Config{
		Store: db, Blobs: open.blobs, Account: account, Region: "us-east-1", Now: time.Now, Access: noCriticals{}, Scanner: true, Exposures: known,
	})
	s := serverOn(t, db, t.TempDir(), func(c *distribution.Config) { c.Registry = gated })
	call := func(method, path string) response {
		t.Helper()
		return s.call(t, method, "/v2/"+repo+path, nil, "Authorization", basic("other"))
	}
	for tag, status := range map[string]int{"bad": http.StatusForbidden, "good": http.StatusOK} {
		wantStatus(t, call(http.MethodHead, "/manifests/"+tag), http.StatusOK)
		res := call(http.MethodGet, "/manifests/"+tag)
		wantStatus(t, res, status)
		wantStatus(t, call(http.MethodGet, "/blobs/"+layers[tag].String()), status)
		if status == http.StatusForbidden && (!strings.Contains(string(res.body), `"code":"DENIED"`) ||
			!strings.Contains(string(res.body), "it has 2 findings of severity CRITICAL that no exception covers. berth scan tells more; mend what they are in")) {
			t.Errorf("the answer is %s", res.body)
		}
	}
	wantStatus(t, call(http.MethodGet, "/blobs/"+config.String()), http.StatusOK) // both images have it
}
