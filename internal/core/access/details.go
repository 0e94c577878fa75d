package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// DetailFilter says what of an account is told. All false: all of it.
type DetailFilter struct {
	Users, Groups, Roles   bool
	OwnPolicies, OfAWSUsed bool // the account's managed policies; AWS's, where they are used
}

func (f DetailFilter) has(kind Kind) bool {
	return f == DetailFilter{} || kind == User && f.Users || kind == Group && f.Groups || kind == Role && f.Roles
}

// Details are what there is in an account: of each page's entities all that decides what they may do.
type Details struct {
	Principals []PrincipalDetail
	Policies   []PolicyDetail
}

// PrincipalDetail is a user, group or role with its policies.
type PrincipalDetail struct {
	Principal
	Tags     []Tag
	Inline   []InlinePolicy
	Attached []AttachedPolicy
	Groups   []string // of a user
}

// PolicyDetail is a managed policy with its versions.
type PolicyDetail struct {
	PolicyInfo
	Versions []VersionInfo
}

// detailed is one entity of the list: one of its two is there.
type detailed struct {
	key       string
	principal *Principal
	policy    *PolicyInfo
}

// Details tells all that there is in the account, in order of kind and name.
func (s *Service) Details(ctx context.Context, caller identity.Caller, filter DetailFilter, page Page) (Details, string, error) {
	if err := s.authorize(ctx, caller, policy.GetAccountAuthorizationDetails, policy.AnyResource, nil); err != nil {
		return Details{}, "", err
	}
	q := s.store.Read()
	all, err := s.entities(ctx, q, filter)
	if err != nil {
		return Details{}, "", err
	}
	cut, marker, err := pageAfter(all, page, func(d detailed) string { return d.key })
	if err != nil {
		return Details{}, "", err
	}
	var details Details
	for _, d := range cut {
		if d.principal != nil {
			p, err := principalDetail(ctx, q, *d.principal)
			if err != nil {
				return Details{}, "", err
			}
			details.Principals = append(details.Principals, p)
			continue
		}
		versions, err := s.versions(ctx, q, d.policy.ManagedPolicy)
		if err != nil {
			return Details{}, "", err
		}
		details.Policies = append(details.Policies, PolicyDetail{PolicyInfo: *d.policy, Versions: versions})
	}
	return details, marker, nil
}

// entities lists what the filter names, in order.
func (s *Service) entities(ctx context.Context, q Queries, filter DetailFilter) ([]detailed, error) {
	var all []detailed
	for _, kind := range []Kind{Group, Role, User} {
		if !filter.has(kind) {
			continue
		}
		const most = 100_000 // more than there may be
		principals, err := q.Principals(ctx, kind, "/", "", most)
		if err != nil {
			return nil, fmt.Errorf("listing every %s: %w", kind, err)
		}
		for i, p := range principals {
			all = append(all, detailed{key: string(kind) + " " + fold(p.Name), principal: &principals[i]})
		}
	}
	everything := filter == DetailFilter{}
	policies, err := s.policiesUnder(ctx, q, AllPolicies, "/")
	if err != nil {
		return nil, err
	}
	for _, p := range policies {
		ofAWS := strings.HasPrefix(p.ARN, awsPrefix)
		if !everything && (ofAWS && !filter.OfAWSUsed || !ofAWS && !filter.OwnPolicies) {
			continue
		}
		info := PolicyInfo{ManagedPolicy: p}
		if err := info.count(ctx, q); err != nil {
			return nil, err
		}
		if ofAWS && info.Attached+info.BoundaryOf == 0 {
			continue
		}
		all = append(all, detailed{key: "zpolicy " + policyKey(p), policy: &info})
	}
	slices.SortFunc(all, func(a, b detailed) int { return strings.Compare(a.key, b.key) })
	return all, nil
}

// principalDetail reads all about a principal.
func principalDetail(ctx context.Context, q Queries, p Principal) (d PrincipalDetail, err error) {
	d.Principal = p
	if d.Tags, err = q.Tags(ctx, p.ID); err != nil {
		return d, fmt.Errorf("reading the tags of %s %s: %w", p.Kind, p.Name, err)
	}
	if d.Inline, err = q.InlinePolicies(ctx, p.ID); err != nil {
		return d, fmt.Errorf("reading the inline policies of %s %s: %w", p.Kind, p.Name, err)
	}
	arns, err := q.Attachments(ctx, p.ID)
	if err != nil {
		return d, fmt.Errorf("reading what is attached to %s %s: %w", p.Kind, p.Name, err)
	}
	for _, arn := range arns {
		_, name := splitPolicyARN(arn)
		d.Attached = append(d.Attached, AttachedPolicy{Name: name, ARN: arn})
	}
	if p.Kind != User {
		return d, nil
	}
	groups, err := q.GroupsOf(ctx, p.ID)
	if err != nil {
		return d, fmt.Errorf("reading the groups of user %s: %w", p.Name, err)
	}
	for _, g := range groups {
		d.Groups = append(d.Groups, g.Name)
	}
	return d, nil
}
