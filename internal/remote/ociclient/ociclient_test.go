package ociclient_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
	"github.com/hoopstat-haus/berth/internal/remote/ociclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func serve(t *testing.T, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func newClient(t *testing.T, now func() time.Time) *ociclient.Client {
	t.Helper()
	c := ociclient.New(ociclient.Config{Now: now})
	t.Cleanup(c.Close)
	return c
}

func wantFault(t *testing.T, what string, err error, code fault.Code) *fault.Error {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code {
		t.Fatalf("%s: %v, want the fault %q", what, err, code)
	}
	return f
}

const manifest = `{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json"}`

// TestBearer goes through distribution's token dance: as one scope, with credentials at the token server alone, and
// again when the token has ended.
func TestBearer(t *testing.T) {
	t.Parallel()
	var tokens atomic.Int64
	issuer := serve(t, func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		if q := r.URL.Query(); user != "me" || password != "secret" || q.Get("service") != "the service" || q.Get("scope") != "repository:library/alpine:pull" || q.Get("kept") != "yes" {
			t.Errorf("token request %s as %q", r.URL, user)
		}
		_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","expires_in":300}`, tokens.Add(1))
	})
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch auth := r.Header.Get("Authorization"); auth {
		case fmt.Sprintf("Bearer token-%d", tokens.Load()):
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, manifest)
		case "":
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+issuer+`/token?kept=yes",service="the service",scope="repository:other:pull"`)
			w.WriteHeader(http.StatusUnauthorized)
		default:
			t.Errorf("the registry was sent %q", auth)
			w.WriteHeader(http.StatusUnauthorized)
		}
	})
	at := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	c := newClient(t, func() time.Time { return at })
	endpoint := pullthrough.Endpoint{URL: registry, Credentials: pullthrough.Credentials{Username: "me", Password: "secret"}}
	for i, want := range []int64{1, 1, 2} {
		if i == 2 {
			at = at.Add(295 * time.Second)
		}
		found, err := c.Manifest(t.Context(), endpoint, "library/alpine", oci.Reference{Tag: "3"})
		if err != nil || string(found.Body) != manifest || found.MediaType != "" || found.Digest != "" {
			t.Fatalf("Manifest: %+v, %v", found, err)
		}
		if n := tokens.Load(); n != want {
			t.Errorf("request %d took %d tokens, want %d", i+1, n, want)
		}
	}
}

// TestCredentialsStayWithTheirHost follows a registry that sends its clients on.
func TestCredentialsStayWithTheirHost(t *testing.T) {
	t.Parallel()
	bucket := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			t.Errorf("the bucket was sent %q", r.Header.Get("Authorization"))
		}
		_, _ = io.WriteString(w, "layer")
	})
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); !ok {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		// Another host than 127.0.0.1, which is what the port alone does not make it.
		http.Redirect(w, r, strings.Replace(bucket, "127.0.0.1", "localhost", 1)+"/x", http.StatusTemporaryRedirect)
	})
	c := newClient(t, time.Now)
	at := pullthrough.Endpoint{URL: registry, Credentials: pullthrough.Credentials{Username: "me", Password: "secret"}}
	body, size, err := c.Layer(t.Context(), at, "app", oci.FromBytes([]byte("layer")))
	if err != nil {
		t.Fatalf("Layer: %v", err)
	}
	defer body.Close()
	if got, err := io.ReadAll(body); string(got) != "layer" || size != 5 || err != nil {
		t.Errorf("the layer is %q of %d bytes, %v", got, size, err)
	}
}

// TestWhereNothingIsAsked has registries send their clients where they should not go.
func TestWhereNothingIsAsked(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]func(w http.ResponseWriter){
		"a redirect to a cloud's own address": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://169.254.169.254/latest/meta-data/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"the same, as IPv6": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://[fe80::1]/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"the same, mapped": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://[::ffff:169.254.169.254]/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"Amazon's, as IPv6": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://[fd00:ec2::254]/latest/meta-data/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"Azure's": func(w http.ResponseWriter) {
			w.Header().Set("Location", "http://168.63.129.16/machine/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"a token server there": func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="http://169.254.169.254/token"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"no token server": func(w http.ResponseWriter) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="file:///etc/passwd"`)
			w.WriteHeader(http.StatusUnauthorized)
		},
		"in circles": func(w http.ResponseWriter) {
			w.Header().Set("Location", "/v2/again")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
	} {
		registry := serve(t, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
		begin := time.Now()
		_, _, err := newClient(t, time.Now).Layer(t.Context(), pullthrough.Endpoint{URL: registry}, "app", oci.FromBytes(nil))
		_ = wantFault(t, name, err, fault.UpstreamUnavailable)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s: took %s: it was tried", name, took)
		}
	}
}

// TestTLSIsNotLeft has a registry with TLS name servers without.
func TestTLSIsNotLeft(t *testing.T) {
	t.Parallel()
	var plain atomic.Int64
	other := serve(t, func(http.ResponseWriter, *http.Request) { plain.Add(1) })
	registry := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "/manifests/") {
			w.Header().Set("WWW-Authenticate", `Bearer realm="`+other+`/token"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		http.Redirect(w, r, other, http.StatusTemporaryRedirect)
	}))
	registry.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	registry.StartTLS()
	t.Cleanup(registry.Close)
	c := newClient(t, time.Now)
	c.Trust(registry.Certificate())
	at := pullthrough.Endpoint{URL: registry.URL, Credentials: pullthrough.Credentials{Username: "me", Password: "secret"}}
	_, err := c.Manifest(t.Context(), at, "app", oci.Reference{Tag: "v1"})
	_ = wantFault(t, "a token server without TLS", err, fault.UpstreamUnavailable)
	_, _, err = c.Layer(t.Context(), at, "app", oci.FromBytes(nil))
	_ = wantFault(t, "a redirect out of TLS", err, fault.UpstreamUnavailable)
	if n := plain.Load(); n != 0 {
		t.Errorf("%d requests went without TLS", n)
	}
}

// TestAnswers says what statuses mean.
func TestAnswers(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		status int
		after  string
		want   fault.Code
		wait   time.Duration // negative: none
	}{
		{404, "", fault.ImageNotFound, -1},
		{401, "", fault.UpstreamDenied, -1},
		{403, "", fault.UpstreamDenied, -1},
		{429, "", fault.UpstreamBusy, 0},
		{429, "7", fault.UpstreamBusy, 7 * time.Second},
		{429, now.Add(time.Minute).Format(http.TimeFormat), fault.UpstreamBusy, time.Minute},
		{429, now.Add(-time.Minute).Format(http.TimeFormat), fault.UpstreamBusy, 0},
		{503, "9", fault.UpstreamUnavailable, 9 * time.Second},
		{503, "soon", fault.UpstreamUnavailable, -1},
		{500, "", fault.UpstreamUnavailable, -1},
		{204, "", fault.UpstreamUnavailable, -1},
	} {
		registry := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			if c.after != "" {
				w.Header().Set("Retry-After", c.after)
			}
			w.WriteHeader(c.status)
		})
		_, err := newClient(t, func() time.Time { return now }).Head(t.Context(), pullthrough.Endpoint{URL: registry}, "app", oci.Reference{Tag: "v1"})
		f := wantFault(t, fmt.Sprint(c.status, " ", c.after), err, c.want)
		wait, ok := f.Detail.(fault.Wait)
		if ok != (c.wait >= 0) || ok && wait.For != c.wait {
			t.Errorf("%d %q: detail %+v, want a wait of %s", c.status, c.after, f.Detail, c.wait)
		}
	}
}

// TestReferrersWithoutTheAPI finds the tag that stands in for it.
func TestReferrersWithoutTheAPI(t *testing.T) {
	t.Parallel()
	subject, signature := oci.FromBytes([]byte("subject")), oci.FromBytes([]byte("signature"))
	registry := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/app/manifests/sha256-"+subject.Hex() {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = fmt.Fprintf(w, `{"schemaVersion":2,"manifests":[{"mediaType":%q,"digest":%q,"size":9}]}`, oci.MediaTypeOCIManifest, signature)
	})
	list, err := newClient(t, time.Now).Referrers(t.Context(), pullthrough.Endpoint{URL: registry}, "app", subject)
	if err != nil || len(list) != 1 || list[0].Digest != signature {
		t.Errorf("Referrers: %+v, %v", list, err)
	}
}
