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
)

func bearer(t *testing.T, token string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/", http.NoBody)
	r.Header.Set("Authorization", "Bearer "+token)
	return r
}

func (h *house) exchange(t *testing.T, authorization string) authn.BearerToken {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/token", http.NoBody)
	r.Header.Set("Authorization", authorization)
	token, err := h.a.Exchange(r)
	if err != nil {
		t.Fatalf("Exchange: %v", err)
	}
	return token
}

func TestNoCredentials(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]bool{
		"": true, "Basic Og==": true, "basic Og==": true, "Basic  Og== ": true,
		"Basic": false, "Basic QVdTOg==": false, "Bearer Og==": false, "Bearer": false, "Og==": false,
	} {
		if got := authn.NoCredentials(&http.Request{Header: http.Header{"Authorization": {header}}}); got != want {
			t.Errorf("NoCredentials of %q = %v, want %v", header, got, want)
		}
	}
	if !authn.NoCredentials(&http.Request{Header: http.Header{}}) {
		t.Error("no header is credentials")
	}
	if authn.NoCredentials(&http.Request{Header: http.Header{"Authorization": {"", "Basic eDp5"}}}) {
		t.Error("the second of two headers does not count")
	}
}

// TestBearerOfSomebody is the authorization token, for whomever it stands and as long as it does.
func TestBearerOfSomebody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password := h.issue(t)
	token := h.exchange(t, basic("AWS", password).Header.Get("Authorization"))
	if token.Token != password || token.Lasts < time.Minute || !token.Issued.Equal(h.now().Truncate(time.Second)) {
		t.Errorf("exchanged for %+v", token)
	}
	r := bearer(t, token.Token)
	r.Header.Set("User-Agent", "docker/29")
	got, err := h.b.Bearer(r)
	if diff := cmp.Diff(h.root.Principal, got, anywhere()); diff != "" || err != nil {
		t.Errorf("Bearer: %v (-want +got):\n%s", err, diff)
	}
	if want := authn.Origin(r); got.Origin != want || want.UserAgent != "docker/29" || want.Address == "" {
		t.Errorf("the origin is %+v, want %+v", got.Origin, want)
	}
	h.sleep(authn.TokenLifetime)
	if _, err := h.b.Bearer(bearer(t, token.Token)); !errors.Is(err, fault.TokenExpired) {
		t.Errorf("Bearer after its end: %v", err)
	}
	if _, err := h.a.Exchange(basic("AWS", password)); !errors.Is(err, fault.TokenExpired) {
		t.Errorf("Exchange after its end: %v", err)
	}
}

// TestBearerOfNobody works on every replica for an hour, and as nothing else.
func TestBearerOfNobody(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	token := h.exchange(t, "")
	got, err := h.b.Bearer(bearer(t, token.Token))
	if err != nil || !got.Anonymous() || got.Origin.Address == "" || got != (identity.Caller{Origin: got.Origin}) {
		t.Errorf("Bearer: %+v, %v; want nobody from somewhere", got, err)
	}
	if _, err := h.b.Basic(basic("AWS", token.Token)); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("as a password: %v", err)
	}
	encoded := strings.TrimPrefix(token.Token, "berth_anonymous_")
	query, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/", "/v2/a/blobs/x", "/anonymous", "anonymous/"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/x?"+string(query), http.NoBody)
		r.URL.Path = path
		if err := h.b.VerifyLink(r); !errors.Is(err, fault.SignatureMismatch) {
			t.Errorf("as a link to %s: %v", path, err)
		}
	}
	link, err := h.a.SignLink(t.Context(), "/v2/a/blobs/x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"cut": token.Token[:len(token.Token)-1], "longer": token.Token + "A", "empty": "berth_anonymous_", "no base64": "berth_anonymous_!",
		"a link": "berth_anonymous_" + base64.RawURLEncoding.EncodeToString([]byte(link)), "another registry's": newHouse(t).exchange(t, "").Token,
	} {
		if got, err := h.b.Bearer(bearer(t, bad)); !errors.Is(err, fault.TokenInvalid) || got != (identity.Caller{}) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	two := bearer(t, token.Token)
	two.Header.Add("Authorization", "Basic eDp5")
	if _, err := h.b.Bearer(two); !errors.Is(err, fault.CredentialsMalformed) {
		t.Errorf("two headers: %v", err)
	}
	h.sleep(token.Lasts)
	if _, err := h.b.Bearer(bearer(t, token.Token)); !errors.Is(err, fault.TokenInvalid) {
		t.Errorf("after its end: %v", err)
	}
}

func FuzzBearer(f *testing.F) {
	h := newHouse(f)
	f.Add("Bearer berth_x")
	f.Add("Bearer berth_anonymous_x")
	f.Add("Bearer")
	f.Fuzz(func(t *testing.T, header string) {
		caller, err := h.a.Bearer((&http.Request{Header: http.Header{"Authorization": {header}}}).WithContext(t.Context()))
		if _, ok := fault.Of(err); !ok || caller != (identity.Caller{}) {
			t.Errorf("Bearer(%q): caller %v, error %v", header, caller, err)
		}
	})
}
