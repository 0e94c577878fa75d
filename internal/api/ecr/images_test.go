package ecr_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestPutImageGivesBackWhatItGot(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{"os":"linux"}`, "a layer")
	in := putInput(manifest, "v1")
	in.ImageManifestMediaType = aws.String(oci.MediaTypeOCIManifest)
	in.ImageDigest = aws.String(oci.FromBytes([]byte(manifest)).String())
	out, err := s.client.PutImage(t.Context(), in)
	if err != nil {
		t.Fatalf("PutImage: %v", err)
	}
	want := &types.Image{
		RegistryId: aws.String(account), RepositoryName: aws.String(repo),
		ImageId:       &types.ImageIdentifier{ImageDigest: in.ImageDigest, ImageTag: aws.String("v1")},
		ImageManifest: aws.String(manifest), ImageManifestMediaType: in.ImageManifestMediaType,
	}
	if diff := gocmp.Diff(want, out.Image, ignoreSerde()); diff != "" {
		t.Errorf("PutImage (-want +got):\n%s", diff)
	}
	// The documented way to add a tag: get the manifest, put it again.
	got := s.get(t, types.ImageIdentifier{ImageTag: aws.String("v1")})
	if diff := gocmp.Diff(manifest, *got.Images[0].ImageManifest); diff != "" {
		t.Errorf("BatchGetImage changed the manifest (-put +got):\n%s", diff)
	}
	in.ImageManifest, in.ImageTag = got.Images[0].ImageManifest, aws.String("v2")
	again, err := s.client.PutImage(t.Context(), in)
	if err != nil {
		t.Fatalf("PutImage under another tag: %v", err)
	}
	want.ImageId.ImageTag = in.ImageTag
	if diff := gocmp.Diff(want, again.Image, ignoreSerde()); diff != "" {
		t.Errorf("PutImage under another tag (-want +got):\n%s", diff)
	}
}

func TestPutImageRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{}`, "layer")
	tagged := s.put(t, manifest, "v1")
	other := s.manifest(t, `{"other":1}`, "layer")
	s.put(t, s.manifest(t, `{"untagged":1}`), "")
	absent := oci.FromBytes([]byte("absent")).String()
	lacking := strings.Replace(other, s.layer(t, "layer"), absent, 1)
	change := func(in *awsecr.PutImageInput, f func(*awsecr.PutImageInput)) *awsecr.PutImageInput {
		f(in)
		return in
	}
	for name, c := range map[string]struct {
		in          *awsecr.PutImageInput
		code, words string
	}{
		"the same digest and tag": {
			putInput(manifest, "v1"), "ImageAlreadyExistsException",
			"Image with digest '" + tagged + "' and tag 'v1' already exists in the repository with name 'hoopstat-haus/prod' in registry with id '000000000042'",
		},
		"a known digest without tag": {
			putInput(manifest, ""), "ImageAlreadyExistsException", "Image with digest '" + tagged + "' and tag 'null' already exists",
		},
		"another's digest": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.ImageDigest = aws.String(tagged) }), "ImageDigestDoesNotMatchException", tagged,
		},
		"no digest at all": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.ImageDigest = aws.String("v2") }), "InvalidParameterException",
			invalid("imageDigest", `must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'`),
		},
		"a digest that cannot be checked": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.ImageDigest = aws.String("md5:d41d8cd98f00b204e9800998ecf8427e") }),
			"InvalidParameterException", "'imageDigest'",
		},
		"a missing layer": {
			putInput(lacking, "v2"), "LayersNotFoundException", absent,
		},
		"a missing child": {
			putInput(s.index(absent), "v2"), "ReferencedImagesNotFoundException", absent,
		},
		"broken JSON": {
			putInput("{", "v2"), "InvalidParameterException", invalid("ImageManifest", "Invalid JSON syntax"),
		},
		"an empty manifest": {
			putInput("", "v2"), "InvalidParameterException", invalid("imageManifest", "Member must have length greater than or equal to 1"),
		},
		"a manifest of 10 MiB": {
			putInput(`{"schemaVersion":2,"x":"`+strings.Repeat("x", 10<<20)+`"}`, "v2"), "InvalidParameterException", "'ImageManifest'",
		},
		"no manifest's shape": {
			putInput(`[]`, "v2"), "InvalidParameterException", "Invalid parameter at 'ImageManifest' failed to satisfy constraint: '",
		},
		"an unknown media type": {
			putInput(strings.Replace(other, oci.MediaTypeOCIManifest, "application/x-unknown", 1), "v2"), "InvalidParameterException", "application/x-unknown",
		},
		"a media type that contradicts the manifest's": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.ImageManifestMediaType = aws.String(oci.MediaTypeOCIIndex) }),
			"InvalidParameterException", "'ImageManifest'",
		},
		"a tag with a slash": {
			putInput(other, "v/2"), "InvalidParameterException", invalid("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}'"),
		},
		"an empty tag": {
			change(putInput(other, ""), func(in *awsecr.PutImageInput) { in.ImageTag = aws.String("") }), "InvalidParameterException", "'imageTag'",
		},
		"no repository": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.RepositoryName = aws.String("none-such") }), "RepositoryNotFoundException", "'none-such'",
		},
		"another account's repository": {
			change(putInput(other, "v2"), func(in *awsecr.PutImageInput) { in.RegistryId = aws.String("123456789012") }), "RepositoryNotFoundException",
			"The repository with name 'hoopstat-haus/prod' does not exist in the registry with id '123456789012'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.client.PutImage(t.Context(), c.in)
			wantError(t, "PutImage with "+name, err, c.code, c.words)
		})
	}
}

// TestGuidesTaggingRule is the guide's rule: {app}-{sha} stands for ever, {app}-latest moves, in one repository.
func TestGuidesTaggingRule(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t, func(in *awsecr.CreateRepositoryInput) {
		in.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
		in.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{{FilterType: "WILDCARD", Filter: aws.String("*-latest")}}
	})
	first, second := s.manifest(t, `{"build":1}`, "one"), s.manifest(t, `{"build":2}`, "two")
	s.put(t, first, "example-calculator-app-a1b2c3d4")
	s.put(t, first, "example-calculator-app-latest")
	moved := s.put(t, second, "example-calculator-app-latest")
	if got := s.get(t, types.ImageIdentifier{ImageTag: aws.String("example-calculator-app-latest")}); *got.Images[0].ImageId.ImageDigest != moved {
		t.Errorf("example-calculator-app-latest is %s, want %s", *got.Images[0].ImageId.ImageDigest, moved)
	}
	_, err := s.client.PutImage(t.Context(), putInput(second, "example-calculator-app-a1b2c3d4"))
	wantError(t, "PutImage over example-calculator-app-a1b2c3d4", err, "ImageTagAlreadyExistsException",
		"The image tag 'example-calculator-app-a1b2c3d4' already exists in the 'hoopstat-haus/prod' repository and cannot be overwritten because the repository is immutable.")
}

func (s *server) get(t *testing.T, ids ...types.ImageIdentifier) *awsecr.BatchGetImageOutput {
	t.Helper()
	out, err := s.client.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: aws.String(repo), ImageIds: ids})
	if err != nil {
		t.Fatalf("BatchGetImage: %v", err)
	}
	return out
}

func id(tag, digest string) types.ImageIdentifier {
	var id types.ImageIdentifier
	if tag != "" {
		id.ImageTag = &tag
	}
	if digest != "" {
		id.ImageDigest = &digest
	}
	return id
}

func TestBatchGetImageAnswersEachID(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{}`, "layer")
	d := s.put(t, manifest, "v1")
	s.put(t, manifest, "stable")
	other := s.image(t, "other", "v2")
	absent := oci.FromBytes([]byte("absent")).String()
	out := s.get(t, id("v1", ""), id("", d), id("stable", d),
		id("gone", ""), id("", absent), id("v1", other), id("", "latest"), id("no/tag", ""), id("", ""))
	// One image for each id, with the tag only where it was asked by tag.
	var got []types.ImageIdentifier
	for _, i := range out.Images {
		got = append(got, *i.ImageId)
		if *i.ImageManifest != manifest || *i.ImageManifestMediaType != oci.MediaTypeOCIManifest {
			t.Errorf("BatchGetImage: manifest of %v is another, or of type %s", i.ImageId, *i.ImageManifestMediaType)
		}
	}
	if diff := gocmp.Diff([]types.ImageIdentifier{id("v1", d), id("", d), id("stable", d)}, got, ignoreSerde()); diff != "" {
		t.Errorf("BatchGetImage: images (-want +got):\n%s", diff)
	}
	wantFailures(t, "BatchGetImage", out.Failures, []types.ImageFailure{
		{ImageId: new(id("gone", "")), FailureCode: "ImageNotFound", FailureReason: aws.String("Requested image not found")},
		{ImageId: new(id("", absent)), FailureCode: "ImageNotFound", FailureReason: aws.String("Requested image not found")},
		{ImageId: new(id("v1", other)), FailureCode: "ImageTagDoesNotMatchDigest"},
		{ImageId: new(id("", "latest")), FailureCode: "InvalidImageDigest"},
		{ImageId: new(id("no/tag", "")), FailureCode: "InvalidImageTag"},
		{ImageId: new(id("", "")), FailureCode: "MissingDigestAndTag", FailureReason: aws.String("Invalid request parameters: both tag and digest cannot be null")},
	})
}

// wantFailures compares failures; where no reason is wanted any will do, if there is one.
func wantFailures(t *testing.T, what string, got, want []types.ImageFailure) {
	t.Helper()
	for i := range want {
		if want[i].FailureReason == nil && i < len(got) && aws.ToString(got[i].FailureReason) != "" {
			want[i].FailureReason = got[i].FailureReason
		}
	}
	if diff := gocmp.Diff(want, got, ignoreSerde()); diff != "" {
		t.Errorf("%s: failures (-want +got):\n%s", what, diff)
	}
}

func TestBatchGetImageIsAPull(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	d := s.image(t, "one", "v1")
	before := s.describe(t, id("", d))[0]
	if before.LastRecordedPullTime != nil {
		t.Errorf("lastRecordedPullTime of an image never pulled is %v, want none", before.LastRecordedPullTime)
	}
	// The types that a client accepts do not change the stored manifest, which would change its digest.
	out, err := s.client.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{
		RepositoryName: aws.String(repo), ImageIds: []types.ImageIdentifier{id("v1", "")}, AcceptedMediaTypes: []string{oci.MediaTypeDockerManifest},
	})
	if err != nil || len(out.Images) != 1 || *out.Images[0].ImageManifestMediaType != oci.MediaTypeOCIManifest {
		t.Fatalf("BatchGetImage accepting docker's type = %+v, %v; want the image with its own type", out, err)
	}
	if err := s.registry.FlushPulls(t.Context()); err != nil {
		t.Fatal(err)
	}
	after := s.describe(t, id("", d))[0]
	if after.LastRecordedPullTime == nil || !after.LastRecordedPullTime.After(*before.ImagePushedAt) {
		t.Errorf("lastRecordedPullTime after a pull is %v, want a time after the push at %v", after.LastRecordedPullTime, before.ImagePushedAt)
	}
}

func (s *server) describe(t *testing.T, ids ...types.ImageIdentifier) []types.ImageDetail {
	t.Helper()
	out, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String(repo), ImageIds: ids})
	if err != nil {
		t.Fatalf("DescribeImages: %v", err)
	}
	return out.ImageDetails
}

func TestBatchesOfImagesRefuse(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	d := s.image(t, "one", "v1")
	calls := map[string]func(repository, registry *string, ids []types.ImageIdentifier) error{
		"BatchGetImage": func(repository, registry *string, ids []types.ImageIdentifier) error {
			_, err := s.client.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: repository, RegistryId: registry, ImageIds: ids})
			return err
		},
		"BatchDeleteImage": func(repository, registry *string, ids []types.ImageIdentifier) error {
			_, err := s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{RepositoryName: repository, RegistryId: registry, ImageIds: ids})
			return err
		},
		"DescribeImages": func(repository, registry *string, ids []types.ImageIdentifier) error {
			_, err := s.client.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: repository, RegistryId: registry, ImageIds: ids})
			return err
		},
	}
	one := []types.ImageIdentifier{id("v1", "")}
	for op, call := range calls {
		wantError(t, op+" of 101 ids", call(aws.String(repo), nil, slices.Repeat(one, 101)), "InvalidParameterException",
			invalid("imageIds", "Member must have length less than or equal to 100"))
		wantError(t, op+" of no ids", call(aws.String(repo), nil, []types.ImageIdentifier{}), "InvalidParameterException",
			invalid("imageIds", "Member must have length greater than or equal to 1"))
		wantError(t, op+" of an empty tag", call(aws.String(repo), nil, []types.ImageIdentifier{{ImageDigest: &d, ImageTag: aws.String("")}}), "InvalidParameterException",
			invalid("imageTag", "Member must have length greater than or equal to 1"))
		wantError(t, op+" in no repository", call(aws.String("none-such"), nil, one), "RepositoryNotFoundException", "'none-such'")
		wantError(t, op+" in another account", call(aws.String(repo), aws.String("210987654321"), one), "RepositoryNotFoundException", "'210987654321'")
		wantError(t, op+" in Bad_Name", call(aws.String("Bad_Name"), nil, one), "InvalidParameterException", "'repositoryName'")
	}
	_, err := s.client.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: aws.String(repo), ImageIds: one, AcceptedMediaTypes: []string{}})
	wantError(t, "BatchGetImage accepting nothing", err, "InvalidParameterException", "'acceptedMediaTypes'")
}

func TestBatchDeleteImage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	manifest := s.manifest(t, `{}`, "layer")
	two := s.put(t, manifest, "v1")
	s.put(t, manifest, "stable")
	single := s.image(t, "single", "only")
	untagged := s.image(t, "untagged", "")
	child := s.image(t, "child", "")
	s.put(t, s.index(child), "multi")
	remove := func(ids ...types.ImageIdentifier) *awsecr.BatchDeleteImageOutput {
		t.Helper()
		out, err := s.client.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{RepositoryName: aws.String(repo), ImageIds: ids})
		if err != nil {
			t.Fatalf("BatchDeleteImage: %v", err)
		}
		return out
	}
	for _, step := range []struct {
		name     string
		ids      []types.ImageIdentifier
		gone     []types.ImageIdentifier
		failures []types.ImageFailure
	}{
		{"one tag of two", []types.ImageIdentifier{id("stable", "")}, []types.ImageIdentifier{id("stable", two)}, []types.ImageFailure{}},
		{"an image by digest", []types.ImageIdentifier{id("", two)}, []types.ImageIdentifier{id("v1", two)}, []types.ImageFailure{}},
		{"an image by its last tag", []types.ImageIdentifier{id("only", single)}, []types.ImageIdentifier{id("only", single)}, []types.ImageFailure{}},
		{"an untagged image", []types.ImageIdentifier{id("", untagged)}, []types.ImageIdentifier{id("", untagged)}, []types.ImageFailure{}},
		{
			"what is gone or never was",
			[]types.ImageIdentifier{id("only", ""), id("", ""), id("", "x"), id("x/y", "")},
			[]types.ImageIdentifier{},
			[]types.ImageFailure{
				{ImageId: new(id("only", "")), FailureCode: "ImageNotFound", FailureReason: aws.String("Requested image not found")},
				{ImageId: new(id("", "")), FailureCode: "MissingDigestAndTag"},
				{ImageId: new(id("", "x")), FailureCode: "InvalidImageDigest"},
				{ImageId: new(id("x/y", "")), FailureCode: "InvalidImageTag"},
			},
		},
		{
			"an index's child",
			[]types.ImageIdentifier{id("", child)},
			[]types.ImageIdentifier{},
			[]types.ImageFailure{{
				ImageId: new(id("", child)), FailureCode: "ImageReferencedByManifestList",
				FailureReason: aws.String("Requested image referenced by manifest list: [" + oci.FromBytes([]byte(s.index(child))).String() + "]"),
			}},
		},
	} {
		out := remove(step.ids...)
		if diff := gocmp.Diff(step.gone, out.ImageIds, ignoreSerde()); diff != "" {
			t.Errorf("deleting %s: imageIds (-want +got):\n%s", step.name, diff)
		}
		wantFailures(t, "deleting "+step.name, out.Failures, step.failures)
	}
}
