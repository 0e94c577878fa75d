package authn_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const linkPath = "/v2/a/blobs/x"

// rotating is a house whose keys can be rotated, by the replica of a.
type rotating struct {
	house
	keys *identity.Directory
}

func newRotating(t testing.TB) *rotating {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	db := metadbtest.New(t)
	h := &rotating{house: house{time: time.Date(2026, 11, 24, 10, 15, 0, 0, time.UTC)}}
	directory := func() *identity.Directory {
		return identity.NewDirectory(identity.Config{Store: db, Vault: db.Vault(), Master: master, Account: "000123456789", Now: h.now})
	}
	h.keys = directory()
	h.a = authn.New(authn.Config{Directory: h.keys, Now: h.now})
	h.b = authn.New(authn.Config{Directory: directory(), Now: h.now})
	if h.root, _, err = h.keys.EnsureRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *rotating) rotate(t testing.TB, drop bool) {
	t.Helper()
	if _, err := h.keys.RotateTokenKey(t.Context(), h.root.Principal, drop); err != nil {
		t.Fatalf("RotateTokenKey: %v", err)
	}
}

// link makes a request by a download link of replica a.
func (h *rotating) link(t testing.TB, ttl time.Duration) *http.Request {
	t.Helper()
	query, err := h.a.SignLink(t.Context(), linkPath, ttl)
	if err != nil {
		t.Fatalf("SignLink: %v", err)
	}
	return httptest.NewRequestWithContext(t.Context(), http.MethodGet, linkPath+"?"+query, http.NoBody)
}

func TestTokensAndLinksOutliveARotation(t *testing.T) {
	t.Parallel()
	h := newRotating(t)
	var passwords []string
	var links []*http.Request
	for i := range 3 {
		if i > 0 {
			h.rotate(t, false)
		}
		passwords = append(passwords, h.issue(t))
		links = append(links, h.link(t, 12*time.Hour))
		// Replica b meets what is under the new key at the very moment.
		for j, p := range passwords {
			if caller, err := h.b.Basic(basic("AWS", p)); err != nil || !cmp.Equal(caller, h.root.Principal, anywhere()) {
				t.Errorf("after %d rotations a token from after %d: %v, %v", i, j, caller, err)
			}
			if err := h.b.VerifyLink(links[j]); err != nil {
				t.Errorf("after %d rotations a link from after %d: %v", i, j, err)
			}
		}
	}
	for i, prefix := range []string{"berth_", "berth_1.", "berth_2."} {
		if named := strings.Contains(passwords[i], "."); !strings.HasPrefix(passwords[i], prefix) || named != (i > 0) {
			t.Errorf("after %d rotations a token is %s, want it to begin with %s", i, passwords[i], prefix)
		}
		if got := links[i].URL.Query().Get("X-Berth-Key"); got != strings.TrimSuffix(strings.TrimPrefix(prefix, "berth_"), ".") {
			t.Errorf("after %d rotations a link names key %q", i, got)
		}
	}
}

func TestARevocationVoidsWhatIsOut(t *testing.T) {
	t.Parallel()
	for _, before := range []int{0, 1} { // rotations before it: tokens without a key's name, and with one
		h := newRotating(t)
		for range before {
			h.rotate(t, false)
		}
		password, link := h.issue(t), h.link(t, time.Hour)
		for _, a := range []*authn.Authenticator{h.a, h.b} {
			if _, err := a.Basic(basic("AWS", password)); err != nil {
				t.Fatal(err)
			}
			if err := a.VerifyLink(link); err != nil {
				t.Fatal(err)
			}
		}
		h.rotate(t, true)
		refused := func(name string, a *authn.Authenticator) {
			t.Helper()
			if _, err := a.Basic(basic("AWS", password)); !errors.Is(err, fault.TokenInvalid) {
				t.Errorf("%s takes a void token: %v", name, err)
			}
			if err := a.VerifyLink(link); !errors.Is(err, fault.SignatureMismatch) {
				t.Errorf("%s takes a void link: %v", name, err)
			}
		}
		refused("the replica that revoked", h.a)
		h.sleep(3 * time.Second)
		refused("the other replica, seconds later", h.b)
		if _, err := h.b.Basic(basic("AWS", h.issue(t))); err != nil {
			t.Errorf("a token from after the revocation: %v", err)
		}
		if err := h.b.VerifyLink(h.link(t, time.Hour)); err != nil {
			t.Errorf("a link from after the revocation: %v", err)
		}
	}
}

func TestAKeysNameIsPartOfWhatIsSigned(t *testing.T) {
	t.Parallel()
	h := newRotating(t)
	zero := h.issue(t)
	h.rotate(t, false)
	h.rotate(t, false)
	two := h.issue(t)
	sealedZero, sealedTwo := strings.TrimPrefix(zero, "berth_"), strings.TrimPrefix(two, "berth_2.")
	for _, token := range []string{
		"berth_" + sealedTwo, "berth_1." + sealedTwo, "berth_02." + sealedTwo, "berth_+2." + sealedTwo, "berth_ 2." + sealedTwo,
		"berth_3." + sealedTwo, "berth_4294967298." + sealedTwo, "berth_2.." + sealedTwo, "berth_2.", "berth_.", "berth_." + sealedTwo,
		"berth_0." + sealedZero, "berth_1." + sealedZero, "berth_." + sealedZero, "berth_-1." + sealedZero,
	} {
		if _, err := h.b.Basic(basic("AWS", token)); !errors.Is(err, fault.TokenInvalid) {
			t.Errorf("Basic with %s: %v, want TokenInvalid", token, err)
		}
	}
	if _, err := h.b.Basic(basic("AWS", "berth_2."+sealedTwo)); err != nil {
		t.Errorf("the token put together again: %v", err)
	}
	link := h.link(t, time.Hour)
	for change, want := range map[string]fault.Code{
		"X-Berth-Key=1": fault.SignatureMismatch, "X-Berth-Key=9": fault.SignatureMismatch, "X=2": fault.SignatureMismatch,
		"X-Berth-Key=02": fault.CredentialsMalformed, "X-Berth-Key=0": fault.CredentialsMalformed, "X-Berth-Key=": fault.CredentialsMalformed,
		"X-Berth-Key=2&X-Berth-Key=2": fault.CredentialsMalformed, "X-Berth-Key=4294967298": fault.CredentialsMalformed,
	} {
		r := link.Clone(t.Context())
		r.URL.RawQuery = strings.Replace(link.URL.RawQuery, "X-Berth-Key=2", change, 1)
		if err := h.b.VerifyLink(r); !errors.Is(err, want) {
			t.Errorf("VerifyLink with %s: %v, want %q", change, err, want)
		}
	}
}

func TestTokensOfKeysNobodyMade(t *testing.T) {
	t.Parallel()
	h := newRotating(t)
	body := base64.RawURLEncoding.EncodeToString(make([]byte, 90))
	for _, id := range []string{"1", "2", "1000", "1001", "4294967295"} {
		if _, err := h.a.Basic(basic("AWS", "berth_"+id+"."+body)); !errors.Is(err, fault.TokenInvalid) {
			t.Errorf("Basic with a token of key %s: %v, want TokenInvalid", id, err)
		}
	}
}

func BenchmarkBasicAfterARotation(b *testing.B) {
	h := newRotating(b)
	h.rotate(b, false)
	r := basic("AWS", h.issue(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.b.Basic(r); err != nil {
			b.Fatal(err)
		}
	}
}
