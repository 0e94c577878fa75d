// Package stubtest has what tests of targets share whose places are stand-ins: a proxy that kills deployers, moto's server, and options as berth.yaml
// has them.
package stubtest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Options are those of a target as berth.yaml would have them, a line each.
func Options(t testing.TB, kind string, lines ...string) workspace.Options {
	t.Helper()
	text := "repository: prod\napps: [apps/*]\nenvironments:\n- name: staging\n  target:\n    type: " + kind + "\n"
	if len(lines) > 0 {
		text += "    " + strings.Join(lines, "\n    ") + "\n"
	}
	f, err := workspace.Parse(workspace.Name, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f.Environments[0].Target.Options
}

var row = regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\|")

// Documented looks that the section of a kind in docs/operate/targets-cloud.md has a row for each of its options, and for no other.
func Documented(t testing.TB, kind string, options any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "docs", "operate", "targets-cloud.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+kind+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	var rows, keys []string
	for _, m := range row.FindAllStringSubmatch(section, -1) {
		rows = append(rows, m[1])
	}
	for field := range reflect.TypeOf(options).Fields() {
		key, _, _ := strings.Cut(field.Tag.Get("berth"), ",")
		keys = append(keys, key)
	}
	slices.Sort(rows)
	slices.Sort(keys)
	if !slices.Equal(rows, keys) {
		t.Errorf("the section %s has rows for %q, and the options are %q", kind, rows, keys)
	}
}

// Account sets credentials that stand-ins take, and that nothing is asked for twice.
func Account(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1",
		"AWS_MAX_ATTEMPTS": "1", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(name, value)
	}
}

// Soon is a replace.Sleep for places that need no time.
func Soon(ctx context.Context, _ time.Duration) error {
	select {
	case <-time.After(time.Millisecond):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Proxy stands before a place, and gives its address. It calls during, if that is not nil, after each request that changes something and
// before the answer is seen. Once during has given false no request gets through.
func Proxy(t testing.TB, place http.Handler, changes func(r *http.Request) bool, during func() bool) string {
	t.Helper()
	server := httptest.NewServer(deadly(place, changes, during))
	t.Cleanup(server.Close)
	return server.URL
}

// SecureProxy is a Proxy with TLS, and gives the certificate to trust.
func SecureProxy(t testing.TB, place http.Handler, changes func(r *http.Request) bool, during func() bool) (at string, certificate []byte) {
	t.Helper()
	server := httptest.NewTLSServer(deadly(place, changes, during))
	t.Cleanup(server.Close)
	return server.URL, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
}

func deadly(place http.Handler, changes func(r *http.Request) bool, during func() bool) http.Handler {
	var dead atomic.Bool
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if dead.Load() {
			panic(http.ErrAbortHandler)
		}
		// Who goes before all of a request is sent has not asked: it is no error of the place's that there is only half of it.
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		answer := httptest.NewRecorder()
		// What has begun is done, though whoever asked has gone.
		whole := r.WithContext(context.WithoutCancel(r.Context()))
		whole.Body = io.NopCloser(bytes.NewReader(body))
		place.ServeHTTP(answer, whole)
		if during != nil && changes(r) && answer.Code < http.StatusBadRequest && !during() {
			dead.Store(true)
			panic(http.ErrAbortHandler)
		}
		maps.Copy(w.Header(), answer.Header())
		w.WriteHeader(answer.Code)
		_, _ = w.Write(answer.Body.Bytes())
	})
}

// Gone is an address where nobody answers.
func Gone(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	return server.URL
}

// Moto runs moto's server until the test ends. It skips the test where there is none.
func Moto(t testing.TB) (at string, place http.Handler) {
	t.Helper()
	if _, err := exec.LookPath("moto_server"); err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatal("BERTH_TEST_REQUIRE=all, and there is no moto_server in PATH")
		}
		t.Skip("moto_server is not installed: pip install 'moto[server]'")
	}
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), "moto_server", "-H", "127.0.0.1", "-p", "0")
	cmd.Env = append(os.Environ(), "MOTO_ACCOUNT_ID=123456789012", "MOTO_DOCKER_SERVICES=false", `MOTO_LAMBDA_STUB_ECR=TRUE`)
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	found, address := make(chan string, 1), regexp.MustCompile(`http://127\.0\.0\.1:\d+`)
	go func() {
		defer close(found)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if text := address.FindString(lines.Text()); text != "" && len(found) == 0 {
				found <- text
			}
		}
	}()
	select {
	case text, ok := <-found:
		if !ok {
			t.Fatal("moto_server ended before it listened")
		}
		u, err := url.Parse(strings.TrimSpace(text))
		if err != nil {
			t.Fatal(err)
		}
		return text, httputil.NewSingleHostReverseProxy(u)
	case <-time.After(2 * time.Minute):
		t.Fatal("moto_server does not listen after two minutes")
		return "", nil
	}
}
