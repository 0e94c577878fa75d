package ecr_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// TestTrashIsInvisible asks every operation that reads about an image and its layer before it is pushed, and again when it is
// in the trash: the answers are the same. Then it comes back, and they are others.
func TestTrashIsInvisible(t *testing.T) {
	t.Parallel()
	const config, layer = `{"own":true}`, "only its own"
	elsewhere := newServer(t)
	elsewhere.create(t)
	manifest := elsewhere.manifest(t, config, layer)
	digest := oci.FromBytes([]byte(manifest)).String()
	s := newServer(t)
	s.create(t)
	s.image(t, "stays", "other")
	look := func() map[string]string {
		t.Helper()
		answers := map[string]string{}
		for _, ask := range []struct{ what, operation, members string }{
			{"images", "DescribeImages", `}`},
			{"any status", "DescribeImages", `,"filter":{"imageStatus":"ANY"}}`},
			{"by tag", "DescribeImages", `,"imageIds":[{"imageTag":"v1"}]}`},
			{"by digest", "DescribeImages", `,"imageIds":[{"imageDigest":"DIGEST"}]}`},
			{"ids", "ListImages", `}`},
			{"get by tag", "BatchGetImage", `,"imageIds":[{"imageTag":"v1"}]}`},
			{"get by digest", "BatchGetImage", `,"imageIds":[{"imageDigest":"DIGEST"}]}`},
			{"referrers", "ListImageReferrers", `,"subjectId":{"imageDigest":"DIGEST"}}`},
			{"layer", "BatchCheckLayerAvailability", `,"layerDigests":["LAYER"]}`},
			{"download", "GetDownloadUrlForLayer", `,"layerDigest":"LAYER"}`},
			{"scan", "DescribeImageScanFindings", `,"imageId":{"imageTag":"v1"}}`},
			{"signing", "DescribeImageSigningStatus", `,"imageId":{"imageTag":"v1"}}`},
			{"replication", "DescribeImageReplicationStatus", `,"imageId":{"imageTag":"v1"}}`},
			{"a scan", "StartImageScan", `,"imageId":{"imageDigest":"DIGEST"}}`},
			{"storage class", "UpdateImageStorageClass", `,"imageId":{"imageDigest":"DIGEST"},"targetStorageClass":"ARCHIVE"}`},
			{"delete", "BatchDeleteImage", `,"imageIds":[{"imageDigest":"DIGEST"}]}`},
		} {
			body := strings.NewReplacer("DIGEST", digest, "LAYER", oci.FromBytes([]byte(layer)).String()).
				Replace(`{"repositoryName":"hoopstat-haus/prod"` + ask.members)
			answers[ask.what] = s.post(t, s.rootKey, ask.operation, body).body
		}
		return answers
	}
	before := look()
	s.manifest(t, config, layer)
	s.put(t, manifest, "v1")
	if out, err := s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{
		RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}},
	}); err != nil || len(out.Failures) > 0 {
		t.Fatalf("BatchDeleteImage: %+v, %v", out, err)
	}
	if diff := cmp.Diff(before, look()); diff != "" {
		t.Errorf("what is in the trash is seen (-before it was pushed +in the trash):\n%s", diff)
	}
	root := identity.Caller{Account: account, ARN: "arn:aws:iam::" + account + ":root", Root: true}
	if results, err := s.registry.RestoreImages(t.Context(), root, repo, []registry.ImageID{{Digest: digest}}, registry.RestoreOptions{}); err != nil || results[0].Err != nil {
		t.Fatalf("RestoreImages: %+v, %v", results, err)
	}
	for what, answer := range look() {
		if answer == before[what] && what != "referrers" {
			t.Errorf("restored, %s is answered as before: %s", what, answer)
		}
	}
}
