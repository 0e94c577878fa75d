// Package images is what people do with the images of a registry by hand: list, look into, compare, tag and delete
// them. It is a customer of any ECR: it uses Amazon's public operations, and the OCI distribution API for what they do
// not give, configurations and referrers.
package images

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// API is what is asked of an ECR; *ecr.Client has it.
type API interface {
	DescribeImages(context.Context, *ecr.DescribeImagesInput, ...func(*ecr.Options)) (*ecr.DescribeImagesOutput, error)
	BatchGetImage(context.Context, *ecr.BatchGetImageInput, ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error)
	PutImage(context.Context, *ecr.PutImageInput, ...func(*ecr.Options)) (*ecr.PutImageOutput, error)
	BatchDeleteImage(context.Context, *ecr.BatchDeleteImageInput, ...func(*ecr.Options)) (*ecr.BatchDeleteImageOutput, error)
}

// Distribution is what is asked of the OCI side; *registry.Client has it.
type Distribution interface {
	// Blob reads a blob of at most that many bytes.
	Blob(ctx context.Context, repository string, d oci.Digest, maxBytes int64) ([]byte, error)
	Referrers(ctx context.Context, repository string, d oci.Digest) ([]v1.Descriptor, error)
}

// Client works on one repository.
type Client struct {
	API          API
	Distribution Distribution
	Repository   string
}

// Codes of the server's answers about which there is something to say.
const (
	NoRepository = "RepositoryNotFoundException"
	NoImage      = "ImageNotFoundException"
)

// Image is one image as the registry lists it.
type Image struct {
	Digest       oci.Digest
	Tags         []string // in order
	PushedAt     time.Time
	PulledAt     time.Time // zero: never, as far as is recorded
	Size         int64     // bytes of configuration and layers; of an index what the registry says
	MediaType    string
	ArtifactType string
	Status       string // ACTIVE, ARCHIVED …; empty where the registry has no such thing
	Subject      oci.Digest
	Scan         *Scan // nil where there was none
}

// Scan is what came of looking for known vulnerabilities.
type Scan struct {
	Status      string
	Description string
	CompletedAt time.Time
	Counts      map[string]int32 // findings by severity
}

// IsArtifact tells whether it is something else than an image or an index of images, as far as the registry says.
func (i Image) IsArtifact() bool {
	switch i.ArtifactType {
	case "", "application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json":
		return i.Subject != ""
	default:
		return true
	}
}

// IsIndex tells an index from an image.
func (i Image) IsIndex() bool {
	return i.MediaType == oci.MediaTypeOCIIndex || i.MediaType == oci.MediaTypeDockerList
}

// List gives all images, archived ones too, newest first.
func (c *Client) List(ctx context.Context) ([]Image, error) {
	return c.describe(ctx, nil)
}

// Resolve gives the image that a tag or digest stands for.
func (c *Client) Resolve(ctx context.Context, ref oci.Reference) (Image, error) {
	found, err := c.describe(ctx, []types.ImageIdentifier{identifier(ref)})
	if err != nil {
		return Image{}, err
	}
	if len(found) != 1 {
		return Image{}, fmt.Errorf("the server describes %d images of that name", len(found))
	}
	return found[0], nil
}

// Tagged gives the image that a tag points to, and whether there is one.
func (c *Client) Tagged(ctx context.Context, tag string) (Image, bool, error) {
	found, err := c.Resolve(ctx, oci.Reference{Tag: tag})
	if platform.Refused(err, NoImage) {
		return Image{}, false, nil
	}
	return found, err == nil, err
}

func (c *Client) describe(ctx context.Context, ids []types.ImageIdentifier) ([]Image, error) {
	in := &ecr.DescribeImagesInput{
		RepositoryName: &c.Repository, ImageIds: ids,
		Filter: &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	}
	if ids == nil {
		in.MaxResults = aws.Int32(1000)
	} else {
		in.Filter = nil // not with ids
	}
	var all []Image
	for pages := ecr.NewDescribeImagesPaginator(c.API, in); pages.HasMorePages(); {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, platform.Plain(err)
		}
		for _, d := range page.ImageDetails {
			all = append(all, image(d))
		}
	}
	slices.SortStableFunc(all, func(a, b Image) int {
		return cmp.Or(b.PushedAt.Compare(a.PushedAt), cmp.Compare(a.Digest, b.Digest))
	})
	return all, nil
}

func image(d types.ImageDetail) Image {
	i := Image{
		Digest: oci.Digest(aws.ToString(d.ImageDigest)), Tags: slices.Sorted(slices.Values(d.ImageTags)),
		PushedAt: aws.ToTime(d.ImagePushedAt).UTC(), Size: aws.ToInt64(d.ImageSizeInBytes),
		MediaType: aws.ToString(d.ImageManifestMediaType), ArtifactType: aws.ToString(d.ArtifactMediaType),
		Status: string(d.ImageStatus), Subject: oci.Digest(aws.ToString(d.SubjectManifestDigest)),
	}
	if d.LastRecordedPullTime != nil {
		i.PulledAt = d.LastRecordedPullTime.UTC()
	}
	if s := d.ImageScanStatus; s != nil {
		i.Scan = &Scan{Status: string(s.Status), Description: aws.ToString(s.Description)}
	}
	if f := d.ImageScanFindingsSummary; f != nil {
		if i.Scan == nil {
			i.Scan = &Scan{Status: string(types.ScanStatusComplete)}
		}
		i.Scan.Counts, i.Scan.CompletedAt = f.FindingSeverityCounts, aws.ToTime(f.ImageScanCompletedAt).UTC()
	}
	return i
}

// identifier is a reference as ECR takes it.
func identifier(ref oci.Reference) types.ImageIdentifier {
	if ref.Tag != "" {
		return types.ImageIdentifier{ImageTag: &ref.Tag}
	}
	return types.ImageIdentifier{ImageDigest: aws.String(ref.Digest.String())}
}

// manifest is a manifest, byte for byte.
type manifest struct {
	digest    oci.Digest
	mediaType string
	bytes     []byte
}

// batch is how many images one BatchGetImage or BatchDeleteImage takes.
const batch = 100

// manifests reads manifests by digest; what is not there is left out. The registry counts it as a pull of each.
func (c *Client) manifests(ctx context.Context, digests []oci.Digest) (map[oci.Digest]manifest, error) {
	read := map[oci.Digest]manifest{}
	for some := range slices.Chunk(digests, batch) {
		in := &ecr.BatchGetImageInput{RepositoryName: &c.Repository, AcceptedMediaTypes: oci.ManifestTypes()}
		for _, d := range some {
			in.ImageIds = append(in.ImageIds, identifier(oci.Reference{Digest: d}))
		}
		out, err := c.API.BatchGetImage(ctx, in)
		if err != nil {
			return nil, platform.Plain(err)
		}
		for _, got := range out.Images {
			if got.ImageId == nil {
				continue
			}
			m := manifest{oci.Digest(aws.ToString(got.ImageId.ImageDigest)), aws.ToString(got.ImageManifestMediaType), []byte(aws.ToString(got.ImageManifest))}
			read[m.digest] = m
		}
	}
	return read, nil
}

// manifest reads one manifest.
func (c *Client) manifest(ctx context.Context, d oci.Digest) (manifest, error) {
	read, err := c.manifests(ctx, []oci.Digest{d})
	if err != nil {
		return manifest{}, err
	}
	m, ok := read[d]
	if !ok {
		return manifest{}, fmt.Errorf("the manifest of %s is not given: is the image archived?", d)
	}
	return m, nil
}

// platformName words a platform as docker does.
func platformName(p *v1.Platform) string {
	if p == nil || p.OS == "" && p.Architecture == "" {
		return ""
	}
	name := strings.Join([]string{p.OS, p.Architecture}, "/")
	if p.Variant != "" {
		name += "/" + p.Variant
	}
	return name
}
