package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// templateOperations names what is done with repository creation templates.
func (f face) templateOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreateRepositoryCreationTemplate":    awswire.Op(f.createTemplate),
		"DescribeRepositoryCreationTemplates": awswire.Op(f.describeTemplates),
		"UpdateRepositoryCreationTemplate":    awswire.Op(f.updateTemplate),
		"DeleteRepositoryCreationTemplate":    awswire.Op(f.deleteTemplate),
	}
}

func (f face) createTemplate(ctx context.Context, call awswire.Call, in *wire.CreateRepositoryCreationTemplateInput) (*wire.CreateRepositoryCreationTemplateOutput, error) {
	prefix, err := required("prefix", in.Prefix)
	if err != nil {
		return nil, err
	}
	if in.AppliedFor == nil {
		return nil, missing("appliedFor")
	}
	if err := checkTemplateEncryption(in.EncryptionConfiguration); err != nil {
		return nil, err
	}
	uses, err := templateUses(in.AppliedFor)
	if err != nil {
		return nil, err
	}
	exclusions, err := exclusionFilters(in.ImageTagMutabilityExclusionFilters)
	if err != nil {
		return nil, err
	}
	tags, err := resourceTags(in.ResourceTags)
	if err != nil {
		return nil, err
	}
	t, err := f.Registry.CreateTemplate(ctx, call.Caller, registry.Template{
		Prefix: prefix, Description: aws.ToString(in.Description), Uses: uses,
		Mutability: registry.Mutability(in.ImageTagMutability), Exclusions: exclusions, ResourceTags: tags,
		RepositoryPolicy: aws.ToString(in.RepositoryPolicy), LifecyclePolicy: aws.ToString(in.LifecyclePolicy),
		RoleARN: aws.ToString(in.CustomRoleArn),
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateRepositoryCreationTemplateOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryCreationTemplate: wireTemplate(t)}, nil
}

func (f face) describeTemplates(ctx context.Context, call awswire.Call, in *wire.DescribeRepositoryCreationTemplatesInput) (*wire.DescribeRepositoryCreationTemplatesOutput, error) {
	if err := optionalBatch("prefixes", in.Prefixes, maxBatch); err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	templates, err := f.Registry.Templates(ctx, call.Caller, in.Prefixes, limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeRepositoryCreationTemplatesOutput{
		RegistryId:                  aws.String(f.Registry.ID()),
		RepositoryCreationTemplates: []types.RepositoryCreationTemplate{},
		NextToken:                   nextToken(templates.Next),
	}
	for _, t := range templates.Items {
		out.RepositoryCreationTemplates = append(out.RepositoryCreationTemplates, *wireTemplate(t))
	}
	return out, nil
}

func (f face) updateTemplate(ctx context.Context, call awswire.Call, in *wire.UpdateRepositoryCreationTemplateInput) (*wire.UpdateRepositoryCreationTemplateOutput, error) {
	prefix, err := required("prefix", in.Prefix)
	if err != nil {
		return nil, err
	}
	if err := checkTemplateEncryption(in.EncryptionConfiguration); err != nil {
		return nil, err
	}
	change := registry.TemplateChange{
		Prefix: prefix, Description: in.Description, Mutability: registry.Mutability(in.ImageTagMutability),
		RepositoryPolicy: in.RepositoryPolicy, LifecyclePolicy: in.LifecyclePolicy, RoleARN: in.CustomRoleArn,
	}
	if change.Uses, err = templateUses(in.AppliedFor); err != nil {
		return nil, err
	}
	if change.Exclusions, err = exclusionFilters(in.ImageTagMutabilityExclusionFilters); err != nil {
		return nil, err
	}
	if change.ResourceTags, err = resourceTags(in.ResourceTags); err != nil {
		return nil, err
	}
	change.Exclusions = presence(in.ImageTagMutabilityExclusionFilters, change.Exclusions)
	change.ResourceTags = presence(in.ResourceTags, change.ResourceTags)
	t, err := f.Registry.UpdateTemplate(ctx, call.Caller, change)
	if err != nil {
		return nil, err
	}
	return &wire.UpdateRepositoryCreationTemplateOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryCreationTemplate: wireTemplate(t)}, nil
}

// presence tells a list that is empty from one that is absent, as the member it was read from does.
func presence[M, T any](member []M, list []T) []T {
	if member != nil && list == nil {
		return []T{}
	}
	return list
}

func (f face) deleteTemplate(ctx context.Context, call awswire.Call, in *wire.DeleteRepositoryCreationTemplateInput) (*wire.DeleteRepositoryCreationTemplateOutput, error) {
	prefix, err := required("prefix", in.Prefix)
	if err != nil {
		return nil, err
	}
	t, err := f.Registry.DeleteTemplate(ctx, call.Caller, prefix)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteRepositoryCreationTemplateOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryCreationTemplate: wireTemplate(t)}, nil
}

// checkTemplateEncryption is checkEncryption for the same setting under a type of its own.
func checkTemplateEncryption(e *types.EncryptionConfigurationForRepositoryCreationTemplate) error {
	if e == nil {
		return nil
	}
	return checkEncryption(&types.EncryptionConfiguration{EncryptionType: e.EncryptionType, KmsKey: e.KmsKey})
}

// wireUses pairs the occasions with ECR's words for them.
func wireUses() map[types.RCTAppliedFor]registry.TemplateUse {
	return map[types.RCTAppliedFor]registry.TemplateUse{
		types.RCTAppliedForPullThroughCache: registry.ForPullThrough,
		types.RCTAppliedForReplication:      registry.ForReplication,
		types.RCTAppliedForCreateOnPush:     registry.ForPush,
	}
}

func templateUses(in []types.RCTAppliedFor) ([]registry.TemplateUse, error) {
	if in == nil {
		return nil, nil
	}
	words := wireUses()
	uses := make([]registry.TemplateUse, 0, len(in))
	for _, word := range in {
		use, known := words[word]
		if !known {
			if word == "" {
				return nil, missing("appliedFor")
			}
			return nil, oneOf("appliedFor", word, word.Values())
		}
		uses = append(uses, use)
	}
	return uses, nil
}

// wireTemplate fills in what Terraform compares, as wireRepository does.
func wireTemplate(t registry.Template) *types.RepositoryCreationTemplate {
	out := &types.RepositoryCreationTemplate{
		AppliedFor:                         []types.RCTAppliedFor{},
		CreatedAt:                          aws.Time(t.CreatedAt),
		UpdatedAt:                          aws.Time(t.UpdatedAt),
		CustomRoleArn:                      optional(t.RoleARN),
		Description:                        optional(t.Description),
		EncryptionConfiguration:            &types.EncryptionConfigurationForRepositoryCreationTemplate{EncryptionType: types.EncryptionTypeAes256},
		ImageTagMutability:                 types.ImageTagMutability(t.Mutability),
		ImageTagMutabilityExclusionFilters: wireExclusionFilters(t.Exclusions),
		LifecyclePolicy:                    optional(t.LifecyclePolicy),
		Prefix:                             aws.String(t.Prefix),
		RepositoryPolicy:                   optional(t.RepositoryPolicy),
		ResourceTags:                       []types.Tag{},
	}
	for _, use := range t.Uses {
		for word, u := range wireUses() {
			if u == use {
				out.AppliedFor = append(out.AppliedFor, word)
			}
		}
	}
	for _, tag := range t.ResourceTags {
		out.ResourceTags = append(out.ResourceTags, types.Tag{Key: aws.String(tag.Key), Value: aws.String(tag.Value)})
	}
	return out
}
