package ecr_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func (s *server) move(t *testing.T, image types.ImageIdentifier, class types.TargetStorageClass) (*awsecr.UpdateImageStorageClassOutput, error) {
	t.Helper()
	return s.client.UpdateImageStorageClass(t.Context(), &awsecr.UpdateImageStorageClassInput{
		RepositoryName: aws.String(repo), ImageId: &image, TargetStorageClass: class,
	})
}

func TestArchiveAndBack(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{"seed":"old"}`, "only the old one's")
	old, young := s.put(t, manifest, "old"), s.image(t, "young", "young")
	out, err := s.move(t, id("old", ""), types.TargetStorageClassArchive)
	if err != nil || out.ImageStatus != types.ImageStatusArchived || *out.ImageId.ImageDigest != old || *out.ImageId.ImageTag != "old" ||
		*out.RepositoryName != repo || *out.RegistryId != account {
		t.Fatalf("UpdateImageStorageClass: %+v, %v", out, err)
	}
	got := s.get(t, id("old", ""), id("young", ""))
	if len(got.Images) != 1 || len(got.Failures) != 1 || got.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound ||
		!strings.Contains(*got.Failures[0].FailureReason, "archived") {
		t.Errorf("BatchGetImage gives %+v", got)
	}
	for filter, want := range map[types.ImageStatusFilter][]string{
		"": {young}, types.ImageStatusFilterActive: {young}, types.ImageStatusFilterArchived: {old}, types.ImageStatusFilterAny: {old, young}, types.ImageStatusFilterActivating: nil,
	} {
		described, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), Filter: &types.DescribeImagesFilter{ImageStatus: filter}})
		if err != nil {
			t.Fatal(err)
		}
		wantDigests(t, fmt.Sprintf("DescribeImages(%s)", filter), described.ImageDetails, want)
		listed, err := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo), Filter: &types.ListImagesFilter{ImageStatus: filter}})
		if err != nil || len(listed.ImageIds) != len(want) {
			t.Errorf("ListImages(%s): %+v, %v, want %v", filter, listed, err, want)
		}
	}
	details := s.describe(t, id("old", ""))
	if len(details) != 1 || details[0].ImageStatus != types.ImageStatusArchived || details[0].LastArchivedAt == nil || details[0].LastActivatedAt != nil {
		t.Errorf("DescribeImages of the archived image: %+v", details)
	}
	layer := oci.FromBytes([]byte("only the old one's")).String()
	layers, err := s.client.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String(repo), LayerDigests: []string{layer}})
	if err != nil || layers.Layers[0].LayerAvailability != types.LayerAvailabilityArchived {
		t.Errorf("BatchCheckLayerAvailability: %+v, %v", layers, err)
	}
	_, err = s.client.GetDownloadUrlForLayer(t.Context(), &awsecr.GetDownloadUrlForLayerInput{RepositoryName: aws.String(repo), LayerDigest: aws.String(layer)})
	wantError(t, "a link to its layer", err, "LayerInaccessibleException", "archived")

	// The push that changes nothing for an active image brings back an archived one.
	s.put(t, manifest, "old")
	details = s.describe(t, id("old", ""))
	if len(details) != 1 || details[0].ImageStatus != types.ImageStatusActive || details[0].LastArchivedAt == nil || details[0].LastActivatedAt == nil {
		t.Errorf("DescribeImages of the restored image: %+v", details)
	}
	_, err = s.client.PutImage(t.Context(), putInput(manifest, "old"))
	wantError(t, "pushing it once more", err, "ImageAlreadyExistsException", old)
	for _, class := range []types.TargetStorageClass{types.TargetStorageClassArchive, types.TargetStorageClassArchive, types.TargetStorageClassStandard} {
		if out, err = s.move(t, id("", old), class); err != nil {
			t.Fatal(err)
		}
	}
	if out.ImageStatus != types.ImageStatusActive {
		t.Errorf("restoring gives the status %s", out.ImageStatus)
	}
}

func TestUpdateImageStorageClassRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	child := s.image(t, "child", "")
	s.put(t, s.index(child), "v1")
	for what, c := range map[string]struct {
		id          types.ImageIdentifier
		class       types.TargetStorageClass
		code, words string
	}{
		"an image of an active index": {id("", child), "ARCHIVE", "ImageStorageClassUpdateNotSupportedException", child},
		"a tag that is not there":     {id("v9", ""), "ARCHIVE", "ImageNotFoundException", "{imageDigest:'null', imageTag:'v9'}"},
		"tag and digest of two":       {id("v1", child), "ARCHIVE", "ImageNotFoundException", ""},
		"no image":                    {id("", ""), "ARCHIVE", "InvalidParameterException", "both tag and digest"},
		"no class of that name":       {id("v1", ""), "GLACIER", "InvalidParameterException", "[STANDARD, ARCHIVE]"},
	} {
		_, err := s.move(t, c.id, c.class)
		wantError(t, what, err, c.code, c.words)
	}
}

func TestListImageReferrers(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	config := s.layer(t, "{}")
	subject := s.manifest(t, `{"seed":"subject"}`)
	d := oci.FromBytes([]byte(subject)).String()
	var want []string
	for i := range 25 { // all of them before their subject
		kind := []string{"application/x.sbom", "application/x.signature"}[i%2]
		want = append(want, s.put(t, fmt.Sprintf(
			`{"schemaVersion":2,"mediaType":%q,"artifactType":%q,"config":{"mediaType":"application/vnd.oci.empty.v1+json","digest":%q,"size":2},"layers":[],"subject":{"mediaType":%q,"digest":%q,"size":%d},"annotations":{"n":"%d"}}`,
			oci.MediaTypeOCIManifest, kind, config, oci.MediaTypeOCIManifest, d, len(subject), i), ""))
	}
	s.put(t, subject, "v1")
	list := func(change func(*awsecr.ListImageReferrersInput)) (*awsecr.ListImageReferrersOutput, error) {
		in := &awsecr.ListImageReferrersInput{RepositoryName: aws.String(repo), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(d)}}
		change(in)
		return s.client.ListImageReferrers(t.Context(), in)
	}
	first, err := list(func(*awsecr.ListImageReferrersInput) {})
	if err != nil || len(first.Referrers) != 20 || first.NextToken == nil {
		t.Fatalf("the first page has %d, and an end: %v, %v, want 20 and none", len(first.Referrers), first.NextToken == nil, err)
	}
	rest, err := list(func(in *awsecr.ListImageReferrersInput) { in.NextToken, in.MaxResults = first.NextToken, aws.Int32(50) })
	if err != nil || rest.NextToken != nil {
		t.Fatalf("the second page: %+v, %v", rest, err)
	}
	var got []string
	for _, r := range slices.Concat(first.Referrers, rest.Referrers) {
		got = append(got, *r.Digest)
		if r.ArtifactStatus != types.ArtifactStatusActive || *r.MediaType != oci.MediaTypeOCIManifest || r.Annotations["n"] == "" || *r.Size == 0 {
			t.Errorf("referrer %+v", r)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("the referrers are %v, want %v", got, want)
	}
	signatures, err := list(func(in *awsecr.ListImageReferrersInput) {
		in.Filter = &types.ListImageReferrersFilter{ArtifactTypes: []string{"application/x.signature", "application/x.other"}}
	})
	if err != nil || len(signatures.Referrers) != 12 {
		t.Errorf("%d signatures, %v, want 12", len(signatures.Referrers), err)
	}
	archived, err := list(func(in *awsecr.ListImageReferrersInput) {
		in.Filter = &types.ListImageReferrersFilter{ArtifactStatus: types.ArtifactStatusFilterArchived}
	})
	if err != nil || archived.Referrers == nil || len(archived.Referrers) != 0 {
		t.Errorf("archived ones: %+v, %v, want an empty list", archived, err)
	}
	for what, change := range map[string]func(*awsecr.ListImageReferrersInput){
		"'maxResults'": func(in *awsecr.ListImageReferrersInput) { in.MaxResults = aws.Int32(51) },
		"'filter.artifactTypes'": func(in *awsecr.ListImageReferrersInput) {
			in.Filter = &types.ListImageReferrersFilter{ArtifactTypes: make([]string, 6)}
		},
		"'filter.artifactStatus'": func(in *awsecr.ListImageReferrersInput) {
			in.Filter = &types.ListImageReferrersFilter{ArtifactStatus: "GONE"}
		},
		"'subjectId.imageDigest'": func(in *awsecr.ListImageReferrersInput) { in.SubjectId.ImageDigest = aws.String("v1") },
		"'nextToken'":             func(in *awsecr.ListImageReferrersInput) { in.NextToken = aws.String("x") },
	} {
		_, err := list(change)
		wantError(t, what, err, "InvalidParameterException", what)
	}
	// They go with their subject.
	if _, err := s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{id("v1", "")}}); err != nil {
		t.Fatal(err)
	}
	wantDigests(t, "after the subject", s.describe(t), nil)
}

// TestRetagIdiom is BatchGetImage | PutImage, as AWS documents it.
func TestRetagIdiom(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{"seed":"retag"}`, "a layer")
	d := s.put(t, manifest, "v1")
	got := s.get(t, id("v1", ""))
	out, err := s.client.PutImage(t.Context(), putInput(*got.Images[0].ImageManifest, "v2"))
	if err != nil || *out.Image.ImageManifest != manifest || *out.Image.ImageId.ImageDigest != d || *out.Image.ImageId.ImageTag != "v2" {
		t.Fatalf("PutImage gives %+v, %v, want the manifest as it was", out, err)
	}
	if details := s.describe(t, id("v2", "")); !slices.Equal(details[0].ImageTags, []string{"v1", "v2"}) {
		t.Errorf("the image's tags are %v", details[0].ImageTags)
	}
}
