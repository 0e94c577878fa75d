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
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// EnsureRepository makes a repository that was found missing, unless somebody was faster
// (ecr:CreateRepository). The creation template for the name and the occasion says how; without one it has
// the settings of NewRepository's zero value, but a push makes none: fault.RepositoryNotFound.
func (r *Registry) EnsureRepository(ctx context.Context, caller identity.Caller, name string, use TemplateUse) (Repository, error) {
	if err := r.mayMake(ctx, caller, name, use); err != nil {
		return Repository{}, err
	}
	defer r.sides.forget(name)
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
		d, err := readRepositoryPolicy(t.RepositoryPolicy)
		if err != nil {
			return err
		}
		if err := tx.PutRepositoryPolicy(ctx, repo.ID, t.RepositoryPolicy, d.Open(), repo.CreatedAt); err != nil {
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
	t, applies, err := templateFor(ctx, q, name, ForPush)
	if err != nil {
		return err
	}
	if !applies {
		return notFound
	}
	return r.onRepositoryWith(ctx, caller, name, requestTags(t.ResourceTags), policy.CreateRepository)
}

// mayMake answers nil when the caller may have a repository made as its template says (ecr:CreateRepository). The tags of the
// template are the request's.
func (r *Registry) mayMake(ctx context.Context, caller identity.Caller, name string, use TemplateUse) error {
	if _, err := oci.ParseRepositoryName(name); err != nil {
		return err
	}
	t, _, err := templateFor(ctx, r.store.Read(), name, use)
	if err != nil {
		return err
	}
	return r.onRepositoryWith(ctx, caller, name, requestTags(t.ResourceTags), policy.CreateRepository)
}

// errAskFirst ends a transaction that would make a repository before it was asked whether the caller may.
var errAskFirst = errors.New("nobody asked whether the repository may be made")

// pushTo runs a push's transaction on its repository, which may be made by it: see findOrMake.
func (r *Registry) pushTo(ctx context.Context, caller identity.Caller, name string, f func(tx Tx, repo Repository) error) error {
	return r.findingOrMaking(ctx, caller, name, r.repositoryIn, f)
}

func (r *Registry) repositoryIn(ctx context.Context, tx Tx, name string) (Repository, error) {
	return r.repository(ctx, tx, name)
}

// lockForPush is pushTo for a manifest on its way in, which holds the repository's lock.
func (r *Registry) lockForPush(ctx context.Context, caller identity.Caller, p Push, f func(tx Tx, repo Repository) error) error {
	if p.Source == event.Push {
		err := r.findingOrMaking(ctx, caller, p.Repository, r.lockRepository, f)
		if err == nil && r.notify != nil {
			r.notify()
		}
		return err
	}
	return r.change(ctx, func(tx Tx) error { // whoever brings it has seen to the repository
		repo, err := r.lockRepository(ctx, tx, p.Repository)
		if err != nil {
			return err
		}
		return f(tx, repo)
	})
}

// findingOrMaking runs a transaction on a repository that find gives or findOrMake makes. Whether the caller may make it is
// asked outside of the transaction, and only when it turns out that there is none: then the transaction begins anew.
func (r *Registry) findingOrMaking(ctx context.Context, caller identity.Caller, name string,
	find func(ctx context.Context, tx Tx, name string) (Repository, error), f func(tx Tx, repo Repository) error,
) error {
	for may := false; ; may = true {
		made := false
		err := r.store.Update(ctx, func(tx Tx) (err error) {
			var repo Repository
			found := func() (Repository, error) { return find(ctx, tx, name) }
			if repo, made, err = r.findOrMake(ctx, tx, caller, name, may, found); err != nil {
				return err
			}
			return f(tx, repo)
		})
		if made {
			r.sides.forget(name)
		}
		if err == nil && made && r.notify != nil {
			r.notify()
		}
		if !errors.Is(err, errAskFirst) {
			return err
		}
		if err := r.mayMakeByPush(ctx, r.store.Read(), caller, name, r.RepositoryNotFound(name, r.account)); err != nil {
			return err
		}
	}
}

// findOrMake finds the repository of a push. Where there is none and a template has pushes make it, it is made
// in the push's own transaction, so that a push that fails leaves no repository behind.
func (r *Registry) findOrMake(
	ctx context.Context, tx Tx, caller identity.Caller, name string, may bool, find func() (Repository, error),
) (repo Repository, made bool, err error) {
	repo, err = find()
	if !errors.Is(err, fault.RepositoryNotFound) {
		return repo, false, err
	}
	if !may {
		return Repository{}, false, errAskFirst
	}
	repo, err = r.makeRepository(ctx, tx, caller, name, ForPush)
	if errors.Is(err, fault.RepositoryExists) { // somebody was faster
		repo, err = find()
		return repo, false, err
	}
	return repo, err == nil, err
}
