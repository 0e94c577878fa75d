package registry

import (
	"context"
	"errors"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// MayReplicate answers nil when the caller may do an action of replication's on a repository or, where it is
// empty, on the registry as a whole.
func (r *Registry) MayReplicate(_ context.Context, caller identity.Caller, action policy.Action, repository string) error {
	if repository == "" {
		return r.authorize(caller, action, policy.AnyResource)
	}
	return r.onRepository(caller, repository, action)
}

// ReplicationImage finds an image to tell how its replication goes (ecr:DescribeImageReplicationStatus).
func (r *Registry) ReplicationImage(ctx context.Context, caller identity.Caller, repository string, id ImageID) (Image, error) {
	results, err := r.lookUp(ctx, caller, policy.DescribeImageReplicationStatus, repository, []ImageID{id}, withTags)
	if err != nil {
		return Image{}, err
	}
	if errors.Is(results[0].Err, fault.ImageNotFound) {
		return Image{}, r.noSuchImage(repository, id)
	}
	return results[0].Image, results[0].Err
}
