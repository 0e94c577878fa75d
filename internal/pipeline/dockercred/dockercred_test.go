package dockercred_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/dockercred"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// registry answers GetAuthorizationToken, each time with another password.
type registry struct {
	*httptest.Server
	host  string       // host:port
	proxy string       // what it calls itself
	life  atomic.Int64 // of tokens, nanoseconds
	calls atomic.Int64
	last  atomic.Pointer[http.Header]
}

func newRegistry(t *testing.T) *registry {
	t.Helper()
	r := &registry{}
	r.life.Store(int64(12 * time.Hour))
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		n := r.calls.Add(1)
		header := req.Header.Clone()
		r.last.Store(&header)
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		_ = json.NewEncoder(w).Encode(map[string]any{"authorizationData": []any{map[string]any{
			"authorizationToken": base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "AWS:password-%d", n)),
			"expiresAt":          start.Add(time.Duration(r.life.Load())).Unix(),
			"proxyEndpoint":      r.proxy,
		}}})
	}))
	t.Cleanup(r.Close)
	r.host = strings.TrimPrefix(r.URL, "http://")
	r.proxy = r.URL
	return r
}

// alone gives the test an AWS configuration of its own, with a key in it.
func alone(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_ECR": "", "AWS_PROFILE": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "",
		"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": filepath.Join(t.TempDir(), "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(t.TempDir(), "none"),
		"AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	for _, name := range []string{"AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_ECR"} { // the SDK asks whether they are there
		if err := os.Unsetenv(name); err != nil {
			t.Fatal(err)
		}
	}
}

func config(t *testing.T) dockercred.Config {
	t.Helper()
	dir := t.TempDir()
	return dockercred.Config{
		Cache: filepath.Join(dir, "cache", "tokens.json"), DockerConfig: filepath.Join(dir, "config.json"),
		Now:  func() time.Time { return start },
		Warn: func(err error) { t.Errorf("warned: %v", err) },
	}
}

func dockerNames(t *testing.T, c dockercred.Config, servers ...string) {
	t.Helper()
	if _, err := dockercred.Install(c.DockerConfig, servers); err != nil {
		t.Fatal(err)
	}
}

// TestWhoIsAsked is who hears of the caller, and who gets the token, for each way to set things up.
func TestWhoIsAsked(t *testing.T) {
	for name, tt := range map[string]struct {
		endpoint bool   // AWS_ENDPOINT_URL is the registry's
		proxy    string // what the registry calls itself; empty: its URL
		server   string // what docker asks for; empty: the registry
		named    bool   // docker's configuration names that
		asked    bool   // whether the registry hears of it
		given    bool   // whether docker gets a login
	}{
		"the endpoint itself":                            {endpoint: true, asked: true, given: true},
		"the endpoint, which calls itself otherwise":     {endpoint: true, proxy: "https://registry.example.com", asked: true, given: true},
		"what the endpoint calls itself":                 {endpoint: true, proxy: "https://registry.example.com", server: "registry.example.com", asked: true, given: true},
		"the same with its port":                         {endpoint: true, proxy: "https://registry.example.com", server: "registry.example.com:443", asked: true, given: true},
		"the same as a URL, in capitals":                 {endpoint: true, proxy: "https://registry.example.com", server: "https://Registry.Example.com/v2/", asked: true, given: true},
		"another port of it":                             {endpoint: true, proxy: "https://registry.example.com", server: "registry.example.com:8443", asked: true},
		"a stranger":                                     {endpoint: true, server: "evil.example.com", asked: true},
		"a stranger whom docker names":                   {endpoint: true, server: "evil.example.com", named: true, asked: true},
		"a stranger with the name as a part":             {endpoint: true, proxy: "https://registry.example.com", server: "registry.example.com.evil.org", asked: true},
		"a stranger with the name as user":               {endpoint: true, proxy: "https://registry.example.com", server: "https://registry.example.com@evil.org"},
		"an endpoint that does not say who it is":        {endpoint: true, proxy: "registry.example.com", server: "registry.example.com", asked: true},
		"Amazon's name is the endpoint's business":       {endpoint: true, server: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", asked: true},
		"a Berth under Amazon's name":                    {endpoint: true, proxy: "https://123456789012.dkr.ecr.eu-west-1.amazonaws.com", server: "123456789012.dkr.ecr.eu-west-1.amazonaws.com", asked: true, given: true},
		"without endpoint, a registry that docker names": {named: true, asked: true, given: true},
		"without endpoint, any other":                    {},
		"without endpoint, Docker Hub":                   {server: "https://index.docker.io/v1/"},
		"no name at all":                                 {endpoint: true, server: " "},
	} {
		t.Run(name, func(t *testing.T) {
			alone(t)
			r, c := newRegistry(t), config(t)
			if tt.proxy != "" {
				r.proxy = tt.proxy
			}
			if tt.endpoint {
				t.Setenv("AWS_ENDPOINT_URL", r.URL)
			}
			server := tt.server
			if server == "" {
				server = r.host
			}
			if tt.named {
				dockerNames(t, c, server)
			}
			login, err := dockercred.New(c).Get(t.Context(), server)
			switch {
			case tt.given && (err != nil || login != dockercred.Login{Username: "AWS", Secret: "password-1"}):
				t.Errorf("Get(%q) = %v, %v; want the registry's password", server, login, err)
			case !tt.given && (!errors.Is(err, dockercred.ErrNotFound) || login != dockercred.Login{}):
				t.Errorf("Get(%q) = %v, %v; want ErrNotFound", server, login, err)
			}
			if asked := r.calls.Load() > 0; asked != tt.asked {
				t.Errorf("Get(%q) asked the registry: %t, want %t", server, asked, tt.asked)
			}
			if _, err := os.Stat(c.Cache); (err == nil) != tt.given {
				t.Errorf("Get(%q): the cache's file: %v; want one only for what is given away", server, err)
			}
		})
	}
}

// TestStrangersHearNothing has docker ask for a registry that nobody named, and looks at what reaches it.
func TestStrangersHearNothing(t *testing.T) {
	alone(t)
	t.Setenv("AWS_SESSION_TOKEN", "session")
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan struct{}, 1)
	go func() {
		if conn, err := l.Accept(); err == nil {
			conn.Close()
			heard <- struct{}{}
		}
	}()
	c := config(t)
	dockerNames(t, c, "registry.example.com") // another
	if _, err := dockercred.New(c).Get(t.Context(), l.Addr().String()); !errors.Is(err, dockercred.ErrNotFound) {
		t.Errorf("Get = %v, want ErrNotFound", err)
	}
	select {
	case <-heard:
		t.Error("a stranger was connected to")
	default:
	}
}

func TestServersByVariable(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	c.Servers = []string{"registry.example.com", r.host}
	if login, err := dockercred.New(c).Get(t.Context(), r.host); err != nil || login.Secret != "password-1" {
		t.Errorf("Get of a registry that is named = %v, %v", login, err)
	}
}

// TestEndpointOfECRAlone has two endpoints in the environment: ECR's own counts.
func TestEndpointOfECRAlone(t *testing.T) {
	alone(t)
	r, other, c := newRegistry(t), newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", other.URL)
	t.Setenv("AWS_ENDPOINT_URL_ECR", r.URL)
	if _, err := dockercred.New(c).Get(t.Context(), r.host); err != nil || other.calls.Load() != 0 {
		t.Errorf("Get = %v, with %d calls of the other endpoint, want none", err, other.calls.Load())
	}
}

func TestTokensAreKept(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", r.URL)
	now := start
	c.Now = func() time.Time { return now }
	h := dockercred.New(c)
	want := func(what, secret string) {
		t.Helper()
		if login, err := h.Get(t.Context(), r.host); err != nil || login.Secret != secret {
			t.Errorf("%s: Get = %v, %v; want %s", what, login, err, secret)
		}
	}
	want("first", "password-1")
	want("again", "password-1")
	info, err := os.Stat(c.Cache)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the cache has mode %v, want 0600", info.Mode())
	}
	if dir, err := os.Stat(filepath.Dir(c.Cache)); err != nil || dir.Mode().Perm() != 0o700 {
		t.Errorf("the cache's directory: %v, %v; want mode 0700", dir, err)
	}
	now = start.Add(12*time.Hour - 15*time.Minute - time.Second)
	want("before its end", "password-1")
	now = now.Add(time.Second)
	want("shortly before its end", "password-2")
	now = start
	want("with the new one", "password-2")

	t.Setenv("AWS_SECRET_ACCESS_KEY", "another")
	want("with another secret", "password-3")
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIAI44QH8DHBEXAMPLE")
	want("with another key", "password-4")
	t.Setenv("AWS_SESSION_TOKEN", "session")
	want("with a session", "password-5")
	t.Setenv("AWS_REGION", "eu-west-1")
	want("in another region", "password-6")

	if err := h.Erase("http://" + strings.ToUpper(r.host)); err != nil {
		t.Fatal(err)
	}
	want("after erasing", "password-7")
	if err := os.Chmod(c.Cache, 0o640); err != nil {
		t.Fatal(err)
	}
	want("from a file that others can read", "password-8")
	want("from that file, written anew", "password-8")
	if err := os.WriteFile(c.Cache, []byte(`{"x": nonsense`), 0o600); err != nil {
		t.Fatal(err)
	}
	want("from a broken file", "password-9")
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(c.Cache), ".*")); err != nil || len(left) != 0 {
		t.Errorf("beside the cache are %v (%v), want nothing", left, err)
	}
}

// TestShortTokens are given out for three quarters of their life.
func TestShortTokens(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", r.URL)
	r.life.Store(int64(20 * time.Minute))
	now := start
	c.Now = func() time.Time { return now }
	h := dockercred.New(c)
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{0, "password-1"}, {15*time.Minute - time.Second, "password-1"}, {15 * time.Minute, "password-2"}} {
		now = start.Add(tt.after)
		if login, err := h.Get(t.Context(), r.host); err != nil || login.Secret != tt.want {
			t.Errorf("after %v: Get = %v, %v; want %s", tt.after, login, err, tt.want)
		}
	}
}

func TestNoCache(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", r.URL)
	c.Cache = ""
	h := dockercred.New(c)
	for _, want := range []string{"password-1", "password-2"} {
		if login, err := h.Get(t.Context(), r.host); err != nil || login.Secret != want {
			t.Errorf("Get = %v, %v; want %s", login, err, want)
		}
	}
	// Nor does a cache that cannot be written keep anybody out.
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.Cache = filepath.Join(file, "tokens.json")
	warned := 0
	c.Warn = func(error) { warned++ }
	if _, err := dockercred.New(c).Get(t.Context(), r.host); err != nil || warned != 1 {
		t.Errorf("Get with a cache that cannot be written: %v, %d warnings; want a login and one", err, warned)
	}
}

func TestNoCredentials(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", r.URL)
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	_, err := dockercred.New(c).Get(t.Context(), r.host)
	if !errors.Is(err, dockercred.ErrNotFound) || !errors.Is(err, platform.ErrNoCredentials) || r.calls.Load() != 0 {
		t.Errorf("Get without credentials: %v, %d calls; want ErrNotFound, ErrNoCredentials, and none", err, r.calls.Load())
	}
}

// TestRefused keeps the server's words, and is no reason for docker to go on without a login.
func TestRefused(t *testing.T) {
	alone(t)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"__type":"AccessDeniedException","message":"User: u is not authorized"}`))
	}))
	defer s.Close()
	t.Setenv("AWS_ENDPOINT_URL", s.URL)
	_, err := dockercred.New(config(t)).Get(t.Context(), strings.TrimPrefix(s.URL, "http://"))
	if err == nil || errors.Is(err, dockercred.ErrNotFound) || err.Error() != "asking "+s.URL+" for a token: AccessDeniedException: User: u is not authorized" {
		t.Errorf("Get from a registry that refuses: %v", err)
	}
	if sentence, ok := platform.Denied(err); !ok || sentence != "User: u is not authorized" {
		t.Errorf("Denied(%v) = %q, %t", err, sentence, ok)
	}
}

// TestAtOnce has many helpers keep and forget tokens in one file: each gets a login, and the file stays whole.
func TestAtOnce(t *testing.T) {
	alone(t)
	r, c := newRegistry(t), config(t)
	t.Setenv("AWS_ENDPOINT_URL", r.URL)
	var all sync.WaitGroup
	for n := range 16 {
		all.Go(func() {
			h := dockercred.New(c)
			if login, err := h.Get(t.Context(), r.host); err != nil || !strings.HasPrefix(login.Secret, "password-") {
				t.Errorf("Get = %v, %v", login, err)
			}
			if n%4 == 0 {
				if err := h.Erase(r.host); err != nil {
					t.Errorf("Erase: %v", err)
				}
			}
		})
	}
	all.Wait()
	text, err := os.ReadFile(c.Cache)
	if err != nil || !json.Valid(text) {
		t.Errorf("the file is %q, %v; want JSON", text, err)
	}
}
