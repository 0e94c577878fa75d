package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

func rs256(key *rsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		return must(rsa.SignPKCS1v15(rand.Reader, key, crypto.SHA256, sum[:]))
	}
}

// es256 signs with any curve: halves are as long as P-256 has them.
func es256(key *ecdsa.PrivateKey) func(string) []byte {
	return func(input string) []byte {
		sum := sha256.Sum256([]byte(input))
		r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
}

func hs256(secret []byte) func(string) []byte {
	return func(input string) []byte {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return mac.Sum(nil)
	}
}

// TestForgeries has tokens of people who do not have the issuer's key.
func TestForgeries(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	v := newVerifier(t, newClock(), nil)
	good := i.token(nil)
	if _, err := v.Verify(t.Context(), i.trusted(), good); err != nil {
		t.Fatal(err)
	}
	der := must(x509.MarshalPKIXPublicKey(rsaKey().Public()))
	text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	thief := rsaKey2()
	thiefs := string(must(json.Marshal(jose.JSONWebKey{Key: thief.Public(), KeyID: "rsa", Algorithm: "RS256"})))
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was followed", r.URL)
		_, _ = w.Write([]byte(`{"keys":[` + thiefs + `]}`))
	}))
	t.Cleanup(elsewhere.Close)
	parts := strings.Split(good, ".")
	changed := segment(i.claims(map[string]any{"sub": "repo:org/app:environment:prod"}))
	x5c := base64.StdEncoding.EncodeToString(der)

	for name, tt := range map[string]struct{ token, words string }{
		"no algorithm":             {forge(`{"alg":"none"}`, i.claims(nil), nil), "RS256 or ES256"},
		"none in other letters":    {forge(`{"alg":"nOnE"}`, i.claims(nil), nil), "RS256 or ES256"},
		"none, and a signature":    {forge(`{"alg":"none","kid":"rsa"}`, i.claims(nil), rs256(rsaKey())), "RS256 or ES256"},
		"HMAC of the PEM":          {forge(`{"alg":"HS256","kid":"rsa"}`, i.claims(nil), hs256(text)), "RS256 or ES256"},
		"HMAC of the DER":          {forge(`{"alg":"HS256","kid":"rsa"}`, i.claims(nil), hs256(der)), "RS256 or ES256"},
		"HMAC of the modulus":      {forge(`{"alg":"HS256","kid":"rsa"}`, i.claims(nil), hs256(rsaKey().N.Bytes())), "RS256 or ES256"},
		"RS512":                    {oidctest.SignIDToken(rsaKey(), "rsa", "RS512", i.claims(nil)), "RS256 or ES256"},
		"PS256":                    {oidctest.SignIDToken(rsaKey(), "rsa", "PS256", i.claims(nil)), "RS256 or ES256"},
		"an RSA key for ES256":     {forge(`{"alg":"ES256","kid":"rsa"}`, i.claims(nil), rs256(rsaKey())), "has no key"},
		"an EC key for RS256":      {forge(`{"alg":"RS256","kid":"ec"}`, i.claims(nil), es256(ecKey())), "has no key"},
		"another's key, our kid":   {forge(`{"alg":"RS256","kid":"rsa"}`, i.claims(nil), rs256(thief)), "signature"},
		"another's key, no kid":    {forge(`{"alg":"RS256"}`, i.claims(nil), rs256(thief)), "signature"},
		"another's kid":            {forge(`{"alg":"RS256","kid":"../../etc/passwd"}`, i.claims(nil), rs256(thief)), "has no key"},
		"jku":                      {forge(`{"alg":"RS256","kid":"rsa","jku":"`+elsewhere.URL+`"}`, i.claims(nil), rs256(thief)), "signature"},
		"x5u":                      {forge(`{"alg":"RS256","kid":"rsa","x5u":"`+elsewhere.URL+`"}`, i.claims(nil), rs256(thief)), "signature"},
		"jwk":                      {forge(`{"alg":"RS256","kid":"rsa","jwk":`+thiefs+`}`, i.claims(nil), rs256(thief)), "signature"},
		"x5c":                      {forge(`{"alg":"RS256","kid":"rsa","x5c":["`+x5c+`"]}`, i.claims(nil), rs256(thief)), ""},
		"crit, signed":             {forge(`{"alg":"RS256","kid":"rsa","crit":["exp"],"exp":1}`, i.claims(nil), rs256(rsaKey())), `header "crit"`},
		"crit that libraries know": {forge(`{"alg":"RS256","kid":"rsa","crit":["b64"],"b64":true}`, i.claims(nil), rs256(rsaKey())), "header"},
		"b64, signed":              {forge(`{"alg":"RS256","kid":"rsa","b64":false}`, i.claims(nil), rs256(rsaKey())), ""},
		"other claims":             {parts[0] + "." + changed + "." + parts[2], "signature"},
		"no signature":             {parts[0] + "." + parts[1] + ".", ""},
		"half a signature":         {parts[0] + "." + parts[1] + "." + parts[2][:100], "signature"},
		"two parts":                {parts[0] + "." + parts[1], "three parts"},
		"four parts":               {good + ".x", "three parts"},
		"a line end":               {parts[0] + "." + parts[1] + "\n." + parts[2], "characters"},
		"JSON":                     {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "characters"},
		"padding":                  {good + "==", "characters"},
		"nothing":                  {"", "4 to 20000 characters"},
		"three characters":         {"a.b", "4 to 20000 characters"},
		"too long":                 {i.token(map[string]any{"x": strings.Repeat("x", 15_000)}), "4 to 20000 characters"},
		"five dots":                {".....", "three parts"},
		"two algorithms":           {forge(`{"alg":"none","alg":"RS256","kid":"rsa"}`, i.claims(nil), rs256(rsaKey())), ""},
		"two subjects, signed":     {forge(`{"alg":"RS256","kid":"rsa"}`, `{"sub":"a",`+i.claims(nil)[1:], rs256(rsaKey())), "JSON object"},
		"a list, signed":           {forge(`{"alg":"RS256","kid":"rsa"}`, `[]`, rs256(rsaKey())), "JSON object"},
		"null, signed":             {forge(`{"alg":"RS256","kid":"rsa"}`, `null`, rs256(rsaKey())), "JSON object"},
		"more after it, signed":    {forge(`{"alg":"RS256","kid":"rsa"}`, i.claims(nil)+`{}`, rs256(rsaKey())), "JSON object"},
		"deep, signed":             {forge(`{"alg":"RS256","kid":"rsa"}`, strings.Repeat("[", 14_000), rs256(rsaKey())), "JSON object"},
		"names in capitals":        {forge(`{"alg":"RS256","kid":"rsa"}`, strings.Replace(i.claims(nil), `"exp"`, `"EXP"`, 1), rs256(rsaKey())), "Missing a required claim: exp"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newVerifier(t, newClock(), nil).Verify(t.Context(), i.trusted(), tt.token)
			wantFault(t, err, fault.IdentityTokenInvalid, tt.words, tt.token)
		})
	}
}

// TestKeysThatAreNotUsed publishes keys with which a token verifies, and which are not for that.
func TestKeysThatAreNotUsed(t *testing.T) {
	t.Parallel()
	small := must(rsa.GenerateKey(rand.Reader, 1024)) //nolint:gosec // it is to be refused
	p384 := must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader))
	i := newIssuer(t)
	secret := []byte("0123456789abcdef0123456789abcdef")
	for name, tt := range map[string]struct {
		key   jose.JSONWebKey
		token string
	}{
		"a small modulus": {
			jose.JSONWebKey{Key: small.Public(), KeyID: "k"}, forge(`{"alg":"RS256","kid":"k"}`, i.claims(nil), rs256(small)),
		},
		"another curve": {
			jose.JSONWebKey{Key: p384.Public(), KeyID: "k"}, forge(`{"alg":"ES256","kid":"k"}`, i.claims(nil), nil),
		},
		"for encryption": {
			jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k", Use: "enc"}, forge(`{"alg":"RS256","kid":"k"}`, i.claims(nil), rs256(rsaKey())),
		},
		"for another algorithm": {
			jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "k", Algorithm: "PS256"}, forge(`{"alg":"RS256","kid":"k"}`, i.claims(nil), rs256(rsaKey())),
		},
		"a secret": {
			jose.JSONWebKey{Key: secret, KeyID: "k"}, forge(`{"alg":"HS256","kid":"k"}`, i.claims(nil), hs256(secret)),
		},
		"a private key": {
			jose.JSONWebKey{Key: rsaKey(), KeyID: "k"}, forge(`{"alg":"RS256","kid":"k"}`, i.claims(nil), rs256(rsaKey())),
		},
	} {
		other := jose.JSONWebKey{Key: rsaKey2().Public(), KeyID: "other"}
		set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{tt.key, other}}))
		v := newVerifier(t, newClock(), func(c *oidc.Config) { c.Pinned = map[string][]byte{i.url: set} })
		_, err := v.Verify(t.Context(), i.trusted(), tt.token)
		words := "has no key of the token's kid"
		if name == "a secret" {
			words = "RS256 or ES256"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantFault(t, err, fault.IdentityTokenInvalid, words, tt.token)
		})
		if _, err := v.Verify(t.Context(), i.trusted(), forge(`{"alg":"RS256"}`, i.claims(nil), rs256(rsaKey2()))); err != nil {
			t.Errorf("%s: the key beside it: %v", name, err)
		}
	}
}

// TestAnotherIssuersToken has a token that a provider signed, for another provider's name, and the other way round.
func TestAnotherIssuersToken(t *testing.T) {
	t.Parallel()
	trusted, other := newIssuer(t), newIssuer(t)
	other.publish(map[string]crypto.PrivateKey{"rsa": rsaKey2()})
	v := newVerifier(t, newClock(), nil)

	named := oidctest.SignIDToken(rsaKey2(), "rsa", "RS256", trusted.claims(nil))
	_, err := v.Verify(t.Context(), trusted.trusted(), named)
	wantFault(t, err, fault.IdentityTokenInvalid, "signature", named)

	own := trusted.token(map[string]any{"iss": other.url})
	_, err = v.Verify(t.Context(), trusted.trusted(), own)
	wantFault(t, err, fault.IdentityTokenInvalid, "of the issuer", own)
}

func TestIssuerOfGarbage(t *testing.T) {
	t.Parallel()
	for _, claims := range []string{`{}`, `{"iss":""}`, `{"iss":1}`, `{"iss":["https://a"]}`, `{"ISS":"https://a"}`, `{"iss":"https://a","iss":"https://b"}`, `x`, ``} {
		token := forge(`{"alg":"RS256"}`, claims, hs256(nil))
		if iss, err := oidc.Issuer(token); err == nil {
			t.Errorf("the issuer of %s is %q", claims, iss)
		}
	}
}

// FuzzVerify has strangers' bytes: none may verify, and none may end the process.
func FuzzVerify(f *testing.F) {
	i := newIssuer(f)
	set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: rsaKey().Public(), KeyID: "rsa"}, {Key: ecKey().Public(), KeyID: "ec"},
	}}))
	v := newVerifier(f, newClock(), func(c *oidc.Config) { c.Pinned = map[string][]byte{i.url: set} })
	good := i.token(nil)
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add(forge(`{"alg":"none"}`, i.claims(nil), nil))
	f.Add(forge(`{"alg":"ES256","kid":"ec"}`, i.claims(nil), es256(ecKey())))
	f.Add(forge(`{"alg":"RS256","jwk":{"kty":"oct","k":"AA"}}`, i.claims(nil), nil))
	f.Add("a.b.c")
	f.Fuzz(func(t *testing.T, token string) {
		iss, errIssuer := oidc.Issuer(token)
		claims, err := v.Verify(t.Context(), i.trusted(), token)
		if err == nil {
			// Only what the key signed: the header and claims of a seed.
			if errIssuer != nil || iss != i.url || claims.Subject != "repo:org/app:ref:refs/heads/main" {
				t.Errorf("%q verified: %+v", token, claims)
			}
			return
		}
		if f, ok := fault.Of(err); !ok || f.Code != fault.IdentityTokenInvalid {
			t.Errorf("Verify: %v", err)
		}
	})
}
