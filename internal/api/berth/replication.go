package berth

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

const (
	// maxReplicateBody has room for a manifest of 4 MiB, each byte of it escaped as six, and for its tags.
	maxReplicateBody = 26 << 20
	// maxPrepareBody has room for as many digests as a manifest may have, be they sha512.
	maxPrepareBody = 2 << 20
	maxTags        = 1000
)

// PrepareReplicationInput asks what is to be sent of an image.
type PrepareReplicationInput struct {
	RepositoryName *string // required
	ImageDigest    *string // required
	LayerDigests   []string
}

// PrepareReplicationOutput tells what the repository lacks.
type PrepareReplicationOutput struct {
	ImageMissing  *bool
	MissingLayers []string // empty when the image is there
}

func (f face) prepareReplication(ctx context.Context, call awswire.Call, in *PrepareReplicationInput) (*PrepareReplicationOutput, error) {
	repository, d, err := image(in.RepositoryName, in.ImageDigest)
	if err != nil {
		return nil, err
	}
	var layers []oci.Digest
	for _, s := range in.LayerDigests {
		l, err := oci.ParseDigest(s)
		if err != nil {
			return nil, fault.BadParameter("layerDigests", err.Error())
		}
		layers = append(layers, l)
	}
	missing, err := f.registry.PrepareReplica(ctx, call.Caller, repository, d, layers)
	if err != nil {
		return nil, err
	}
	out := &PrepareReplicationOutput{ImageMissing: &missing.Image, MissingLayers: []string{}}
	for _, l := range missing.Layers {
		out.MissingLayers = append(out.MissingLayers, l.String())
	}
	return out, nil
}

// ReplicateImageInput is an image that another registry sends, its layers before it.
type ReplicateImageInput struct {
	RepositoryName         *string // required
	ImageManifest          *string // required
	ImageManifestMediaType *string // required
	ImageDigest            *string // required
	ImageTags              []string
}

// ReplicateImageOutput tells what became of the image.
type ReplicateImageOutput struct {
	ImageDigest *string
	DroppedTags []string // immutable here, and on other images
}

func (f face) replicateImage(ctx context.Context, call awswire.Call, in *ReplicateImageInput) (*ReplicateImageOutput, error) {
	repository, d, err := image(in.RepositoryName, in.ImageDigest)
	switch {
	case err != nil:
		return nil, err
	case in.ImageManifest == nil:
		return nil, missing("imageManifest")
	case in.ImageManifestMediaType == nil:
		return nil, missing("imageManifestMediaType")
	case len(in.ImageTags) > maxTags:
		return nil, fault.BadParameter("imageTags", "Member must have length less than or equal to 1000")
	}
	pushed, err := f.registry.PutReplica(ctx, call.Caller, registry.Push{
		Repository: repository, Manifest: []byte(*in.ImageManifest), MediaType: *in.ImageManifestMediaType, Digest: d, Tags: in.ImageTags,
	})
	if err != nil {
		return nil, err
	}
	out := &ReplicateImageOutput{ImageDigest: aws.String(pushed.Image.Digest.String()), DroppedTags: []string{}}
	out.DroppedTags = append(out.DroppedTags, pushed.Dropped...)
	return out, nil
}

// image reads which image of which repository a request is about.
func image(repository, digest *string) (string, oci.Digest, error) {
	switch {
	case repository == nil:
		return "", "", missing("repositoryName")
	case digest == nil:
		return "", "", missing("imageDigest")
	}
	d, err := oci.ParseDigest(*digest)
	if err != nil {
		return "", "", fault.BadParameter("imageDigest", err.Error())
	}
	name, err := oci.ParseRepositoryName(*repository)
	return name, d, err
}

func missing(parameter string) error { return fault.BadParameter(parameter, "Member must not be null") }
