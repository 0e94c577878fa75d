// Package authn turns the credentials on a request into an [identity.Caller].
//
// There are three kinds. AWS requests are signed ([Authenticator.SigV4]). Registry requests carry an
// authorization token as the password of the user AWS ([Authenticator.Basic]), which any signed caller can
// have issued; it is self-contained, so that every replica can check it. A download link carries a
// signature of our own over its path and its end ([Authenticator.VerifyLink]), and stands for nobody.
//
// Tokens and links hang on the secret that all replicas share, [identity.Directory.TokenKey]. A token dies
// with the access key it was issued to: the key is looked up each time.
package authn

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
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
	keys      atomic.Pointer[keys] // nil until the first token or link
}

// keys are what is derived from the shared secret, one for each use.
type keys struct {
	tokens cipher.AEAD // AES-256-GCM with random nonces
	links  []byte      // for HMAC-SHA256
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

// derived gives the keys for tokens and links, deriving them when they are first needed.
func (a *Authenticator) derived(ctx context.Context) (*keys, error) {
	if k := a.keys.Load(); k != nil {
		return k, nil
	}
	secret, err := a.directory.TokenKey(ctx)
	if err != nil {
		return nil, err
	}
	derive := func(use string) ([]byte, error) { return hkdf.Key(sha256.New, secret, nil, use, 32) }
	tokenKey, err := derive("berth authorization token v1")
	if err != nil {
		return nil, fmt.Errorf("deriving the key for tokens: %w", err)
	}
	block, err := aes.NewCipher(tokenKey)
	if err != nil {
		return nil, fmt.Errorf("making the cipher for tokens: %w", err)
	}
	k := &keys{}
	if k.tokens, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("making the cipher for tokens: %w", err)
	}
	if k.links, err = derive("berth download link v1"); err != nil {
		return nil, fmt.Errorf("deriving the key for links: %w", err)
	}
	// Another request may have done the same meanwhile; its keys are these.
	a.keys.Store(k)
	return k, nil
}
