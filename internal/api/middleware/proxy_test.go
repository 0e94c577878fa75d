package middleware_test

import (
	"bufio"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/middleware"
)

func TestWhatProxiesSayIsBelievedOfThoseTrusted(t *testing.T) {
	t.Parallel()
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for name, test := range map[string]struct {
		remote    string
		forwarded []string
		proto     []string
		address   string
		scheme    string
	}{
		"a client":                        {"198.51.100.7:1000", nil, nil, "198.51.100.7:1000", ""},
		"a client that makes claims":      {"198.51.100.7:1000", []string{"10.1.1.1"}, []string{"https"}, "198.51.100.7:1000", ""},
		"a proxy":                         {"10.0.0.1:1000", []string{"203.0.113.5"}, []string{"https"}, "203.0.113.5:1000", "https"},
		"a proxy without TLS":             {"10.0.0.1:1000", []string{"203.0.113.5"}, []string{"http"}, "203.0.113.5:1000", ""},
		"a proxy that says nothing":       {"10.0.0.1:1000", nil, nil, "10.0.0.1:1000", ""},
		"two proxies":                     {"10.0.0.1:1000", []string{"203.0.113.5, 10.0.0.2"}, nil, "203.0.113.5:0", ""},
		"two headers":                     {"10.0.0.1:1000", []string{"203.0.113.5", "10.0.0.2"}, nil, "203.0.113.5:0", ""},
		"a client's claim before a proxy": {"10.0.0.1:1000", []string{"10.9.9.9, 203.0.113.5"}, nil, "203.0.113.5:1000", ""},
		"a claimed scheme before a proxy": {"10.0.0.1:1000", []string{"203.0.113.5"}, []string{"https, http"}, "203.0.113.5:1000", ""},
		"nonsense":                        {"10.0.0.1:1000", []string{"127.0.0.1, nobody"}, nil, "10.0.0.1:1000", ""},
		"nonsense further off":            {"10.0.0.1:1000", []string{"nobody, 10.0.0.2"}, nil, "10.0.0.2:1000", ""},
		"with a port":                     {"10.0.0.1:1000", []string{"203.0.113.5:99"}, nil, "203.0.113.5:1000", ""},
		"IPv6":                            {"[fd00::1]:1000", []string{"[2001:db8::5]:99"}, nil, "[2001:db8::5]:1000", ""},
		"IPv4 in IPv6":                    {"[::ffff:10.0.0.1]:1000", []string{"::ffff:203.0.113.5"}, nil, "203.0.113.5:1000", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var address, scheme string
			h := middleware.New(middleware.Config{
				Next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
					address, scheme = r.RemoteAddr, r.URL.Scheme
				}),
				Logger: slog.New(slog.DiscardHandler), Now: time.Now, Proxies: proxies,
			})
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", http.NoBody)
			r.RemoteAddr = test.remote
			r.Header["X-Forwarded-For"], r.Header["X-Forwarded-Proto"] = test.forwarded, test.proto
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if address != test.address || scheme != test.scheme {
				t.Errorf("from %s, for %q, proto %q: the face sees %s %q, want %s %q",
					test.remote, test.forwarded, test.proto, address, scheme, test.address, test.scheme)
			}
			if hsts := w.Header().Get("Strict-Transport-Security"); (hsts != "") != (test.scheme == "https") {
				t.Errorf("Strict-Transport-Security is %q where the scheme is %q", hsts, test.scheme)
			}
		})
	}
}

// TestAClientCannotClaimTLS asks for a whole URL, as one asks a proxy: its scheme is the client's word.
func TestAClientCannotClaimTLS(t *testing.T) {
	t.Parallel()
	h := middleware.New(middleware.Config{
		Next: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if r.URL.Scheme != "" {
				t.Errorf("the face sees the scheme %q, which the client made up", r.URL.Scheme)
			}
		}),
		Logger: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	r, err := http.ReadRequest(bufio.NewReader(strings.NewReader("POST https://registry.example.com/ HTTP/1.1\r\nHost: registry.example.com\r\n\r\n")))
	if err != nil || r.URL.Scheme != "https" {
		t.Fatalf("reading the request: %v, %v", r, err)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if _, err := io.ReadAll(w.Body); err != nil || w.Header().Get("Strict-Transport-Security") != "" {
		t.Errorf("answer %v, %v", w.Header(), err)
	}
}
