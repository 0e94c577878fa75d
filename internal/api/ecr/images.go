package ecr

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/audit"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// maxPutImageBody has room for a manifest of 4 MiB, in which each byte may be escaped as up to six, and for the other
// members.
const maxPutImageBody = 25 << 20

// imageOperations names what is done with images.
func (f face) imageOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"PutImage":         awswire.Op(f.putImage).MaxBody(maxPutImageBody),
		"BatchGetImage":    awswire.Op(f.batchGetImage),
		"BatchDeleteImage": awswire.Op(f.batchDeleteImage),
		"DescribeImages":   awswire.Op(f.describeImages),
		"ListImages":       awswire.Op(f.listImages),
	}
}

func (f face) putImage(ctx context.Context, call awswire.Call, in *wire.PutImageInput) (*wire.PutImageOutput, error) {
	push, err := f.push(in)
	if err != nil {
		return nil, err
	}
	pushed, err := f.PullThrough.PutImage(ctx, call.Caller, push)
	if err != nil {
		return nil, err
	}
	middleware.Note(ctx).Images = []audit.ImageName{{Digest: pushed.Image.Digest, Tag: aws.ToString(in.ImageTag)}}
	id := types.ImageIdentifier{ImageDigest: aws.String(pushed.Image.Digest.String()), ImageTag: in.ImageTag}
	if pushed.Unchanged {
		return nil, f.imageExists(push.Repository, id)
	}
	return &wire.PutImageOutput{Image: f.wireImage(push.Repository, id, pushed.Image)}, nil
}

// push reads the input of putImage; the registry judges the manifest and the tag.
func (f face) push(in *wire.PutImageInput) (registry.Push, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return registry.Push{}, err
	}
	manifest, err := required("imageManifest", in.ImageManifest)
	if err != nil {
		return registry.Push{}, err
	}
	if manifest == "" {
		return registry.Push{}, tooShort("imageManifest")
	}
	p := registry.Push{Repository: name, Manifest: []byte(manifest), MediaType: aws.ToString(in.ImageManifestMediaType)}
	if in.ImageDigest != nil {
		if p.Digest, err = digest("imageDigest", in.ImageDigest); err != nil {
			return registry.Push{}, err
		}
	}
	if in.ImageTag != nil {
		p.Tags = []string{*in.ImageTag}
	}
	return p, nil
}

func (f face) batchGetImage(ctx context.Context, call awswire.Call, in *wire.BatchGetImageInput) (*wire.BatchGetImageOutput, error) {
	name, ids, err := f.batchOfImages(in.RepositoryName, in.RegistryId, in.ImageIds)
	if err != nil {
		return nil, err
	}
	// The stored manifest is the answer whichever types are accepted: its type is said with it, and a
	// conversion would have another digest. Clients that list types list all they know.
	if err := optionalBatch("acceptedMediaTypes", in.AcceptedMediaTypes, maxBatch); err != nil {
		return nil, err
	}
	results, err := f.PullThrough.PullImages(ctx, call.Caller, name, ids)
	if err != nil {
		return nil, err
	}
	out := &wire.BatchGetImageOutput{Images: []types.Image{}, Failures: []types.ImageFailure{}}
	for _, r := range results {
		if r.Err != nil {
			failure, err := imageFailure(r.ID, r.Err)
			if err != nil {
				return nil, err
			}
			out.Failures = append(out.Failures, failure)
			continue
		}
		id := wireID(registry.ImageID{Digest: r.Image.Digest.String(), Tag: r.ID.Tag})
		out.Images = append(out.Images, *f.wireImage(name, id, r.Image))
		notePulled(ctx, call, r.ID.Tag, r.Image)
	}
	return out, nil
}

// notePulled tells the audit log that an image's manifest is given away. An index is no pull: the image that a client picks from it is.
func notePulled(ctx context.Context, call awswire.Call, tag string, img registry.Image) {
	note := middleware.Note(ctx)
	if i := slices.Index(note.Images, audit.ImageName{Tag: tag}); i >= 0 {
		note.Images[i].Digest = img.Digest
	}
	// Named twice, by tag and digest, it is given once.
	if !call.Caller.Service && !oci.IsIndexType(img.MediaType) && !slices.Contains(note.Pulled, img.Digest) {
		note.Pulled = append(note.Pulled, img.Digest)
	}
}

func (f face) batchDeleteImage(ctx context.Context, call awswire.Call, in *wire.BatchDeleteImageInput) (*wire.BatchDeleteImageOutput, error) {
	name, ids, err := f.batchOfImages(in.RepositoryName, in.RegistryId, in.ImageIds)
	if err != nil {
		return nil, err
	}
	results, err := f.Registry.DeleteImages(ctx, call.Caller, name, ids)
	if err != nil {
		return nil, err
	}
	out := &wire.BatchDeleteImageOutput{ImageIds: []types.ImageIdentifier{}, Failures: []types.ImageFailure{}}
	for _, r := range results {
		if r.Err != nil {
			failure, err := imageFailure(r.ID, r.Err)
			if err != nil {
				return nil, err
			}
			out.Failures = append(out.Failures, failure)
			continue
		}
		for _, gone := range r.Gone {
			out.ImageIds = append(out.ImageIds, wireID(gone))
		}
	}
	return out, nil
}

func (f face) describeImages(ctx context.Context, call awswire.Call, in *wire.DescribeImagesInput) (*wire.DescribeImagesOutput, error) {
	var filter imageFilter
	var err error
	if in.Filter != nil {
		if filter, err = readFilter(in.Filter.TagStatus, in.Filter.ImageStatus); err != nil {
			return nil, err
		}
	}
	if in.ImageIds != nil {
		return f.describeNamedImages(ctx, call, in, filter)
	}
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	images, err := f.Registry.Images(ctx, call.Caller, name, filter.ImageFilter, limit, token)
	if err != nil {
		return nil, err
	}
	if filter.nothing {
		images = registry.Page[registry.Image]{}
	}
	details, err := f.scannedDetails(ctx, call.Caller, name, images.Items)
	return &wire.DescribeImagesOutput{ImageDetails: details, NextToken: nextToken(images.Next)}, err
}

func (f face) describeNamedImages(ctx context.Context, call awswire.Call, in *wire.DescribeImagesInput, filter imageFilter) (*wire.DescribeImagesOutput, error) {
	name, ids, err := f.batchOfImages(in.RepositoryName, in.RegistryId, in.ImageIds)
	if err != nil {
		return nil, err
	}
	if err := notPaged("imageIds", in.MaxResults, in.NextToken); err != nil {
		return nil, err
	}
	images, err := f.Registry.DescribeImages(ctx, call.Caller, name, ids)
	if err != nil {
		return nil, err
	}
	if in.Filter == nil || in.Filter.ImageStatus == "" {
		filter.Status = registry.AnyStatus // who names an image wants to know about it, archived or not
	}
	images = slices.DeleteFunc(images, func(i registry.Image) bool { return !filter.passes(i) })
	details, err := f.scannedDetails(ctx, call.Caller, name, images)
	return &wire.DescribeImagesOutput{ImageDetails: details}, err
}

func (f face) listImages(ctx context.Context, call awswire.Call, in *wire.ListImagesInput) (*wire.ListImagesOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	var filter imageFilter
	if in.Filter != nil {
		if filter, err = readFilter(in.Filter.TagStatus, in.Filter.ImageStatus); err != nil {
			return nil, err
		}
	}
	ids, err := f.Registry.ImageIDs(ctx, call.Caller, name, filter.ImageFilter, limit, token)
	if err != nil {
		return nil, err
	}
	if filter.nothing {
		ids = registry.Page[registry.ImageID]{}
	}
	out := &wire.ListImagesOutput{ImageIds: []types.ImageIdentifier{}, NextToken: nextToken(ids.Next)}
	for _, id := range ids.Items {
		out.ImageIds = append(out.ImageIds, wireID(id))
	}
	return out, nil
}

// batchOfImages reads repository and image ids of a batch. A malformed id fails by itself later on, but
// for an empty tag, which fails the call: a script whose variable is empty must not be taken to mean the
// image with all its tags.
func (f face) batchOfImages(repository, registryID *string, in []types.ImageIdentifier) (string, []registry.ImageID, error) {
	name, err := f.repository(repository, registryID)
	if err != nil {
		return "", nil, err
	}
	if err := batch("imageIds", in, maxBatch); err != nil {
		return "", nil, err
	}
	ids := make([]registry.ImageID, len(in))
	for i, id := range in {
		if id.ImageTag != nil && *id.ImageTag == "" {
			return "", nil, tooShort("imageTag")
		}
		ids[i] = registry.ImageID{Tag: aws.ToString(id.ImageTag), Digest: aws.ToString(id.ImageDigest)}
	}
	return name, ids, nil
}

// imageFilter is the filter of a listing.
type imageFilter struct {
	registry.ImageFilter
	nothing bool // only images on their way back from the archive are asked for, and here that takes no time
}

func readFilter(tag types.TagStatus, status types.ImageStatusFilter) (imageFilter, error) {
	if err := oneOf("filter.tagStatus", tag, tag.Values()); err != nil {
		return imageFilter{}, err
	}
	if err := oneOf("filter.imageStatus", status, status.Values()); err != nil {
		return imageFilter{}, err
	}
	var filter imageFilter
	filter.Status, filter.nothing = readStatus(string(status))
	switch tag {
	case types.TagStatusTagged:
		filter.Tagged = registry.OnlyTagged
	case types.TagStatusUntagged:
		filter.Tagged = registry.OnlyUntagged
	case types.TagStatusAny:
	}
	return filter, nil
}

// readStatus reads an imageStatus or artifactStatus that is one of the model's. It tells true for ACTIVATING.
func readStatus(status string) (registry.Status, bool) {
	switch types.ImageStatusFilter(status) {
	case types.ImageStatusFilterArchived:
		return registry.OnlyArchived, false
	case types.ImageStatusFilterAny:
		return registry.AnyStatus, false
	case types.ImageStatusFilterActivating:
		return registry.OnlyActive, true
	case types.ImageStatusFilterActive:
	}
	return registry.OnlyActive, false
}

func (f imageFilter) passes(i registry.Image) bool {
	return !f.nothing && f.Tagged.Selects(len(i.Tags) > 0) && f.Status.Selects(i.Archived)
}

func (f face) wireImage(repository string, id types.ImageIdentifier, img registry.Image) *types.Image {
	return &types.Image{
		RegistryId:             aws.String(f.Registry.ID()),
		RepositoryName:         aws.String(repository),
		ImageId:                &id,
		ImageManifest:          aws.String(string(img.Manifest)),
		ImageManifestMediaType: aws.String(img.MediaType),
	}
}

func (f face) imageDetails(repository string, images []registry.Image) []types.ImageDetail {
	details := make([]types.ImageDetail, 0, len(images))
	for _, i := range images {
		d := types.ImageDetail{
			RegistryId:             aws.String(f.Registry.ID()),
			RepositoryName:         aws.String(repository),
			ImageDigest:            aws.String(i.Digest.String()),
			ImageManifestMediaType: aws.String(i.MediaType),
			ImageSizeInBytes:       aws.Int64(i.Size),
			ImagePushedAt:          aws.Time(i.PushedAt),
			ImageStatus:            imageStatus(i),
			LastArchivedAt:         optionalTime(i.ArchivedAt),
			LastActivatedAt:        optionalTime(i.ActivatedAt),
			LastRecordedPullTime:   optionalTime(i.LastPulledAt),
			ArtifactMediaType:      optional(i.ArtifactType),
			SubjectManifestDigest:  optional(i.Subject.String()),
		}
		if len(i.Tags) > 0 { // absent, not empty, when there are none
			d.ImageTags = i.Tags
		}
		details = append(details, d)
	}
	return details
}

func wireID(id registry.ImageID) types.ImageIdentifier {
	return types.ImageIdentifier{ImageDigest: optional(id.Digest), ImageTag: optional(id.Tag)}
}

// imageFailure words why one id of a batch failed. An error that says nothing about an id fails the call.
func imageFailure(id registry.ImageID, err error) (types.ImageFailure, error) {
	codes := map[fault.Code]types.ImageFailureCode{
		fault.DigestInvalid:         types.ImageFailureCodeInvalidImageDigest,
		fault.TagInvalid:            types.ImageFailureCodeInvalidImageTag,
		fault.TagDoesNotMatchDigest: types.ImageFailureCodeImageTagDoesNotMatchDigest,
		fault.ImageNotFound:         types.ImageFailureCodeImageNotFound,
		fault.ImageArchived:         types.ImageFailureCodeImageNotFound, // to a pull there is no such image; the reason says more
		fault.ImageIDMissing:        types.ImageFailureCodeMissingDigestAndTag,
		fault.ImageReferenced:       types.ImageFailureCodeImageReferencedByManifestList,
		fault.ImagePinned:           types.ImageFailureCodeImageReferencedByManifestList, // the SDKs' code for what something else needs
		fault.UpstreamDenied:        types.ImageFailureCodeUpstreamAccessDenied,
		fault.UpstreamBusy:          types.ImageFailureCodeUpstreamTooManyRequests,
		fault.UpstreamUnavailable:   types.ImageFailureCodeUpstreamUnavailable,
	}
	flt, ok := fault.Of(err)
	if !ok || codes[flt.Code] == "" {
		return types.ImageFailure{}, err
	}
	wid := wireID(id)
	return types.ImageFailure{ImageId: &wid, FailureCode: codes[flt.Code], FailureReason: aws.String(flt.Message)}, nil
}

// optional leaves a member out when it would be empty.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
