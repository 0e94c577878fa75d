package ecr

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// partSize is the size of part that ECR asks its clients for.
const partSize = 10 << 20

// linkLife is how long a link to a layer on this server lives, like one to a bucket.
const linkLife = time.Hour

// maxUploadLayerPartBody has room for a part of 20 MiB in base64 and for the other members.
const maxUploadLayerPartBody = 29 << 20

// layerOperations names what is done with layers.
func (f face) layerOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"BatchCheckLayerAvailability": awswire.Op(f.batchCheckLayerAvailability),
		"InitiateLayerUpload":         awswire.Op(f.initiateLayerUpload),
		"UploadLayerPart":             awswire.Op(f.uploadLayerPart).MaxBody(maxUploadLayerPartBody),
		"CompleteLayerUpload":         awswire.Op(f.completeLayerUpload),
		"GetDownloadUrlForLayer":      awswire.Op(f.getDownloadURLForLayer),
	}
}

func (f face) batchCheckLayerAvailability(ctx context.Context, call awswire.Call, in *wire.BatchCheckLayerAvailabilityInput) (*wire.BatchCheckLayerAvailabilityOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if err := batch("layerDigests", in.LayerDigests, maxBatch); err != nil {
		return nil, err
	}
	for _, d := range in.LayerDigests {
		if len(d) > maxDigestText {
			return nil, fault.BadParameter("layerDigests", "Member must have length less than or equal to 1000")
		}
	}
	results, err := f.PullThrough.LayersAvailable(ctx, call.Caller, name, in.LayerDigests)
	if err != nil {
		return nil, err
	}
	out := &wire.BatchCheckLayerAvailabilityOutput{Layers: []types.Layer{}, Failures: []types.LayerFailure{}}
	for _, r := range results {
		switch {
		case r.Err != nil:
			out.Failures = append(out.Failures, layerFailure(r))
		case r.Found:
			out.Layers = append(out.Layers, types.Layer{
				LayerDigest: aws.String(r.Digest), LayerAvailability: availability(r.Layer), LayerSize: aws.Int64(r.Layer.Size),
			})
		default:
			out.Layers = append(out.Layers, types.Layer{LayerDigest: aws.String(r.Digest), LayerAvailability: types.LayerAvailabilityUnavailable})
		}
	}
	return out, nil
}

func availability(l registry.Layer) types.LayerAvailability {
	if l.Archived {
		return types.LayerAvailabilityArchived
	}
	return types.LayerAvailabilityAvailable
}

func layerFailure(r registry.LayerAvailability) types.LayerFailure {
	if r.Digest == "" {
		return types.LayerFailure{
			LayerDigest: aws.String(""), FailureCode: types.LayerFailureCodeMissingLayerDigest,
			FailureReason: aws.String("Invalid request parameters: layer digest cannot be null or empty"),
		}
	}
	return types.LayerFailure{
		LayerDigest: aws.String(r.Digest), FailureCode: types.LayerFailureCodeInvalidLayerDigest,
		FailureReason: aws.String("Invalid request parameters: " + r.Err.Error()),
	}
}

func (f face) initiateLayerUpload(ctx context.Context, call awswire.Call, in *wire.InitiateLayerUploadInput) (*wire.InitiateLayerUploadOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	u, err := f.Registry.StartUpload(ctx, call.Caller, name, oci.SHA256)
	if err != nil {
		return nil, err
	}
	return &wire.InitiateLayerUploadOutput{UploadId: aws.String(u.ID), PartSize: aws.Int64(partSize)}, nil
}

func (f face) uploadLayerPart(ctx context.Context, call awswire.Call, in *wire.UploadLayerPartInput) (*wire.UploadLayerPartOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	id, err := uploadID(in.UploadId)
	if err != nil {
		return nil, err
	}
	part, err := layerPart(in)
	if err != nil {
		return nil, err
	}
	u, err := f.Registry.AppendUpload(ctx, call.Caller, name, id, part)
	if err != nil {
		return nil, f.partError(err, name, id)
	}
	return &wire.UploadLayerPartOutput{
		RegistryId:       aws.String(f.Registry.ID()),
		RepositoryName:   aws.String(name),
		UploadId:         aws.String(u.ID),
		LastByteReceived: aws.Int64(u.Blob.Size - 1), // inclusive
	}, nil
}

// layerPart checks that a part is what its own members say.
func layerPart(in *wire.UploadLayerPartInput) (registry.Part, error) {
	first, err := required("partFirstByte", in.PartFirstByte)
	if err != nil {
		return registry.Part{}, err
	}
	last, err := required("partLastByte", in.PartLastByte)
	if err != nil {
		return registry.Part{}, err
	}
	size := int64(len(in.LayerPartBlob))
	switch {
	case in.LayerPartBlob == nil:
		return registry.Part{}, missing("layerPartBlob")
	case size > maxPartBytes:
		return registry.Part{}, fault.BadParameter("layerPartBlob", fmt.Sprintf("Member must have length less than or equal to %d", maxPartBytes))
	case first < 0:
		return registry.Part{}, fault.BadParameter("partFirstByte", "Member must have value greater than or equal to 0")
	case last < 0:
		return registry.Part{}, fault.BadParameter("partLastByte", "Member must have value greater than or equal to 0")
	case last-first+1 != size:
		return registry.Part{}, fault.BadParameter("partLastByte",
			fmt.Sprintf("bytes %d to %d are %d bytes, and layerPartBlob has %d", first, last, last-first+1, size))
	}
	return registry.Part{Start: first, Size: size, Body: bytes.NewReader(in.LayerPartBlob), Sized: true}, nil
}

// partError adds what InvalidLayerPartException says besides its words.
func (f face) partError(err error, repository, uploadID string) error {
	flt, ok := fault.Of(err)
	if !ok || (flt.Code != fault.UploadOutOfOrder && flt.Code != fault.UploadBusy && flt.Code != fault.UploadPartSize) {
		return err
	}
	members := map[string]any{"registryId": f.Registry.ID(), "repositoryName": repository, "uploadId": uploadID}
	if at, ok := flt.Detail.(fault.UploadPosition); ok && at.Size > 0 {
		members["lastValidByteReceived"] = at.Size - 1 // absent when nothing was received yet
	}
	return &exception{cause: err, Exception: awswire.Exception{Code: "InvalidLayerPartException", Status: badRequest, Message: flt.Message, Members: members}}
}

func (f face) completeLayerUpload(ctx context.Context, call awswire.Call, in *wire.CompleteLayerUploadInput) (*wire.CompleteLayerUploadOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	id, err := uploadID(in.UploadId)
	if err != nil {
		return nil, err
	}
	d, err := oneDigest(in.LayerDigests)
	if err != nil {
		return nil, err
	}
	layer, err := f.Registry.CompleteUpload(ctx, call.Caller, name, id, registry.Completion{Digest: d, Strict: true})
	if err != nil {
		return nil, err
	}
	return &wire.CompleteLayerUploadOutput{
		RegistryId:     aws.String(f.Registry.ID()),
		RepositoryName: aws.String(name),
		UploadId:       aws.String(id),
		LayerDigest:    aws.String(layer.Digest.String()),
	}, nil
}

// oneDigest reads the digests of a finished upload. The model has a list and calls it "the sha256 digest
// of the image layer": there is one layer, so they must all be the same.
func oneDigest(digests []string) (oci.Digest, error) {
	if err := batch("layerDigests", digests, maxBatch); err != nil {
		return "", err
	}
	if len(slices.Compact(slices.Clone(digests))) > 1 {
		return "", fault.BadParameter("layerDigests", "an upload is one layer, so all its digests must be the same")
	}
	return digest("layerDigests", &digests[0])
}

func (f face) getDownloadURLForLayer(ctx context.Context, call awswire.Call, in *wire.GetDownloadUrlForLayerInput) (*wire.GetDownloadUrlForLayerOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	d, err := digest("layerDigest", in.LayerDigest)
	if err != nil {
		return nil, err
	}
	content, err := f.PullThrough.ReferencedLayer(ctx, call.Caller, name, d)
	if err != nil {
		return nil, upstreamFault(err, "UnableToGetUpstreamLayerException")
	}
	link, err := f.link(ctx, name, content)
	if err != nil {
		return nil, fmt.Errorf("linking to layer %s of %s: %w", d, name, err)
	}
	if !strings.HasPrefix(link, f.ProxyEndpoint+"/v2/") {
		middleware.Note(ctx).BytesOut += content.Size // the store sends them, and says nothing of it
	}
	return &wire.GetDownloadUrlForLayerOutput{LayerDigest: aws.String(d.String()), DownloadUrl: aws.String(link)}, nil
}

// link gives a link that anybody can fetch the layer by: the blob store's own or one to this server's
// registry face.
func (f face) link(ctx context.Context, repository string, content registry.Content) (string, error) {
	if f.Redirect {
		if link, err := content.Link(ctx); err != nil || link != "" {
			return link, err
		}
	}
	path := "/v2/" + repository + "/blobs/" + content.Digest.String()
	query, err := f.Links.SignLink(ctx, path, linkLife)
	return f.ProxyEndpoint + path + "?" + query, err
}
