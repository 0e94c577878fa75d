package authn

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// Bearer tokens are for clients that come without credentials: docker gives up on a Basic challenge when it has none, and
// fetches a token for nobody on a Bearer one. Who has credentials gets as a bearer token what he has already, an
// authorization token, so that there is nothing new to check or to revoke.

const (
	anonymousPrefix = "berth_anonymous_"
	// nowhere is the path of the link that an anonymous token is. Paths of requests begin with a slash.
	nowhere = "anonymous"

	anonymousLifetime = time.Hour
	// bearerLifetime is how long a client goes on with a bearer token before it exchanges its credentials again. The token
	// itself ends when it ends.
	bearerLifetime = 5 * time.Minute
)

// BearerToken is what credentials, or none, are exchanged for.
type BearerToken struct {
	Token  string
	Caller identity.Caller // whom it stands for
	Issued time.Time
	Lasts  time.Duration
}

// NoCredentials tells whether a registry request comes without any: no Authorization header, or Basic with neither user
// nor password, as some clients write it.
func NoCredentials(r *http.Request) bool {
	headers := r.Header["Authorization"]
	if len(headers) == 0 {
		return true
	}
	if len(headers) > 1 {
		return false
	}
	scheme, encoded, _ := strings.Cut(headers[0], " ")
	return headers[0] == "" || strings.EqualFold(scheme, "Basic") && strings.TrimSpace(encoded) == "Og=="
}

// IsBearer tells whether a request's credentials are a bearer token.
func IsBearer(r *http.Request) bool {
	scheme, _, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer")
}

// Exchange gives the bearer token for a registry request's credentials: for an authorization token that itself, for none the
// anonymous one. The faults are those of Basic.
func (a *Authenticator) Exchange(r *http.Request) (BearerToken, error) {
	if NoCredentials(r) {
		return a.anonymousToken(r.Context())
	}
	caller, err := a.Basic(r)
	if err != nil {
		return BearerToken{}, err
	}
	password, err := basicPassword(r)
	return BearerToken{Token: password, Caller: caller, Issued: a.now().UTC().Truncate(time.Second), Lasts: bearerLifetime}, err
}

// anonymousToken stands for nobody. It says no more than that this registry made it, and when.
func (a *Authenticator) anonymousToken(ctx context.Context) (BearerToken, error) {
	query, err := a.SignLink(ctx, nowhere, anonymousLifetime)
	return BearerToken{
		Token:  anonymousPrefix + base64.RawURLEncoding.EncodeToString([]byte(query)),
		Issued: a.now().UTC().Truncate(time.Second),
		Lasts:  anonymousLifetime,
	}, err
}

// Bearer establishes the caller of a registry request that came with a bearer token: an authorization token, with the faults
// of Basic, or the anonymous one, whose caller is nobody, with fault.TokenInvalid. A client asks for a new one then.
func (a *Authenticator) Bearer(r *http.Request) (identity.Caller, error) {
	headers := r.Header["Authorization"]
	if len(headers) != 1 {
		return identity.Caller{}, fault.New(fault.CredentialsMalformed, "The request carries more than one Authorization header.")
	}
	_, token, _ := strings.Cut(headers[0], " ")
	token = strings.TrimSpace(token)
	encoded, anonymous := strings.CutPrefix(token, anonymousPrefix)
	if !anonymous {
		return a.Basic(withBasic(r, token))
	}
	if err := a.verifyAnonymous(r.Context(), encoded); err != nil {
		if _, isFault := fault.Of(err); isFault {
			err = fault.Wrap(fault.TokenInvalid, err, "Your anonymous token is not valid any more. Ask for another one.")
		}
		return identity.Caller{}, err
	}
	return from(r, identity.Caller{}), nil
}

func (a *Authenticator) verifyAnonymous(ctx context.Context, encoded string) error {
	query, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return fault.Wrap(fault.TokenInvalid, err, "the anonymous token is not base64")
	}
	link := &http.Request{Method: http.MethodGet, URL: &url.URL{Path: nowhere, RawQuery: string(query)}}
	return a.VerifyLink(link.WithContext(ctx))
}

// withBasic is the request with a token as the password of Basic credentials.
func withBasic(r *http.Request, password string) *http.Request {
	c := r.WithContext(r.Context())
	c.Header = http.Header{"User-Agent": r.Header["User-Agent"]}
	c.SetBasicAuth(TokenUser, password)
	return c
}
