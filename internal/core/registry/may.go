package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// May answers nil when the caller may do the action: on a repository, or, where none is named, on the registry
// as a whole. It is how the rooms around the registry ask for operations of their own.
func (r *Registry) May(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error {
	if repository == "" {
		return r.authorize(ctx, caller, action, policy.AnyResource)
	}
	return r.onRepository(ctx, caller, repository, action)
}

// MayOn answers nil when the caller may do the action on a resource that is no repository, such as an alarm, by its ARN.
func (r *Registry) MayOn(ctx context.Context, caller identity.Caller, action policy.Action, resource string) error {
	return r.authorize(ctx, caller, action, resource)
}

// tagsStayed holds a push to its condition (Push.TagsFrom), in the transaction that moves the tags.
func (r *Registry) tagsStayed(ctx context.Context, tx Tx, repo Repository, p Push) error {
	if p.TagsFrom == nil {
		return nil
	}
	for _, t := range p.Tags {
		img, err := tx.ImageIn(ctx, repo.Name, oci.Reference{Tag: t})
		if err != nil && !errors.Is(err, ErrNoRow) {
			return fmt.Errorf("looking for tag %s: %w", t, err)
		}
		if img.Digest != *p.TagsFrom {
			return fmt.Errorf("tag %s of %s: %w", t, repo.Name, ErrConflict)
		}
	}
	return nil
}
