package oidc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // thumbprints are SHA-1
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

// keySet is the key "rsa", as an issuer publishes it.
func keySet() string {
	return string(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "rsa"}}})))
}

func discovery(issuer, keys string) string {
	return fmt.Sprintf(`{"issuer":%q,"jwks_uri":%q}`, issuer, keys)
}

// TestProvidersThatMisbehave has a provider answer what it should not. Its own good token is refused then.
func TestProvidersThatMisbehave(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/not") {
			t.Errorf("%s was asked", r.URL)
		}
		_, _ = io.WriteString(w, keySet())
	}))
	t.Cleanup(elsewhere.Close)
	large := strings.Repeat(" ", 1<<20)
	many := `{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"oct"},`, oidc.MaxKeys+1), ",") + `]}`
	for name, tt := range map[string]struct {
		discovery func(url string) string // nil: a good one
		keys      string                  // empty: good ones
		redirect  string                  // where discovery redirects to
		words     string                  // empty: it is taken
	}{
		"good":                      {},
		"keys on another host":      {discovery: func(url string) string { return discovery(url, elsewhere.URL+"/keys") }},
		"another issuer":            {discovery: func(url string) string { return discovery(url+"/", url+"/keys") }, words: "is of another issuer"},
		"no issuer":                 {discovery: func(url string) string { return `{"jwks_uri":"` + url + `/keys"}` }, words: "is of another issuer"},
		"no keys":                   {discovery: func(url string) string { return discovery(url, "") }, words: "jwks_uri"},
		"keys in a file":            {discovery: func(url string) string { return discovery(url, "file:///etc/passwd") }, words: "jwks_uri"},
		"keys of a user":            {discovery: func(url string) string { return discovery(url, strings.Replace(url, "://", "://a:b@", 1)) }, words: "jwks_uri"},
		"keys over http":            {discovery: func(url string) string { return discovery(url, "http://10.0.0.1/not") }, words: "jwks_uri"},
		"credentials of a machine":  {discovery: func(url string) string { return discovery(url, "https://169.254.169.254/latest") }, words: "could not be fetched from its jwks_uri"},
		"no JSON":                   {discovery: func(string) string { return "<html>" }, words: "is not one"},
		"deep JSON":                 {discovery: func(string) string { return strings.Repeat("[", 1<<19) }, words: "is not one"},
		"large discovery":           {discovery: func(url string) string { return discovery(url, url+"/keys") + large }, words: "could not be fetched"},
		"redirected elsewhere":      {redirect: elsewhere.URL + "/not", words: "could not be fetched"},
		"redirected to the machine": {redirect: "http://169.254.169.254/latest", words: "could not be fetched"},
		"redirected without end":    {redirect: "/.well-known/openid-configuration", words: "could not be fetched"},
		"redirected on the host":    {redirect: "/moved"},
		"large keys":                {keys: keySet() + large, words: "could not be fetched"},
		"keys that are none":        {keys: `{"keys":"none"}`, words: "not a JSON Web Key Set"},
		"deep keys":                 {keys: strings.Repeat(`{"keys":[`, 100_000), words: "not a JSON Web Key Set"},
		"deep in a key":             {keys: `{"keys":[{"kty":"RSA","x":` + strings.Repeat("[", 400_000) + strings.Repeat("]", 400_000) + `}]}`, words: "not a JSON Web Key Set"},
		"too many keys":             {keys: many, words: "more than 100 keys"},
		"no key that is good":       {keys: `{"keys":[{"kty":"oct","k":"AA","kid":"rsa"},{},{"kty":"RSA","n":"AA","e":"AQAB"}]}`, words: "no key for RS256 or ES256"},
		"odd keys beside it":        {keys: `{"keys":[{"kty":"OKP","crv":"Ed448","x":"AA"},{"kty":1},7,` + strings.TrimPrefix(keySet(), `{"keys":[`)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := newIssuer(t)
			i.answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case strings.HasPrefix(r.URL.Path, "/.well-known") && tt.redirect != "":
					http.Redirect(w, r, tt.redirect, http.StatusFound)
				case r.URL.Path == "/keys" && tt.keys != "":
					_, _ = io.WriteString(w, tt.keys)
				case r.URL.Path == "/keys":
					_, _ = io.WriteString(w, keySet())
				case tt.discovery != nil:
					_, _ = io.WriteString(w, tt.discovery(i.url))
				default:
					_, _ = io.WriteString(w, discovery(i.url, i.url+"/keys"))
				}
			}))
			token := i.token(nil)
			_, err := newVerifier(t, newClock(), nil).Verify(t.Context(), i.trusted(), token)
			if tt.words == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantFault(t, err, fault.IdentityProviderUnavailable, tt.words, token)
		})
	}
}

// TestPrivateAddresses has issuers, and what they name, lead into the network.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	inside := a.serve(t, "127.0.0.2:0", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/not") {
			t.Errorf("%s was asked", r.URL)
		}
		_, _ = io.WriteString(w, keySet())
	})
	var url, keys string
	url = a.serve(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/keys":
			_, _ = io.WriteString(w, keySet())
		case "/moved/.well-known/openid-configuration":
			http.Redirect(w, r, inside+"/not", http.StatusFound)
		default:
			_, _ = io.WriteString(w, discovery(url+strings.TrimSuffix(r.URL.Path, "/.well-known/openid-configuration"), keys))
		}
	})
	// 127.0.0.1 stands for the internet.
	public := guard.Refusal(func(ip netip.Addr) error {
		if ip == netip.MustParseAddr("127.0.0.1") {
			return nil
		}
		return guard.Private(ip)
	})
	named := strings.Replace(url, "127.0.0.1", "localhost", 1)
	for name, tt := range map[string]struct {
		issuer, keys string
		private      func(string) bool
		refusal      guard.Refusal
		words        string // empty: it is taken
	}{
		"a public issuer":              {issuer: url, keys: url + "/keys", refusal: public},
		"a private issuer":             {issuer: url, keys: url + "/keys", refusal: guard.Private, words: "the discovery document " + url},
		"by a name":                    {issuer: named, keys: named + "/keys", refusal: guard.Private, words: "the discovery document " + named},
		"private keys":                 {issuer: url, keys: inside + "/not", refusal: public, words: "from its jwks_uri"},
		"private keys, plainly":        {issuer: url, keys: "http://127.0.0.2/not", refusal: public, words: "jwks_uri of"},
		"a redirect into it":           {issuer: url + "/moved", keys: url + "/keys", refusal: public, words: "could not be fetched"},
		"allowed":                      {issuer: url, keys: inside + "/keys", refusal: guard.Private, private: func(issuer string) bool { return issuer == url }},
		"another is allowed":           {issuer: url, keys: url + "/keys", refusal: guard.Private, private: func(issuer string) bool { return issuer != url }, words: "could not be fetched"},
		"plain http":                   {issuer: "http://127.0.0.1:1", refusal: public, words: "must be an https URL"},
		"plain http, not this machine": {issuer: "http://10.0.0.1", private: func(string) bool { return true }, words: "must be an https URL"},
		"a query":                      {issuer: url + "?a=b", refusal: public, words: "must be an https URL"},
		"a user":                       {issuer: "https://a:b@127.0.0.1", refusal: public, words: "must be an https URL"},
		"no URL":                       {issuer: "accounts.example.com", refusal: public, words: "must be an https URL"},
		"a file":                       {issuer: "file:///etc", private: func(string) bool { return true }, words: "must be an https URL"},
	} {
		keys = tt.keys
		i := &issuer{url: tt.issuer}
		v := newVerifier(t, &clock{at: time.Now()}, func(c *oidc.Config) { c.AllowPrivate, c.Roots = tt.private, a.pool() })
		if tt.refusal != nil {
			v.Refuse(tt.refusal)
		}
		token := i.token(map[string]any{"iat": nil, "exp": time.Now().Add(time.Hour).Unix()})
		_, err := v.Verify(t.Context(), i.trusted(), token)
		t.Log(name)
		if tt.words != "" {
			wantFault(t, err, fault.IdentityProviderUnavailable, tt.words, token)
		} else if err != nil {
			t.Error(err)
		}
	}
}

// authority signs certificates of servers.
type authority struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: ecKey()}
	a.certificate = a.sign(&x509.Certificate{
		Subject: pkix.Name{CommonName: rand.Text()}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *authority) sign(template *x509.Certificate) *x509.Certificate {
	template.SerialNumber = new(big.Int).SetBytes([]byte(rand.Text()))
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	return must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, template, parent, a.key.Public(), a.key))))
}

func (a *authority) pool() *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AddCert(a.certificate)
	return roots
}

// serve starts a server that presents a certificate of the authority, and the authority's own.
func (a *authority) serve(t *testing.T, address string, handler http.HandlerFunc) string {
	t.Helper()
	leaf := a.sign(&x509.Certificate{
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv4(127, 0, 0, 2)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature,
	})
	return a.present(t, address, handler, leaf, a.certificate)
}

func (a *authority) present(t *testing.T, address string, handler http.HandlerFunc, chain ...*x509.Certificate) string {
	t.Helper()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, 0) // of clients who do not trust it
	_ = server.Listener.Close()
	server.Listener = must((&net.ListenConfig{}).Listen(t.Context(), "tcp", address))
	presented := tls.Certificate{PrivateKey: a.key}
	for _, c := range chain {
		presented.Certificate = append(presented.Certificate, c.Raw)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{presented}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func sha1Of(c *x509.Certificate) string {
	sum := sha1.Sum(c.Raw) //nolint:gosec // see the import
	return hex.EncodeToString(sum[:])
}

func TestThumbprints(t *testing.T) {
	t.Parallel()
	a, other := newAuthority(t), newAuthority(t)
	usage := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	here := []net.IP{net.IPv4(127, 0, 0, 1)}
	leaf := a.sign(&x509.Certificate{IPAddresses: here, ExtKeyUsage: usage})
	elsewhere := a.sign(&x509.Certificate{DNSNames: []string{"elsewhere.example"}, ExtKeyUsage: usage})
	unsigned := must(x509.ParseCertificate(must(x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), IPAddresses: here, ExtKeyUsage: usage, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}, &x509.Certificate{Subject: pkix.Name{CommonName: "nobody"}}, a.key.Public(), rsaKey()))))
	old := a.sign(&x509.Certificate{IPAddresses: here, ExtKeyUsage: usage})

	for name, tt := range map[string]struct {
		chain       []*x509.Certificate
		roots       *x509.CertPool
		thumbprints []string
		at          time.Duration // from now
		good        bool
	}{
		"an authority the system knows":            {chain: []*x509.Certificate{leaf, a.certificate}, roots: a.pool(), good: true},
		"it, and another's thumbprint":             {chain: []*x509.Certificate{leaf, a.certificate}, roots: a.pool(), thumbprints: []string{sha1Of(other.certificate)}, good: true},
		"one it does not know":                     {chain: []*x509.Certificate{leaf, a.certificate}},
		"its thumbprint":                           {chain: []*x509.Certificate{leaf, a.certificate}, thumbprints: []string{sha1Of(a.certificate)}, good: true},
		"in capitals, among others":                {chain: []*x509.Certificate{leaf, a.certificate}, thumbprints: []string{"x", strings.ToUpper(sha1Of(a.certificate))}, good: true},
		"another's thumbprint":                     {chain: []*x509.Certificate{leaf, a.certificate}, thumbprints: []string{sha1Of(other.certificate)}},
		"the server's own":                         {chain: []*x509.Certificate{leaf}, thumbprints: []string{sha1Of(leaf)}, good: true},
		"of one that is only presented":            {chain: []*x509.Certificate{unsigned, a.certificate}, thumbprints: []string{sha1Of(a.certificate)}},
		"of a server that is no authority":         {chain: []*x509.Certificate{unsigned, leaf, a.certificate}, thumbprints: []string{sha1Of(leaf)}},
		"for another name":                         {chain: []*x509.Certificate{elsewhere, a.certificate}, thumbprints: []string{sha1Of(a.certificate)}},
		"for another name, known":                  {chain: []*x509.Certificate{elsewhere, a.certificate}, roots: a.pool()},
		"past its end":                             {chain: []*x509.Certificate{old, a.certificate}, thumbprints: []string{sha1Of(a.certificate)}, at: 2 * time.Hour},
		"past its end, known":                      {chain: []*x509.Certificate{old, a.certificate}, roots: a.pool(), at: 2 * time.Hour},
		"a chain that is longer than any there is": {chain: append(repeat(leaf, 11), a.certificate), roots: a.pool()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			i := &issuer{}
			i.url = a.present(t, "127.0.0.1:0", func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/keys" {
					_, _ = io.WriteString(w, keySet())
					return
				}
				_, _ = io.WriteString(w, discovery(i.url, i.url+"/keys"))
			}, tt.chain...)
			roots := tt.roots
			if roots == nil {
				roots = x509.NewCertPool()
			}
			now := time.Now().Add(tt.at)
			v := newVerifier(t, &clock{at: now}, func(c *oidc.Config) { c.Roots = roots })
			p := i.trusted()
			p.Thumbprints = tt.thumbprints
			token := i.token(map[string]any{"iat": nil, "exp": now.Add(time.Hour).Unix()})
			_, err := v.Verify(t.Context(), p, token)
			if tt.good && err != nil {
				t.Error(err)
			}
			if !tt.good {
				wantFault(t, err, fault.IdentityProviderUnavailable, "could not be fetched", token)
			}
			if !tt.good || tt.roots != nil {
				return
			}
			// Keys that came on a thumbprint's word are not there without it.
			_, err = v.Verify(t.Context(), i.trusted(), token)
			wantFault(t, err, fault.IdentityProviderUnavailable, "could not be fetched", token)
		})
	}
}

func repeat(c *x509.Certificate, n int) []*x509.Certificate {
	all := make([]*x509.Certificate, n)
	for i := range all {
		all[i] = c
	}
	return all
}

// TestThumbprint gives what a provider without a list gets.
func TestThumbprint(t *testing.T) {
	t.Parallel()
	a := newAuthority(t)
	var url string
	url = a.serve(t, "127.0.0.1:0", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, discovery(url, url+"/keys"))
	})
	known := newVerifier(t, &clock{at: time.Now()}, func(c *oidc.Config) { c.Roots = a.pool() })
	if got, err := known.Thumbprint(t.Context(), url); err != nil || got != sha1Of(a.certificate) {
		t.Errorf("Thumbprint = %q, %v, want %q", got, err, sha1Of(a.certificate))
	}
	unknown := newVerifier(t, &clock{at: time.Now()}, func(c *oidc.Config) { c.Roots = x509.NewCertPool() })
	if got, err := unknown.Thumbprint(t.Context(), url); !errors.Is(err, fault.IdentityProviderUnavailable) {
		t.Errorf("Thumbprint of an authority nobody knows = %q, %v", got, err)
	}
	plain := newIssuer(t)
	if got, err := known.Thumbprint(t.Context(), plain.url); !errors.Is(err, fault.IdentityProviderUnavailable) {
		t.Errorf("Thumbprint without TLS = %q, %v", got, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := known.Thumbprint(ctx, url); err == nil {
		t.Error("Thumbprint waited for nobody")
	}
}
