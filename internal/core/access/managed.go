package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const (
	maxPolicies = 1500 // in an account
	maxVersions = 5    // of a policy
	maxManaged  = 6144 // characters, white space apart
)

// NewPolicy is a managed policy to be.
type NewPolicy struct {
	Name, Path, Description, Document string
	Tags                              []Tag
}

// PolicyInfo is a managed policy and what can be told of it besides.
type PolicyInfo struct {
	ManagedPolicy
	Tags       []Tag
	Attached   int // to how many principals
	BoundaryOf int // of how many principals
}

// CreatePolicy makes a managed policy, with its document as version 1.
func (s *Service) CreatePolicy(ctx context.Context, caller identity.Caller, n NewPolicy) (PolicyInfo, error) {
	path := n.Path
	if path == "" {
		path = "/"
	}
	arn := s.arn("policy", path, n.Name)
	if err := s.authorize(ctx, caller, policy.CreatePolicy, arn, tagContext(nil, n.Tags)); err != nil {
		return PolicyInfo{}, err
	}
	if len(n.Tags) > 0 {
		if err := s.authorize(ctx, caller, policy.TagPolicy, arn, tagContext(nil, n.Tags)); err != nil {
			return PolicyInfo{}, err
		}
	}
	if err := checkNewPolicy(n); err != nil {
		return PolicyInfo{}, err
	}
	now := s.now()
	p := ManagedPolicy{
		ARN: arn, ID: newID("ANPA"), Name: n.Name, Path: path, Description: n.Description, InForce: 1, LastVersion: 1,
		CreatedAt: now, UpdatedAt: now,
	}
	err := s.update(ctx, func(tx Tx) error {
		if err := roomForPolicy(ctx, tx); err != nil {
			return err
		}
		if err := tx.InsertManagedPolicy(ctx, p); errors.Is(err, ErrConflict) {
			return fault.New(fault.EntityExists, "A policy called %s already exists. Duplicate names are not allowed.", n.Name)
		} else if err != nil {
			return fmt.Errorf("creating policy %s: %w", n.Name, err)
		}
		if err := tx.InsertPolicyVersion(ctx, arn, PolicyVersion{Number: 1, Document: n.Document, CreatedAt: now}); err != nil {
			return fmt.Errorf("creating the first version of policy %s: %w", n.Name, err)
		}
		return tx.SetTags(ctx, arn, n.Tags)
	})
	if err != nil {
		return PolicyInfo{}, err
	}
	return PolicyInfo{ManagedPolicy: p, Tags: n.Tags}, nil
}

func checkNewPolicy(n NewPolicy) error {
	if err := checkName("policyName", n.Name, maxPolicyName); err != nil {
		return err
	}
	if _, err := checkPath(n.Path); err != nil {
		return err
	}
	if err := checkDescription(n.Description); err != nil {
		return err
	}
	if err := checkTags(n.Tags); err != nil {
		return err
	}
	return checkManaged(n.Document)
}

// checkManaged holds a managed policy's document to its rules.
func checkManaged(document string) error {
	if err := checkIdentityPolicy(document); err != nil {
		return err
	}
	if size(document) > maxManaged {
		return fault.New(fault.LimitExceeded, "Cannot exceed quota for PolicySize: %d", maxManaged)
	}
	return nil
}

// roomForPolicy refuses one policy too many.
func roomForPolicy(ctx context.Context, tx Tx) error {
	all, err := tx.ManagedPolicies(ctx, "/", "", maxPolicies)
	if err != nil {
		return fmt.Errorf("counting policies: %w", err)
	}
	if len(all) >= maxPolicies {
		return fault.New(fault.LimitExceeded, "Cannot exceed quota for PoliciesPerAccount: %d", maxPolicies)
	}
	return nil
}

// onPolicy finds a managed policy, with its tags, and asks for a permission on it.
func (s *Service) onPolicy(ctx context.Context, caller identity.Caller, action policy.Action, arn string, also ...policy.Context) (ManagedPolicy, []Tag, error) {
	q := s.store.Read()
	tags, err := q.Tags(ctx, arn)
	if err != nil {
		return ManagedPolicy{}, nil, fmt.Errorf("reading the tags of policy %s: %w", arn, err)
	}
	also = append(slices.Clone(also), tagContext(tags, nil))
	if err := s.authorize(ctx, caller, action, arn, firstOf(also...)); err != nil {
		return ManagedPolicy{}, nil, err
	}
	if err := s.checkPolicyARN(arn); err != nil {
		return ManagedPolicy{}, nil, err
	}
	p, err := s.findPolicy(ctx, q, arn)
	return p, tags, err
}

// onOwnPolicy is onPolicy for a change, which AWS's policies are closed to.
func (s *Service) onOwnPolicy(ctx context.Context, caller identity.Caller, action policy.Action, arn string, also ...policy.Context) error {
	if _, _, err := s.onPolicy(ctx, caller, action, arn, also...); err != nil {
		return err
	}
	if strings.HasPrefix(arn, awsPrefix) {
		return fault.New(fault.EntityUnmodifiable, "Policy %s is managed by AWS, and cannot be changed.", arn)
	}
	return nil
}

// Policy finds a managed policy.
func (s *Service) Policy(ctx context.Context, caller identity.Caller, arn string) (PolicyInfo, error) {
	p, tags, err := s.onPolicy(ctx, caller, policy.GetPolicy, arn)
	if err != nil {
		return PolicyInfo{}, err
	}
	info := PolicyInfo{ManagedPolicy: p, Tags: tags}
	return info, info.count(ctx, s.store.Read())
}

// count reads how often the policy is used.
func (p *PolicyInfo) count(ctx context.Context, q PolicyQueries) error {
	attached, err := q.AttachedTo(ctx, p.ARN)
	if err != nil {
		return fmt.Errorf("reading what policy %s is attached to: %w", p.ARN, err)
	}
	bounded, err := q.BoundaryOf(ctx, p.ARN)
	if err != nil {
		return fmt.Errorf("reading whose boundary policy %s is: %w", p.ARN, err)
	}
	p.Attached, p.BoundaryOf = len(attached), len(bounded)
	return nil
}

// DeletePolicy removes a managed policy that is not used, with its one version.
func (s *Service) DeletePolicy(ctx context.Context, caller identity.Caller, arn string) error {
	if err := s.onOwnPolicy(ctx, caller, policy.DeletePolicy, arn); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		p, err := s.findPolicy(ctx, tx, arn)
		if err != nil {
			return err
		}
		info := PolicyInfo{ManagedPolicy: p}
		if err := info.count(ctx, tx); err != nil {
			return err
		}
		if info.Attached > 0 {
			return fault.New(fault.EntityInUse, "Cannot delete a policy attached to entities.")
		}
		if info.BoundaryOf > 0 {
			return fault.New(fault.EntityInUse, "Cannot delete a policy that is a permissions boundary of entities.")
		}
		versions, err := tx.PolicyVersions(ctx, arn)
		if err != nil {
			return fmt.Errorf("reading the versions of policy %s: %w", arn, err)
		}
		if len(versions) > 1 {
			return fault.New(fault.EntityInUse, "This policy has more than one version. Before you delete a policy, you must delete the policy's versions. The default version is deleted with the policy.")
		}
		return tx.DeleteManagedPolicy(ctx, arn)
	})
}

// TagPolicy puts tags on a managed policy, in the place of those with the same keys.
func (s *Service) TagPolicy(ctx context.Context, caller identity.Caller, arn string, tags []Tag) error {
	if err := s.onOwnPolicy(ctx, caller, policy.TagPolicy, arn, tagContext(nil, tags)); err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.retagPolicy(ctx, arn, func(have []Tag) []Tag { return mergeTags(have, tags) })
}

// UntagPolicy takes tags off a managed policy.
func (s *Service) UntagPolicy(ctx context.Context, caller identity.Caller, arn string, keys []string) error {
	if err := s.onOwnPolicy(ctx, caller, policy.UntagPolicy, arn, keysContext(keys)); err != nil {
		return err
	}
	return s.retagPolicy(ctx, arn, func(have []Tag) []Tag { return dropTags(have, keys) })
}

func (s *Service) retagPolicy(ctx context.Context, arn string, merge func(have []Tag) []Tag) error {
	return s.update(ctx, func(tx Tx) error {
		if _, err := s.findPolicy(ctx, tx, arn); err != nil {
			return err
		}
		return setMerged(ctx, tx, arn, merge)
	})
}

// PolicyTags lists a managed policy's tags, in order of key.
func (s *Service) PolicyTags(ctx context.Context, caller identity.Caller, arn string, page Page) ([]Tag, string, error) {
	_, tags, err := s.onPolicy(ctx, caller, policy.ListPolicyTags, arn)
	if err != nil {
		return nil, "", err
	}
	return pageTags(tags, page)
}
