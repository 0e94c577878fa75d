package access

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// checkBoundary holds a permissions boundary that is being set to being a managed policy that there is. Empty is none.
func (s *Service) checkBoundary(ctx context.Context, q PolicyQueries, arn string) error {
	if arn == "" {
		return nil
	}
	if err := s.checkPolicyARN(arn); err != nil {
		return err
	}
	_, err := s.findPolicy(ctx, q, arn)
	if errors.Is(err, fault.EntityNotFound) {
		return fault.New(fault.EntityNotFound, "Scope ARN: %s does not exist or is not attachable.", arn)
	}
	return err
}

// PutUserPermissionsBoundary sets a user's permissions boundary.
func (s *Service) PutUserPermissionsBoundary(ctx context.Context, caller identity.Caller, name, boundary string) error {
	return s.putBoundary(ctx, caller, policy.PutUserPermissionsBoundary, User, name, boundary)
}

// PutRolePermissionsBoundary sets a role's permissions boundary.
func (s *Service) PutRolePermissionsBoundary(ctx context.Context, caller identity.Caller, name, boundary string) error {
	return s.putBoundary(ctx, caller, policy.PutRolePermissionsBoundary, Role, name, boundary)
}

func (s *Service) putBoundary(ctx context.Context, caller identity.Caller, action policy.Action, kind Kind, name, boundary string) error {
	p, _, err := s.onPrincipal(ctx, caller, action, kind, name, keyContext(boundaryKey, boundary))
	if err != nil {
		return err
	}
	if boundary == "" {
		return invalid("1 validation error detected: Value at 'permissionsBoundary' failed to satisfy constraint: Member must not be empty")
	}
	return s.change(ctx, p, func(tx Tx, p *Principal) error {
		p.Boundary = boundary
		return s.checkBoundary(ctx, tx, boundary)
	})
}

// DeleteUserPermissionsBoundary takes a user's permissions boundary away.
func (s *Service) DeleteUserPermissionsBoundary(ctx context.Context, caller identity.Caller, name string) error {
	return s.deleteBoundary(ctx, caller, policy.DeleteUserPermissionsBoundary, User, name)
}

// DeleteRolePermissionsBoundary takes a role's permissions boundary away.
func (s *Service) DeleteRolePermissionsBoundary(ctx context.Context, caller identity.Caller, name string) error {
	return s.deleteBoundary(ctx, caller, policy.DeleteRolePermissionsBoundary, Role, name)
}

func (s *Service) deleteBoundary(ctx context.Context, caller identity.Caller, action policy.Action, kind Kind, name string) error {
	p, _, err := s.onPrincipal(ctx, caller, action, kind, name)
	if err != nil {
		return err
	}
	return s.change(ctx, p, func(_ Tx, p *Principal) error {
		if p.Boundary == "" {
			return fault.New(fault.EntityNotFound, "The %s with name %s has no permissions boundary.", p.Kind, p.Name)
		}
		p.Boundary = ""
		return nil
	})
}

// findPolicy finds a managed policy, the account's or AWS's, or answers fault.EntityNotFound.
func (s *Service) findPolicy(ctx context.Context, q PolicyQueries, arn string) (ManagedPolicy, error) {
	if p, ok := awsPolicy(arn); ok {
		return p.ManagedPolicy, nil
	}
	p, err := q.ManagedPolicy(ctx, arn)
	switch {
	case errors.Is(err, ErrNoRow):
		return ManagedPolicy{}, fault.New(fault.EntityNotFound, "Policy %s was not found.", arn)
	case err != nil:
		return ManagedPolicy{}, fmt.Errorf("reading policy %s: %w", arn, err)
	}
	return p, nil
}
