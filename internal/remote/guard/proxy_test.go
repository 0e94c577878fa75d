package guard_test

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"testing"

	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

// TestProxies has a proxy on this machine, as many are: it may be used for what is outside, and for no address inside.
func TestProxies(t *testing.T) {
	t.Parallel()
	var asked []string
	proxy := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked = append(asked, r.URL.Host) }))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	rt := guard.Through(http.ProxyURL(at), guard.Private)
	for target, want := range map[string]bool{
		"http://issuer.example": true, "http://10.0.0.1": false, "http://169.254.169.254": false, "http://[::1]:8080": false,
	} {
		asked = nil
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		req.RequestURI = ""
		res, err := rt.RoundTrip(req)
		if err == nil {
			_ = res.Body.Close()
		}
		if (err == nil) != want || (len(asked) == 1) != want {
			t.Errorf("%s through a proxy: %v; the proxy was asked for %q", target, err, asked)
		}
	}
	if err := guard.Refusal(guard.Private).Control("tcp", "no address", nil); err == nil {
		t.Error("what is no address was allowed")
	}
	if err := guard.Refusal(func(netip.Addr) error { return nil }).Control("tcp", "127.0.0.1:80", nil); err != nil {
		t.Error(err)
	}
}

func TestProxyIsNoWayRound(t *testing.T) {
	t.Parallel()
	through, err := url.Parse("http://10.0.0.1:3128")
	if err != nil {
		t.Fatal(err)
	}
	find := guard.Refusal(guard.Metadata).Proxy(func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "direct.example" {
			return nil, nil
		}
		return through, nil
	})
	for _, test := range []struct {
		host    string
		proxied bool
		refused bool
	}{
		{"registry.example", true, false},
		{"10.1.2.3:5000", true, false},
		{"direct.example", false, false},
		{"169.254.169.254", true, true},
		{"[fe80::1]", true, true},
		{"[::ffff:169.254.169.254]:80", true, true},
	} {
		r := &http.Request{URL: &url.URL{Scheme: "http", Host: test.host, Path: "/v2/"}}
		proxy, err := find(r)
		if (err != nil) != test.refused || (proxy != nil) != test.proxied {
			t.Errorf("http://%s: proxy %v, error %v; want it refused: %v", test.host, proxy, err, test.refused)
		}
	}
}
