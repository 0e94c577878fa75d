package distribution_test

import (
	"crypto/tls"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/hoopstat-haus/berth/internal/api/distribution"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func basic(password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+password))
}

func TestChallenge(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.pushImage(t, repo, "latest", "hello")
	for _, path := range []string{
		"/v2/", "/v2", "/v2/_catalog", "/v2/" + repo + "/manifests/latest", "/v2/" + repo + "/blobs/" + someDigest, "/v2/no/such/tags/list", "/v2/nonsense",
		"/v2/a%2Fb/manifests/x",
	} {
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions} {
			res := s.call(t, method, path, nil, "Authorization", "")
			wantStatus(t, res, http.StatusUnauthorized)
			wantHeader(t, res, "Www-Authenticate", `Basic realm="http://`+s.host()+`/",service="ecr.amazonaws.com"`)
			wantHeader(t, res, "Docker-Distribution-Api-Version", "registry/2.0")
			wantHeader(t, res, "Content-Type", "text/plain; charset=utf-8")
			wantHeader(t, res, "Content-Length", "15")
			if want := "Not Authorized\n"; method != http.MethodHead && string(res.body) != want {
				t.Errorf("%s %s has the body %q, want %q", method, path, res.body, want)
			}
		}
	}
}

func TestChallengeNamesTheHostAsServed(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for name, tt := range map[string]struct {
		adjust func(*distribution.Config)
		tls    *tls.ConnectionState
		want   string
	}{
		"over TLS":         {func(*distribution.Config) {}, &tls.ConnectionState{}, `Basic realm="https://registry.test:5080/",service="ecr.amazonaws.com"`},
		"in plain":         {func(*distribution.Config) {}, nil, `Basic realm="http://registry.test:5080/",service="ecr.amazonaws.com"`},
		"as it was set up": {func(c *distribution.Config) { c.BaseURL = func(*http.Request) string { return "https://r.example" } }, nil, `Basic realm="https://r.example/",service="ecr.amazonaws.com"`},
	} {
		c := distribution.Config{Registry: s.registry, Auth: gate{}}
		tt.adjust(&c)
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://registry.test:5080/v2/", nil)
		r.TLS = tt.tls
		w := httptest.NewRecorder()
		distribution.New(c).ServeHTTP(w, r)
		if got := w.Header().Get("Www-Authenticate"); got != tt.want {
			t.Errorf("%s: challenge %s, want %s", name, got, tt.want)
		}
	}
}

func TestBaseWithCredentials(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, path := range []string{"/v2/", "/v2"} {
		res := s.call(t, http.MethodGet, path, nil)
		wantStatus(t, res, http.StatusOK)
		wantHeader(t, res, "Docker-Distribution-Api-Version", "registry/2.0")
		if string(res.body) != "{}" {
			t.Errorf("GET %s has the body %q", path, res.body)
		}
	}
}

// TestStrangersAreRefusedEverything: who is known and allowed nothing gets nothing but 403 out of any route,
// and /v2/ itself, which only says that the credentials are good.
func TestStrangersAreRefusedEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	manifest, _ := s.pushImage(t, repo, "latest", "hello")
	layer := oci.FromBytes([]byte("hello")).String()
	tried := 0
	for _, tt := range []struct{ method, path string }{
		{"GET", "/v2/_catalog"},
		{"GET", "/v2/" + repo + "/tags/list"},
		{"GET", "/v2/" + repo + "/referrers/" + someDigest},
		{"GET", "/v2/" + repo + "/manifests/latest"},
		{"HEAD", "/v2/" + repo + "/manifests/latest"},
		{"PUT", "/v2/" + repo + "/manifests/latest"},
		{"DELETE", "/v2/" + repo + "/manifests/latest"},
		{"GET", "/v2/" + repo + "/blobs/" + layer},
		{"HEAD", "/v2/" + repo + "/blobs/" + layer},
		{"DELETE", "/v2/" + repo + "/blobs/" + layer},
		{"POST", "/v2/" + repo + "/blobs/uploads/"},
		{"POST", "/v2/" + repo + "/blobs/uploads/?digest=" + layer},
		{"POST", "/v2/" + repo + "/blobs/uploads/?mount=" + layer},
		{"GET", "/v2/" + repo + "/blobs/uploads/" + someUpload},
		{"PATCH", "/v2/" + repo + "/blobs/uploads/" + someUpload},
		{"PUT", "/v2/" + repo + "/blobs/uploads/" + someUpload + "?digest=" + layer},
		{"DELETE", "/v2/" + repo + "/blobs/uploads/" + someUpload},
	} {
		tried++
		res := s.call(t, tt.method, tt.path, manifest, "Authorization", basic("other"))
		if res.status != http.StatusForbidden {
			t.Errorf("%s %s by a caller allowed nothing answers %d %s", tt.method, tt.path, res.status, res.body)
		}
	}
	if tried == 0 {
		t.Fatal("nothing was tried")
	}
}

func TestSignedLinks(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.pushImage(t, repo, "latest", "hello")
	path := "/v2/" + repo + "/blobs/" + oci.FromBytes([]byte("hello")).String()
	for _, tt := range []struct {
		name, method, path, authorization string
		status                            int
	}{
		{"a good link", "GET", path + "?X-Berth-Signature=good", "", http.StatusOK},
		{"a good link to look", "HEAD", path + "?X-Berth-Signature=good", "", http.StatusOK},
		{"a good link, wrong credentials", "GET", path + "?X-Berth-Signature=good", basic("guess"), http.StatusUnauthorized},
		{"a good link, no permission", "GET", path + "?X-Berth-Signature=good", basic("other"), http.StatusForbidden},
		{"a bad link", "GET", path + "?X-Berth-Signature=bad", "", http.StatusForbidden},
		{"an expired link", "GET", path + "?X-Berth-Signature=expired", "", http.StatusForbidden},
		{"a link to delete", "DELETE", path + "?X-Berth-Signature=good", "", http.StatusUnauthorized},
		{"a link to a manifest", "GET", "/v2/" + repo + "/manifests/latest?X-Berth-Signature=good", "", http.StatusUnauthorized},
		{"a link to the registry", "GET", "/v2/?X-Berth-Signature=good", "", http.StatusUnauthorized},
	} {
		res := s.call(t, tt.method, tt.path, nil, "Authorization", tt.authorization)
		if res.status != tt.status {
			t.Errorf("%s: %s %s answers %d %s, want %d", tt.name, tt.method, tt.path, res.status, res.body, tt.status)
		}
	}
}
