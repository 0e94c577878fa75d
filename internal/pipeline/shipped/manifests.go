package shipped

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ManifestsByTags gives the manifests that some tags name now, by tag. A tag that is not there is not in the answer.
func (s *Store) ManifestsByTags(ctx context.Context, tags []string) (map[string]Manifest, error) {
	ids := make([]types.ImageIdentifier, 0, len(tags))
	for _, tag := range slices.Compact(slices.Sorted(slices.Values(tags))) {
		ids = append(ids, types.ImageIdentifier{ImageTag: aws.String(tag)})
	}
	found, err := s.get(ctx, ids)
	if err != nil {
		return nil, err
	}
	read := map[string]Manifest{}
	for _, got := range found {
		if tag := aws.ToString(got.ImageId.ImageTag); tag != "" {
			read[tag] = manifestOf(got)
		}
	}
	return read, nil
}

// ManifestsByDigests gives manifests, by digest. One that is not there is not in the answer.
func (s *Store) ManifestsByDigests(ctx context.Context, digests []oci.Digest) (map[oci.Digest]Manifest, error) {
	ids := make([]types.ImageIdentifier, 0, len(digests))
	for _, d := range slices.Compact(slices.Sorted(slices.Values(digests))) {
		ids = append(ids, types.ImageIdentifier{ImageDigest: aws.String(d.String())})
	}
	found, err := s.get(ctx, ids)
	if err != nil {
		return nil, err
	}
	read := map[oci.Digest]Manifest{}
	for _, got := range found {
		m := manifestOf(got)
		read[m.Digest] = m
	}
	return read, nil
}

// Image reads what a manifest says of itself, and tells whether it makes sense. Its tags are not known.
func (m Manifest) Image() (Image, bool) {
	img := readImage(m.Digest, m.MediaType, m.Raw)
	if img == nil {
		return Image{}, false
	}
	return *img, true
}
