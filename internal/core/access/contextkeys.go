package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// ContextKeysOfPrincipal lists the condition keys that the policies of a user, group or role ask for, and the given
// documents.
func (s *Service) ContextKeysOfPrincipal(ctx context.Context, caller identity.Caller, principalARN string, documents []string) ([]string, error) {
	p, err := s.onPrincipalARN(ctx, caller, policy.GetContextKeysForPrincipalPolicy, principalARN)
	if err != nil {
		return nil, err
	}
	g, err := s.store.Read().Grants(ctx, p.ID)
	if err != nil {
		return nil, fmt.Errorf("reading what %s may do: %w", p.ARN, err)
	}
	all := slices.Clone(documents)
	for _, gp := range g.Policies {
		if text := gp.document(); text != "" {
			all = append(all, text)
		}
	}
	return contextKeys(all)
}

// ContextKeysOfPolicies lists the condition keys that the documents ask for.
func (s *Service) ContextKeysOfPolicies(ctx context.Context, caller identity.Caller, documents []string) ([]string, error) {
	if err := s.authorize(ctx, caller, policy.GetContextKeysForCustomPolicy, policy.AnyResource, nil); err != nil {
		return nil, err
	}
	if len(documents) == 0 {
		return nil, invalid("1 validation error detected: Value at 'policyInputList' failed to satisfy constraint: Member must not be null")
	}
	return contextKeys(documents)
}

func contextKeys(documents []string) ([]string, error) {
	var keys []string
	for i, text := range documents {
		d, err := policy.ParseDocument(text)
		if err != nil {
			return nil, invalid("PolicyInputList.%d: %s", i+1, err)
		}
		keys = append(keys, d.Keys()...)
	}
	slices.SortStableFunc(keys, func(a, b string) int { return strings.Compare(fold(a), fold(b)) })
	return slices.CompactFunc(keys, strings.EqualFold), nil
}
