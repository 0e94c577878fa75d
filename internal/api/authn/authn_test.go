package authn_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

// house is an account with its root key, seen by two replicas that share the store.
type house struct {
	store *identitytest.Memory
	root  identity.AccessKey
	a, b  *authn.Authenticator

	directory *identity.Directory // of a third

	mu   sync.Mutex
	time time.Time
}

func (h *house) now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.time
}

func (h *house) sleep(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.time = h.time.Add(d)
}

func newHouse(t testing.TB) *house {
	t.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatalf("GenerateMasterKey: %v", err)
	}
	h := &house{
		store: &identitytest.Memory{},
		time:  time.Date(2026, 11, 24, 10, 15, 0, 500_000_000, time.UTC),
	}
	directory := func() *identity.Directory {
		return identity.NewDirectory(identity.Config{Store: h.store, Master: master, Account: "000123456789", Now: h.now})
	}
	h.a = authn.New(authn.Config{Directory: directory(), Now: h.now})
	h.b = authn.New(authn.Config{Directory: directory(), Now: h.now})
	h.directory = directory()
	if h.root, _, err = h.directory.EnsureRoot(t.Context()); err != nil {
		t.Fatalf("EnsureRoot: %v", err)
	}
	return h
}

func (h *house) remove(id string) { h.store.Remove(id) }

func basic(user, password string) *http.Request {
	r := httptest.NewRequestWithContext(context.Background(), http.MethodGet, "/v2/", http.NoBody)
	r.SetBasicAuth(user, password)
	return r
}

func (h *house) issue(t testing.TB) string {
	t.Helper()
	password, _, err := h.a.IssueToken(t.Context(), h.root.Principal)
	if err != nil {
		t.Fatalf("IssueToken: %v", err)
	}
	return password
}

func TestTokenStandsForItsCaller(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password, expires, err := h.a.IssueToken(t.Context(), h.root.Principal)
	if err != nil {
		t.Fatalf("IssueToken: %v", err)
	}
	if want := time.Date(2026, 11, 24, 22, 15, 0, 0, time.UTC); !expires.Equal(want) {
		t.Errorf("the token expires %v, want %v", expires, want)
	}
	if strings.ContainsAny(password, ": \t\r\n=") || len(password) > 2048 || !strings.HasPrefix(password, "berth_") {
		t.Errorf("the password %q has what clients stumble over", password)
	}
	// The other replica takes it, and takes ECR's authorizationToken verbatim.
	for name, r := range map[string]*http.Request{
		"user and password": basic("AWS", password),
		"verbatim": {Header: http.Header{
			"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+password))},
		}},
		"lower-case scheme": {Header: http.Header{
			"Authorization": {"basic " + base64.StdEncoding.EncodeToString([]byte("AWS:"+password))},
		}},
	} {
		got, err := h.b.Basic(r)
		if diff := cmp.Diff(h.root.Principal, got, anywhere()); diff != "" || err != nil {
			t.Errorf("Basic, %s: error %v, caller (-want +got):\n%s", name, err, diff)
		}
	}
	if _, _, err := h.a.IssueToken(t.Context(), identity.Caller{}); !errors.Is(err, fault.AccessDenied) {
		t.Errorf("IssueToken for nobody: %v, want AccessDenied", err)
	}
}

func TestBasicRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password := h.issue(t)
	header := func(values ...string) *http.Request {
		return &http.Request{Header: http.Header{"Authorization": values}}
	}
	encode := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	tests := map[string]struct {
		r     *http.Request
		want  fault.Code
		words string
	}{
		"nothing":            {&http.Request{Header: http.Header{}}, fault.CredentialsMissing, ""},
		"an empty header":    {header(""), fault.CredentialsMissing, ""},
		"a bearer token":     {header("Bearer " + password), fault.CredentialsMalformed, "Basic"},
		"a signature":        {header("AWS4-HMAC-SHA256 Credential=x"), fault.CredentialsMalformed, "Basic"},
		"two headers":        {header("Basic "+encode("AWS:"+password), "Basic eDp5"), fault.CredentialsMalformed, "more than one"},
		"no base64":          {header("Basic AWS:" + password), fault.CredentialsMalformed, "base64"},
		"no colon":           {header("Basic " + encode("AWS")), fault.CredentialsMalformed, "colon"},
		"too long":           {header("Basic " + strings.Repeat("QUJD", 4096)), fault.CredentialsMalformed, "longer"},
		"another user":       {basic("admin", password), fault.CredentialsMalformed, "must be AWS"},
		"an empty password":  {basic("AWS", ""), fault.TokenInvalid, "Reauthenticate"},
		"a made-up password": {basic("AWS", "hunter2"), fault.TokenInvalid, "Reauthenticate"},
		"the prefix alone":   {basic("AWS", "berth_"), fault.TokenInvalid, "Reauthenticate"},
		"a cut token":        {basic("AWS", password[:len(password)-1]), fault.TokenInvalid, "Reauthenticate"},
		"a longer token":     {basic("AWS", password+"A"), fault.TokenInvalid, "Reauthenticate"},
		"the secret key":     {basic("AWS", h.root.Secret), fault.TokenInvalid, "Reauthenticate"},
		"another registry's": {basic("AWS", newHouse(t).issue(t)), fault.TokenInvalid, "Reauthenticate"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller, err := h.a.Basic(test.r)
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) || caller != (identity.Caller{}) {
				t.Errorf("Basic: caller %v, error %v; want nobody, %q with %q", caller, err, test.want, test.words)
			}
		})
	}
}

func TestAnyChangeBreaksAToken(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	rapid.Check(t, func(t *rapid.T) {
		password, _, err := h.a.IssueToken(context.Background(), h.root.Principal)
		if err != nil {
			t.Fatal(err)
		}
		at := rapid.IntRange(0, len(password)-1).Draw(t, "at")
		to := rapid.ByteRange('!', '~').Draw(t, "to")
		if to == password[at] {
			return
		}
		changed := []byte(password)
		changed[at] = to
		if _, err := h.a.Basic(basic("AWS", string(changed))); !errors.Is(err, fault.TokenInvalid) {
			t.Errorf("Basic with %q for %q: %v, want TokenInvalid", changed, password, err)
		}
	})
}

func TestTokensEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password := h.issue(t)
	h.sleep(12*time.Hour - time.Second)
	if _, err := h.b.Basic(basic("AWS", password)); err != nil {
		t.Errorf("Basic in the token's last second: %v", err)
	}
	h.sleep(time.Second)
	_, err := h.b.Basic(basic("AWS", password))
	if want := "Your authorization token has expired. Reauthenticate and try again."; !errors.Is(err, fault.TokenExpired) || err.Error() != want {
		t.Errorf("Basic after 12 hours: %v, want TokenExpired: %s", err, want)
	}
}

func TestATokenDiesWithItsKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	password := h.issue(t)
	if _, err := h.b.Basic(basic("AWS", password)); err != nil {
		t.Fatalf("Basic: %v", err)
	}
	h.remove(h.root.ID)
	h.sleep(10 * time.Second) // past the cache of keys
	if _, err := h.b.Basic(basic("AWS", password)); !errors.Is(err, fault.AccessKeyUnknown) || !strings.Contains(err.Error(), "Reauthenticate") {
		t.Errorf("Basic after the key was deleted: %v, want AccessKeyUnknown with a hint", err)
	}
}

func sign(t testing.TB, body []byte, credentials aws.Credentials, service string, at time.Time) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://localhost:5080/", bytes.NewReader(body))
	sum := sha256.Sum256(body)
	if err := v4.NewSigner().SignHTTP(t.Context(), credentials, r, hex.EncodeToString(sum[:]), service, "us-east-1", at); err != nil {
		t.Fatalf("SignHTTP: %v", err)
	}
	return r
}

func TestSigV4(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	body := []byte("{}")
	good := aws.Credentials{AccessKeyID: h.root.ID, SecretAccessKey: h.root.Secret}
	got, err := h.a.SigV4(sign(t, body, good, "ecr", h.now()), body, "ecr")
	if diff := cmp.Diff(h.root.Principal, got, anywhere()); diff != "" || err != nil {
		t.Fatalf("SigV4: error %v, caller (-want +got):\n%s", err, diff)
	}

	wrongSecret, unknown, session := good, good, good
	wrongSecret.SecretAccessKey += "x"
	unknown.AccessKeyID = "AKIAAAAAAAAAAAAAAAAA"
	session.SessionToken = "left over from Amazon"
	tests := map[string]struct {
		r      *http.Request
		body   string
		want   fault.Code
		words  string
		screen bool // refused without the body, too
	}{
		"wrong secret":  {sign(t, body, wrongSecret, "ecr", h.now()), "{}", fault.SignatureMismatch, "does not match", false},
		"other body":    {sign(t, body, good, "ecr", h.now()), "[]", fault.SignatureMismatch, "does not match", false},
		"unknown key":   {sign(t, body, unknown, "ecr", h.now()), "{}", fault.AccessKeyUnknown, "The security token included in the request is invalid.", true},
		"session token": {sign(t, body, session, "ecr", h.now()), "{}", fault.AccessKeyUnknown, "unset AWS_SESSION_TOKEN", true},
		"other service": {sign(t, body, good, "s3", h.now()), "{}", fault.SignatureMismatch, "'ecr'", true},
		"replayed":      {sign(t, body, good, "ecr", h.now().Add(-time.Hour)), "{}", fault.SignatureExpired, "Signature expired", true},
		"unsigned":      {httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", http.NoBody), "", fault.CredentialsMissing, "not signed", true},
		"basic":         {basic("AWS", "x"), "", fault.CredentialsMalformed, "AWS4-HMAC-SHA256", true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			caller, err := h.a.SigV4(test.r, []byte(test.body), "ecr")
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.words) || caller != (identity.Caller{}) {
				t.Errorf("SigV4: caller %v, error %v; want nobody, %q with %q", caller, err, test.want, test.words)
			}
			if err := h.a.Screen(test.r, "ecr"); (err != nil) != test.screen {
				t.Errorf("Screen: %v; want an error: %v", err, test.screen)
			}
		})
	}
}

func TestLinks(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	const path = "/v2/app é/blobs/sha256:00"
	query, err := h.a.SignLink(t.Context(), path, time.Hour)
	if err != nil {
		t.Fatalf("SignLink: %v", err)
	}
	request := func(method, path, query string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), method, "/", http.NoBody)
		r.URL.Path, r.URL.RawQuery = path, query
		return r
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		r := request(method, path, query)
		if err := h.b.VerifyLink(r); err != nil || !authn.HasLink(r) {
			t.Errorf("VerifyLink by %s: %v, HasLink %v", method, err, authn.HasLink(r))
		}
	}
	other, err := newHouse(t).a.SignLink(t.Context(), path, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		r    *http.Request
		want fault.Code
	}{
		"another method":     {request(http.MethodDelete, path, query), fault.SignatureMismatch},
		"another path":       {request(http.MethodGet, path+"1", query), fault.SignatureMismatch},
		"another registry's": {request(http.MethodGet, path, other), fault.SignatureMismatch},
		"a later end":        {request(http.MethodGet, path, strings.Replace(query, "Expires=1", "Expires=2", 1)), fault.SignatureMismatch},
		"a cut signature":    {request(http.MethodGet, path, query[:len(query)-1]), fault.SignatureMismatch},
		"an added signature": {request(http.MethodGet, path, query+"&X-Berth-Signature=x"), fault.CredentialsMalformed},
		"no end":             {request(http.MethodGet, path, query[strings.Index(query, "&")+1:]), fault.CredentialsMalformed},
		"no query":           {request(http.MethodGet, path, ""), fault.CredentialsMissing},
		"a broken query":     {request(http.MethodGet, path, query+"&%zz"), fault.CredentialsMalformed},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := h.b.VerifyLink(test.r); !errors.Is(err, test.want) {
				t.Errorf("VerifyLink: %v, want %q", err, test.want)
			}
		})
	}
}

func TestLinksEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	query, err := h.a.SignLink(t.Context(), "/v2/a/blobs/x", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/v2/a/blobs/x?"+query, http.NoBody)
	h.sleep(time.Hour - time.Second)
	if err := h.b.VerifyLink(r); err != nil {
		t.Errorf("VerifyLink before the end: %v", err)
	}
	h.sleep(time.Second)
	if err := h.b.VerifyLink(r); !errors.Is(err, fault.SignatureExpired) {
		t.Errorf("VerifyLink after the end: %v, want SignatureExpired", err)
	}
}

func FuzzBasic(f *testing.F) {
	h := newHouse(f)
	f.Add("Basic " + base64.StdEncoding.EncodeToString([]byte("AWS:berth_x")))
	f.Add("Bearer x")
	f.Add("Basic")
	f.Add("")
	f.Fuzz(func(t *testing.T, header string) {
		caller, err := h.a.Basic(&http.Request{Header: http.Header{"Authorization": {header}}})
		if _, ok := fault.Of(err); !ok || caller != (identity.Caller{}) {
			t.Errorf("Basic(%q): caller %v, error %v", header, caller, err)
		}
	})
}

func BenchmarkBasic(b *testing.B) {
	h := newHouse(b)
	r := basic("AWS", h.issue(b))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.a.Basic(r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSigV4(b *testing.B) {
	h := newHouse(b)
	body := []byte("{}")
	r := sign(b, body, aws.Credentials{AccessKeyID: h.root.ID, SecretAccessKey: h.root.Secret}, "ecr", h.now())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.a.SigV4(r, body, "ecr"); err != nil {
			b.Fatal(err)
		}
	}
}

// anywhere takes callers for equal wherever their requests came from.
func anywhere() cmp.Option {
	return cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Origin" }, cmp.Ignore())
}
