package identity_test

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

// sessionStore knows one role.
type sessionStore struct{ identitytest.Memory }

const sessionRole = "AROAEXAMPLEEXAMPLEEXA"

func (s *sessionStore) PrincipalARN(_ context.Context, id string) (string, error) {
	if id != sessionRole {
		return "", identity.ErrNotFound
	}
	return "arn:aws:iam::" + account + ":role/ci", nil
}

func newSessions(tb testing.TB, c *clock) *identity.Directory {
	tb.Helper()
	master, err := identity.GenerateMasterKey()
	if err != nil {
		tb.Fatal(err)
	}
	return identity.NewDirectory(identity.Config{
		Store: &sessionStore{}, Master: master, Account: account, Now: c.now,
	})
}

func sessionPrincipal(c *clock) identity.Caller {
	now := c.t.UTC().Truncate(time.Second)
	return identity.Caller{
		Account: account, ARN: "arn:aws:sts::" + account + ":assumed-role/ci/run", UserID: sessionRole + ":run",
		Session: &identity.Session{
			Name: "run", RoleARN: "arn:aws:iam::" + account + ":role/ci", IssuedAt: now, Expires: now.Add(time.Hour),
			Policy: `{"Statement":[]}`, PolicyARNs: []string{"arn:aws:iam::aws:policy/X"}, Tags: map[string]string{"team": "a"},
			TransitiveTags: []string{"team"}, SourceIdentity: "alice", Provider: "arn:aws:iam::" + account + ":oidc-provider/x",
		},
	}
}

func newSession(tb testing.TB, d *identity.Directory, c *clock) identity.Credentials {
	tb.Helper()
	session, err := d.NewSession(context.Background(), sessionPrincipal(c))
	if err != nil {
		tb.Fatalf("NewSession: %v", err)
	}
	return session
}

func TestSessionsCarryWhatTheyWereGiven(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := newSessions(t, c)
	session := newSession(t, d, c)
	if len(session.SecretAccessKey) != 40 || !strings.HasPrefix(session.AccessKeyID, "ASIA") || len(session.AccessKeyID) != 20 {
		t.Errorf("the key is %s, its secret has %d characters", session.AccessKeyID, len(session.SecretAccessKey))
	}
	key, err := d.SessionKey(t.Context(), session.AccessKeyID, session.SessionToken)
	if err != nil || key.Secret != session.SecretAccessKey {
		t.Fatalf("SessionKey: %v", err)
	}
	want := sessionPrincipal(c)
	want.AccessKeyID = session.AccessKeyID
	if diff := cmp.Diff(want, key.Principal); diff != "" {
		t.Errorf("the principal: %s", diff)
	}
	other := newSession(t, d, c)
	for what, wrong := range map[string][2]string{
		"another key's token": {other.AccessKeyID, session.SessionToken}, "no token": {session.AccessKeyID, ""},
		"Amazon's token": {session.AccessKeyID, "IQoJb3JpZ2luX2VjE"}, "another registry's": {session.AccessKeyID, newSession(t, newSessions(t, c), c).SessionToken},
		"no key": {"", session.SessionToken},
	} {
		if _, err := d.SessionKey(t.Context(), wrong[0], wrong[1]); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Errorf("%s: %v, want fault.AccessKeyUnknown", what, err)
		}
	}
	principal := sessionPrincipal(c)
	principal.UserID = "AROAGONEGONEGONEGONEG:run"
	gone, err := d.NewSession(t.Context(), principal)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.SessionKey(t.Context(), gone.AccessKeyID, gone.SessionToken); !errors.Is(err, fault.AccessKeyUnknown) {
		t.Errorf("whose role is gone: %v, want fault.AccessKeyUnknown", err)
	}
}

// TestNoByteOfASessionCanChange flips bits of tokens, and of what they seal.
func TestNoByteOfASessionCanChange(t *testing.T) {
	t.Parallel()
	c := newClock()
	d := newSessions(t, c)
	session := newSession(t, d, c)
	refused := func(what string, i int, token string) {
		t.Helper()
		if _, err := d.SessionKey(t.Context(), session.AccessKeyID, token); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Fatalf("%s %d: %v, want fault.AccessKeyUnknown", what, i, err)
		}
	}
	const prefix = "berths_"
	sealed, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(session.SessionToken, prefix))
	if err != nil {
		t.Fatal(err)
	}
	for i := range sealed {
		for bit := range 8 {
			sealed[i] ^= 1 << bit
			refused("byte", i, prefix+base64.RawURLEncoding.EncodeToString(sealed))
			sealed[i] ^= 1 << bit
		}
	}
	for i := range session.SessionToken {
		refused("cut at", i, session.SessionToken[:i])
	}
	rapid.Check(t, func(t *rapid.T) {
		i := rapid.IntRange(0, len(session.SessionToken)-1).Draw(t, "at")
		b := rapid.Byte().Draw(t, "byte")
		if b == session.SessionToken[i] {
			return
		}
		changed := []byte(session.SessionToken)
		changed[i] = b
		if _, err := d.SessionKey(context.Background(), session.AccessKeyID, string(changed)); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Fatalf("%q at %d: %v, want fault.AccessKeyUnknown", b, i, err)
		}
	})
}

func TestMessagesAreSealed(t *testing.T) {
	t.Parallel()
	d := newSessions(t, newClock())
	text, err := d.SealMessage(t.Context(), "use", []byte("plain"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := d.OpenMessage(t.Context(), "use", text); err != nil || string(plain) != "plain" {
		t.Errorf("OpenMessage: %q, %v", plain, err)
	}
	for what, f := range map[string]func() ([]byte, error){
		"another use":      func() ([]byte, error) { return d.OpenMessage(t.Context(), "other", text) },
		"another registry": func() ([]byte, error) { return newSessions(t, newClock()).OpenMessage(t.Context(), "use", text) },
		"nothing":          func() ([]byte, error) { return d.OpenMessage(t.Context(), "use", "") },
		"no base64":        func() ([]byte, error) { return d.OpenMessage(t.Context(), "use", "+"+text) },
	} {
		if _, err := f(); !errors.Is(err, identity.ErrMessageInvalid) {
			t.Errorf("%s: %v, want ErrMessageInvalid", what, err)
		}
	}
	for i := range text {
		changed := []byte(text)
		changed[i] ^= 1
		if _, err := d.OpenMessage(t.Context(), "use", string(changed)); !errors.Is(err, identity.ErrMessageInvalid) {
			t.Errorf("changed at %d: %v, want ErrMessageInvalid", i, err)
		}
	}
}

// FuzzSessionKey feeds what strangers send. Nothing but the one token opens.
func FuzzSessionKey(f *testing.F) {
	c := newClock()
	d := newSessions(f, c)
	session := newSession(f, d, c)
	f.Add(session.AccessKeyID, session.SessionToken)
	f.Add(session.AccessKeyID, "berths_")
	f.Add("ASIAIOSFODNN7EXAMPLE", "berths_AQAAAAA")
	f.Add("", session.SessionToken+"A")
	f.Fuzz(func(t *testing.T, id, token string) {
		key, err := d.SessionKey(t.Context(), id, token)
		ours := id == session.AccessKeyID && token == session.SessionToken
		switch {
		case ours && (err != nil || key.Principal.UserID != sessionRole+":run"):
			t.Errorf("the session does not open: %v", err)
		case !ours && !errors.Is(err, fault.AccessKeyUnknown):
			t.Errorf("%q with %q: %v", id, token, err)
		}
	})
}

func BenchmarkSessionKey(b *testing.B) {
	c := newClock()
	d := newSessions(b, c)
	session := newSession(b, d, c)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.SessionKey(b.Context(), session.AccessKeyID, session.SessionToken); err != nil {
			b.Fatal(err)
		}
	}
}
