package ecr_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestDescribeImagesTellsEverything(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	config := `{"os":"linux"}`
	manifest := s.manifest(t, config, "12345", "1234567")
	d := s.put(t, manifest, "v1")
	s.put(t, manifest, "stable")
	subject := s.manifest(t, `{"subject":1}`)
	signature := strings.Replace(subject, `"schemaVersion"`, fmt.Sprintf(`"artifactType":"application/x.signature","subject":{"mediaType":%q,"digest":%q,"size":%d},"schemaVersion"`,
		oci.MediaTypeOCIManifest, d, len(manifest)), 1)
	signed := s.put(t, signature, "")
	multi := s.put(t, s.index(d), "multi")

	out, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo)})
	if err != nil {
		t.Fatalf("DescribeImages: %v", err)
	}
	got := map[string]types.ImageDetail{}
	for _, detail := range out.ImageDetails {
		if detail.ImagePushedAt == nil {
			t.Errorf("DescribeImages: %s has no imagePushedAt", *detail.ImageDigest)
		}
		detail.ImagePushedAt = nil
		got[*detail.ImageDigest] = detail
	}
	size := int64(len(config) + 5 + 7)
	base := types.ImageDetail{RegistryId: aws.String(account), RepositoryName: aws.String(repo), ImageStatus: types.ImageStatusActive}
	image, artifact, list := base, base, base
	image.ImageDigest, image.ImageManifestMediaType = &d, aws.String(oci.MediaTypeOCIManifest)
	image.ImageTags, image.ImageSizeInBytes = []string{"stable", "v1"}, &size
	image.ArtifactMediaType = aws.String("application/vnd.oci.image.config.v1+json")
	artifact.ImageDigest, artifact.ImageManifestMediaType = &signed, aws.String(oci.MediaTypeOCIManifest)
	artifact.ImageSizeInBytes, artifact.ArtifactMediaType, artifact.SubjectManifestDigest = aws.Int64(int64(len(`{"subject":1}`))), aws.String("application/x.signature"), &d
	list.ImageDigest, list.ImageManifestMediaType = &multi, aws.String(oci.MediaTypeOCIIndex)
	list.ImageTags, list.ImageSizeInBytes = []string{"multi"}, &size // of the largest child
	if diff := gocmp.Diff(map[string]types.ImageDetail{d: image, signed: artifact, multi: list}, got, ignoreSerde()); diff != "" {
		t.Errorf("DescribeImages (-want +got):\n%s", diff)
	}
}

func TestFiltersOfListings(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	tagged := s.image(t, "tagged", "v1")
	child := s.image(t, "child", "") // an index's child is an untagged image
	multi := s.put(t, s.index(child), "multi")
	all := []string{tagged, child, multi}
	for name, c := range map[string]struct {
		tag    types.TagStatus
		status types.ImageStatusFilter
		want   []string
	}{
		"nothing said": {"", "", all},
		"any":          {"ANY", "ANY", all},
		"tagged":       {"TAGGED", "ACTIVE", []string{tagged, multi}},
		"untagged":     {"UNTAGGED", "", []string{child}},
		"archived":     {"", "ARCHIVED", nil},
		"activating":   {"TAGGED", "ACTIVATING", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			filter := &types.DescribeImagesFilter{TagStatus: c.tag, ImageStatus: c.status}
			described, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), Filter: filter})
			if err != nil {
				t.Fatalf("DescribeImages: %v", err)
			}
			wantDigests(t, "DescribeImages", described.ImageDetails, c.want)
			named, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{
				RepositoryName: aws.String(repo), Filter: filter, ImageIds: []types.ImageIdentifier{id("", tagged), id("", child), id("multi", "")},
			})
			if err != nil {
				t.Fatalf("DescribeImages by id: %v", err)
			}
			wantDigests(t, "DescribeImages by id", named.ImageDetails, c.want)
			listed, err := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{
				RepositoryName: aws.String(repo), Filter: &types.ListImagesFilter{TagStatus: c.tag, ImageStatus: c.status},
			})
			if err != nil {
				t.Fatalf("ListImages: %v", err)
			}
			var got []string
			for _, id := range listed.ImageIds {
				got = append(got, *id.ImageDigest)
			}
			if diff := gocmp.Diff(sorted(c.want), sorted(got)); diff != "" {
				t.Errorf("ListImages (-want +got):\n%s", diff)
			}
		})
	}
	_, err := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo), Filter: &types.ListImagesFilter{TagStatus: "tagged"}})
	wantError(t, "ListImages of tagStatus tagged", err, "InvalidParameterException", invalid("filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]"))
	_, err = s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), Filter: &types.DescribeImagesFilter{ImageStatus: "LOST"}})
	wantError(t, "DescribeImages of imageStatus LOST", err, "InvalidParameterException", "'filter.imageStatus'")
}

func wantDigests(t *testing.T, what string, details []types.ImageDetail, want []string) {
	t.Helper()
	var got []string
	for _, d := range details {
		got = append(got, *d.ImageDigest)
	}
	if diff := gocmp.Diff(sorted(want), sorted(got)); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestDescribeImagesRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	d := s.image(t, "one", "v1")
	absent := oci.FromBytes([]byte("absent")).String()
	ids := func(ids ...types.ImageIdentifier) awsecr.DescribeImagesInput {
		return awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), ImageIds: ids}
	}
	paged, continued := ids(id("v1", "")), ids(id("v1", ""))
	paged.MaxResults, continued.NextToken = aws.Int32(5), aws.String("x")
	for name, c := range map[string]struct {
		in          awsecr.DescribeImagesInput
		code, words string
	}{
		"a missing digest": {
			ids(id("v1", ""), id("", absent)), "ImageNotFoundException",
			"The image with imageId {imageDigest:'" + absent + "', imageTag:'null'} does not exist within the repository with name 'hoopstat-haus/prod' in the registry with id '000000000042'",
		},
		"a missing tag":         {ids(id("v9", "")), "ImageNotFoundException", "{imageDigest:'null', imageTag:'v9'}"},
		"a tag of another":      {ids(id("v1", oci.FromBytes([]byte(d)).String())), "ImageNotFoundException", "v1"},
		"an id of nothing":      {ids(id("", "")), "InvalidParameterException", "both tag and digest cannot be null"},
		"a malformed digest":    {ids(id("", "sha256:xyz")), "InvalidParameterException", "image digest should satisfy the regex"},
		"ids with a page size":  {paged, "InvalidParameterException", "'maxResults'"},
		"ids with a page token": {continued, "InvalidParameterException", "'nextToken'"},
		"a page of 1001":        {awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), MaxResults: aws.Int32(1001)}, "InvalidParameterException", "'maxResults'"},
		"a made-up token":       {awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), NextToken: aws.String("made-up")}, "InvalidParameterException", "'nextToken'"},
		"no repository":         {awsecr.DescribeImagesInput{RepositoryName: aws.String("none-such")}, "RepositoryNotFoundException", "'none-such'"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.client.DescribeImages(t.Context(), &c.in)
			wantError(t, "DescribeImages of "+name, err, c.code, c.words)
		})
	}
}

func TestImagesPageToTheEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	var digests, ids []string
	for i := range 7 {
		tag := ""
		if i%2 == 0 {
			tag = fmt.Sprint("v", i)
		}
		d := s.image(t, fmt.Sprint("seed", i), tag)
		digests, ids = append(digests, d), append(ids, tag+"@"+d)
	}
	var described, listed []string
	details := awsecr.NewDescribeImagesPaginator(s.client, &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), MaxResults: aws.Int32(2)},
		func(o *awsecr.DescribeImagesPaginatorOptions) { o.StopOnDuplicateToken = true })
	for details.HasMorePages() {
		page, err := details.NextPage(t.Context())
		if err != nil {
			t.Fatalf("DescribeImages: %v", err)
		}
		for _, d := range page.ImageDetails {
			described = append(described, *d.ImageDigest)
		}
	}
	list := awsecr.NewListImagesPaginator(s.client, &awsecr.ListImagesInput{RepositoryName: aws.String(repo), MaxResults: aws.Int32(2)},
		func(o *awsecr.ListImagesPaginatorOptions) { o.StopOnDuplicateToken = true })
	for list.HasMorePages() {
		page, err := list.NextPage(t.Context())
		if err != nil {
			t.Fatalf("ListImages: %v", err)
		}
		for _, id := range page.ImageIds {
			listed = append(listed, aws.ToString(id.ImageTag)+"@"+*id.ImageDigest)
		}
	}
	if diff := gocmp.Diff(sorted(digests), sorted(described)); diff != "" {
		t.Errorf("DescribeImages in pages of 2 (-want +got):\n%s", diff)
	}
	if diff := gocmp.Diff(sorted(ids), sorted(listed)); diff != "" {
		t.Errorf("ListImages in pages of 2 (-want +got):\n%s", diff)
	}
}

func FuzzPageToken(f *testing.F) {
	s := newServer(f)
	s.create(f)
	for i := range 3 {
		s.image(f, fmt.Sprint("seed", i), fmt.Sprint("v", i))
	}
	for _, listing := range []string{"images/0/" + repo, "ids/0/" + repo, "repositories", "history/v0/" + repo} {
		for _, place := range []string{`"i":1`, `"n":"v1"`, `"i":-1`, `"i":99999999999999999999`, `"n":"v1","i":1`} {
			f.Add(base64.RawURLEncoding.EncodeToString([]byte(`{"l":"` + listing + `",` + place + `}`)))
		}
	}
	first, err := s.client.ListImages(f.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo), MaxResults: aws.Int32(1)})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(*first.NextToken)
	f.Add("")
	f.Add("null")
	f.Fuzz(func(t *testing.T, token string) {
		_, images := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), NextToken: &token})
		_, ids := s.client.ListImages(t.Context(), &awsecr.ListImagesInput{RepositoryName: aws.String(repo), NextToken: &token})
		_, repositories := s.client.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{NextToken: &token})
		for op, err := range map[string]error{"DescribeImages": images, "ListImages": ids, "DescribeRepositories": repositories} {
			if api, ok := errors.AsType[smithy.APIError](err); err != nil && (!ok || api.ErrorCode() != "InvalidParameterException") {
				t.Errorf("%s with nextToken %q: %v, want a page or InvalidParameterException", op, token, err)
			}
		}
		if images == nil && ids == nil && token != "" {
			t.Errorf("nextToken %q is good for two different listings", token)
		}
	})
}
