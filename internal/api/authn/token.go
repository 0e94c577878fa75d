package authn

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const (
	// TokenLifetime is how long an authorization token works, as in ECR.
	TokenLifetime = 12 * time.Hour
	// TokenUser is the user name that goes with an authorization token.
	TokenUser = "AWS"

	// tokenPrefix lets people, and scanners for leaked secrets, recognise a token.
	tokenPrefix = "berth_"
	// ofSession marks, in a token's version, one for a session, which it carries with it: there is no other record of that.
	ofSession = 0x80
	// maxTokenBytes bounds what is decoded; our tokens have about 90, and those of sessions up to identity.MaxSession more.
	maxTokenBytes = 8192
)

// IssueToken makes the password of an authorization token that stands for the caller. It holds no colon and
// no white space, since clients split and print it.
func (a *Authenticator) IssueToken(ctx context.Context, caller identity.Caller) (password string, expires time.Time, err error) {
	if caller.AccessKeyID == "" {
		return "", time.Time{}, fault.New(fault.AccessDenied, "An authorization token is issued to the holder of an access key.")
	}
	k, err := a.newest(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	// Whole seconds are what the token carries, so they are what the client is told.
	expires = a.now().Add(TokenLifetime).UTC().Truncate(time.Second)
	plain := []byte{k.version()}
	var session []byte
	if caller.Session != nil {
		plain[0] |= ofSession
		if session, err = a.directory.SealSession(ctx, caller); err != nil {
			return "", time.Time{}, err
		}
		if end := caller.Session.Expires.UTC().Truncate(time.Second); end.Before(expires) {
			expires = end
		}
	}
	plain = binary.BigEndian.AppendUint64(plain, uint64(expires.Unix()))
	if session != nil {
		plain = append(plain, byte(len(caller.AccessKeyID)))
	}
	plain = append(plain, caller.AccessKeyID...)
	plain = append(plain, session...)
	prefix := k.tokenPrefix()
	sealed := k.tokens.Seal(nil, nil, plain, []byte(prefix))
	return prefix + base64.RawURLEncoding.EncodeToString(sealed), expires, nil
}

// Basic establishes the caller of a registry request from its Authorization header. The faults are
// [fault.CredentialsMissing], [fault.CredentialsMalformed], [fault.TokenInvalid], [fault.TokenExpired] and
// [fault.AccessKeyUnknown].
func (a *Authenticator) Basic(r *http.Request) (identity.Caller, error) {
	password, err := basicPassword(r)
	if err != nil {
		return identity.Caller{}, err
	}
	caller, err := a.token(r.Context(), password)
	if err != nil {
		return identity.Caller{}, err
	}
	a.used(caller, "ecr", "")
	return from(r, caller), nil
}

// basicPassword reads the password from the Authorization header.
func basicPassword(r *http.Request) (string, error) {
	headers := r.Header["Authorization"]
	if len(headers) == 0 || headers[0] == "" {
		return "", fault.New(fault.CredentialsMissing, "no basic auth credentials")
	}
	if len(headers) > 1 {
		return "", fault.New(fault.CredentialsMalformed, "The request carries more than one Authorization header.")
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		return "", fault.New(fault.CredentialsMalformed,
			"This registry takes Basic credentials, not a Bearer token: log in as AWS with the password that 'aws ecr get-login-password' prints.")
	case !strings.EqualFold(scheme, "Basic"):
		return "", fault.New(fault.CredentialsMalformed, "This registry takes Basic credentials in the Authorization header.")
	}
	encoded = strings.TrimSpace(encoded)
	if len(encoded) > maxTokenBytes {
		return "", fault.New(fault.CredentialsMalformed, "The Basic credentials are longer than any token.")
	}
	var space [256]byte
	decoded, err := base64.StdEncoding.AppendDecode(space[:0], []byte(encoded))
	if err != nil {
		return "", fault.New(fault.CredentialsMalformed, "The Basic credentials are not base64.")
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok {
		return "", fault.New(fault.CredentialsMalformed, "The Basic credentials hold no colon between user name and password.")
	}
	if user != TokenUser {
		return "", fault.New(fault.CredentialsMalformed,
			"The user name must be %s, and the password what 'aws ecr get-login-password' prints.", TokenUser)
	}
	return password, nil
}

// token checks an authorization token and finds whom it stands for.
func (a *Authenticator) token(ctx context.Context, password string) (identity.Caller, error) {
	id, encoded, ok := splitToken(password)
	var t token
	if ok {
		k, err := a.named(ctx, id)
		if err != nil {
			return identity.Caller{}, err
		}
		t, ok = k.openToken(encoded)
	}
	if !ok {
		return identity.Caller{}, fault.New(fault.TokenInvalid,
			"Your authorization token is not one that this registry issued. Reauthenticate and try again.")
	}
	if !a.now().Before(t.expires) {
		return identity.Caller{}, fault.New(fault.TokenExpired, "Your authorization token has expired. Reauthenticate and try again.")
	}
	var key identity.AccessKey
	var err error
	if t.session != nil {
		key, err = a.directory.SealedSession(ctx, t.keyID, t.session)
	} else {
		key, err = a.directory.AccessKey(ctx, t.keyID)
	}
	if errors.Is(err, fault.AccessKeyUnknown) {
		return identity.Caller{}, fault.New(fault.AccessKeyUnknown,
			"The access key %s, which your authorization token was issued to, is not active any more. Reauthenticate with another and try again.", t.keyID)
	}
	if err != nil {
		return identity.Caller{}, err
	}
	return key.Principal, nil
}

// token is what a token carries.
type token struct {
	keyID   string
	expires time.Time
	session []byte // sealed; nil for a key that lasts
}

// splitToken parts what a token names its key by from what is sealed under that key.
//
//	berth_<sealed>       version 1, under key 0
//	berth_<id>.<sealed>  version 2, under any other
func splitToken(password string) (id uint32, encoded string, ok bool) {
	rest, ok := strings.CutPrefix(password, tokenPrefix)
	if !ok {
		return 0, "", false
	}
	text, encoded, named := strings.Cut(rest, ".")
	if !named {
		return 0, rest, true
	}
	id, ok = parseKeyID(text)
	return id, encoded, ok
}

// openToken reads what a token carries, if it is one of ours. No key opens nothing.
func (k *keys) openToken(encoded string) (token, bool) {
	if k == nil {
		return token{}, false
	}
	var space [256]byte
	// Strict: a token has one spelling.
	sealed, err := base64.RawURLEncoding.Strict().AppendDecode(space[:0], []byte(encoded))
	if err != nil {
		return token{}, false
	}
	plain, err := k.tokens.Open(nil, nil, sealed, []byte(k.tokenPrefix()))
	if err != nil || len(plain) <= 9 || plain[0]&^ofSession != k.version() {
		return token{}, false
	}
	t := token{expires: time.Unix(int64(binary.BigEndian.Uint64(plain[1:9])), 0)}
	rest := plain[9:]
	if plain[0]&ofSession == 0 {
		t.keyID = string(rest)
		return t, true
	}
	n := int(rest[0])
	if len(rest) <= 1+n {
		return token{}, false
	}
	t.keyID, t.session = string(rest[1:1+n]), rest[1+n:]
	return t, true
}
