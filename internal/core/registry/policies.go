package registry

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// settingPolicy is the registry's own policy, as it came.
const settingPolicy SettingName = "policy"

// PolicyQueries reads repositories' policies.
type PolicyQueries interface {
	// RepositoryPolicy gives a repository's policy, or ErrNoRow.
	RepositoryPolicy(ctx context.Context, repositoryID int64) (string, error)
}

// PolicyWrites changes repositories' policies. They go with their repositories.
type PolicyWrites interface {
	// PutRepositoryPolicy stores a policy in the place of what there was, and whether it may allow something to everybody.
	PutRepositoryPolicy(ctx context.Context, repositoryID int64, text string, open bool, at time.Time) error
	// DeleteRepositoryPolicy removes one. One that is not there is no error.
	DeleteRepositoryPolicy(ctx context.Context, repositoryID int64) error
}

// readRepositoryPolicy reads the text of a repository's policy, or answers fault.InvalidParameter with ECR's words and
// the reason.
func readRepositoryPolicy(text string) (policy.Document, error) {
	d, err := readPolicy(text)
	if err == nil {
		err = d.OfRepository()
	}
	return d, badPolicy("repository", err)
}

func readRegistryPolicy(text string) (policy.Document, error) {
	d, err := readPolicy(text)
	if err == nil {
		err = d.OfRegistry()
	}
	return d, badPolicy("registry", err)
}

func readPolicy(text string) (policy.Document, error) {
	if n := utf8.RuneCountInString(text); n > policy.MaxDocument {
		return policy.Document{}, fault.New(fault.InvalidParameter, "it has %d characters, and may have %d", n, policy.MaxDocument)
	}
	return policy.ParseDocument(text)
}

// badPolicy puts the reason into the sentence that Terraform knows.
func badPolicy(kind string, why error) error {
	if why == nil {
		return nil
	}
	return fault.BadParameter("PolicyText", fmt.Sprintf("Invalid %s policy provided: %s", kind, why)) // ECR writes it with a capital
}

// RepositoryPolicy gives a repository's policy as it was set (ecr:GetRepositoryPolicy), or answers
// fault.RepositoryPolicyNotFound.
func (r *Registry) RepositoryPolicy(ctx context.Context, caller identity.Caller, repository string) (string, error) {
	if err := r.onRepository(ctx, caller, repository, policy.GetRepositoryPolicy); err != nil {
		return "", err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return "", err
	}
	return r.repositoryPolicy(ctx, q, repo)
}

func (r *Registry) repositoryPolicy(ctx context.Context, q PolicyQueries, repo Repository) (string, error) {
	text, err := q.RepositoryPolicy(ctx, repo.ID)
	switch {
	case errors.Is(err, ErrNoRow):
		return "", fault.New(fault.RepositoryPolicyNotFound,
			"Repository policy does not exist for the repository with name '%s' in the registry with id '%s'", repo.Name, r.account)
	case err != nil:
		return "", fmt.Errorf("reading the policy of %s: %w", repo.Name, err)
	}
	return text, nil
}

// SetRepositoryPolicy gives a repository a policy, in the place of the one it had (ecr:SetRepositoryPolicy). A policy
// that denies the caller just that, whatever the circumstances, needs force: nobody locks himself out by a slip.
func (r *Registry) SetRepositoryPolicy(ctx context.Context, caller identity.Caller, repository, text string, force bool) error {
	if err := r.onRepository(ctx, caller, repository, policy.SetRepositoryPolicy); err != nil {
		return err
	}
	d, err := readRepositoryPolicy(text)
	if err != nil {
		return err
	}
	if !force && d.DeniesOutright(caller.ARN, policy.SetRepositoryPolicy) {
		return badPolicy("repository", fault.New(fault.InvalidParameter,
			"it would keep %s from setting another policy; set force if that is meant", caller.ARN))
	}
	defer r.sides.forget(repository)
	return r.store.Update(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		return tx.PutRepositoryPolicy(ctx, repo.ID, text, d.Open(), r.now())
	})
}

// DeleteRepositoryPolicy takes a repository's policy away and gives what it was (ecr:DeleteRepositoryPolicy), or answers
// fault.RepositoryPolicyNotFound.
func (r *Registry) DeleteRepositoryPolicy(ctx context.Context, caller identity.Caller, repository string) (string, error) {
	if err := r.onRepository(ctx, caller, repository, policy.DeleteRepositoryPolicy); err != nil {
		return "", err
	}
	defer r.sides.forget(repository)
	var text string
	err := r.store.Update(ctx, func(tx Tx) error {
		repo, err := r.lockRepository(ctx, tx, repository)
		if err != nil {
			return err
		}
		if text, err = r.repositoryPolicy(ctx, tx, repo); err != nil {
			return err
		}
		return tx.DeleteRepositoryPolicy(ctx, repo.ID)
	})
	return text, err
}

// Policy gives the registry's own policy as it was put (ecr:GetRegistryPolicy), or answers fault.RegistryPolicyNotFound.
func (r *Registry) Policy(ctx context.Context, caller identity.Caller) (string, error) {
	if err := r.authorize(ctx, caller, policy.GetRegistryPolicy, policy.AnyResource); err != nil {
		return "", err
	}
	return r.registryPolicy(ctx, r.store.Read())
}

func (r *Registry) registryPolicy(ctx context.Context, q SettingQueries) (string, error) {
	text, err := q.Setting(ctx, settingPolicy)
	switch {
	case errors.Is(err, ErrNoRow):
		return "", fault.New(fault.RegistryPolicyNotFound, "Registry policy does not exist in the registry with id '%s'", r.account)
	case err != nil:
		return "", fmt.Errorf("reading the registry's policy: %w", err)
	}
	return text, nil
}

// PutPolicy gives the registry a policy, in the place of the one it had (ecr:PutRegistryPolicy).
func (r *Registry) PutPolicy(ctx context.Context, caller identity.Caller, text string) error {
	if err := r.authorize(ctx, caller, policy.PutRegistryPolicy, policy.AnyResource); err != nil {
		return err
	}
	if _, err := readRegistryPolicy(text); err != nil {
		return err
	}
	defer r.sides.clear()
	return r.store.Update(ctx, func(tx Tx) error { return tx.PutSetting(ctx, settingPolicy, text, r.now()) })
}

// DeletePolicy takes the registry's policy away and gives what it was (ecr:DeleteRegistryPolicy), or answers
// fault.RegistryPolicyNotFound.
func (r *Registry) DeletePolicy(ctx context.Context, caller identity.Caller) (string, error) {
	if err := r.authorize(ctx, caller, policy.DeleteRegistryPolicy, policy.AnyResource); err != nil {
		return "", err
	}
	defer r.sides.clear()
	var text string
	err := r.store.Update(ctx, func(tx Tx) (err error) {
		if text, err = r.registryPolicy(ctx, tx); err != nil {
			return err
		}
		_, err = tx.DeleteSetting(ctx, settingPolicy)
		return err
	})
	return text, err
}
