package ecr

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	maxReferrers     = 50 // maxResults and the normal page of ListImageReferrers
	usualReferrers   = 20
	maxArtifactTypes = 5
)

// archiveOperations names what is done with storage classes and referrers.
func (f face) archiveOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"UpdateImageStorageClass": awswire.Op(f.updateImageStorageClass),
		"ListImageReferrers":      awswire.Op(f.listImageReferrers),
	}
}

func (f face) updateImageStorageClass(ctx context.Context, call awswire.Call, in *wire.UpdateImageStorageClassInput) (*wire.UpdateImageStorageClassOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	id, err := required("imageId", in.ImageId)
	if err != nil {
		return nil, err
	}
	if id.ImageTag != nil && *id.ImageTag == "" {
		return nil, tooShort("imageTag")
	}
	if in.TargetStorageClass == "" {
		return nil, missing("targetStorageClass")
	}
	if err := oneOf("targetStorageClass", in.TargetStorageClass, in.TargetStorageClass.Values()); err != nil {
		return nil, err
	}
	asked := registry.ImageID{Tag: aws.ToString(id.ImageTag), Digest: aws.ToString(id.ImageDigest)}
	results, err := f.Registry.SetStorageClass(ctx, call.Caller, name, []registry.ImageID{asked}, registry.StorageClass(in.TargetStorageClass))
	if err != nil {
		return nil, err
	}
	if err := results[0].Err; err != nil {
		return nil, f.Registry.NamedImageError(name, asked, err)
	}
	img := results[0].Image
	wid := wireID(registry.ImageID{Tag: asked.Tag, Digest: img.Digest.String()})
	return &wire.UpdateImageStorageClassOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name), ImageId: &wid, ImageStatus: imageStatus(img),
	}, nil
}

func (f face) listImageReferrers(ctx context.Context, call awswire.Call, in *wire.ListImageReferrersInput) (*wire.ListImageReferrersOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	subject, err := required("subjectId", in.SubjectId)
	if err != nil {
		return nil, err
	}
	d, err := digest("subjectId.imageDigest", subject.ImageDigest)
	if err != nil {
		return nil, err
	}
	var filter registry.ReferrerFilter
	nothing := false
	if in.Filter != nil {
		if err := oneOf("filter.artifactStatus", in.Filter.ArtifactStatus, in.Filter.ArtifactStatus.Values()); err != nil {
			return nil, err
		}
		if err := optionalBatch("filter.artifactTypes", in.Filter.ArtifactTypes, maxArtifactTypes); err != nil {
			return nil, err
		}
		filter.ArtifactTypes = in.Filter.ArtifactTypes
		filter.Status, nothing = readStatus(string(in.Filter.ArtifactStatus))
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if limit > maxReferrers {
		return nil, fault.BadParameter("maxResults", "Member must have value less than or equal to 50")
	}
	if limit == 0 {
		limit = usualReferrers
	}
	found, err := f.PullThrough.Referrers(ctx, call.Caller, name, d, filter, limit, token)
	if err != nil {
		return nil, upstreamFault(err, "UnableToListUpstreamImageReferrersException")
	}
	if nothing {
		found = registry.Page[registry.Image]{}
	}
	out := &wire.ListImageReferrersOutput{Referrers: make([]types.ImageReferrer, 0, len(found.Items)), NextToken: nextToken(found.Next)}
	for _, i := range found.Items {
		out.Referrers = append(out.Referrers, types.ImageReferrer{
			Digest: aws.String(i.Digest.String()), MediaType: aws.String(i.MediaType), Size: aws.Int64(i.ManifestSize),
			ArtifactType: optional(i.ArtifactType), Annotations: i.Annotations, ArtifactStatus: types.ArtifactStatus(imageStatus(i)),
		})
	}
	return out, nil
}

// imageStatus is never ACTIVATING: an image comes back from the archive at once.
func imageStatus(i registry.Image) types.ImageStatus {
	if i.Archived {
		return types.ImageStatusArchived
	}
	return types.ImageStatusActive
}

// optionalTime leaves a time out when it never was.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}
