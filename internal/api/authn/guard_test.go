package authn_test

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// signedFrom is a request for which the secret is right or not, from an address.
func signedFrom(t *testing.T, h *house, address, secret string) *http.Request {
	t.Helper()
	r := sign(t, []byte("{}"), aws.Credentials{AccessKeyID: h.root.ID, SecretAccessKey: secret}, "ecr", h.now())
	r.RemoteAddr = address + ":1000"
	return r
}

func TestAKeyThatFailsIsHeldUp(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	try := func(address, secret string) error {
		_, err := g.SigV4(signedFrom(t, h, address, secret), []byte("{}"), "ecr")
		return err
	}
	for i := range 10 {
		if err := try("198.51.100.7", "guess"); !errors.Is(err, fault.SignatureMismatch) {
			t.Fatalf("guess %d: %v, want SignatureMismatch", i+1, err)
		}
	}
	err := try("198.51.100.7", "guess")
	f, _ := fault.Of(err)
	if !errors.Is(err, fault.TooManyFailures) || f.Detail.(fault.Wait).For <= 0 {
		t.Fatalf("guess 11: %v, want TooManyFailures with a wait", err)
	}
	if err := try("198.51.100.7", h.root.Secret); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("the right secret after 11 wrong ones: %v: a lucky guess is found out", err)
	}
	if err := try("203.0.113.5", h.root.Secret); err != nil {
		t.Errorf("the key's owner at another address: %v", err)
	}
	h.sleep(6 * time.Second)
	if err := try("198.51.100.7", h.root.Secret); err != nil {
		t.Errorf("the right secret, after a while: %v", err)
	}
}

func TestAnAddressThatFailsLearnsNothingMore(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	guess := func(i int) error {
		r := basic("AWS", fmt.Sprintf("berth_%d", i))
		r.RemoteAddr = "198.51.100.7:1000"
		_, err := g.Basic(r)
		return err
	}
	for i := range 60 {
		if err := guess(i); !errors.Is(err, fault.TokenInvalid) {
			t.Fatalf("token %d: %v, want TokenInvalid", i+1, err)
		}
	}
	if err := guess(61); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("token 61: %v, want TooManyFailures", err)
	}
	exchanged := basic("AWS", "berth_guess")
	exchanged.RemoteAddr = "198.51.100.7:1000"
	if _, err := g.Exchange(exchanged); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("one to be exchanged: %v, want TooManyFailures", err)
	}
	bearer := &http.Request{RemoteAddr: "198.51.100.7:1000", Header: http.Header{"Authorization": {"Bearer berth_guess"}}}
	if _, err := g.Bearer(bearer.WithContext(t.Context())); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("one as a bearer token: %v, want TooManyFailures", err)
	}
	good := basic("AWS", h.issue(t))
	good.RemoteAddr = "198.51.100.7:2000"
	if _, err := g.Basic(good); err != nil {
		t.Errorf("a token that holds, from an address where others fail: %v", err)
	}
}

// TestManyWhoFailCostLittle comes from more addresses than are remembered.
// TestScreeningIsGuarded: to look whether a key exists, before a large body is read, is a guess like another.
func TestScreeningIsGuarded(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	screen := func(key string) error {
		r := sign(t, []byte("{}"), aws.Credentials{AccessKeyID: key, SecretAccessKey: "guess"}, "ecr", h.now())
		r.RemoteAddr = "198.51.100.7:1000"
		return g.Screen(r, "ecr")
	}
	for i := range 60 {
		if err := screen(fmt.Sprintf("AKIA%016d", i)); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Fatalf("key %d: %v, want AccessKeyUnknown", i+1, err)
		}
	}
	if err := screen("AKIA9999999999999999"); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("key 61: %v, want TooManyFailures", err)
	}
	if err := screen(h.root.ID); err != nil {
		t.Errorf("a key that there is: %v", err)
	}
}

func TestManyWhoFailCostLittle(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	for i := range 30_000 {
		r := basic("AWS", "berth_x")
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1", i>>16, i>>8&255, i&255)
		if _, err := g.Basic(r); !errors.Is(err, fault.TokenInvalid) {
			t.Fatalf("address %d: %v", i, err)
		}
	}
	if n := authn.Remembered(g); n > 10_000 {
		t.Errorf("%d addresses are remembered, want 10000 at most", n)
	}
}

// TestEndedCredentialsAreNoGuesses lets a client with an expired token ask as often as it likes.
// TestAnEndedAnonymousTokenIsNoGuess: clients keep theirs, and ask for another when it has ended.
func TestAnEndedAnonymousTokenIsNoGuess(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	old := h.exchange(t, "")
	h.sleep(2 * time.Hour)
	for i := range 100 {
		r := bearer(t, old.Token)
		r.RemoteAddr = "198.51.100.7:1000"
		if _, err := g.Bearer(r); !errors.Is(err, fault.TokenInvalid) {
			t.Fatalf("time %d: %v, want TokenInvalid", i+1, err)
		}
	}
}

func TestEndedCredentialsAreNoGuesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	old := h.issue(t)
	h.sleep(13 * time.Hour)
	for i := range 200 {
		if _, err := g.Basic(basic("AWS", old)); !errors.Is(err, fault.TokenExpired) {
			t.Fatalf("request %d: %v, want TokenExpired", i+1, err)
		}
	}
}

// TestAnIPv6NetworkIsOneAddress guesses from another address each time, as whoever has an IPv6 network can.
func TestAnIPv6NetworkIsOneAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	guess := func(address string) error {
		r := basic("AWS", "berth_guess")
		r.RemoteAddr = "[" + address + "]:1000"
		_, err := g.Basic(r)
		return err
	}
	for i := range 60 {
		if err := guess(fmt.Sprintf("2001:db8:0:7:%x::1", i)); !errors.Is(err, fault.TokenInvalid) {
			t.Fatalf("guess %d: %v, want TokenInvalid", i+1, err)
		}
	}
	if err := guess("2001:db8:0:7:ffff::1"); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("guess 61, from a new address of the same network: %v, want TooManyFailures", err)
	}
	bearer := &http.Request{RemoteAddr: "[2001:db8:0:7:fffe::1]:1000", Header: http.Header{"Authorization": {"Bearer berth_guess"}}}
	if _, err := g.Bearer(bearer.WithContext(t.Context())); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("as a bearer token: %v, want TooManyFailures", err)
	}
	if err := guess("2001:db8:0:8::1"); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("a guess from another network: %v, want TokenInvalid", err)
	}
	// An IPv4 address is one, however it is written.
	for i := range 61 {
		address := "::ffff:198.51.100.7"
		if i%2 == 0 {
			address = "::ffff:c633:6407"
		}
		_ = guess(address)
	}
	r := basic("AWS", "berth_guess")
	r.RemoteAddr = "198.51.100.7:1"
	if _, err := g.Basic(r); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("an IPv4 address that failed as an IPv6 one: %v, want TooManyFailures", err)
	}
	r.RemoteAddr = "198.51.100.8:1"
	if _, err := g.Basic(r); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("its neighbour: %v, want TokenInvalid", err)
	}
}

// TestTheKeyThatIsHeldUpIsTheOneThatIsChecked names a key to the guard that is not the one whose secret is guessed.
func TestTheKeyThatIsHeldUpIsTheOneThatIsChecked(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for name, disguise := range map[string]func(r *http.Request, i int){
		"in the query": func(r *http.Request, i int) { r.URL.RawQuery = fmt.Sprintf("X-Amz-Credential=OTHER%d/a/b/c/d", i) },
		"before its name": func(r *http.Request, i int) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 XCredential=OTHER%d/, %s", i, a[len("AWS4-HMAC-SHA256 "):]))
		},
		"twice": func(r *http.Request, i int) {
			a := r.Header.Get("Authorization")
			r.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=OTHER%d/a/b/c/d, %s", i, a[len("AWS4-HMAC-SHA256 "):]))
		},
	} {
		g := authn.NewGuard(h.a)
		refused := 0
		for i := range 30 {
			r := signedFrom(t, h, "198.51.100.9", "guess")
			disguise(r, i)
			switch _, err := g.SigV4(r, []byte("{}"), "ecr"); {
			case errors.Is(err, fault.SignatureMismatch):
			case err == nil:
				t.Errorf("%s: a guess holds", name)
			default:
				refused++ // held up, or not even compared
			}
		}
		if refused < 20 {
			t.Errorf("%s: %d of 30 secrets were compared, want 10 at most", name, 30-refused)
		}
	}
}

// TestLooksBeforeABodyAreCounted asks for nothing but whether there is a key, as announcing a large body does.
func TestLooksBeforeABodyAreCounted(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	g := authn.NewGuard(h.a)
	look := func(id string) error {
		r := sign(t, []byte("{}"), aws.Credentials{AccessKeyID: id, SecretAccessKey: "guess"}, "ecr", h.now())
		r.RemoteAddr = "198.51.100.7:1000"
		return g.Screen(r, "ecr")
	}
	for i := range 60 {
		if err := look(fmt.Sprintf("AKIA%016d", i)); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Fatalf("look %d: %v, want AccessKeyUnknown", i+1, err)
		}
	}
	if err := look("AKIAAAAAAAAAAAAAAAAA"); !errors.Is(err, fault.TooManyFailures) {
		t.Errorf("look 61: %v, want TooManyFailures", err)
	}
	if err := look(h.root.ID); err != nil {
		t.Errorf("a key that there is: %v", err)
	}
}
