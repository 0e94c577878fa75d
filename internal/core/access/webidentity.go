package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The lengths that a web identity token may have.
const (
	minIdentityToken = 4
	maxIdentityToken = 20000
)

// WebIdentityRequest asks for a role's session on the strength of a token that an OIDC provider issued.
type WebIdentityRequest struct {
	RoleRequest

	Token string
}

// WebIdentitySession is a session that has begun with a web identity.
type WebIdentitySession struct {
	RoleSession

	Subject, Audience, Issuer string // of the token
}

// AssumeRoleWithWebIdentity begins a session of a role for the holder of a web identity token. The caller is nobody, and its
// origin counts. The token must be of a provider of this account and hold; then the role's trust policy must allow it to
// the provider, under the conditions that it makes about the token's claims.
//
// A refusal tells what the token says and not what the policy wants, whether there is the role or not: anybody can
// have a sound token of a public issuer. The Refusal in it has the rest.
func (s *Service) AssumeRoleWithWebIdentity(ctx context.Context, caller identity.Caller, r WebIdentityRequest) (WebIdentitySession, error) {
	if err := r.check(); err != nil {
		return WebIdentitySession{}, err
	}
	if len(r.Token) < minIdentityToken || len(r.Token) > maxIdentityToken {
		return WebIdentitySession{}, invalid("1 validation error detected: Value at 'webIdentityToken' failed to satisfy constraint: "+
			"Member must have length of %d to %d", minIdentityToken, maxIdentityToken)
	}
	provider, claims, err := s.verify(ctx, r.Token)
	if err != nil {
		return WebIdentitySession{}, err
	}
	session, tags, err := sessionOf(provider, claims)
	if err != nil {
		return WebIdentitySession{}, err
	}
	role, roleTags, trust, err := s.trustOf(ctx, r.Role)
	if err != nil {
		return WebIdentitySession{}, err
	}
	about := assumeContext(r.Name, "", session.SourceIdentity, session.TransitiveTags, tagContext(roleTags, tags))
	request := policy.Request{
		Resource: r.Role, Account: s.account, Resources: []*policy.Policy{trust}, Context: claimContext(provider, claims, about),
	}
	for _, request.Action = range neededFor(policy.AssumeRoleWithWebIdentity, session) {
		q := policy.Question{
			Asker:  policy.Asker{Federated: provider.ARN},
			Action: request.Action, Resource: request.Resource, Account: s.account, Resources: request.Resources,
			Context: s.contextOf(caller, &granted{}, request),
		}
		if d := policy.Decide(q); d.Outcome != policy.Allowed {
			return WebIdentitySession{}, untrusted(provider, claims, q, d)
		} else if s.decided != nil {
			s.decided(ctx, d)
		}
	}
	begun, err := s.begin(ctx, role, r.RoleRequest, session, false)
	if err != nil {
		return WebIdentitySession{}, err
	}
	return WebIdentitySession{RoleSession: begun, Subject: claims.Subject, Audience: claims.Audience, Issuer: claims.Issuer}, nil
}

// verify finds the provider that a token is of and has the token verified.
func (s *Service) verify(ctx context.Context, token string) (Provider, Claims, error) {
	if s.tokens == nil {
		return Provider{}, Claims{}, fault.New(fault.OperationUnsupported, "This registry takes no web identity tokens.")
	}
	issuer, err := s.tokens.Issuer(token)
	if err != nil {
		return Provider{}, Claims{}, err
	}
	provider, err := s.store.Read().Provider(ctx, s.providerARN(issuer))
	if errors.Is(err, ErrNoRow) || err == nil && provider.Issuer != issuer {
		return Provider{}, Claims{}, fault.New(fault.IdentityTokenInvalid,
			"No OpenIDConnect provider found in your account for %s", shortText(issuer))
	}
	if err != nil {
		return Provider{}, Claims{}, fmt.Errorf("reading the OIDC provider of %q: %w", issuer, err)
	}
	claims, err := s.tokens.Verify(ctx, provider, token)
	return provider, claims, err
}

// sessionOf is what a session is given by the token that it is exchanged for.
func sessionOf(provider Provider, c Claims) (identity.Session, []Tag, error) {
	session := identity.Session{Provider: provider.ARN, SourceIdentity: c.SourceIdentity, Subject: shortText(c.Subject)}
	if c.SourceIdentity != "" {
		if err := checkSourceIdentity(c.SourceIdentity); err != nil {
			return session, nil, err
		}
	}
	tags := tagsOf(c.Tags)
	if err := checkTags(tags); err != nil {
		return session, nil, err
	}
	return session, tags, addTags(&session, map[string]string{}, tags, c.TransitiveTags)
}

// claimContext gives the condition keys <issuer without scheme>:<claim>, and what is in other besides.
func claimContext(provider Provider, c Claims, other policy.Context) policy.Context {
	prefix := fold(issuerName(provider.Issuer)) + ":"
	values := make(map[string][]string, len(c.Values))
	for claim, of := range c.Values {
		if key := fold(claim); claim == key || values[key] == nil { // of two that differ in letter case, the lower one
			values[key] = of
		}
	}
	return func(key string) ([]string, bool) {
		claim, ok := strings.CutPrefix(key, prefix)
		if !ok {
			return other(key)
		}
		of := values[claim]
		return of, len(of) > 0
	}
}

// immutableRule knows GitHub's subjects that have ids of owner and repository: repo:octocat@123456/app@456789:ref:refs/heads/main.
var immutableRule = regexp.MustCompile(`^repo:([^/@:]+)@[0-9]+/([^/@:]+)@[0-9]+:(.*)$`)

// untrusted is the refusal of a token that holds.
func untrusted(provider Provider, c Claims, q policy.Question, d policy.Decision) error {
	prefix := issuerName(provider.Issuer)
	words := fmt.Sprintf("Not authorized to perform %s: the token's %s:sub is %q and its %s:aud is %q; the trust policy of %s must allow that, and does not.",
		q.Action, prefix, shortText(c.Subject), prefix, shortText(c.Audience), q.Resource)
	if m := immutableRule.FindStringSubmatch(c.Subject); m != nil {
		words += fmt.Sprintf(" This subject has the immutable ids of owner and repository: a condition on \"repo:%s/%s:%s\" does not match it."+
			" Name it with its ids, or with StringLike as \"repo:%s@*/%s@*:%s\".", m[1], m[2], m[3], m[1], m[2], m[3])
	}
	return fault.New(fault.AccessDenied, "%s", words).With(policy.Refused(provider.ARN, q, d))
}
