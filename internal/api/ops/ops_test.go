package ops_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/ops"
)

func get(t *testing.T, h http.Handler, method, path string) (status int, body string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), method, path, http.NoBody))
	return w.Code, w.Body.String()
}

func TestReadiness(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		var database, blobs error
		asked := 0
		h := ops.New(ops.Config{
			Checks: []ops.Check{
				{Name: "database", Do: func(context.Context) error { asked++; return database }},
				{Name: "blob store", Do: func(context.Context) error { return blobs }},
			},
			Logger: slog.New(slog.NewTextHandler(&log, nil)), Now: time.Now,
		})
		expect := func(status int, body string) {
			t.Helper()
			time.Sleep(2 * time.Second) //nolint:forbidigo // of the bubble's clock: past what is remembered
			if s, b := get(t, h, http.MethodGet, "/readyz"); s != status || b != body {
				t.Errorf("/readyz answers %d %q, want %d %q", s, b, status, body)
			}
			if s, b := get(t, h, http.MethodGet, "/healthz"); s != http.StatusOK || b != "alive\n" {
				t.Errorf("/healthz answers %d %q, want 200", s, b)
			}
		}
		expect(http.StatusOK, "ready\n")
		blobs = errors.New("dial tcp 10.0.0.7: refused")
		expect(http.StatusServiceUnavailable, "not ready: no answer from the blob store\n")
		database = errors.New("password authentication failed")
		expect(http.StatusServiceUnavailable, "not ready: no answer from the database and the blob store\n")
		if !strings.Contains(log.String(), `part="blob store" error="dial tcp 10.0.0.7: refused"`) {
			t.Errorf("the log does not say what failed: %s", &log)
		}
		database, blobs = nil, nil
		expect(http.StatusOK, "ready\n")

		asked = 0
		for range 100 {
			get(t, h, http.MethodGet, "/readyz")
		}
		if asked != 0 {
			t.Errorf("100 questions within a second asked the database %d times, want the answer remembered", asked)
		}
	})
}

// TestStuckDependency sees that one that never answers counts as not answering.
func TestStuckDependency(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := ops.New(ops.Config{
			Checks: []ops.Check{{Name: "database", Do: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}},
			Logger: slog.New(slog.DiscardHandler), Now: time.Now,
		})
		began := time.Now()
		if status, body := get(t, h, http.MethodGet, "/readyz"); status != http.StatusServiceUnavailable {
			t.Errorf("/readyz answers %d %q, want 503", status, body)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("/readyz took %v", took)
		}
	})
}

func TestMethods(t *testing.T) {
	t.Parallel()
	h := ops.New(ops.Config{Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	for method, want := range map[string]int{http.MethodGet: 200, http.MethodHead: 200, http.MethodPost: 405} {
		for _, path := range []string{"/healthz", "/readyz"} {
			if status, _ := get(t, h, method, path); status != want {
				t.Errorf("%s %s answers %d, want %d", method, path, status, want)
			}
		}
	}
}
