package pullthrough

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// RestoreImages is registry.RestoreImages. A copy of an upstream registry's repository has of an image what somebody has asked
// for: so much of it comes back, and the rest when it is asked for.
func (c *Cache) RestoreImages(ctx context.Context, caller identity.Caller, repository string, ids []registry.ImageID) ([]registry.Restored, error) {
	_, copied, err := c.origin(ctx, repository)
	if err != nil {
		return nil, err
	}
	return c.registry.RestoreImages(ctx, caller, repository, ids, registry.RestoreOptions{InPieces: copied})
}
