package ecr_test

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

const (
	templateLifecycle = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed",` +
		`"countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	templatePolicy = `{"Version":"2008-10-17","Statement":[{"Sid":"pull","Effect":"Allow","Principal":"*","Action":"ecr:BatchGetImage"}]}`
	templateRole   = "arn:aws:iam::" + account + ":role/templates"
)

// template makes one for pushes, changed as told.
func (s *server) template(tb testing.TB, prefix string, change ...func(*awsecr.CreateRepositoryCreationTemplateInput)) types.RepositoryCreationTemplate {
	tb.Helper()
	in := &awsecr.CreateRepositoryCreationTemplateInput{
		Prefix: aws.String(prefix), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush},
	}
	for _, c := range change {
		c(in)
	}
	out, err := s.client.CreateRepositoryCreationTemplate(tb.Context(), in)
	if err != nil {
		tb.Fatalf("CreateRepositoryCreationTemplate(%s): %v", prefix, err)
	}
	return *out.RepositoryCreationTemplate
}

func everything(in *awsecr.CreateRepositoryCreationTemplateInput) {
	in.AppliedFor = []types.RCTAppliedFor{types.RCTAppliedForPullThroughCache, types.RCTAppliedForReplication, types.RCTAppliedForCreateOnPush}
	in.Description = aws.String("of the team")
	in.CustomRoleArn = aws.String(templateRole)
	in.EncryptionConfiguration = &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256}
	in.ImageTagMutability = types.ImageTagMutabilityImmutableWithExclusion
	in.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{
		{FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard, Filter: aws.String("*-latest")},
	}
	in.LifecyclePolicy, in.RepositoryPolicy = aws.String(templateLifecycle), aws.String(templatePolicy)
	in.ResourceTags = []types.Tag{{Key: aws.String("team"), Value: aws.String("haus")}}
}

func TestTemplateOnTheWire(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	got := s.post(t, s.rootKey, "CreateRepositoryCreationTemplate", `{"prefix":"plain","appliedFor":["REPLICATION","REPLICATION"]}`)
	want := `{"registryId":"000000000042","repositoryCreationTemplate":{"appliedFor":["REPLICATION"],"createdAt":1795521601.25,` +
		`"encryptionConfiguration":{"encryptionType":"AES256"},"imageTagMutability":"MUTABLE","prefix":"plain","resourceTags":[],"updatedAt":1795521601.25}}`
	if got.status != 200 || got.body != want {
		t.Errorf("CreateRepositoryCreationTemplate answers %d\n got %s\nwant %s", got.status, got.body, want)
	}
	if got := s.post(t, s.rootKey, "DescribeRepositoryCreationTemplates", `{"prefixes":["none"]}`); got.body != `{"registryId":"000000000042","repositoryCreationTemplates":[]}` {
		t.Errorf("DescribeRepositoryCreationTemplates of none answers %s", got.body)
	}
}

func TestTemplateOperations(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made := s.template(t, "team", everything)
	want := types.RepositoryCreationTemplate{
		Prefix: aws.String("team"), CreatedAt: made.CreatedAt, UpdatedAt: made.CreatedAt,
		AppliedFor:  []types.RCTAppliedFor{types.RCTAppliedForPullThroughCache, types.RCTAppliedForReplication, types.RCTAppliedForCreateOnPush},
		Description: aws.String("of the team"), CustomRoleArn: aws.String(templateRole),
		EncryptionConfiguration: &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256},
		ImageTagMutability:      types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{
			{FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard, Filter: aws.String("*-latest")},
		},
		LifecyclePolicy: aws.String(templateLifecycle), RepositoryPolicy: aws.String(templatePolicy),
		ResourceTags: []types.Tag{{Key: aws.String("team"), Value: aws.String("haus")}},
	}
	unexported := cmpopts.IgnoreUnexported(types.RepositoryCreationTemplate{}, types.Tag{}, types.ImageTagMutabilityExclusionFilter{},
		types.EncryptionConfigurationForRepositoryCreationTemplate{})
	check := func(what string, got types.RepositoryCreationTemplate) {
		t.Helper()
		if diff := gocmp.Diff(want, got, unexported); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	check("CreateRepositoryCreationTemplate", made)
	described, err := s.client.DescribeRepositoryCreationTemplates(t.Context(), &awsecr.DescribeRepositoryCreationTemplatesInput{Prefixes: []string{"team"}})
	if err != nil || len(described.RepositoryCreationTemplates) != 1 {
		t.Fatalf("DescribeRepositoryCreationTemplates = %+v, %v", described, err)
	}
	check("DescribeRepositoryCreationTemplates", described.RepositoryCreationTemplates[0])

	changed, err := s.client.UpdateRepositoryCreationTemplate(t.Context(), &awsecr.UpdateRepositoryCreationTemplateInput{
		Prefix: aws.String("team"), AppliedFor: []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush},
		ImageTagMutability: types.ImageTagMutabilityMutable, RepositoryPolicy: aws.String(""), ResourceTags: []types.Tag{},
	})
	if err != nil {
		t.Fatal(err)
	}
	if !changed.RepositoryCreationTemplate.UpdatedAt.After(*made.UpdatedAt) {
		t.Errorf("UpdateRepositoryCreationTemplate: updatedAt stays %s", made.UpdatedAt)
	}
	want.UpdatedAt, want.AppliedFor = changed.RepositoryCreationTemplate.UpdatedAt, []types.RCTAppliedFor{types.RCTAppliedForCreateOnPush}
	want.ImageTagMutability, want.ImageTagMutabilityExclusionFilters = types.ImageTagMutabilityMutable, nil
	want.RepositoryPolicy, want.ResourceTags = nil, []types.Tag{}
	check("UpdateRepositoryCreationTemplate", *changed.RepositoryCreationTemplate)

	deleted, err := s.client.DeleteRepositoryCreationTemplate(t.Context(), &awsecr.DeleteRepositoryCreationTemplateInput{Prefix: aws.String("team")})
	if err != nil {
		t.Fatal(err)
	}
	check("DeleteRepositoryCreationTemplate", *deleted.RepositoryCreationTemplate)
}

func TestTemplatePages(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	for _, prefix := range []string{"b", "a", "c"} {
		s.template(t, prefix)
	}
	var got []string
	pages := awsecr.NewDescribeRepositoryCreationTemplatesPaginator(s.client, &awsecr.DescribeRepositoryCreationTemplatesInput{MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		out, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range out.RepositoryCreationTemplates {
			got = append(got, *x.Prefix)
		}
		got = append(got, "|")
	}
	if s := strings.Join(got, ""); s != "ab|c|" {
		t.Errorf("DescribeRepositoryCreationTemplates in pages of 2: %s, want ab|c|", s)
	}
}

func TestTemplateErrors(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.template(t, "team")
	for what, c := range map[string]struct{ op, body, code, words string }{
		"no prefix":         {"CreateRepositoryCreationTemplate", `{"appliedFor":["REPLICATION"]}`, "InvalidParameterException", "'prefix'"},
		"no appliedFor":     {"CreateRepositoryCreationTemplate", `{"prefix":"x"}`, "InvalidParameterException", "'appliedFor' failed to satisfy constraint: 'Member must not be null"},
		"for nothing":       {"CreateRepositoryCreationTemplate", `{"prefix":"x","appliedFor":[]}`, "InvalidParameterException", "'appliedFor'"},
		"for fun":           {"CreateRepositoryCreationTemplate", `{"prefix":"x","appliedFor":["FUN"]}`, "InvalidParameterException", "'appliedFor' failed to satisfy constraint: 'Member must satisfy enum value set"},
		"a bad mutability":  {"CreateRepositoryCreationTemplate", `{"prefix":"root","appliedFor":["REPLICATION"],"imageTagMutability":"SOMETIMES"}`, "InvalidParameterException", "'imageTagMutability'"},
		"a key":             {"CreateRepositoryCreationTemplate", `{"prefix":"x","appliedFor":["REPLICATION"],"encryptionConfiguration":{"encryptionType":"KMS"}}`, "InvalidParameterException", "encryptionType KMS is not supported"},
		"the prefix taken":  {"CreateRepositoryCreationTemplate", `{"prefix":"team/","appliedFor":["REPLICATION"]}`, "TemplateAlreadyExistsException", "prefix 'team' already exists"},
		"a later key":       {"UpdateRepositoryCreationTemplate", `{"prefix":"team","encryptionConfiguration":{"encryptionType":"KMS_DSSE"}}`, "InvalidParameterException", "encryptionType KMS_DSSE is not supported"},
		"an unknown prefix": {"UpdateRepositoryCreationTemplate", `{"prefix":"none"}`, "TemplateNotFoundException", "prefix 'none' does not exist"},
		"one to delete":     {"DeleteRepositoryCreationTemplate", `{"prefix":"none"}`, "TemplateNotFoundException", "prefix 'none' does not exist"},
		"a page of none":    {"DescribeRepositoryCreationTemplates", `{"maxResults":0}`, "InvalidParameterException", "'maxResults'"},
		"no prefixes":       {"DescribeRepositoryCreationTemplates", `{"prefixes":[]}`, "InvalidParameterException", "'prefixes'"},
		"another's token":   {"DescribeRepositoryCreationTemplates", `{"nextToken":"x"}`, "InvalidParameterException", "'nextToken'"},
	} {
		got := s.post(t, s.rootKey, c.op, c.body)
		if got.status != 400 || !strings.Contains(got.body, c.code) || !strings.Contains(got.body, c.words) {
			t.Errorf("%s: %d %s\nwant 400 %s … %s", what, got.status, got.body, c.code, c.words)
		}
	}
}

func TestCreateOnPush(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	upload := &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String(repo)}
	notFound := "The repository with name '" + repo + "' does not exist in the registry with id '" + account + "'"
	_, err := s.client.InitiateLayerUpload(t.Context(), upload)
	wantError(t, "InitiateLayerUpload without a template", err, "RepositoryNotFoundException", notFound)

	s.template(t, "hoopstat-haus", everything)
	digest := oci.FromBytes([]byte("hello")).String()
	_, err = s.client.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String(repo), LayerDigests: []string{digest}})
	wantError(t, "BatchCheckLayerAvailability with a template", err, "RepositoryNotFoundException", notFound)
	if _, err := s.client.InitiateLayerUpload(t.Context(), upload); err != nil {
		t.Fatalf("InitiateLayerUpload with a template: %v", err)
	}
	s.image(t, "one", "v1")
	out, err := s.client.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{repo}})
	if err != nil {
		t.Fatal(err)
	}
	if got := out.Repositories[0]; got.ImageTagMutability != types.ImageTagMutabilityImmutableWithExclusion || len(got.ImageTagMutabilityExclusionFilters) != 1 {
		t.Errorf("the repository that a push made: %+v", got)
	}

	empty := &awsecr.PutImageInput{RepositoryName: aws.String("hoopstat-haus/second"), ImageManifest: aws.String(s.index()), ImageTag: aws.String("v1")}
	if _, err := s.client.PutImage(t.Context(), empty); err != nil {
		t.Errorf("PutImage with a template: %v", err)
	}
	empty.RepositoryName = aws.String("other/app")
	_, err = s.client.PutImage(t.Context(), empty)
	wantError(t, "PutImage where no template is for", err, "RepositoryNotFoundException", "'other/app'")
}
