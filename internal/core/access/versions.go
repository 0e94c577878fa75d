package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// VersionInfo is a version of a managed policy.
type VersionInfo struct {
	PolicyVersion
	InForce bool // it is the default version
}

// PolicyVersion finds a version of a managed policy by its number.
func (s *Service) PolicyVersion(ctx context.Context, caller identity.Caller, arn string, number int) (VersionInfo, error) {
	p, _, err := s.onPolicy(ctx, caller, policy.GetPolicyVersion, arn)
	if err != nil {
		return VersionInfo{}, err
	}
	versions, err := s.versions(ctx, s.store.Read(), p)
	if err != nil {
		return VersionInfo{}, err
	}
	for _, v := range versions {
		if v.Number == number {
			return v, nil
		}
	}
	return VersionInfo{}, noVersion(arn, number)
}

func noVersion(arn string, number int) error {
	return fault.New(fault.EntityNotFound, "Policy %s version v%d does not exist or is not attachable.", arn, number)
}

// versions reads a managed policy's versions, the newest first.
func (s *Service) versions(ctx context.Context, q PolicyQueries, p ManagedPolicy) ([]VersionInfo, error) {
	if aws, ok := awsPolicy(p.ARN); ok {
		v := PolicyVersion{Number: aws.InForce, Document: aws.Document, CreatedAt: aws.UpdatedAt}
		return []VersionInfo{{PolicyVersion: v, InForce: true}}, nil
	}
	all, err := q.PolicyVersions(ctx, p.ARN)
	if err != nil {
		return nil, fmt.Errorf("reading the versions of policy %s: %w", p.ARN, err)
	}
	versions := make([]VersionInfo, 0, len(all))
	for _, v := range all {
		versions = append(versions, VersionInfo{PolicyVersion: v, InForce: v.Number == p.InForce})
	}
	return versions, nil
}

// PolicyVersions lists a managed policy's versions, the newest first.
func (s *Service) PolicyVersions(ctx context.Context, caller identity.Caller, arn string, page Page) ([]VersionInfo, string, error) {
	p, _, err := s.onPolicy(ctx, caller, policy.ListPolicyVersions, arn)
	if err != nil {
		return nil, "", err
	}
	versions, err := s.versions(ctx, s.store.Read(), p)
	if err != nil {
		return nil, "", err
	}
	return pageAfter(versions, page, func(v VersionInfo) string {
		return fmt.Sprintf("%010d", 1_000_000_000-v.Number) // the newest first
	})
}

// CreatePolicyVersion adds a version to a managed policy, and puts it in force if that is asked for.
func (s *Service) CreatePolicyVersion(ctx context.Context, caller identity.Caller, arn, document string, inForce bool) (VersionInfo, error) {
	if err := s.onOwnPolicy(ctx, caller, policy.CreatePolicyVersion, arn); err != nil {
		return VersionInfo{}, err
	}
	if err := checkManaged(document); err != nil {
		return VersionInfo{}, err
	}
	var made VersionInfo
	err := s.update(ctx, func(tx Tx) error {
		p, err := s.findPolicy(ctx, tx, arn)
		if err != nil {
			return err
		}
		versions, err := tx.PolicyVersions(ctx, arn)
		if err != nil {
			return fmt.Errorf("reading the versions of policy %s: %w", arn, err)
		}
		if len(versions) >= maxVersions {
			return fault.New(fault.LimitExceeded, "A managed policy can have up to %d versions. Before you create a new version, you must delete an existing version.", maxVersions)
		}
		p.LastVersion++
		p.UpdatedAt = s.now()
		made = VersionInfo{PolicyVersion{Number: p.LastVersion, Document: document, CreatedAt: p.UpdatedAt}, inForce}
		if inForce {
			p.InForce = p.LastVersion
		}
		if err := tx.InsertPolicyVersion(ctx, arn, made.PolicyVersion); err != nil {
			return fmt.Errorf("adding version %d to policy %s: %w", p.LastVersion, arn, err)
		}
		return tx.UpdateManagedPolicy(ctx, p)
	})
	if err != nil {
		return VersionInfo{}, err
	}
	return made, nil
}

// SetDefaultPolicyVersion puts a version of a managed policy in force.
func (s *Service) SetDefaultPolicyVersion(ctx context.Context, caller identity.Caller, arn string, number int) error {
	if err := s.onOwnPolicy(ctx, caller, policy.SetDefaultPolicyVersion, arn); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		p, err := s.findPolicy(ctx, tx, arn)
		if err != nil {
			return err
		}
		versions, err := tx.PolicyVersions(ctx, arn)
		if err != nil {
			return fmt.Errorf("reading the versions of policy %s: %w", arn, err)
		}
		if !slices.ContainsFunc(versions, func(v PolicyVersion) bool { return v.Number == number }) {
			return noVersion(arn, number)
		}
		p.InForce, p.UpdatedAt = number, s.now()
		return tx.UpdateManagedPolicy(ctx, p)
	})
}

// DeletePolicyVersion removes a version of a managed policy that is not in force.
func (s *Service) DeletePolicyVersion(ctx context.Context, caller identity.Caller, arn string, number int) error {
	if err := s.onOwnPolicy(ctx, caller, policy.DeletePolicyVersion, arn); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		p, err := s.findPolicy(ctx, tx, arn)
		if err != nil {
			return err
		}
		if p.InForce == number {
			return fault.New(fault.EntityInUse, "Cannot delete the default version of a policy.")
		}
		there, err := tx.DeletePolicyVersion(ctx, arn, number)
		if err != nil {
			return fmt.Errorf("deleting version %d of policy %s: %w", number, arn, err)
		}
		if !there {
			return noVersion(arn, number)
		}
		return nil
	})
}
