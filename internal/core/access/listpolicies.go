package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Scope is whose managed policies are listed.
type Scope string

// The scopes.
const (
	AllPolicies Scope = ""
	OfAWS       Scope = "aws"
	OfAccount   Scope = "account"
)

// PolicyFilter says which managed policies are listed.
type PolicyFilter struct {
	Scope        Scope
	OnlyAttached bool // or a boundary of somebody's
	PathPrefix   string
	Usage        Usage // only those used so
}

// Policies lists managed policies, without their tags, in order of name; of two with one name AWS's
// comes before the account's.
func (s *Service) Policies(ctx context.Context, caller identity.Caller, filter PolicyFilter, page Page) ([]PolicyInfo, string, error) {
	prefix, err := s.listed(ctx, caller, policy.ListPolicies, "policy", filter.PathPrefix)
	if err != nil {
		return nil, "", err
	}
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	q := s.store.Read()
	all, err := s.policiesUnder(ctx, q, filter.Scope, prefix)
	if err != nil {
		return nil, "", err
	}
	var found []PolicyInfo
	for _, p := range all {
		if page.Marker != "" && policyKey(p) <= after {
			continue
		}
		info := PolicyInfo{ManagedPolicy: p}
		if err := info.count(ctx, q); err != nil {
			return nil, "", err
		}
		if !filter.lists(info) {
			continue
		}
		if found = append(found, info); len(found) > limit {
			break
		}
	}
	policies, marker := pageOf(found, limit, func(p PolicyInfo) string { return policyKey(p.ManagedPolicy) })
	return policies, marker, nil
}

// lists tells whether the policy is used as the filter says.
func (f PolicyFilter) lists(p PolicyInfo) bool {
	switch f.Usage {
	case AsPermissions:
		return p.Attached > 0
	case AsBoundary:
		return p.BoundaryOf > 0
	case AnyUsage:
	}
	return !f.OnlyAttached || p.Attached+p.BoundaryOf > 0
}

// policyKey orders managed policies. A blank comes before whatever a name is made of.
func policyKey(p ManagedPolicy) string {
	whose := " b"
	if strings.HasPrefix(p.ARN, awsPrefix) {
		whose = " a"
	}
	return fold(p.Name) + whose
}

// policiesUnder gives the managed policies of a scope whose path begins so, in order.
func (s *Service) policiesUnder(ctx context.Context, q PolicyQueries, scope Scope, prefix string) ([]ManagedPolicy, error) {
	var all []ManagedPolicy
	if scope != OfAccount {
		for _, p := range awsPolicies() {
			if strings.HasPrefix(p.Path, prefix) {
				all = append(all, p.ManagedPolicy)
			}
		}
	}
	if scope != OfAWS {
		own, err := q.ManagedPolicies(ctx, prefix, "", maxPolicies)
		if err != nil {
			return nil, fmt.Errorf("listing policies: %w", err)
		}
		all = append(all, own...)
	}
	slices.SortFunc(all, func(a, b ManagedPolicy) int { return strings.Compare(policyKey(a), policyKey(b)) })
	return all, nil
}

// PolicyEntities lists the principals that a managed policy is attached to, or whose boundary it is, in order of kind and
// name.
func (s *Service) PolicyEntities(ctx context.Context, caller identity.Caller, arn string, filter EntityFilter, page Page) ([]Principal, string, error) {
	if _, _, err := s.onPolicy(ctx, caller, policy.ListEntitiesForPolicy, arn); err != nil {
		return nil, "", err
	}
	if err := checkPathPrefix(filter.PathPrefix); err != nil {
		return nil, "", err
	}
	q := s.store.Read()
	var all []Principal
	if filter.Usage != AsBoundary {
		attached, err := q.AttachedTo(ctx, arn)
		if err != nil {
			return nil, "", fmt.Errorf("reading what policy %s is attached to: %w", arn, err)
		}
		all = append(all, attached...)
	}
	if filter.Usage != AsPermissions {
		bounded, err := q.BoundaryOf(ctx, arn)
		if err != nil {
			return nil, "", fmt.Errorf("reading whose boundary policy %s is: %w", arn, err)
		}
		all = append(all, bounded...)
	}
	all = slices.DeleteFunc(all, func(p Principal) bool {
		return filter.Kind != "" && p.Kind != filter.Kind || !strings.HasPrefix(p.Path, filter.PathPrefix)
	})
	key := func(p Principal) string { return string(p.Kind) + " " + fold(p.Name) }
	slices.SortFunc(all, func(a, b Principal) int { return strings.Compare(key(a), key(b)) })
	all = slices.CompactFunc(all, func(a, b Principal) bool { return a.ID == b.ID })
	return pageAfter(all, page, key)
}
