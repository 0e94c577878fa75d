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
	// maxTokenBytes bounds what is decoded; our tokens have about 90.
	maxTokenBytes = 4096
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
	plain = binary.BigEndian.AppendUint64(plain, uint64(expires.Unix()))
	plain = append(plain, caller.AccessKeyID...)
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
	return a.token(r.Context(), password)
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
	var keyID string
	var expires time.Time
	if ok {
		k, err := a.named(ctx, id)
		if err != nil {
			return identity.Caller{}, err
		}
		keyID, expires, ok = k.openToken(encoded)
	}
	if !ok {
		return identity.Caller{}, fault.New(fault.TokenInvalid,
			"Your authorization token is not one that this registry issued. Reauthenticate and try again.")
	}
	if !a.now().Before(expires) {
		return identity.Caller{}, fault.New(fault.TokenExpired, "Your authorization token has expired. Reauthenticate and try again.")
	}
	key, err := a.directory.AccessKey(ctx, keyID)
	if errors.Is(err, fault.AccessKeyUnknown) {
		return identity.Caller{}, fault.New(fault.AccessKeyUnknown,
			"The access key %s, which your authorization token was issued to, is not active any more. Reauthenticate with another and try again.", keyID)
	}
	if err != nil {
		return identity.Caller{}, err
	}
	return key.Principal, nil
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
func (k *keys) openToken(encoded string) (keyID string, expires time.Time, ok bool) {
	if k == nil {
		return "", time.Time{}, false
	}
	var space [256]byte
	// Strict: a token has one spelling.
	sealed, err := base64.RawURLEncoding.Strict().AppendDecode(space[:0], []byte(encoded))
	if err != nil {
		return "", time.Time{}, false
	}
	plain, err := k.tokens.Open(nil, nil, sealed, []byte(k.tokenPrefix()))
	if err != nil || len(plain) <= 9 || plain[0] != k.version() {
		return "", time.Time{}, false
	}
	return string(plain[9:]), time.Unix(int64(binary.BigEndian.Uint64(plain[1:9])), 0), true
}
