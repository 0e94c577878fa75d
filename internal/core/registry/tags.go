package registry

import (
	"context"
	"fmt"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TagNames lists a repository's image tags in order of name, those after the given one, and tells whether
// there are more (ecr:ListImages). The limit is at most MaxNames; 0 lists none.
func (r *Registry) TagNames(ctx context.Context, caller identity.Caller, repository, after string, limit int) (names []string, more bool, err error) {
	if err := r.onRepository(ctx, caller, repository, policy.ListImages); err != nil {
		return nil, false, err
	}
	q := r.store.Read()
	repo, err := r.repository(ctx, q, repository)
	if err != nil {
		return nil, false, err
	}
	limit = max(0, min(limit, MaxNames))
	names, err = q.TagNames(ctx, repo.ID, after, limit+1)
	if err != nil {
		return nil, false, fmt.Errorf("listing tags of %s: %w", repository, err)
	}
	if len(names) > limit {
		return names[:limit], true, nil
	}
	return names, false, nil
}

// TagHistory lists what happened to a tag, newest first (ecr:ListImages). It goes by name and outlives
// both the tag and the repository, which need not be there any more.
func (r *Registry) TagHistory(ctx context.Context, caller identity.Caller, repository, tag string, limit int, token string) (Page[TagChange], error) {
	if err := r.onRepository(ctx, caller, repository, policy.ListImages); err != nil {
		return Page[TagChange]{}, err
	}
	listing := "history/" + tag + "/" + repository
	c, err := parseCursor(listing, token)
	if err != nil {
		return Page[TagChange]{}, err
	}
	limit = pageLimit(limit, DefaultPage)
	rows, err := r.store.Read().TagHistory(ctx, repository, tag, c.ID, limit+1)
	if err != nil {
		return Page[TagChange]{}, fmt.Errorf("reading history of tag %s in %s: %w", tag, repository, err)
	}
	return cut(rows, limit, listing, func(t TagChange) cursor { return cursor{ID: t.ID} }), nil
}
