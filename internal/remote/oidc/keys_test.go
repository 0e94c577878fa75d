package oidc_test

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"
	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/oidc"
)

// signed is a token of a key, good for days: these tests let time pass.
func (i *issuer) signed(key *rsa.PrivateKey, kid string) string {
	return oidctest.SignIDToken(key, kid, "RS256", i.claims(map[string]any{"exp": start.Add(1000 * time.Hour).Unix()}))
}

func broken(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }

// TestKeysAreKept lets time pass, with a provider that answers and one that does not.
func TestKeysAreKept(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), newClock()
	v := newVerifier(t, c, nil)
	token := i.signed(rsaKey(), "rsa")
	asked := 0
	expect := func(what string, more int, code fault.Code) {
		t.Helper()
		asked += more
		_, err := v.Verify(t.Context(), i.trusted(), token)
		if code == "" && err != nil || code != "" && !errors.Is(err, code) {
			t.Errorf("%s: %v, want %q", what, err, code)
		}
		if got := i.times(); got != asked {
			t.Errorf("%s: the provider was asked %d times, want %d", what, got, asked)
		}
	}
	expect("at first", 1, "")
	expect("at once again", 0, "")
	c.step(oidc.FreshFor - time.Second)
	expect("within the hour", 0, "")
	c.step(time.Second)
	expect("after the hour", 1, "")

	i.answer(http.HandlerFunc(broken))
	c.step(oidc.FreshFor)
	expect("the provider is down", 1, "")
	expect("it is left alone", 0, "")
	c.step(oidc.FailPause)
	expect("it is asked again", 1, "")
	c.step(oidc.KeptFor - oidc.FreshFor - oidc.FailPause - time.Second)
	expect("within a day", 1, "")
	c.step(time.Second)
	expect("after a day, at once", 0, fault.IdentityProviderUnavailable)
	c.step(oidc.EmptyPause)
	expect("after a day", 1, fault.IdentityProviderUnavailable)
	i.answer(nil)
	expect("back, and left alone", 0, fault.IdentityProviderUnavailable)
	c.step(oidc.EmptyPause)
	expect("back", 1, "")
}

// TestRotation has new keys come, and kids that nobody has.
func TestRotation(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), newClock()
	v := newVerifier(t, c, nil)
	expect := func(what, token string, asked int, code fault.Code, words string) {
		t.Helper()
		before := i.times()
		_, err := v.Verify(t.Context(), i.trusted(), token)
		if code != "" {
			wantFault(t, err, code, words, token)
		} else if err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if got := i.times() - before; got != asked {
			t.Errorf("%s: the provider was asked %d times, want %d", what, got, asked)
		}
	}
	expect("at first", i.signed(rsaKey(), "rsa"), 1, "", "")
	i.publish(map[string]crypto.PrivateKey{"new": rsaKey2()})
	expect("a new key works at once", i.signed(rsaKey2(), "new"), 1, "", "")
	expect("the old one no more", i.signed(rsaKey(), "rsa"), 0, fault.IdentityTokenInvalid, "has no key of the token's kid")
	for n := range 20 {
		expect("a flood of kids", i.signed(rsaKey(), strconv.Itoa(n)), 0, fault.IdentityTokenInvalid, "has no key of the token's kid")
	}
	c.step(oidc.MissPause)
	expect("one of a minute later", i.signed(rsaKey(), "20"), 1, fault.IdentityTokenInvalid, "has no key of the token's kid")
	expect("the good one all the while", i.signed(rsaKey2(), "new"), 0, "", "")

	// Who was tried with the keys before a fetch gets those after it, also within the minute.
	for generation, want := range []int{1, 1, 1, 0} {
		if got, err := v.Newer(t.Context(), i.trusted(), generation); got != want || err != nil {
			t.Errorf("newer than generation %d are %d keys, %v; want %d", generation, got, err, want)
		}
	}

	c.step(oidc.MissPause)
	i.publish(map[string]crypto.PrivateKey{"new": rsaKey()})
	expect("a kid that has another key now", i.signed(rsaKey(), "new"), 1, "", "")

	c.step(oidc.MissPause)
	i.answer(http.HandlerFunc(broken))
	expect("a new kid while the provider is down", i.signed(rsaKey2(), "newer"), 1, fault.IdentityProviderUnavailable, "Couldn't retrieve verification key")
	c.step(oidc.MissPause)
	expect("a forgery while it is down", i.signed(rsaKey2(), "new"), 1, fault.IdentityTokenInvalid, "signature")
}

// TestNoKid tries the keys of an issuer whose tokens do not name theirs.
func TestNoKid(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	keys := map[string]crypto.PrivateKey{"a": rsaKey(), "b": rsaKey2(), "c": ecKey()}
	i.publish(keys)
	v := newVerifier(t, newClock(), nil)
	for _, token := range []string{
		forge(`{"alg":"RS256"}`, i.claims(nil), rs256(rsaKey())), forge(`{"alg":"RS256"}`, i.claims(nil), rs256(rsaKey2())),
		forge(`{"alg":"ES256"}`, i.claims(nil), es256(ecKey())),
	} {
		if _, err := v.Verify(t.Context(), i.trusted(), token); err != nil {
			t.Error(err)
		}
	}
	// The work on one token is bounded: the key that fits is the last of too many.
	var set jose.JSONWebKeySet
	for range 16 {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: rsaKey2().Public()})
	}
	set.Keys = append(set.Keys, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "last"})
	v = newVerifier(t, newClock(), func(c *oidc.Config) { c.Pinned = map[string][]byte{i.url: must(json.Marshal(set))} })
	_, err := v.Verify(t.Context(), i.trusted(), forge(`{"alg":"RS256"}`, i.claims(nil), rs256(rsaKey())))
	wantFault(t, err, fault.IdentityTokenInvalid, "signature", "")
	if _, err := v.Verify(t.Context(), i.trusted(), i.signed(rsaKey(), "last")); err != nil {
		t.Errorf("by its kid: %v", err)
	}
}

// TestOneFetchForMany has many tokens come while the provider takes its time: at first, and after a rotation.
func TestOneFetchForMany(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), newClock()
	v := newVerifier(t, c, nil)
	for round, key := range []*rsa.PrivateKey{rsaKey(), rsaKey2()} {
		kid := strconv.Itoa(round)
		i.publish(map[string]crypto.PrivateKey{kid: key})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() {
				if _, err := v.Verify(t.Context(), i.trusted(), i.signed(key, kid)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := i.times(); got != round+1 {
			t.Errorf("round %d: the provider was asked %d times in all", round, got)
		}
	}
}

// TestLeavingDoesNotStopTheFetch has the first caller go away while a second one waits.
func TestLeavingDoesNotStopTheFetch(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), newClock()
	arrived, release := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() { close(arrived); <-release })
	i.answer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		once()
		i.provider.ServeHTTP(w, r)
	}))
	v := newVerifier(t, c, nil)
	token := i.signed(rsaKey(), "rsa")
	ctx, leave := context.WithCancel(t.Context())
	left := make(chan error, 1)
	go func() {
		_, err := v.Verify(ctx, i.trusted(), token)
		left <- err
	}()
	<-arrived
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("who left got %v", err)
	}
	stayed := make(chan error, 1)
	go func() {
		_, err := v.Verify(t.Context(), i.trusted(), token)
		stayed <- err
	}()
	close(release)
	if err := <-stayed; err != nil {
		t.Errorf("who stayed got %v", err)
	}
	if got := i.times(); got != 1 {
		t.Errorf("the provider was asked %d times", got)
	}
}

func TestPinned(t *testing.T) {
	t.Parallel()
	i, c := newIssuer(t), newClock()
	set := must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "rsa"}}}))
	v := newVerifier(t, c, func(c *oidc.Config) { c.Pinned, c.AllowPrivate = map[string][]byte{i.url: set}, nil })
	c.step(500 * time.Hour)
	if _, err := v.Verify(t.Context(), i.trusted(), i.signed(rsaKey(), "rsa")); err != nil {
		t.Error(err)
	}
	_, err := v.Verify(t.Context(), i.trusted(), i.signed(rsaKey2(), "new"))
	wantFault(t, err, fault.IdentityTokenInvalid, "has no key of the token's kid", "")
	if got := i.times(); got != 0 {
		t.Errorf("the provider was asked %d times", got)
	}
	for _, set := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`, "[]"} {
		if _, err := oidc.New(oidc.Config{Now: c.now, Pinned: map[string][]byte{i.url: []byte(set)}}); err == nil {
			t.Errorf("pinned to %q", set)
		}
	}
}

// BenchmarkVerify is what a token costs once the keys are known.
func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	v := newVerifier(b, newClock(), nil)
	for name, token := range map[string]string{
		"RS256": i.token(nil), "ES256": oidctest.SignIDToken(ecKey(), "ec", "ES256", i.claims(nil)),
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := v.Verify(b.Context(), i.trusted(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestPanic has a fetch panic, as a library might over what a stranger's server sends. The process goes on.
func TestPanic(t *testing.T) {
	t.Parallel()
	i := newIssuer(t)
	calm := false
	c := newClock()
	v := newVerifier(t, c, func(c *oidc.Config) {
		c.AllowPrivate = func(string) bool {
			if !calm {
				panic("what came cannot be read")
			}
			return true
		}
	})
	_, err := v.Verify(t.Context(), i.trusted(), i.token(nil))
	wantFault(t, err, fault.IdentityProviderUnavailable, "cannot be read", "")
	calm = true
	c.step(oidc.EmptyPause)
	if _, err := v.Verify(t.Context(), i.trusted(), i.token(nil)); err != nil {
		t.Errorf("the next time: %v", err)
	}
}

// FuzzKeys has strangers' key sets: what comes of them fits an algorithm, and nothing ends the process.
func FuzzKeys(f *testing.F) {
	f.Add([]byte(`{"keys":[]}`))
	f.Add(must(json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "a"}, {Key: ecKey().Public()}}})))
	f.Add([]byte(`{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA","x5c":["AA"]},{"kty":"OKP","crv":"Ed25519","x":"AA"}]}`))
	f.Fuzz(func(t *testing.T, set []byte) {
		keys, err := oidc.ParseKeys(set)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys, and %v", len(keys), err)
		}
		for _, k := range keys {
			if !k.IsPublic() || !k.Valid() {
				t.Errorf("a key that is not good: %+v", k)
			}
		}
	})
}
