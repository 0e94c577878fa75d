package guard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

func TestAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]struct{ metadata, private bool }{ // whether each refuses
		"169.254.169.254":        {true, true},
		"::ffff:169.254.169.254": {true, true},
		"fe80::1%eth0":           {true, true},
		"fd00:ec2::254":          {true, true},
		"168.63.129.16":          {true, true},
		"100.100.100.200":        {true, true},

		"127.0.0.1":              {false, true},
		"127.8.8.8":              {false, true},
		"::1":                    {false, true},
		"::ffff:127.0.0.1":       {false, true},
		"::127.0.0.1":            {false, true},
		"0.0.0.0":                {false, true},
		"0.1.2.3":                {false, true},
		"::":                     {false, true},
		"10.0.0.1":               {false, true},
		"172.16.0.1":             {false, true},
		"172.31.255.255":         {false, true},
		"192.168.1.1":            {false, true},
		"100.64.0.1":             {false, true},
		"192.0.0.1":              {false, true},
		"198.18.0.1":             {false, true},
		"224.0.0.1":              {false, true},
		"240.0.0.1":              {false, true},
		"255.255.255.255":        {false, true},
		"fd12:3456::1":           {false, true},
		"fec0::1":                {false, true},
		"ff02::1":                {false, true},
		"64:ff9b::7f00:1":        {false, true},
		"64:ff9b::a9fe:a9fe":     {false, true},
		"2002:7f00:1::1":         {false, true},
		"2001:0:1234::1":         {false, true},
		"2001:db8::1":            {false, true},
		"::ffff:10.0.0.1":        {false, true},
		"140.82.112.3":           {false, false},
		"172.32.0.1":             {false, false},
		"2606:50c0:8000::153":    {false, false},
		"2a04:4e42:600::644":     {false, false},
		"::ffff:140.82.112.3":    {false, false},
		"100.128.0.1":            {false, false},
		"169.253.0.1":            {false, false},
		"2600:1f18::1":           {false, false},
		"192.0.1.1":              {false, false},
		"2001:4860:4860::8888":   {false, false},
		"2620:0:ccc::2":          {false, false},
		"2400:cb00:2048:1::6814": {false, false},
	} {
		ip := netip.MustParseAddr(address)
		if got := guard.Metadata(ip) != nil; got != want.metadata {
			t.Errorf("Metadata(%s) refuses: %v", address, got)
		}
		if got := guard.Private(ip) != nil; got != want.private {
			t.Errorf("Private(%s) refuses: %v", address, got)
		}
	}
}

// TestNamesAreLookedAtWhereTheyLead asks for a name that resolves to this machine: its text says nothing of that.
func TestNamesAreLookedAtWhereTheyLead(t *testing.T) {
	t.Parallel()
	asked := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked = true
		_, _ = io.WriteString(w, "inside")
	}))
	defer server.Close()
	url := strings.Replace(server.URL, "127.0.0.1", "localhost", 1)

	if _, err := get(t.Context(), guard.Transport(guard.Private, nil), url); err == nil || !strings.Contains(err.Error(), "not a public address") || asked {
		t.Errorf("asking %s: %v, and it was asked: %v", url, err, asked)
	}
	if body, err := get(t.Context(), guard.Transport(guard.Metadata, nil), url); err != nil || body != "inside" {
		t.Errorf("asking %s where private addresses are allowed: %q, %v", url, body, err)
	}
	if _, err := get(t.Context(), guard.Transport(guard.Metadata, nil), "http://169.254.169.254/latest/meta-data"); err == nil ||
		!strings.Contains(err.Error(), "credentials") {
		t.Errorf("asking for a machine's credentials: %v", err)
	}
}

func get(ctx context.Context, transport http.RoundTripper, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}
