package ops_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/ops"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

var metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("figures")) })

// TestMetricsAreForThoseWhoMay goes through all that can become of a scrape.
func TestMetricsAreForThoseWhoMay(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		caller, may error
		status      int
		text        string
	}{
		{nil, nil, 200, "figures"},
		{fault.New(fault.CredentialsMissing, "none"), nil, 401, "berth:ReadMetrics"},
		{fault.New(fault.TokenInvalid, "bad"), nil, 401, "berth:ReadMetrics"},
		{fault.New(fault.TooManyFailures, "too many"), nil, 429, "too many"},
		{nil, fault.New(fault.AccessDenied, "you may not"), 403, "you may not"},
		{nil, fault.New(fault.Unavailable, "the database is away"), 503, "cannot be found out"},
		{errors.New("secret words"), nil, 503, "cannot be found out"},
	} {
		h := ops.New(ops.Config{
			Logger: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: metrics,
			Caller: func(*http.Request) (identity.Caller, error) { return identity.Caller{ARN: "arn:a"}, test.caller },
			May: func(_ context.Context, c identity.Caller, action policy.Action, repository string) error {
				if c.ARN != "arn:a" || action != "berth:ReadMetrics" || repository != "" {
					t.Errorf("asked whether %v may do %s on %q", c, action, repository)
				}
				return test.may
			},
		})
		status, text := get(t, h, http.MethodGet, "/metrics")
		if status != test.status || !strings.Contains(text, test.text) || status != 200 && strings.Contains(text, "figures") || strings.Contains(text, "secret") {
			t.Errorf("caller %v, may %v: %d %q, want %d %q", test.caller, test.may, status, text, test.status, test.text)
		}
		for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
			if status, _ := get(t, h, http.MethodGet, path); status != http.StatusNotFound {
				t.Errorf("%s answers %d", path, status)
			}
		}
	}
}

func TestProfilesAreForThisMachine(t *testing.T) {
	t.Parallel()
	h := ops.NewListener(ops.Config{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: metrics})
	for from, want := range map[string]int{
		"127.0.0.1:4": 200, "[::1]:4": 200, "[::ffff:127.0.0.1]:4": 200, "10.0.0.1:4": 403, "[2001:db8::1]:4": 403, "": 403, "localhost:4": 403, "127.0.0.1": 403,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/cmdline", http.NoBody)
		r.RemoteAddr, r.Host = from, "localhost:5081"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("a profile for %q: %d, want %d", from, w.Code, want)
		}
		r.URL.Path = "/metrics"
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			t.Errorf("metrics for %q: %d", from, w.Code)
		}
	}
}

// TestProfilesAreNotHandedOn asks as a proxy on this machine does, and as a page in a browser does whose name leads here.
func TestProfilesAreNotHandedOn(t *testing.T) {
	t.Parallel()
	h := ops.NewListener(ops.Config{Logger: slog.New(slog.DiscardHandler), Now: time.Now, Metrics: http.NotFoundHandler()})
	for host, want := range map[string]int{
		"localhost": 200, "localhost:1": 200, "127.0.0.1:1": 200, "127.0.0.1": 200, "[::1]:1": 200, "[::1]": 200,
		"": 403, "evil.example:5081": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:1": 403, "10.0.0.1:1": 403,
	} {
		for header, want := range map[string]int{"": want, "X-Forwarded-For": 403, "Forwarded": 403, "Via": 403, "X-Real-IP": 403} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/debug/pprof/cmdline", http.NoBody)
			r.RemoteAddr, r.Host = "127.0.0.1:4", host
			if header != "" {
				r.Header.Set(header, "127.0.0.1")
			}
			w := httptest.NewRecorder()
			if h.ServeHTTP(w, r); w.Code != want {
				t.Errorf("a profile at %q with %q: %d, want %d", host, header, w.Code, want)
			}
		}
	}
}
