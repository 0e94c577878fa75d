package gate

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// manifest is a manifest as the registry has it.
type manifest struct {
	mediaType string
	bytes     []byte
}

// images gives what is to be scanned of a digest: it, or the images of an index, and of indexes in it.
func (g *Gate) images(ctx context.Context, in Input) ([]ScannedImage, error) {
	if in.MediaType == oci.MediaTypeOCIManifest || in.MediaType == oci.MediaTypeDockerManifest {
		return []ScannedImage{{Digest: in.Digest}}, nil
	}
	read, err := g.manifests(ctx, in.Repository, []oci.Digest{in.Digest})
	if err != nil {
		return nil, err
	}
	root, ok := read[in.Digest]
	if !ok {
		return nil, fmt.Errorf("the manifest of %s is not given: is the image archived?", in.Digest.Short())
	}
	parsed, err := oci.ParseManifest(root.mediaType, root.bytes)
	if err != nil {
		return nil, fmt.Errorf("reading the manifest of %s: %w", in.Digest.Short(), err)
	}
	if !parsed.IsIndex() {
		return []ScannedImage{{Digest: in.Digest}}, nil
	}
	x := expansion{gate: g, repository: in.Repository, seen: map[oci.Digest]bool{in.Digest: true}}
	err = x.expand(ctx, in.Digest, root)
	return x.images, err
}

// expansion finds the images of an index.
type expansion struct {
	gate       *Gate
	repository string
	seen       map[oci.Digest]bool
	images     []ScannedImage
}

func (x *expansion) expand(ctx context.Context, of oci.Digest, m manifest) error {
	index, err := v1.ParseIndexManifest(bytes.NewReader(m.bytes))
	if err != nil {
		return fmt.Errorf("reading the manifest of %s: %w", of.Short(), err)
	}
	var look []oci.Digest // what may be something else than an image
	for _, child := range index.Manifests {
		if oci.IsIndexType(string(child.MediaType)) || mayBeAttestation(child) {
			look = append(look, oci.Digest(child.Digest.String()))
		}
	}
	read, err := x.gate.manifests(ctx, x.repository, look)
	if err != nil {
		return err
	}
	for _, child := range index.Manifests {
		d := oci.Digest(child.Digest.String())
		body, ok := read[d]
		switch {
		case x.seen[d]:
		case ok && oci.IsIndexType(string(child.MediaType)):
			x.seen[d] = true
			if err := x.expand(ctx, d, body); err != nil {
				return err
			}
		case ok && isAttestation(body):
			x.seen[d] = true
		default:
			x.seen[d] = true
			x.images = append(x.images, ScannedImage{Digest: d, Platform: platformName(child)})
		}
	}
	return nil
}

// manifests reads manifests; what is not there is left out.
func (g *Gate) manifests(ctx context.Context, repository string, digests []oci.Digest) (map[oci.Digest]manifest, error) {
	read := map[oci.Digest]manifest{}
	const batch = 100 // of BatchGetImage
	for some := range slices.Chunk(digests, batch) {
		in := &ecr.BatchGetImageInput{RepositoryName: &repository, AcceptedMediaTypes: oci.ManifestTypes()}
		for _, d := range some {
			in.ImageIds = append(in.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(d.String())})
		}
		out, err := g.c.API.BatchGetImage(ctx, in)
		if err != nil {
			return nil, fmt.Errorf("reading manifests: %w", platform.Plain(err))
		}
		for _, got := range out.Images {
			if got.ImageId != nil {
				read[oci.Digest(aws.ToString(got.ImageId.ImageDigest))] = manifest{aws.ToString(got.ImageManifestMediaType), []byte(aws.ToString(got.ImageManifest))}
			}
		}
	}
	return read, nil
}

// mayBeAttestation tells what BuildKit says of an attestation. Whoever pushes can say it of an image, too, which would not be
// scanned then: isAttestation looks.
func mayBeAttestation(d v1.Descriptor) bool {
	return d.Annotations["vnd.docker.reference.type"] == "attestation-manifest" && d.Platform != nil && d.Platform.OS == "unknown"
}

// isAttestation tells whether a manifest has nothing but statements about an image.
func isAttestation(m manifest) bool {
	parsed, err := oci.ParseManifest(m.mediaType, m.bytes)
	if err != nil || parsed.IsIndex() {
		return false
	}
	for _, l := range parsed.Layers {
		if l.MediaType != "application/vnd.in-toto+json" {
			return false
		}
	}
	return true
}

// platformName words a platform as docker does, or says the digest of an image without one.
func platformName(d v1.Descriptor) string {
	p := d.Platform
	if p == nil || p.OS == "" && p.Architecture == "" {
		return oci.Digest(d.Digest.String()).Short()
	}
	return strings.TrimSuffix(strings.Join([]string{p.OS, p.Architecture, p.Variant}, "/"), "/")
}
