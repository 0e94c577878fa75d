package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const audience = "sts.amazonaws.com"

// start is when the tests' clocks begin.
var start = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// Keys are made once: RSA takes its time.
var (
	rsaKey  = sync.OnceValue(newRSA)
	rsaKey2 = sync.OnceValue(newRSA)
	ecKey   = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
)

func newRSA() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// clock is stepped by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: start} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

func (c *clock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// issuer is go-oidc's provider for tests, which counts how often it is asked for keys and can be broken.
type issuer struct {
	url string

	mu       sync.Mutex
	provider oidctest.Server
	asked    int
	instead  http.Handler // answers everything, where set
}

// newIssuer starts a provider with an RSA key "rsa" and an EC key "ec".
func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	i.url = server.URL
	i.provider.SetIssuer(server.URL)
	i.publish(map[string]crypto.PrivateKey{"rsa": rsaKey(), "ec": ecKey()})
	return i
}

// publish replaces the provider's keys.
func (i *issuer) publish(keys map[string]crypto.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.provider.PublicKeys = nil
	for id, k := range keys {
		public := oidctest.PublicKey{KeyID: id}
		switch k := k.(type) {
		case *rsa.PrivateKey:
			public.PublicKey, public.Algorithm = k.Public(), "RS256"
		case *ecdsa.PrivateKey:
			public.PublicKey, public.Algorithm = k.Public(), "ES256"
		}
		i.provider.PublicKeys = append(i.provider.PublicKeys, public)
	}
}

// answer has something else answer, or the provider itself again.
func (i *issuer) answer(instead http.Handler) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.instead = instead
}

func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if strings.HasPrefix(r.URL.Path, "/.well-known/") {
		i.asked++
	}
	if i.instead != nil {
		i.instead.ServeHTTP(w, r)
		return
	}
	i.provider.ServeHTTP(w, r)
}

// times tells how often the provider was asked.
func (i *issuer) times() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *issuer) trusted() oidc.Provider {
	return oidc.Provider{Issuer: i.url, ClientIDs: []string{audience}}
}

// claims are good ones, with changes: a nil takes a claim away.
func (i *issuer) claims(changes map[string]any) string {
	all := map[string]any{
		"iss": i.url, "aud": audience, "sub": "repo:org/app:ref:refs/heads/main",
		"iat": start.Unix(), "exp": start.Add(10 * time.Minute).Unix(),
	}
	maps.Copy(all, changes)
	maps.DeleteFunc(all, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(all)))
}

// token is a good one with changes.
func (i *issuer) token(changes map[string]any) string {
	return oidctest.SignIDToken(rsaKey(), "rsa", "RS256", i.claims(changes))
}

// forge puts a token together from anything. sign may be nil.
func forge(header, claims string, sign func(input string) []byte) string {
	input := segment(header) + "." + segment(claims)
	var signature []byte
	if sign != nil {
		signature = sign(input)
	}
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

func segment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }

func newVerifier(t testing.TB, c *clock, change func(*oidc.Config)) *oidc.Verifier {
	t.Helper()
	config := oidc.Config{Now: c.now, AllowPrivate: func(string) bool { return true }}
	if change != nil {
		change(&config)
	}
	v, err := oidc.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// wantFault looks at a refusal: its code, some of its words, and that it does not have the token.
func wantFault(t testing.TB, err error, code fault.Code, words, token string) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code || !strings.Contains(f.Message, words) {
		t.Errorf("it came to %v, want %q with %q", err, code, words)
		return
	}
	if parts := strings.Split(token, "."); len(parts) == 3 && (strings.Contains(err.Error(), parts[1]) || len(parts[2]) > 0 && strings.Contains(err.Error(), parts[2])) {
		t.Errorf("the message has the token: %v", err)
	}
	if len(f.Message) > 1000 {
		t.Errorf("the message has %d bytes", len(f.Message))
	}
	if errors.Unwrap(err) != nil && strings.Contains(f.Message, f.Cause.Error()) && strings.Contains(f.Cause.Error(), "dial") {
		t.Errorf("the message says what a connection met: %s", f.Message)
	}
}
