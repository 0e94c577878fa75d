package images_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/images"
)

// store is a fake with manifests and blobs.
type store struct {
	fake
	bodies map[oci.Digest]string
}

func (s *store) BatchGetImage(_ context.Context, in *ecr.BatchGetImageInput, _ ...func(*ecr.Options)) (*ecr.BatchGetImageOutput, error) {
	out := &ecr.BatchGetImageOutput{}
	for _, id := range in.ImageIds {
		if body, ok := s.bodies[oci.Digest(*id.ImageDigest)]; ok {
			out.Images = append(out.Images, types.Image{ImageId: &id, ImageManifest: &body})
		}
	}
	return out, nil
}

func (s *store) Blob(_ context.Context, _ string, d oci.Digest, _ int64) ([]byte, error) {
	return []byte(s.bodies[d]), nil
}

func (s *store) Referrers(context.Context, string, oci.Digest) ([]v1.Descriptor, error) {
	return nil, nil
}

// put keeps a body and gives a descriptor of it.
func (s *store) put(mediaType, body string) map[string]any {
	d := oci.FromBytes([]byte(body))
	s.bodies[d] = body
	return map[string]any{"mediaType": mediaType, "digest": d, "size": len(body)}
}

func (s *store) manifest(t *testing.T, mediaType string, members map[string]any) map[string]any {
	t.Helper()
	members["schemaVersion"], members["mediaType"] = 2, mediaType
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	return s.put(mediaType, string(text))
}

// built is an index as BuildKit makes it: an image for each platform, and beside it what attests it, with an SBOM in it. One more
// image is not in the repository.
func (s *store) built(t *testing.T, tag, version string) {
	t.Helper()
	config := s.put("application/vnd.oci.image.config.v1+json", `{"os":"linux","architecture":"amd64","config":{"User":"app"},"history":[{"created_by":"COPY a a # buildkit"}]}`)
	image := s.manifest(t, oci.MediaTypeOCIManifest, map[string]any{
		"config": config, "layers": []any{s.put("application/vnd.oci.image.layer.v1.tar", "layer "+version)},
	})
	image["platform"] = map[string]any{"os": "linux", "architecture": "amd64"}
	missing := map[string]any{"mediaType": oci.MediaTypeOCIManifest, "digest": oci.FromBytes([]byte("missing")), "size": 7, "platform": map[string]any{"os": "linux", "architecture": "arm64"}}
	statement := fmt.Sprintf(`{"predicateType":"https://spdx.dev/Document","predicate":{"spdxVersion":"SPDX-2.3","packages":[{"name":"flask","versionInfo":%q}]}}`, version)
	attests := s.manifest(t, oci.MediaTypeOCIManifest, map[string]any{
		"config": config, "layers": []any{s.put("application/vnd.in-toto+json", statement)},
	})
	attests["platform"] = map[string]any{"os": "unknown", "architecture": "unknown"}
	attests["annotations"] = map[string]any{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": image["digest"]}
	index := s.manifest(t, oci.MediaTypeOCIIndex, map[string]any{"manifests": []any{image, missing, attests}})
	d, ok := index["digest"].(oci.Digest)
	if !ok {
		t.Fatal("no digest")
	}
	s.details = append(s.details, types.ImageDetail{ImageDigest: aws.String(d.String()), ImageTags: []string{tag}, ImageManifestMediaType: aws.String(oci.MediaTypeOCIIndex)})
}

func TestIndexOfBuildKit(t *testing.T) {
	t.Parallel()
	s := &store{bodies: map[oci.Digest]string{}}
	s.built(t, "one", "3.0")
	s.built(t, "two", "3.1")
	c := &images.Client{API: s, Distribution: s, Repository: "aa"}
	shown, err := c.Show(t.Context(), oci.Reference{Tag: "one"})
	if err != nil || shown.NotRead != nil {
		t.Fatal(err, shown.NotRead)
	}
	if diff := cmp.Diff([]string{"linux/amd64", "linux/arm64"}, shown.Platforms()); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	first, second := shown.Variants[0], shown.Variants[1]
	if first.Config == nil || first.Config.User != "app" || first.Layers[0].CreatedBy != "COPY a a" || !second.Missing || second.Config != nil {
		t.Errorf("the images are %+v and %+v", first, second)
	}
	if len(shown.Referrers) != 1 || shown.Referrers[0].Kind != "attestation" || !shown.Referrers[0].Inside || shown.Referrers[0].Of != first.Digest {
		t.Errorf("what refers to them is %+v", shown.Referrers)
	}
	diff, err := images.Compare(t.Context(), c, images.Name{Repository: "aa", Reference: oci.Reference{Tag: "one"}}, c, images.Name{Repository: "aa", Reference: oci.Reference{Tag: "two"}})
	if err != nil || !diff.Different || len(diff.Pairs) != 2 {
		t.Fatalf("Compare: %+v, %v", diff, err)
	}
	pair := diff.Pairs[0]
	if len(pair.Packages) != 1 || pair.Packages[0].Name != "flask" || *pair.Packages[0].From != "3.0" || *pair.Packages[0].To != "3.1" {
		t.Errorf("packages: %+v (%s), want flask from 3.0 to 3.1", pair.Packages, pair.NotPackages)
	}
	if len(pair.Added) != 1 || len(pair.Removed) != 1 || len(pair.Changes) != 0 {
		t.Errorf("the difference is %+v", pair)
	}
}
