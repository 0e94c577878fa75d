package distribution_test

import (
	"net/http"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestMountingCanBeTurnedOff: with the account setting off a mount becomes an upload, as if there were nothing to
// mount.
func TestMountingCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.createRepository(t, "elsewhere/too")
	d := s.pushBlob(t, "elsewhere/too", []byte("shared"))
	mount := "/v2/" + repo + "/blobs/uploads/?mount=" + d.String() + "&from=elsewhere/too"
	set := func(value string) {
		t.Helper()
		if err := s.registry.PutAccountSetting(t.Context(), root, registry.AccountSetting{Name: registry.BlobMounting, Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	set(registry.Disabled)
	res := s.call(t, http.MethodPost, mount, nil)
	wantStatus(t, res, http.StatusAccepted)
	wantUpload(t, res, "0-0")
	wantStatus(t, s.call(t, http.MethodHead, "/v2/"+repo+"/blobs/"+d.String(), nil), http.StatusNotFound)
	set(registry.Enabled)
	wantCreated(t, s.call(t, http.MethodPost, mount, nil), d)
}

// TestExcludedPulls: a GET by a session of an excluded role leaves the pull time alone.
func TestExcludedPulls(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, d := s.pushImage(t, repo, "v1", "hello")
	if _, err := s.registry.ExcludePuller(t.Context(), root, "arn:aws:iam::"+account+":role/security/scanner"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		password string
		want     bool
	}{{"scanner", false}, {"good", true}} {
		req := s.request(t, http.MethodGet, "/v2/"+repo+"/manifests/v1", nil)
		req.SetBasicAuth("AWS", c.password)
		wantStatus(t, s.send(t, req), http.StatusOK)
		if err := s.registry.FlushPulls(t.Context()); err != nil {
			t.Fatal(err)
		}
		img, err := s.registry.StatImage(t.Context(), root, repo, oci.Reference{Digest: d})
		if err != nil || img.LastPulledAt.IsZero() == c.want {
			t.Errorf("after a pull by %s: last pulled %v, %v; want it recorded: %v", c.password, img.LastPulledAt, err, c.want)
		}
	}
}
