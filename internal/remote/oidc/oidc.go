// Package oidc verifies web identity tokens: the OpenID Connect tokens with which a CI job or a Kubernetes pod says who
// it is, signed by an identity provider that the account trusts.
//
// Only RS256 and ES256 are taken, only with a key that the issuer publishes (or the operator pinned) for that very
// algorithm, and nothing in a token says where a key is. The issuer's keys are fetched by discovery (OpenID Connect
// Discovery 1.0 §4) and kept; see source for how long. Requests go to public addresses over https, unless the operator
// says otherwise for an issuer.
//
// What a token's subject may do is not decided here: that is the trust policy's, which sees [Claims.Values].
package oidc

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/remote/guard"
)

const (
	// The length of a token, in characters (STS, AssumeRoleWithWebIdentity, WebIdentityToken).
	minToken, maxToken = 4, 20_000
	// maxSources bounds how many issuers' keys are kept. An account has at most 100 providers.
	maxSources = 1000
)

// noKey is how AWS says that a token's signature cannot be checked; the reason follows.
const noKey = "Couldn't retrieve verification key from your identity provider, please reference AssumeRoleWithWebIdentity documentation for requirements: "

// Provider is an OIDC provider as the account trusts it.
type Provider struct {
	// Issuer is the tokens' iss, letter for letter: https://token.actions.githubusercontent.com
	Issuer string
	// ClientIDs are the audiences that are taken. Without any, no token is.
	ClientIDs []string
	// Thumbprints are SHA-1 fingerprints in hex of certificates. They matter only where the issuer's certificate does not
	// verify against the system's authorities: one of the chain that the issuer presents, and to which its certificate
	// verifies, is then trusted as an authority.
	Thumbprints []string
}

// Config is what a Verifier needs. Now must be set.
type Config struct {
	Now func() time.Time
	// AllowPrivate tells whether an issuer, and what its discovery document names, may be at loopback and private
	// addresses; for a loopback issuer also over plain http. Where nil, none may. Addresses where clouds keep a machine's
	// credentials are never asked.
	AllowPrivate func(issuer string) bool
	// Pinned has JSON Web Key Sets by issuer. For these nothing is ever fetched, and the keys are good until they are
	// replaced here.
	Pinned map[string][]byte
	// Roots are the authorities that issuers' certificates verify against; nil means the system's.
	Roots *x509.CertPool
	// Logger is told when an issuer's keys do not come. It may be nil.
	Logger *slog.Logger
	// Wrap puts something around the transport, such as spans of traces; nil: nothing.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// Verifier verifies tokens. Its methods may be called from many goroutines.
type Verifier struct {
	now          func() time.Time
	allowPrivate func(issuer string) bool
	pinned       map[string]*source
	roots        *x509.CertPool
	logger       *slog.Logger
	private      guard.Refusal // of what is not public
	wrap         func(http.RoundTripper) http.RoundTripper

	mu      sync.Mutex
	sources map[string]*source
}

// New makes a verifier. It fails where a pinned key set has no key that could be used.
func New(c Config) (*Verifier, error) {
	v := &Verifier{
		now: c.Now, allowPrivate: c.AllowPrivate, roots: c.Roots, logger: c.Logger, private: guard.Private, wrap: c.Wrap,
		pinned: map[string]*source{}, sources: map[string]*source{},
	}
	if v.allowPrivate == nil {
		v.allowPrivate = func(string) bool { return false }
	}
	if v.logger == nil {
		v.logger = slog.New(slog.DiscardHandler)
	}
	for issuer, set := range c.Pinned {
		keys, err := parseKeys(set)
		if err != nil {
			return nil, fmt.Errorf("the pinned keys of %s: %w", issuer, err)
		}
		v.pinned[issuer] = &source{issuer: issuer, keys: keys}
	}
	return v, nil
}

// Verify tells what a token says, if it is p's, for one of p's client ids, and neither expired nor of the future.
//
// It fails with fault.IdentityTokenInvalid, IdentityTokenExpired, IdentityTokenRejected (the claims that ask for session
// tags or a source identity are malformed), or IdentityProviderUnavailable. Messages never have the token.
func (v *Verifier) Verify(ctx context.Context, p Provider, token string) (Claims, error) {
	jws, err := parseToken(token)
	if err != nil {
		return Claims{}, err
	}
	payload, err := v.checkSignature(ctx, v.sourceOf(p), jws)
	if err != nil {
		return Claims{}, err
	}
	values, err := parsePayload(payload)
	if err != nil {
		return Claims{}, err
	}
	return readClaims(p, values, v.now())
}

// Issuer reads a token's iss without believing it, to find the provider.
func Issuer(token string) (string, error) {
	jws, err := parseToken(token)
	if err != nil {
		return "", err
	}
	values, err := parsePayload(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return "", err
	}
	return required(values, "iss")
}

// sourceOf finds the keys of a provider. Those that were fetched on the word of one thumbprint are not there for a
// provider that does not have it.
func (v *Verifier) sourceOf(p Provider) *source {
	if s := v.pinned[p.Issuer]; s != nil {
		return s
	}
	t := v.trustOf(p)
	key := p.Issuer + " " + strings.Join(t.thumbprints, " ")
	v.mu.Lock()
	defer v.mu.Unlock()
	s := v.sources[key]
	if s == nil {
		if len(v.sources) >= maxSources {
			clear(v.sources)
		}
		s = &source{issuer: p.Issuer, now: v.now, logger: v.logger, fetch: func(ctx context.Context) ([]jose.JSONWebKey, error) {
			return v.fetchKeys(ctx, p.Issuer, t)
		}}
		v.sources[key] = s
	}
	return s
}

// refusal is what no request on behalf of an issuer may be sent to.
func (v *Verifier) refusal(issuer string) guard.Refusal {
	if v.allowPrivate(issuer) {
		return guard.Metadata
	}
	return func(ip netip.Addr) error { return v.private(ip) }
}

// parseToken reads a token's form. It does not say who signed it.
func parseToken(token string) (*jose.JSONWebSignature, error) {
	if len(token) < minToken || len(token) > maxToken {
		return nil, fault.New(fault.IdentityTokenInvalid, "The web identity token must have %d to %d characters", minToken, maxToken)
	}
	foreign := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}
	if strings.ContainsFunc(token, foreign) { // Go's base64 passes over line ends
		return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided is not a valid JWT: it has characters that no JWT has")
	}
	jws, err := jose.ParseSignedCompact(token, algorithms)
	if wrong := (*jose.ErrUnexpectedSignatureAlgorithm)(nil); errors.As(err, &wrong) {
		return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided is signed with an algorithm that is not taken: it must be RS256 or ES256")
	}
	if err != nil || len(jws.Signatures) != 1 {
		return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided is not a valid JWT: it must be three parts of base64url, the first two JSON")
	}
	for _, name := range []jose.HeaderKey{"crit", "b64"} {
		if _, ok := jws.Signatures[0].Protected.ExtraHeaders[name]; ok {
			return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided has the header %q, which is not taken", name)
		}
	}
	return jws, nil
}

// checkSignature gives the payload that one of the issuer's keys signed. Where none did, the keys are fetched again if
// that may help, see source.again.
func (v *Verifier) checkSignature(ctx context.Context, s *source, jws *jose.JSONWebSignature) ([]byte, error) {
	keys, generation, err := s.current(ctx)
	if err != nil {
		return nil, err
	}
	payload, tried := verify(jws, keys)
	if payload != nil {
		return payload, nil
	}
	newer, err := s.again(ctx, generation)
	switch {
	case err != nil && (!tried || ctx.Err() != nil):
		return nil, err
	case err == nil && newer != nil:
		if payload, tried = verify(jws, newer); payload != nil {
			return payload, nil
		}
	}
	if !tried {
		return nil, fault.New(fault.IdentityTokenInvalid, noKey+"%s has no key of the token's kid and algorithm", s.issuer)
	}
	return nil, fault.New(fault.IdentityTokenInvalid, "The ID Token provided has a signature that is not %s's", s.issuer)
}

// verify tries the keys that may have signed a token: those of its kid, or where it has none all of its algorithm. It
// tells whether there was any.
func verify(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) (payload []byte, tried bool) {
	header := jws.Signatures[0].Protected
	left := maxTries
	for _, k := range keys {
		if header.KeyID != "" && k.KeyID != header.KeyID || !fits(k, jose.SignatureAlgorithm(header.Algorithm)) {
			continue
		}
		if left--; left < 0 {
			break
		}
		tried = true
		if payload, err := jws.Verify(k.Key); err == nil {
			return payload, true
		}
	}
	return nil, tried
}

// normal is fingerprints in one order and spelling.
func normal(thumbprints []string) []string {
	all := make([]string, len(thumbprints))
	for i, t := range thumbprints {
		all[i] = strings.ToLower(t)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
