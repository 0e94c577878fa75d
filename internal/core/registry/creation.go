package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// EnsureRepository makes a repository that was found missing, unless somebody was faster
// (ecr:CreateRepository). The creation template for the name and the occasion says how; without one it has
// the settings of NewRepository's zero value, but a push makes none: fault.RepositoryNotFound.
func (r *Registry) EnsureRepository(ctx context.Context, caller identity.Caller, name string, use TemplateUse) (Repository, error) {
	if err := r.onRepository(ctx, caller, name, policy.CreateRepository); err != nil {
		return Repository{}, err
	}
	var repo Repository
	err := r.change(ctx, func(tx Tx) (err error) {
		repo, err = r.makeRepository(ctx, tx, caller, name, use)
		return err
	})
	if errors.Is(err, fault.RepositoryExists) { // somebody was faster
		return r.repository(ctx, r.store.Read(), name)
	}
	return repo, err
}

// makeRepository adds a repository as its template says, or answers fault.RepositoryExists.
func (r *Registry) makeRepository(ctx context.Context, tx Tx, caller identity.Caller, name string, use TemplateUse) (Repository, error) {
	t, applies, err := templateFor(ctx, tx, name, use)
	if err != nil {
		return Repository{}, err
	}
	if !applies && use == ForPush {
		return Repository{}, r.RepositoryNotFound(name, r.account)
	}
	repo := Repository{Name: name, CreatedAt: r.now(), Mutability: cmp.Or(t.Mutability, Mutable), Exclusions: t.Exclusions}
	if repo, err = r.insertRepository(ctx, tx, caller, repo, t.ResourceTags); err != nil {
		return Repository{}, err
	}
	return repo, r.stampPolicies(ctx, tx, repo, t)
}

// stampPolicies gives a new repository the policies of the template that it is made by. The texts were
// checked when the template was stored.
func (r *Registry) stampPolicies(ctx context.Context, tx Tx, repo Repository, t Template) error {
	if t.RepositoryPolicy != "" {
		if err := tx.PutRepositoryPolicy(ctx, repo.ID, t.RepositoryPolicy, repo.CreatedAt); err != nil {
			return fmt.Errorf("storing the policy of %s: %w", repo.Name, err)
		}
	}
	if t.LifecyclePolicy == "" {
		return nil
	}
	text, err := r.lifecycleText(t.LifecyclePolicy)
	if err != nil {
		return err
	}
	if err := tx.PutLifecyclePolicy(ctx, repo.ID, text, repo.CreatedAt); err != nil {
		return fmt.Errorf("storing the lifecycle policy of %s: %w", repo.Name, err)
	}
	return nil
}

// templateFor finds the template with the longest prefix among those that apply on the occasion. Prefixes go by
// whole parts of the name: a/b is for a/b/c, and for neither a/bc nor a/b itself.
func templateFor(ctx context.Context, q TemplateQueries, name string, use TemplateUse) (Template, bool, error) {
	keys := []string{RootPrefix}
	for i, c := range name {
		if c == '/' {
			keys = append(keys, name[:i])
		}
	}
	templates, err := q.TemplatesOf(ctx, keys)
	if err != nil {
		return Template{}, false, fmt.Errorf("looking for a creation template for %s: %w", name, err)
	}
	// ROOT stands for the empty prefix.
	length := func(t Template) int { return len(strings.TrimPrefix(t.Key(), RootPrefix)) }
	var best Template
	found := false
	for _, t := range templates {
		if slices.Contains(t.Uses, use) && (!found || length(t) > length(best)) {
			best, found = t, true
		}
	}
	return best, found, nil
}

// checkPushable answers nil when a push to the repository will find it, or make it.
func (r *Registry) checkPushable(ctx context.Context, caller identity.Caller, name string) error {
	_, err := r.repository(ctx, r.store.Read(), name)
	if !errors.Is(err, fault.RepositoryNotFound) {
		return err
	}
	return r.mayMakeByPush(ctx, r.store.Read(), caller, name, err)
}

// mayMakeByPush answers nil when a template has pushes make the repository, and the caller may
// (ecr:CreateRepository). Without a template the answer is what the push would have got.
func (r *Registry) mayMakeByPush(ctx context.Context, q TemplateQueries, caller identity.Caller, name string, notFound error) error {
	_, applies, err := templateFor(ctx, q, name, ForPush)
	if err != nil {
		return err
	}
	if !applies {
		return notFound
	}
	return r.onRepository(ctx, caller, name, policy.CreateRepository)
}

// pushTo runs a push's transaction on its repository, which may be made by it: see findOrMake.
func (r *Registry) pushTo(ctx context.Context, caller identity.Caller, name string, f func(tx Tx, repo Repository) error) error {
	made := false
	err := r.store.Update(ctx, func(tx Tx) (err error) {
		var repo Repository
		repo, made, err = r.findOrMake(ctx, tx, caller, name, func() (Repository, error) { return r.repository(ctx, tx, name) })
		if err != nil {
			return err
		}
		return f(tx, repo)
	})
	if err == nil && made && r.notify != nil {
		r.notify()
	}
	return err
}

// lockForPush is lockRepository for a manifest on its way in, which may make its repository.
func (r *Registry) lockForPush(ctx context.Context, tx Tx, caller identity.Caller, p Push) (Repository, error) {
	find := func() (Repository, error) { return r.lockRepository(ctx, tx, p.Repository) }
	if p.Source != event.Push {
		return find() // whoever brings it has seen to the repository
	}
	repo, _, err := r.findOrMake(ctx, tx, caller, p.Repository, find)
	return repo, err
}

// findOrMake finds the repository of a push. Where there is none and a template has pushes make it, it is made
// in the push's own transaction, so that a push that fails leaves no repository behind.
func (r *Registry) findOrMake(
	ctx context.Context, tx Tx, caller identity.Caller, name string, find func() (Repository, error),
) (repo Repository, made bool, err error) {
	repo, err = find()
	if !errors.Is(err, fault.RepositoryNotFound) {
		return repo, false, err
	}
	if err := r.mayMakeByPush(ctx, tx, caller, name, err); err != nil {
		return Repository{}, false, err
	}
	repo, err = r.makeRepository(ctx, tx, caller, name, ForPush)
	if errors.Is(err, fault.RepositoryExists) { // somebody was faster
		repo, err = find()
		return repo, false, err
	}
	return repo, err == nil, err
}
