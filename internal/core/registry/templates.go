package registry

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TemplateUse is an occasion on which a repository is made that nobody created by name.
type TemplateUse string

// The occasions.
const (
	ForPullThrough TemplateUse = "pull-through" // its images come from an upstream registry
	ForReplication TemplateUse = "replication"  // another registry sends images
	ForPush        TemplateUse = "push"         // somebody pushes to it
)

// EnsureRepository makes a repository that was found missing, unless somebody was faster (ecr:CreateRepository).
func (r *Registry) EnsureRepository(ctx context.Context, caller identity.Caller, name string, _ TemplateUse) (Repository, error) {
	if err := r.onRepository(caller, name, policy.CreateRepository); err != nil {
		return Repository{}, err
	}
	var repo Repository
	err := r.change(ctx, func(tx Tx) (err error) {
		repo, err = r.insertRepository(ctx, tx, caller, Repository{Name: name, CreatedAt: r.now(), Mutability: Mutable}, nil)
		return err
	})
	if errors.Is(err, fault.RepositoryExists) { // somebody was faster
		return r.repository(ctx, r.store.Read(), name)
	}
	return repo, err
}
