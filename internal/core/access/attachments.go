package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// maxAttached is how many managed policies may be attached to a user, role or group.
const maxAttached = 10

// AttachPolicy attaches a managed policy to a user, role or group. It may be attached already.
func (s *Service) AttachPolicy(ctx context.Context, caller identity.Caller, kind Kind, name, policyARN string) error {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().attach, kind, name, keyContext(policyARNKey, policyARN))
	if err != nil {
		return err
	}
	if err := s.checkPolicyARN(policyARN); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		if _, err := s.still(ctx, tx, p); err != nil {
			return err
		}
		if _, err := s.findPolicy(ctx, tx, policyARN); errors.Is(err, fault.EntityNotFound) {
			return fault.New(fault.EntityNotFound, "Policy %s does not exist or is not attachable.", policyARN)
		} else if err != nil {
			return err
		}
		attached, err := tx.Attachments(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("reading what is attached to %s %s: %w", kind, name, err)
		}
		if slices.Contains(attached, policyARN) {
			return nil
		}
		if len(attached) >= maxAttached {
			return fault.New(fault.LimitExceeded, "Cannot exceed quota for %s: %d", kind.actions().attachQuota, maxAttached)
		}
		return tx.Attach(ctx, p.ID, policyARN)
	})
}

// DetachPolicy takes a managed policy off a user, role or group.
func (s *Service) DetachPolicy(ctx context.Context, caller identity.Caller, kind Kind, name, policyARN string) error {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().detach, kind, name, keyContext(policyARNKey, policyARN))
	if err != nil {
		return err
	}
	if err := s.checkPolicyARN(policyARN); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		was, err := tx.Detach(ctx, p.ID, policyARN)
		if err != nil {
			return fmt.Errorf("detaching %s from %s %s: %w", policyARN, kind, name, err)
		}
		if !was {
			return fault.New(fault.EntityNotFound, "Policy %s was not found.", policyARN)
		}
		return nil
	})
}

// AttachedPolicy is a managed policy that is attached somewhere.
type AttachedPolicy struct{ Name, ARN string }

// AttachedPolicies lists the managed policies whose path begins so that are attached to a user, role or group, in order of
// name.
func (s *Service) AttachedPolicies(ctx context.Context, caller identity.Caller, kind Kind, name, pathPrefix string, page Page) ([]AttachedPolicy, string, error) {
	p, _, err := s.onPrincipal(ctx, caller, kind.actions().listsAttached, kind, name)
	if err != nil {
		return nil, "", err
	}
	if err := checkPathPrefix(pathPrefix); err != nil {
		return nil, "", err
	}
	arns, err := s.store.Read().Attachments(ctx, p.ID)
	if err != nil {
		return nil, "", fmt.Errorf("reading what is attached to %s %s: %w", kind, name, err)
	}
	attached := make([]AttachedPolicy, 0, len(arns))
	for _, arn := range arns {
		if path, name := splitPolicyARN(arn); strings.HasPrefix(path, pathPrefix) {
			attached = append(attached, AttachedPolicy{Name: name, ARN: arn})
		}
	}
	key := func(a AttachedPolicy) string { return policyKey(ManagedPolicy{ARN: a.ARN, Name: a.Name}) }
	slices.SortFunc(attached, func(a, b AttachedPolicy) int { return strings.Compare(key(a), key(b)) })
	return pageAfter(attached, page, key)
}

// splitPolicyARN gives a managed policy's path and name.
func splitPolicyARN(arn string) (path, name string) {
	_, rest, _ := strings.Cut(arn, ":policy/")
	slash := strings.LastIndexByte(rest, '/') + 1
	return "/" + rest[:slash], rest[slash:]
}

// checkPolicyARN holds an ARN to being that of a managed policy of the account's or of AWS's.
func (s *Service) checkPolicyARN(arn string) error {
	for _, prefix := range []string{s.arn("policy", "/", ""), awsPrefix} {
		if rest, ok := strings.CutPrefix(arn, prefix); ok && rest != "" && !strings.HasSuffix(rest, "/") && len(arn) <= 2048 {
			return nil
		}
	}
	return invalid("ARN %s is not valid.", arn)
}

// Usage is how a managed policy serves a principal.
type Usage string

// The usages.
const (
	AnyUsage      Usage = ""
	AsPermissions Usage = "permissions"
	AsBoundary    Usage = "boundary"
)

// EntityFilter says which principals are listed for a managed policy.
type EntityFilter struct {
	Kind       Kind // empty: all
	PathPrefix string
	Usage      Usage
}
