package pullthrough

import (
	"context"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/event"
)

var _ event.Handler = (*Cache)(nil)

// Handle implements event.Handler: what is gone needs no check any more. Otherwise checks would be kept of every tag that
// ever was, and a tag that is removed and pushed again with the image that it had would still be the cache's to move.
func (c *Cache) Handle(ctx context.Context, e event.Event) error {
	var gone []string
	switch e.Kind {
	case event.ImageDeleted:
		gone = slices.Concat(e.Tags, []string{e.Digest.String()})
	case event.ImageUntagged:
		gone = e.Tags
	default:
	}
	if len(gone) == 0 {
		return nil
	}
	if err := c.store.ForgetChecks(ctx, e.RepositoryID, gone); err != nil {
		return fmt.Errorf("forgetting checks of %s: %w", e.Repository, err)
	}
	return nil
}
