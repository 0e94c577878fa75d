package deploy_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func once(h workspace.Health) workspace.Health {
	h.Successes, h.Interval, h.Timeout = 1, workspace.Timeout(time.Hour), workspace.Timeout(time.Minute)
	return h
}

// soon fails by itself after one look.
func soon(h workspace.Health) workspace.Health {
	h = once(h)
	h.Timeout = workspace.Timeout(300 * time.Millisecond)
	return h
}

func endpoint(t *testing.T, s *httptest.Server) deploy.Endpoint {
	t.Helper()
	host, text, err := net.SplitHostPort(s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return deploy.Endpoint{Host: host, Port: port, Container: "web-1"}
}

func TestHealthHTTP(t *testing.T) {
	t.Parallel()
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
	t.Cleanup(strange.Close)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/good":
			w.WriteHeader(http.StatusNoContent)
		case "/bad":
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = w.Write([]byte("no \x1b[31mdatabase\n" + strings.Repeat("x", 1<<20)))
		case "/here":
			http.Redirect(w, r, "/good", http.StatusFound)
		case "/there":
			http.Redirect(w, r, strange.URL, http.StatusFound)
		case "/round":
			http.Redirect(w, r, "/round", http.StatusFound)
		}
	}))
	t.Cleanup(s.Close)
	at := endpoint(t, s)
	for _, tt := range []struct {
		path   workspace.HealthURL
		status workspace.Status
		err    string
	}{
		{"/good", 0, ""},
		{"/good", 204, ""},
		{"/good", 200, "answers 204 No Content"},
		{"/bad", 503, ""},
		{"/bad", 0, "answers 503 Service Unavailable: \"no "},
		{"/here", 0, ""},
		{"/here", 302, ""},
		{"/there", 0, "answers 302 Found, and sends to " + strange.URL},
		{"/round", 0, "answers 302 Found, and sends to /round"},
		{"http://127.0.0.1:1/", 0, "connection refused"},
	} {
		h := once(workspace.Health{HTTP: tt.path, Status: tt.status})
		if tt.err != "" {
			h = soon(h)
		}
		err := deploy.Healthy(h, deploy.Image{}, nil)(t.Context(), at)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s wanting %d gives %v, want %q", tt.path, tt.status, err, tt.err)
		}
		if err != nil && (strings.Contains(err.Error(), "\x1b") || len(err.Error()) > 500) {
			t.Errorf("%s shows what a stranger wrote: %q", tt.path, err)
		}
	}
	if err := deploy.Healthy(once(workspace.Health{HTTP: "/good"}), deploy.Image{}, nil)(t.Context(), deploy.Endpoint{}); err == nil || !strings.Contains(err.Error(), "does not say at which host") {
		t.Errorf("a target that cannot be reached gives %v", err)
	}
	if err := deploy.Healthy(workspace.Health{}, deploy.Image{}, nil)(t.Context(), deploy.Endpoint{}); err != nil {
		t.Errorf("nothing to look at gives %v", err)
	}
}

func TestHealthCommand(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	out := filepath.Join(t.TempDir(), "out")
	image := deploy.Image{App: "web", Environment: "prod", Digest: "sha256:abc"}
	environ := append(os.Environ(), "AWS_SECRET_ACCESS_KEY=hunter2", "BERTH_SECRET=hunter2", "OUT="+out, "WANTED=yes")
	h := once(workspace.Health{Command: workspace.Command{Shell: `env >"$OUT"`}})
	if err := deploy.Healthy(h, image, environ)(t.Context(), deploy.Endpoint{Host: "10.0.0.1", Port: 80, Container: "web-1"}); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"BERTH_HOST=10.0.0.1", "BERTH_PORT=80", "BERTH_CONTAINER=web-1", "BERTH_APP=web", "BERTH_ENVIRONMENT=prod", "BERTH_DIGEST=sha256:abc", "WANTED=yes"} {
		if !strings.Contains(string(text), want+"\n") {
			t.Errorf("the program is not told %s", want)
		}
	}
	if strings.Contains(string(text), "hunter2") {
		t.Error("the program is told a secret")
	}
	h = soon(workspace.Health{Command: workspace.Command{Args: []string{"sh", "-c", "echo no database >&2; exit 3"}}})
	if err := deploy.Healthy(h, image, environ)(t.Context(), deploy.Endpoint{}); err == nil || !strings.Contains(err.Error(), "exit status 3: no database") {
		t.Errorf("a program that fails gives %v", err)
	}
}

// TestHealthCommandEnds: what the program started ends with it.
func TestHealthCommandEnds(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no sh")
	}
	h := soon(workspace.Health{Command: workspace.Command{Shell: "sleep 600 & sleep 600"}})
	began := time.Now()
	err := deploy.Healthy(h, deploy.Image{}, os.Environ())(t.Context(), deploy.Endpoint{})
	if err == nil || time.Since(began) > 8*time.Second {
		t.Errorf("it took %s, and gives %v", time.Since(began), err)
	}
}
