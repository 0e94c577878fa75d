package access

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// maxPolicyName is how long a policy's name may be.
const maxPolicyName = 128

// kindActions are what is asked of a kind of principal for the operations that all kinds have.
type kindActions struct {
	put, get, remove, list        policy.Action // inline policies
	attach, detach, listsAttached policy.Action
	maxInline                     int    // characters of all inline policies together (IAM User Guide, "IAM and AWS STS quotas")
	attachQuota                   string // the quota's name
}

func (k Kind) actions() kindActions {
	switch k {
	case User:
		return kindActions{
			policy.PutUserPolicy, policy.GetUserPolicy, policy.DeleteUserPolicy, policy.ListUserPolicies,
			policy.AttachUserPolicy, policy.DetachUserPolicy, policy.ListAttachedUserPolicies, 2048, "PoliciesPerUser",
		}
	case Role:
		return kindActions{
			policy.PutRolePolicy, policy.GetRolePolicy, policy.DeleteRolePolicy, policy.ListRolePolicies,
			policy.AttachRolePolicy, policy.DetachRolePolicy, policy.ListAttachedRolePolicies, 10240, "PoliciesPerRole",
		}
	case Group:
		return kindActions{
			policy.PutGroupPolicy, policy.GetGroupPolicy, policy.DeleteGroupPolicy, policy.ListGroupPolicies,
			policy.AttachGroupPolicy, policy.DetachGroupPolicy, policy.ListAttachedGroupPolicies, 5120, "PoliciesPerGroup",
		}
	}
	return kindActions{}
}

// PutInlinePolicy gives a user, role or group a policy of its own, in the place of one of that name.
func (s *Service) PutInlinePolicy(ctx context.Context, caller identity.Caller, kind Kind, name string, put InlinePolicy) error {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().put, kind, name)
	if err != nil {
		return err
	}
	if err := checkName("policyName", put.Name, maxPolicyName); err != nil {
		return err
	}
	if err := checkIdentityPolicy(put.Document); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		if _, err := s.still(ctx, tx, p); err != nil {
			return err
		}
		all, err := tx.InlinePolicies(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("reading the inline policies of %s %s: %w", kind, name, err)
		}
		total := size(put.Document)
		for _, other := range all {
			if other.Name != put.Name {
				total += size(other.Document)
			}
		}
		if most := kind.actions().maxInline; total > most {
			return fault.New(fault.LimitExceeded, "Maximum policy size of %d bytes exceeded for %s %s", most, kind, p.Name)
		}
		return tx.PutInlinePolicy(ctx, p.ID, put)
	})
}

// InlinePolicy finds a policy of a user's, role's or group's own, and answers the principal with it.
func (s *Service) InlinePolicy(ctx context.Context, caller identity.Caller, kind Kind, name, policyName string) (Principal, InlinePolicy, error) {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().get, kind, name)
	if err != nil {
		return Principal{}, InlinePolicy{}, err
	}
	if err := checkName("policyName", policyName, maxPolicyName); err != nil {
		return Principal{}, InlinePolicy{}, err
	}
	all, err := s.store.Read().InlinePolicies(ctx, p.ID)
	if err != nil {
		return Principal{}, InlinePolicy{}, fmt.Errorf("reading the inline policies of %s %s: %w", kind, name, err)
	}
	for _, found := range all {
		if found.Name == policyName {
			return p, found, nil
		}
	}
	return Principal{}, InlinePolicy{}, notFound(string(kind)+" policy", policyName)
}

// DeleteInlinePolicy removes a policy of a user's, role's or group's own.
func (s *Service) DeleteInlinePolicy(ctx context.Context, caller identity.Caller, kind Kind, name, policyName string) error {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().remove, kind, name)
	if err != nil {
		return err
	}
	if err := checkName("policyName", policyName, maxPolicyName); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		there, err := tx.DeleteInlinePolicy(ctx, p.ID, policyName)
		if err != nil {
			return fmt.Errorf("deleting the inline policy %s of %s %s: %w", policyName, kind, name, err)
		}
		if !there {
			return notFound(string(kind)+" policy", policyName)
		}
		return nil
	})
}

// InlinePolicies lists the names of a user's, role's or group's own policies, in order.
func (s *Service) InlinePolicies(ctx context.Context, caller identity.Caller, kind Kind, name string, page Page) ([]string, string, error) {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().list, kind, name)
	if err != nil {
		return nil, "", err
	}
	all, err := s.store.Read().InlinePolicies(ctx, p.ID)
	if err != nil {
		return nil, "", fmt.Errorf("reading the inline policies of %s %s: %w", kind, name, err)
	}
	names := make([]string, 0, len(all))
	for _, found := range all {
		names = append(names, found.Name)
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(inlineKey(a), inlineKey(b)) })
	return pageAfter(names, page, inlineKey)
}

// inlineKey orders the names of inline policies, of which two may differ in letter case alone.
func inlineKey(name string) string { return fold(name) + " " + caseMask(name) }

// caseMask tells which letters of a name are capitals, in a way that lower case does not undo.
func caseMask(name string) string {
	mask := make([]byte, len(name))
	for i := range len(name) {
		mask[i] = '0'
		if name[i] >= 'A' && name[i] <= 'Z' {
			mask[i] = '1'
		}
	}
	return string(mask)
}
