package registry_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

// server is a registry that takes the last token that it gave, and none other.
type server struct {
	*httptest.Server
	mu     sync.Mutex
	tokens int
	proxy  string
	life   time.Duration
	now    time.Time
	wrong  int // requests with another token
}

func newServer(t *testing.T) *server {
	t.Helper()
	s := &server{life: 12 * time.Hour, now: time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)}
	layers := ggcr.New()
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		password := fmt.Sprintf("secret-%d", s.tokens)
		s.mu.Unlock()
		if !strings.HasPrefix(r.URL.Path, "/v2/") {
			s.token(w)
			return
		}
		if _, given, _ := r.BasicAuth(); given != password {
			if given != "" {
				s.mu.Lock()
				s.wrong++
				s.mu.Unlock()
			}
			w.Header().Set("WWW-Authenticate", `Basic realm="here"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		layers.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	s.proxy = s.URL
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.URL, "AWS_ENDPOINT_URL_ECR": s.URL, "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "eu-west-1",
		"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(variable, value)
	}
	return s
}

func (s *server) token(w http.ResponseWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens++
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
		"authorizationToken": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:secret-%d", s.tokens)),
		"expiresAt":          s.now.Add(s.life).Unix(), "proxyEndpoint": s.proxy,
	}}})
}

// pass has time pass.
func (s *server) pass(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *server) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.tokens
}

func client(t *testing.T, s *server) *registry.Client {
	t.Helper()
	c, err := registry.New(t.Context(), registry.Config{Now: s.clock})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestToken: one token is enough for all until it is about to end, and then another one is used by what goes on.
func TestToken(t *testing.T) {
	s := newServer(t)
	c := client(t, s)
	repo, options, err := c.Remote(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("one"), image, options...); err != nil {
		t.Fatal(err)
	}
	config, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	read := func() {
		t.Helper()
		if _, err := c.Blob(t.Context(), "a/b", oci.Digest(config.String()), 1<<20); err != nil {
			t.Error(err)
		}
		if err := remote.Write(repo.Tag("two"), image, options...); err != nil { // with the options of the beginning
			t.Error(err)
		}
	}
	s.pass(11*time.Hour + 49*time.Minute)
	read()
	if n := s.count(); n != 1 {
		t.Errorf("%d tokens were asked for after 11:49 hours, want the first only", n)
	}
	s.pass(2 * time.Minute)
	read()
	if n := s.count(); n != 2 || s.wrong != 0 {
		t.Errorf("%d tokens were asked for after 11:51 hours and %d requests refused, want 2 and 0", n, s.wrong)
	}
}

// TestWhereTheTokenGoes: to the registry that the answer names, by its scheme.
func TestWhereTheTokenGoes(t *testing.T) {
	s := newServer(t)
	for proxy, want := range map[string]string{
		s.URL: "", "": "", // the endpoint itself
		"https://123456789012.dkr.ecr.eu-west-1.amazonaws.com": registry.ErrNoLayers.Error(),
		"ftp://example.com": "the server names \"ftp://example.com\" as its registry, which is no address",
	} {
		s.proxy = proxy
		_, _, err := client(t, s).Remote(t.Context(), "a/b")
		if got := fmt.Sprint(err); got != want && (want != "" || err != nil) {
			t.Errorf("with proxyEndpoint %q: %v, want %q", proxy, err, want)
		}
	}
	s.proxy = strings.Replace(s.URL, "http:", "https:", 1)
	c := client(t, s)
	_, err := c.Blob(t.Context(), "a/b", oci.FromBytes([]byte("x")), 10)
	if err == nil || s.wrong != 0 {
		t.Errorf("a registry that says https was read by http: %v, %d requests with a token", err, s.wrong)
	}
}

// TestBlob: what comes is what was asked for, and not more than was wanted.
func TestBlob(t *testing.T) {
	s := newServer(t)
	c := client(t, s)
	if _, err := c.Blob(t.Context(), "a/b", oci.FromBytes([]byte("x")), 10); err == nil {
		t.Error("a blob that is not there was read")
	}
	repo, options, err := c.Remote(t.Context(), "a/b")
	if err != nil {
		t.Fatal(err)
	}
	image, err := random.Image(1000, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(repo.Tag("one"), image, options...); err != nil {
		t.Fatal(err)
	}
	d, err := image.ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if text, err := c.Blob(t.Context(), "a/b", oci.Digest(d.String()), 10); err == nil {
		t.Errorf("%d bytes were read where 10 were wanted", len(text))
	}
}

// TestTokensAreNotPrinted: whatever prints one shows no secret.
func TestTokensAreNotPrinted(t *testing.T) {
	s := newServer(t)
	c := client(t, s)
	token, err := platform.Authorize(t.Context(), c.ECR)
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("got", "token", token)
	for _, printed := range []string{fmt.Sprint(token), fmt.Sprintf("%v %+v %#v %s", token, token, token, &token), log.String(), fmt.Sprint(errors.Join(fmt.Errorf("with %v", token)))} {
		if strings.Contains(printed, token.Secret) {
			t.Errorf("%q shows the secret", printed)
		}
	}
}
