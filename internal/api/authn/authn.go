// Package authn turns the credentials on a request into an [identity.Caller].
//
// There are three kinds. AWS requests are signed ([Authenticator.SigV4]). Registry requests carry an
// authorization token as the password of the user AWS ([Authenticator.Basic]), which any signed caller can
// have issued; it is self-contained, so that every replica can check it. A download link carries a
// signature of our own over its path and its end ([Authenticator.VerifyLink]), and stands for nobody.
//
// Tokens and links hang on the secrets that all replicas share, [identity.Directory.TokenKeys], and name theirs. A token
// dies with the access key it was issued to: the key is looked up each time.
package authn

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/hoopstat-haus/berth/internal/api/sigv4"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// Config is what an Authenticator is made of.
type Config struct {
	Directory *identity.Directory
	Now       func() time.Time
	// Used is told of every credential that held: which service it was for, and which region it was scoped to, where it was.
	// It must not wait. Nil: nobody wants to know.
	Used func(caller identity.Caller, service, region string)
}

// Authenticator checks credentials, and issues the two kinds that Berth issues itself. It is safe for
// concurrent use.
type Authenticator struct {
	directory *identity.Directory
	now       func() time.Time
	used      func(caller identity.Caller, service, region string)
	verifier  sigv4.Verifier
	keys      atomic.Pointer[map[uint32]*keys] // by id; nil until the first token or link
}

// New makes an Authenticator.
func New(cfg Config) *Authenticator {
	a := &Authenticator{directory: cfg.Directory, now: cfg.Now, used: cfg.Used}
	if a.used == nil {
		a.used = func(identity.Caller, string, string) {}
	}
	return a
}

// SigV4 verifies an AWS request's signature over body, the bytes as they came on the wire, for the given
// service.
func (a *Authenticator) SigV4(r *http.Request, body []byte, service string) (identity.Caller, error) {
	q, key, err := a.claim(r, service)
	if err != nil {
		return identity.Caller{}, err
	}
	if err := a.verifier.Verify(r, q, key.Secret, body); err != nil {
		return identity.Caller{}, err
	}
	a.used(key.Principal, service, q.Region)
	return from(r, key.Principal), nil
}

// from adds where the request came from.
func from(r *http.Request, c identity.Caller) identity.Caller {
	c.Origin = Origin(r)
	return c
}

// Origin tells where a request came from and how. What a proxy in front says of it has been put in its place before
// (middleware).
func Origin(r *http.Request) identity.Origin {
	address, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		address = r.RemoteAddr
	}
	return identity.Origin{Address: address, Secure: r.TLS != nil || r.URL != nil && r.URL.Scheme == "https", UserAgent: r.UserAgent()}
}

// Screen refuses an AWS request for what can be known without its body: no credentials, an unknown key, a
// time that is off. It proves nothing.
func (a *Authenticator) Screen(r *http.Request, service string) error {
	_, _, err := a.claim(r, service)
	return err
}

// claim reads whom a request claims to come from, and finds the key.
func (a *Authenticator) claim(r *http.Request, service string) (*sigv4.Request, identity.AccessKey, error) {
	q, err := sigv4.Parse(r)
	if err != nil {
		return nil, identity.AccessKey{}, err
	}
	if err := q.CheckTime(a.now()); err != nil {
		return nil, identity.AccessKey{}, err
	}
	if err := q.CheckService(service); err != nil {
		return nil, identity.AccessKey{}, err
	}
	key, err := a.key(r.Context(), q)
	if err != nil {
		return nil, identity.AccessKey{}, err
	}
	return q, key, nil
}

// key finds the access key that a request names: a temporary one by its session token.
func (a *Authenticator) key(ctx context.Context, q *sigv4.Request) (identity.AccessKey, error) {
	if q.SessionToken == "" {
		return a.directory.AccessKey(ctx, q.AccessKeyID)
	}
	key, err := a.directory.SessionKey(ctx, q.AccessKeyID, q.SessionToken)
	if !errors.Is(err, fault.AccessKeyUnknown) {
		return key, err
	}
	if _, lasting := a.directory.AccessKey(ctx, q.AccessKeyID); lasting == nil {
		return identity.AccessKey{}, fault.New(fault.AccessKeyUnknown,
			"The security token included in the request is invalid. The access key %s takes no session token: unset AWS_SESSION_TOKEN.", q.AccessKeyID)
	}
	return identity.AccessKey{}, err
}
