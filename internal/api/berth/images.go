package berth

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// DeleteImagesInput names images to delete.
type DeleteImagesInput struct {
	RepositoryName *string   // required
	ImageIds       []ImageID //nolint:revive // named as on the wire; required, 1 to 100
	Force          *bool     // delete what is deployed, too; false if absent
}

// ImageID names an image by tag, by digest, or by both.
type ImageID struct {
	ImageDigest *string
	ImageTag    *string
}

// DeleteImagesOutput tells what is gone, and what is not.
type DeleteImagesOutput struct {
	ImageIds []ImageID //nolint:revive // named as on the wire
	Failures []ImageFailure
}

// ImageFailure says why something was not done about an image.
type ImageFailure struct {
	ImageId       *ImageID //nolint:revive // named as on ECR's wire
	FailureCode   *string  // such as ImageNotFound
	FailureReason *string
}

// ListPinnedImagesInput asks what the deployments of a repository keep.
type ListPinnedImagesInput struct {
	RepositoryName *string // required
	ImageDigest    *string // of this image only
}

// ListPinnedImagesOutput is all that there is, in order of environment, application and place.
type ListPinnedImagesOutput struct {
	PinnedImages []PinnedImage
}

// PinnedImage is an image with one of the deployments that keep it.
type PinnedImage struct {
	ImageDigest *string
	App         *string
	Environment *string
	Kind        *string // deployed, deploying or unsettled
	Place       *int32  // deployed: 1 runs, 2 ran before; absent otherwise
	Since       *time.Time
}

func (f face) deleteImages(ctx context.Context, call awswire.Call, in *DeleteImagesInput) (*DeleteImagesOutput, error) {
	repository, err := repositoryOf(in.RepositoryName)
	if err != nil {
		return nil, err
	}
	if err := upTo(maxImages, "imageIds", len(in.ImageIds)); err != nil {
		return nil, err
	}
	do := f.registry.DeleteImages
	if aws.ToBool(in.Force) {
		do = f.registry.DeletePinnedImages
	}
	results, err := do(ctx, call.Caller, repository, imageIDs(in.ImageIds))
	if err != nil {
		return nil, err
	}
	out := &DeleteImagesOutput{ImageIds: []ImageID{}, Failures: []ImageFailure{}}
	for _, r := range results {
		for _, gone := range r.Gone {
			out.ImageIds = append(out.ImageIds, *wireID(gone))
		}
		if r.Err == nil {
			continue
		}
		flt, ok := fault.Of(r.Err)
		if !ok || failureCodes[flt.Code] == "" {
			return nil, r.Err
		}
		out.Failures = append(out.Failures, ImageFailure{ImageId: wireID(r.ID), FailureCode: aws.String(failureCodes[flt.Code]), FailureReason: aws.String(flt.Message)})
	}
	return out, nil
}

// failureCodes are ECR's, and one that it has no word for.
var failureCodes = map[fault.Code]string{
	fault.DigestInvalid:         string(types.ImageFailureCodeInvalidImageDigest),
	fault.TagInvalid:            string(types.ImageFailureCodeInvalidImageTag),
	fault.TagDoesNotMatchDigest: string(types.ImageFailureCodeImageTagDoesNotMatchDigest),
	fault.ImageNotFound:         string(types.ImageFailureCodeImageNotFound),
	fault.ImageIDMissing:        string(types.ImageFailureCodeMissingDigestAndTag),
	fault.ImageReferenced:       string(types.ImageFailureCodeImageReferencedByManifestList),
	fault.ImagePinned:           "ImagePinned",
}

func imageIDs(wire []ImageID) []registry.ImageID {
	ids := make([]registry.ImageID, len(wire))
	for i, id := range wire {
		ids[i] = registry.ImageID{Digest: aws.ToString(id.ImageDigest), Tag: aws.ToString(id.ImageTag)}
	}
	return ids
}

func wireID(id registry.ImageID) *ImageID {
	return &ImageID{ImageDigest: optional(id.Digest), ImageTag: optional(id.Tag)}
}

func (f face) listPinnedImages(ctx context.Context, call awswire.Call, in *ListPinnedImagesInput) (*ListPinnedImagesOutput, error) {
	if in.RepositoryName == nil {
		return nil, missing("repositoryName")
	}
	var only oci.Digest
	if in.ImageDigest != nil {
		var err error
		if only, err = oci.ParseDigest(*in.ImageDigest); err != nil {
			return nil, fault.BadParameter("imageDigest", err.Error())
		}
	}
	pins, err := f.registry.Pinned(ctx, call.Caller, *in.RepositoryName)
	if err != nil {
		return nil, err
	}
	out := &ListPinnedImagesOutput{PinnedImages: []PinnedImage{}}
	for d, all := range pins {
		for _, p := range all {
			if p.Kind == registry.DeployedBy || only != "" && d != only {
				continue
			}
			pinned := PinnedImage{
				ImageDigest: aws.String(d.String()), App: &p.App, Environment: &p.Environment, Kind: aws.String(string(p.Kind)), Since: &p.Since,
			}
			if p.Place > 0 {
				pinned.Place = aws.Int32(int32(p.Place)) //nolint:gosec // a thousand at most
			}
			out.PinnedImages = append(out.PinnedImages, pinned)
		}
	}
	slices.SortFunc(out.PinnedImages, func(a, b PinnedImage) int {
		return cmp.Or(cmp.Compare(*a.Environment, *b.Environment), cmp.Compare(*a.App, *b.App), cmp.Compare(aws.ToInt32(a.Place), aws.ToInt32(b.Place)),
			cmp.Compare(*a.Kind, *b.Kind))
	})
	return out, nil
}
