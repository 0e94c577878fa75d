package ecr_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

func ignoreSerde() gocmp.Option {
	return cmpopts.IgnoreUnexported(types.Repository{}, types.ImageScanningConfiguration{}, types.EncryptionConfiguration{},
		types.ImageTagMutabilityExclusionFilter{}, types.Tag{}, types.ImageIdentifier{}, types.ImageDetail{}, types.Image{},
		types.ImageFailure{}, types.Layer{}, types.LayerFailure{}, types.ReplicationConfiguration{})
}

func TestRepositoryHasEverySettingFromTheStart(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.create(t)
	want := types.Repository{
		RegistryId:                 aws.String(account),
		RepositoryArn:              aws.String("arn:aws:ecr:us-east-1:000000000042:repository/hoopstat-haus/prod"),
		RepositoryName:             aws.String(repo),
		RepositoryUri:              aws.String("registry.test:5080/hoopstat-haus/prod"),
		CreatedAt:                  got.CreatedAt,
		ImageTagMutability:         types.ImageTagMutabilityMutable,
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: false},
		EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
	}
	if diff := gocmp.Diff(want, got, ignoreSerde()); diff != "" {
		t.Errorf("CreateRepository (-want +got):\n%s", diff)
	}
	if got.CreatedAt == nil || got.CreatedAt.Year() != 2026 {
		t.Errorf("CreateRepository: createdAt %v, want the registry's clock", got.CreatedAt)
	}
	described, err := s.client.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}, RegistryId: aws.String(account)})
	if err != nil {
		t.Fatalf("DescribeRepositories: %v", err)
	}
	if diff := gocmp.Diff([]types.Repository{got}, described.Repositories, ignoreSerde()); diff != "" {
		t.Errorf("DescribeRepositories differs from CreateRepository (-created +described):\n%s", diff)
	}
}

func TestRepositoryKeepsWhatItWasCreatedWith(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	filters := []types.ImageTagMutabilityExclusionFilter{{FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard, Filter: aws.String("*-latest")}}
	got := s.create(t, func(in *awsecr.CreateRepositoryInput) {
		in.RegistryId = aws.String(account)
		in.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
		in.ImageTagMutabilityExclusionFilters = filters
		in.ImageScanningConfiguration = &types.ImageScanningConfiguration{ScanOnPush: true}
		in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256}
		in.Tags = []types.Tag{{Key: aws.String("team"), Value: aws.String("haus")}, {Key: aws.String("empty"), Value: aws.String("")}}
	})
	if got.ImageTagMutability != types.ImageTagMutabilityImmutableWithExclusion || !got.ImageScanningConfiguration.ScanOnPush {
		t.Errorf("CreateRepository: %s, scanOnPush %v", got.ImageTagMutability, got.ImageScanningConfiguration.ScanOnPush)
	}
	if diff := gocmp.Diff(filters, got.ImageTagMutabilityExclusionFilters, ignoreSerde()); diff != "" {
		t.Errorf("CreateRepository: filters (-want +got):\n%s", diff)
	}
	tags, err := s.client.ListTagsForResource(t.Context(), &awsecr.ListTagsForResourceInput{ResourceArn: got.RepositoryArn})
	if err != nil {
		t.Fatalf("ListTagsForResource: %v", err)
	}
	want := []types.Tag{{Key: aws.String("empty"), Value: aws.String("")}, {Key: aws.String("team"), Value: aws.String("haus")}}
	if diff := gocmp.Diff(want, tags.Tags, ignoreSerde()); diff != "" {
		t.Errorf("ListTagsForResource (-want +got):\n%s", diff)
	}
}

// badRepository is an input that CreateRepository refuses.
type badRepository struct {
	in          *awsecr.CreateRepositoryInput
	code, words string
}

func refuseRepositories(t *testing.T, s *server, bad map[string]badRepository) {
	t.Helper()
	for name, c := range bad {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.client.CreateRepository(t.Context(), c.in)
			wantError(t, "CreateRepository with "+name, err, c.code, c.words)
		})
	}
}

// another is an input for a repository that is not there, with a change.
func another(change func(*awsecr.CreateRepositoryInput)) *awsecr.CreateRepositoryInput {
	in := &awsecr.CreateRepositoryInput{RepositoryName: aws.String("another")}
	change(in)
	return in
}

func TestCreateRepositoryRefusesNames(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	const pattern = `must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'`
	refuseRepositories(t, s, map[string]badRepository{
		"a name that is taken": {
			&awsecr.CreateRepositoryInput{RepositoryName: aws.String(repo)}, "RepositoryAlreadyExistsException",
			"The repository with name 'hoopstat-haus/prod' already exists in the registry with id '000000000042'",
		},
		"capital letters": {
			&awsecr.CreateRepositoryInput{RepositoryName: aws.String("Bad_Name")}, "InvalidParameterException", invalid("repositoryName", pattern),
		},
		"a path trick": {
			&awsecr.CreateRepositoryInput{RepositoryName: aws.String("a/../b")}, "InvalidParameterException", invalid("repositoryName", pattern),
		},
		"a name of one letter": {
			&awsecr.CreateRepositoryInput{RepositoryName: aws.String("a")}, "InvalidParameterException",
			invalid("repositoryName", "Member must have length greater than or equal to 2"),
		},
		"a name of 257 letters": {
			&awsecr.CreateRepositoryInput{RepositoryName: aws.String(strings.Repeat("a", 257))}, "InvalidParameterException",
			invalid("repositoryName", "Member must have length less than or equal to 256"),
		},
		"another account": {
			another(func(in *awsecr.CreateRepositoryInput) { in.RegistryId = aws.String("999999999999") }), "AccessDeniedException",
			"is not authorized to perform: ecr:CreateRepository on resource: arn:aws:ecr:us-east-1:999999999999:repository/another",
		},
		"no account id": {
			another(func(in *awsecr.CreateRepositoryInput) { in.RegistryId = aws.String("42") }), "InvalidParameterException",
			invalid("registryId", "must satisfy regular expression '[0-9]{12}'"),
		},
	})
}

func TestCreateRepositoryRefusesSettings(t *testing.T) {
	t.Parallel()
	filter := func(texts ...string) (list []types.ImageTagMutabilityExclusionFilter) {
		for _, text := range texts {
			list = append(list, types.ImageTagMutabilityExclusionFilter{FilterType: "WILDCARD", Filter: aws.String(text)})
		}
		return list
	}
	manyTags := make([]types.Tag, 51)
	for i := range manyTags {
		manyTags[i] = types.Tag{Key: aws.String(fmt.Sprint("k", i)), Value: aws.String("")}
	}
	refuseRepositories(t, newServer(t), map[string]badRepository{
		"a KMS key": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms}
			}), "InvalidParameterException", "encryptionType KMS is not supported",
		},
		"two layers of KMS": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKmsDsse}
			}), "InvalidParameterException", "encryptionType KMS_DSSE is not supported",
		},
		"a key without KMS": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256, KmsKey: aws.String("alias/a")}
			}), "InvalidParameterException", "encryptionConfiguration.kmsKey",
		},
		"an unknown encryption": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: "ROT13"}
			}), "InvalidParameterException", invalid("encryptionConfiguration.encryptionType", "Member must satisfy enum value set: [AES256, KMS, KMS_DSSE]"),
		},
		"an unknown mutability": {
			another(func(in *awsecr.CreateRepositoryInput) { in.ImageTagMutability = "SOMETIMES" }), "InvalidParameterException",
			"Invalid parameter at 'imageTagMutability' failed to satisfy constraint: 'Member must satisfy enum value set: [",
		},
		"filters without exclusion": {
			another(func(in *awsecr.CreateRepositoryInput) { in.ImageTagMutabilityExclusionFilters = filter("*") }),
			"InvalidParameterException", "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
		},
		"exclusion without filters": {
			another(func(in *awsecr.CreateRepositoryInput) { in.ImageTagMutability = "MUTABLE_WITH_EXCLUSION" }),
			"InvalidParameterException", "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
		},
		"six filters": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters = "MUTABLE_WITH_EXCLUSION", filter("a", "b", "c", "d", "e", "f")
			}), "InvalidParameterException", "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
		},
		"a filter with three wildcards": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.ImageTagMutability, in.ImageTagMutabilityExclusionFilters = "MUTABLE_WITH_EXCLUSION", filter("*a*b*")
			}), "InvalidParameterException", "Invalid parameter at 'imageTagMutabilityExclusionFilters'",
		},
		"an unknown kind of filter": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.ImageTagMutability = "MUTABLE_WITH_EXCLUSION"
				in.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{{FilterType: "REGEX", Filter: aws.String("a")}}
			}), "InvalidParameterException", "Member must satisfy enum value set: [WILDCARD]",
		},
		"51 tags": {
			another(func(in *awsecr.CreateRepositoryInput) { in.Tags = manyTags }), "TooManyTagsException", "50",
		},
		"a reserved tag": {
			another(func(in *awsecr.CreateRepositoryInput) {
				in.Tags = []types.Tag{{Key: aws.String("aws:mine"), Value: aws.String("")}}
			}), "InvalidTagParameterException", "aws:",
		},
	})
}

func TestDescribeRepositoriesPagesToTheEnd(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	var want []string
	for i := range 7 {
		name := fmt.Sprintf("team/app-%d", i)
		s.create(t, func(in *awsecr.CreateRepositoryInput) { in.RepositoryName = aws.String(name) })
		want = append(want, name)
	}
	var got []string
	pages := awsecr.NewDescribeRepositoriesPaginator(s.client, &awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(3)},
		func(o *awsecr.DescribeRepositoriesPaginatorOptions) { o.StopOnDuplicateToken = true })
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatalf("DescribeRepositories: %v", err)
		}
		for _, r := range page.Repositories {
			got = append(got, *r.RepositoryName)
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("DescribeRepositories in pages of 3 (-want +got):\n%s", diff)
	}
}

func TestDescribeRepositoriesRefuses(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	for name, c := range map[string]struct {
		in          awsecr.DescribeRepositoriesInput
		code, words string
	}{
		"a missing name among others": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo, "none-such"}},
			"RepositoryNotFoundException",
			"The repository with name 'none-such' does not exist in the registry with id '000000000042'",
		},
		"another account's": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}, RegistryId: aws.String("111111111111")},
			"RepositoryNotFoundException",
			"The repository with name 'hoopstat-haus/prod' does not exist in the registry with id '111111111111'",
		},
		"all of another account's": {
			awsecr.DescribeRepositoriesInput{RegistryId: aws.String("111111111111")}, "AccessDeniedException", "arn:aws:ecr:us-east-1:111111111111:repository/*",
		},
		"101 names": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: slices.Repeat([]string{repo}, 101)},
			"InvalidParameterException",
			invalid("repositoryNames", "Member must have length less than or equal to 100"),
		},
		"no names": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: []string{}},
			"InvalidParameterException",
			invalid("repositoryNames", "Member must have length greater than or equal to 1"),
		},
		"names and maxResults": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}, MaxResults: aws.Int32(1)}, "InvalidParameterException", "'maxResults'",
		},
		"names and nextToken": {
			awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}, NextToken: aws.String("x")}, "InvalidParameterException", "'nextToken'",
		},
		"maxResults 0": {
			awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(0)},
			"InvalidParameterException",
			invalid("maxResults", "Member must have value greater than or equal to 1"),
		},
		"maxResults 1001": {
			awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(1001)},
			"InvalidParameterException",
			invalid("maxResults", "Member must have value less than or equal to 1000"),
		},
		"a token from elsewhere": {
			awsecr.DescribeRepositoriesInput{NextToken: aws.String("bm9uc2Vuc2U")}, "InvalidParameterException", "Invalid parameter at 'nextToken'",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := s.client.DescribeRepositories(t.Context(), &c.in)
			wantError(t, "DescribeRepositories of "+name, err, c.code, c.words)
		})
	}
}

func TestDeleteRepository(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	s.image(t, "one", "v1")
	in := &awsecr.DeleteRepositoryInput{RepositoryName: aws.String(repo)}
	_, err := s.client.DeleteRepository(t.Context(), in)
	wantError(t, "DeleteRepository with an image in it", err, "RepositoryNotEmptyException",
		"The repository with name 'hoopstat-haus/prod' in registry with id '000000000042' cannot be deleted because it still contains images")
	in.Force = true
	out, err := s.client.DeleteRepository(t.Context(), in)
	if err != nil {
		t.Fatalf("DeleteRepository by force: %v", err)
	}
	if aws.ToString(out.Repository.RepositoryName) != repo || out.Repository.EncryptionConfiguration == nil {
		t.Errorf("DeleteRepository gave %+v, want the repository as it was", out.Repository)
	}
	_, err = s.client.DeleteRepository(t.Context(), in)
	wantError(t, "DeleteRepository again", err, "RepositoryNotFoundException", "does not exist in the registry with id '000000000042'")
}

func TestSettingsOfARepositoryChange(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	filters := []types.ImageTagMutabilityExclusionFilter{
		{FilterType: "WILDCARD", Filter: aws.String("*-latest")}, {FilterType: "WILDCARD", Filter: aws.String("dev*")},
	}
	mutability, err := s.client.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{
		RepositoryName: aws.String(repo), ImageTagMutability: "IMMUTABLE_WITH_EXCLUSION", ImageTagMutabilityExclusionFilters: filters,
	})
	if err != nil {
		t.Fatalf("PutImageTagMutability: %v", err)
	}
	if diff := gocmp.Diff(filters, mutability.ImageTagMutabilityExclusionFilters, ignoreSerde()); diff != "" || mutability.ImageTagMutability != "IMMUTABLE_WITH_EXCLUSION" {
		t.Errorf("PutImageTagMutability: %s, filters (-want +got):\n%s", mutability.ImageTagMutability, diff)
	}
	scanning, err := s.client.PutImageScanningConfiguration(t.Context(), &awsecr.PutImageScanningConfigurationInput{
		RepositoryName: aws.String(repo), ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
	})
	if err != nil {
		t.Fatalf("PutImageScanningConfiguration: %v", err)
	}
	if !scanning.ImageScanningConfiguration.ScanOnPush || aws.ToString(scanning.RegistryId) != account || aws.ToString(scanning.RepositoryName) != repo {
		t.Errorf("PutImageScanningConfiguration: %+v", scanning)
	}
	described, err := s.client.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatalf("DescribeRepositories: %v", err)
	}
	r := described.Repositories[0]
	if r.ImageTagMutability != "IMMUTABLE_WITH_EXCLUSION" || len(r.ImageTagMutabilityExclusionFilters) != 2 || !r.ImageScanningConfiguration.ScanOnPush {
		t.Errorf("DescribeRepositories after the changes: %+v", r)
	}
	// Both are replaced together: the filters are gone with the exclusion.
	mutability, err = s.client.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{RepositoryName: aws.String(repo), ImageTagMutability: "MUTABLE"})
	if err != nil || mutability.ImageTagMutabilityExclusionFilters != nil {
		t.Errorf("PutImageTagMutability(MUTABLE) = filters %v, %v", mutability.ImageTagMutabilityExclusionFilters, err)
	}
	_, err = s.client.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{RepositoryName: aws.String(repo), ImageTagMutability: "MUTABLE", ImageTagMutabilityExclusionFilters: filters})
	wantError(t, "PutImageTagMutability(MUTABLE) with filters", err, "InvalidParameterException", "'imageTagMutabilityExclusionFilters'")
	missing := aws.String("none-such")
	_, err = s.client.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{RepositoryName: missing, ImageTagMutability: "MUTABLE"})
	wantError(t, "PutImageTagMutability of no repository", err, "RepositoryNotFoundException", "'none-such'")
	_, err = s.client.PutImageScanningConfiguration(t.Context(), &awsecr.PutImageScanningConfigurationInput{RepositoryName: missing, ImageScanningConfiguration: &types.ImageScanningConfiguration{}})
	wantError(t, "PutImageScanningConfiguration of no repository", err, "RepositoryNotFoundException", "'none-such'")
}

func TestResourceTags(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	arn := s.create(t).RepositoryArn
	list := func() map[string]string {
		t.Helper()
		out, err := s.client.ListTagsForResource(t.Context(), &awsecr.ListTagsForResourceInput{ResourceArn: arn})
		if err != nil {
			t.Fatalf("ListTagsForResource: %v", err)
		}
		tags := map[string]string{}
		for _, tag := range out.Tags {
			tags[*tag.Key] = *tag.Value
		}
		return tags
	}
	put := func(key, value string) error {
		_, err := s.client.TagResource(t.Context(), &awsecr.TagResourceInput{ResourceArn: arn, Tags: []types.Tag{{Key: &key, Value: &value}}})
		return err
	}
	if err := cmp.Or(put("a", "1"), put("b", "2"), put("a", "3")); err != nil {
		t.Fatalf("TagResource: %v", err)
	}
	if diff := gocmp.Diff(map[string]string{"a": "3", "b": "2"}, list()); diff != "" {
		t.Errorf("after TagResource (-want +got):\n%s", diff)
	}
	if _, err := s.client.UntagResource(t.Context(), &awsecr.UntagResourceInput{ResourceArn: arn, TagKeys: []string{"a", "never-set"}}); err != nil {
		t.Fatalf("UntagResource: %v", err)
	}
	if diff := gocmp.Diff(map[string]string{"b": "2"}, list()); diff != "" {
		t.Errorf("after UntagResource (-want +got):\n%s", diff)
	}
	wantError(t, "TagResource with a key of 129 letters", put(strings.Repeat("k", 129), ""), "InvalidTagParameterException", "128")
	wantError(t, "TagResource with a value of 257 letters", put("k", strings.Repeat("v", 257)), "InvalidTagParameterException", "256")
	for i := range 49 {
		if err := put(fmt.Sprint("k", i), ""); err != nil {
			t.Fatalf("TagResource: %v", err)
		}
	}
	wantError(t, "TagResource beyond 50", put("one-more", ""), "TooManyTagsException", "50")
}

func TestResourceARNs(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.create(t)
	for arn, want := range map[string]struct{ code, words string }{
		"arn:aws:ecr:us-east-1:000000000042:repository/none-such":          {"RepositoryNotFoundException", "'none-such' does not exist in the registry with id '000000000042'"},
		"arn:aws:ecr:us-east-1:999999999999:repository/hoopstat-haus/prod": {"RepositoryNotFoundException", "in the registry with id '999999999999'"},
		"arn:aws:ecr:eu-west-1:000000000042:repository/hoopstat-haus/prod": {"InvalidParameterException", "'resourceArn'"},
		"arn:aws:s3:us-east-1:000000000042:repository/hoopstat-haus/prod":  {"InvalidParameterException", "'resourceArn'"},
		"arn:aws:ecr:us-east-1:000000000042:hoopstat-haus/prod":            {"InvalidParameterException", "'resourceArn'"},
		"arn:aws:ecr:us-east-1:42:repository/hoopstat-haus/prod":           {"InvalidParameterException", "'resourceArn'"},
		"arn:aws:ecr:us-east-1:000000000042:repository/UPPER":              {"InvalidParameterException", "'resourceArn'"},
		"hoopstat-haus/prod": {"InvalidParameterException", "'resourceArn'"},
		"":                   {"InvalidParameterException", "'resourceArn'"},
	} {
		_, err := s.client.ListTagsForResource(t.Context(), &awsecr.ListTagsForResourceInput{ResourceArn: &arn})
		wantError(t, "ListTagsForResource("+arn+")", err, want.code, want.words)
		_, err = s.client.TagResource(t.Context(), &awsecr.TagResourceInput{ResourceArn: &arn, Tags: []types.Tag{}})
		wantError(t, "TagResource("+arn+")", err, want.code, want.words)
		_, err = s.client.UntagResource(t.Context(), &awsecr.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{}})
		wantError(t, "UntagResource("+arn+")", err, want.code, want.words)
	}
}
