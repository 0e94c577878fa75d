package access

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The quotas on OIDC providers (IAM User Guide, "IAM and AWS STS quotas").
const (
	maxProviders   = 100
	maxClientIDs   = 100
	maxClientID    = 255
	maxThumbprints = 5
	maxIssuer      = 255
)

var thumbprintRule = regexp.MustCompile(`^[0-9a-f]{40}$`)

// issuerName is an issuer without its scheme, as ARNs and condition keys have it.
func issuerName(issuer string) string {
	_, name, _ := strings.Cut(issuer, "://")
	return name
}

// NewProvider is what an OIDC provider is made of.
type NewProvider struct {
	Issuer      string // exactly as the tokens' iss has it
	ClientIDs   []string
	Thumbprints []string
	Tags        []Tag
}

// CreateProvider registers an OIDC provider, whose tokens are taken from now on.
func (s *Service) CreateProvider(ctx context.Context, caller identity.Caller, n NewProvider) (Provider, error) {
	if err := checkIssuer(n.Issuer); err != nil {
		return Provider{}, err
	}
	p := Provider{ARN: s.providerARN(n.Issuer), Issuer: n.Issuer, CreatedAt: s.now()}
	if err := s.authorize(ctx, caller, policy.CreateOpenIDConnectProvider, p.ARN, tagContext(nil, n.Tags)); err != nil {
		return Provider{}, err
	}
	if len(n.Tags) > 0 {
		if err := s.authorize(ctx, caller, policy.TagOpenIDConnectProvider, p.ARN, tagContext(nil, n.Tags)); err != nil {
			return Provider{}, err
		}
	}
	for _, id := range n.ClientIDs {
		if err := checkClientID(id); err != nil {
			return Provider{}, err
		}
		if !slices.Contains(p.ClientIDs, id) {
			p.ClientIDs = append(p.ClientIDs, id)
		}
	}
	if err := checkClientIDs(p.ClientIDs); err != nil {
		return Provider{}, err
	}
	var err error
	if p.Thumbprints, err = checkThumbprints(n.Thumbprints); err != nil {
		return Provider{}, err
	}
	if err := checkTags(n.Tags); err != nil {
		return Provider{}, err
	}
	err = s.update(ctx, func(tx Tx) error {
		all, err := tx.Providers(ctx)
		if err != nil {
			return fmt.Errorf("listing the OIDC providers: %w", err)
		}
		if slices.ContainsFunc(all, func(other Provider) bool { return other.ARN == p.ARN }) {
			return fault.New(fault.EntityExists, "Provider with url %s already exists.", p.Issuer)
		}
		if len(all) >= maxProviders {
			return fault.New(fault.LimitExceeded, "Cannot exceed quota for OpenIdConnectProvidersPerAccount: %d", maxProviders)
		}
		if err := tx.InsertProvider(ctx, p); err != nil {
			return fmt.Errorf("adding the OIDC provider %s: %w", p.Issuer, err)
		}
		return tx.SetTags(ctx, p.ARN, n.Tags)
	})
	return p, err
}

// Provider finds an OIDC provider and its tags.
func (s *Service) Provider(ctx context.Context, caller identity.Caller, arn string) (Provider, []Tag, error) {
	return s.onProvider(ctx, caller, policy.GetOpenIDConnectProvider, arn, nil)
}

// Providers lists the OIDC providers, in order of ARN.
func (s *Service) Providers(ctx context.Context, caller identity.Caller) ([]Provider, error) {
	if err := s.authorize(ctx, caller, policy.ListOpenIDConnectProviders, s.arn("oidc-provider", "/", "*"), nil); err != nil {
		return nil, err
	}
	all, err := s.store.Read().Providers(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing the OIDC providers: %w", err)
	}
	return all, nil
}

// SetThumbprints replaces the thumbprints of an OIDC provider.
func (s *Service) SetThumbprints(ctx context.Context, caller identity.Caller, arn string, thumbprints []string) error {
	if _, _, err := s.onProvider(ctx, caller, policy.UpdateOpenIDConnectProviderThumbprint, arn, nil); err != nil {
		return err
	}
	checked, err := checkThumbprints(thumbprints)
	if err != nil {
		return err
	}
	return s.changeProvider(ctx, arn, func(p *Provider) error {
		p.Thumbprints = checked
		return nil
	})
}

// AddClientID takes tokens for a further audience. It may be there already.
func (s *Service) AddClientID(ctx context.Context, caller identity.Caller, arn, id string) error {
	if _, _, err := s.onProvider(ctx, caller, policy.AddClientIDToOpenIDConnectProvider, arn, nil); err != nil {
		return err
	}
	if err := checkClientID(id); err != nil {
		return err
	}
	return s.changeProvider(ctx, arn, func(p *Provider) error {
		if slices.Contains(p.ClientIDs, id) {
			return nil
		}
		p.ClientIDs = append(p.ClientIDs, id)
		return checkClientIDs(p.ClientIDs)
	})
}

// RemoveClientID takes tokens for an audience no more. It may be gone already.
func (s *Service) RemoveClientID(ctx context.Context, caller identity.Caller, arn, id string) error {
	if _, _, err := s.onProvider(ctx, caller, policy.RemoveClientIDFromOpenIDConnectProvider, arn, nil); err != nil {
		return err
	}
	return s.changeProvider(ctx, arn, func(p *Provider) error {
		p.ClientIDs = slices.DeleteFunc(p.ClientIDs, func(have string) bool { return have == id })
		return nil
	})
}

// ProviderTags lists an OIDC provider's tags, a page at a time.
func (s *Service) ProviderTags(ctx context.Context, caller identity.Caller, arn string, page Page) (tags []Tag, marker string, err error) {
	_, all, err := s.onProvider(ctx, caller, policy.ListOpenIDConnectProviderTags, arn, nil)
	if err != nil {
		return nil, "", err
	}
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	slices.SortFunc(all, func(a, b Tag) int { return strings.Compare(fold(a.Key), fold(b.Key)) })
	rest := slices.DeleteFunc(all, func(t Tag) bool { return after != "" && fold(t.Key) <= after })
	tags, marker = pageOf(rest, limit, func(t Tag) string { return t.Key })
	return tags, marker, nil
}

// TagProvider puts tags on an OIDC provider, in the place of those with their keys.
func (s *Service) TagProvider(ctx context.Context, caller identity.Caller, arn string, tags []Tag) error {
	if _, _, err := s.onProvider(ctx, caller, policy.TagOpenIDConnectProvider, arn, tags); err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.changeProviderTags(ctx, arn, func(have []Tag) []Tag { return mergeTags(have, tags) })
}

// UntagProvider takes tags off an OIDC provider, whether they are there or not.
func (s *Service) UntagProvider(ctx context.Context, caller identity.Caller, arn string, keys []string) error {
	var named []Tag // aws:TagKeys has the keys of what is taken off, too
	for _, key := range keys {
		named = append(named, Tag{Key: key})
	}
	if _, _, err := s.onProvider(ctx, caller, policy.UntagOpenIDConnectProvider, arn, named); err != nil {
		return err
	}
	return s.changeProviderTags(ctx, arn, func(have []Tag) []Tag {
		return withoutTags(have, func(key string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return fold(k) == fold(key) })
		})
	})
}

// DeleteProvider removes an OIDC provider. It may be gone already. Sessions that its tokens were exchanged for go on to
// their end; what they may do is their roles' matter.
func (s *Service) DeleteProvider(ctx context.Context, caller identity.Caller, arn string) error {
	_, _, err := s.onProvider(ctx, caller, policy.DeleteOpenIDConnectProvider, arn, nil)
	if errors.Is(err, fault.EntityNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error { return tx.DeleteProvider(ctx, arn) })
}

// onProvider asks for a permission on an OIDC provider and finds it with its tags. Who may not is told so whether it is
// there or not.
func (s *Service) onProvider(ctx context.Context, caller identity.Caller, action policy.Action, arn string, request []Tag) (Provider, []Tag, error) {
	if !strings.HasPrefix(arn, s.arn("oidc-provider", "/", "")) {
		return Provider{}, nil, invalid("Invalid ARN: %q is not of an OIDC provider of this account.", shortText(arn))
	}
	q := s.store.Read()
	p, err := q.Provider(ctx, arn)
	missing := errors.Is(err, ErrNoRow)
	if err != nil && !missing {
		return Provider{}, nil, fmt.Errorf("reading the OIDC provider %s: %w", arn, err)
	}
	tags, err := q.Tags(ctx, arn)
	if err != nil {
		return Provider{}, nil, fmt.Errorf("reading the tags of %s: %w", arn, err)
	}
	if err := s.authorize(ctx, caller, action, arn, tagContext(tags, request)); err != nil {
		return Provider{}, nil, err
	}
	if missing {
		return Provider{}, nil, noProvider(arn)
	}
	return p, tags, nil
}

// changeProvider changes an OIDC provider in a transaction.
func (s *Service) changeProvider(ctx context.Context, arn string, change func(p *Provider) error) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := tx.Provider(ctx, arn)
		if errors.Is(err, ErrNoRow) {
			return noProvider(arn)
		}
		if err != nil {
			return fmt.Errorf("reading the OIDC provider %s: %w", arn, err)
		}
		if err := change(&p); err != nil {
			return err
		}
		return tx.UpdateProvider(ctx, p)
	})
}

// changeProviderTags changes an OIDC provider's tags in a transaction.
func (s *Service) changeProviderTags(ctx context.Context, arn string, change func(have []Tag) []Tag) error {
	return s.update(ctx, func(tx Tx) error {
		if _, err := tx.Provider(ctx, arn); errors.Is(err, ErrNoRow) {
			return noProvider(arn)
		} else if err != nil {
			return fmt.Errorf("reading the OIDC provider %s: %w", arn, err)
		}
		have, err := tx.Tags(ctx, arn)
		if err != nil {
			return fmt.Errorf("reading the tags of %s: %w", arn, err)
		}
		tags := change(have)
		if len(tags) > maxTags {
			return fault.New(fault.LimitExceeded, "The number of tags has reached the maximum limit of %d.", maxTags)
		}
		return tx.SetTags(ctx, arn, tags)
	})
}

func noProvider(arn string) error {
	return fault.New(fault.EntityNotFound, "OpenIDConnect Provider not found for arn %s", arn)
}

// providerARN names the provider of an issuer.
func (s *Service) providerARN(issuer string) string {
	return s.arn("oidc-provider", "/", issuerName(issuer))
}

// keyPrefixes are what condition keys begin with that are not about a provider's claims.
var keyPrefixes = []string{"aws", "ecr", "iam", "sts"}

// checkIssuer holds an issuer to what one may be: https, without query. It is kept as it is, down to a slash at the end
// and letter case, since a token's iss is compared with it letter by letter. Other than at AWS it may have a port, and one
// on this very machine, which the operator must have allowed for its keys to be fetched, may do without TLS.
func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	switch {
	case err != nil || u.Hostname() == "" || !strings.HasPrefix(issuer, "https://") && !(strings.HasPrefix(issuer, "http://") && loopback(u.Hostname())):
		return invalid("Invalid Open ID Connect Provider URL: it must begin with https:// and name a host.")
	case u.User != nil || strings.ContainsAny(issuer, "?#"):
		return invalid("Invalid Open ID Connect Provider URL: it must have neither a query nor a fragment nor a user.")
	case slices.Contains(keyPrefixes, strings.ToLower(u.Host)):
		return invalid("Invalid Open ID Connect Provider URL: the claims of %s would be taken for AWS's own condition keys.", u.Host)
	case len(issuer) > maxIssuer:
		return invalid("Invalid Open ID Connect Provider URL: it must have at most %d characters.", maxIssuer)
	case strings.ContainsFunc(issuer, func(r rune) bool { return r <= ' ' || r > '~' || r == '*' }):
		return invalid("Invalid Open ID Connect Provider URL: it must have ASCII characters without spaces.")
	}
	return nil
}

// loopback tells whether a host is this machine.
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

func checkClientID(id string) error {
	if id == "" || utf8.RuneCountInString(id) > maxClientID {
		return invalid("A client id must have 1 to %d characters.", maxClientID)
	}
	return nil
}

func checkClientIDs(ids []string) error {
	if len(ids) > maxClientIDs {
		return fault.New(fault.LimitExceeded, "Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: %d", maxClientIDs)
	}
	return nil
}

// checkThumbprints holds thumbprints to their form, and writes them in lower case.
func checkThumbprints(thumbprints []string) ([]string, error) {
	if len(thumbprints) > maxThumbprints {
		return nil, invalid("Thumbprint list must contain fewer than %d entries.", maxThumbprints+1)
	}
	checked := make([]string, 0, len(thumbprints))
	for _, t := range thumbprints {
		t = strings.ToLower(t)
		if !thumbprintRule.MatchString(t) {
			return nil, invalid("A thumbprint must be the 40 hexadecimal digits of a certificate's SHA-1 hash.")
		}
		checked = append(checked, t)
	}
	return checked, nil
}

// shortText keeps a stranger's text short enough to be repeated.
func shortText(text string) string {
	const most = 200
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
