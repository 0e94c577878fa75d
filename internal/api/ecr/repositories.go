package ecr

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// repositoryOperations names what is done with repositories.
func (f face) repositoryOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreateRepository":              awswire.Op(f.createRepository),
		"DescribeRepositories":          awswire.Op(f.describeRepositories),
		"DeleteRepository":              awswire.Op(f.deleteRepository),
		"PutImageTagMutability":         awswire.Op(f.putImageTagMutability),
		"PutImageScanningConfiguration": awswire.Op(f.putImageScanningConfiguration),
	}
}

func (f face) createRepository(ctx context.Context, call awswire.Call, in *wire.CreateRepositoryInput) (*wire.CreateRepositoryOutput, error) {
	name, err := f.newRepositoryName(call, in)
	if err != nil {
		return nil, err
	}
	if err := checkEncryption(in.EncryptionConfiguration); err != nil {
		return nil, err
	}
	exclusions, err := exclusionFilters(in.ImageTagMutabilityExclusionFilters)
	if err != nil {
		return nil, err
	}
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	repo, err := f.Registry.CreateRepository(ctx, call.Caller, registry.NewRepository{
		Name:         name,
		Mutability:   registry.Mutability(in.ImageTagMutability),
		Exclusions:   exclusions,
		ScanOnPush:   in.ImageScanningConfiguration != nil && in.ImageScanningConfiguration.ScanOnPush,
		ResourceTags: tags,
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreateRepositoryOutput{Repository: f.wireRepository(repo)}, nil
}

// newRepositoryName is f.repository for one that is not there yet: another account's registry cannot be
// answered with "not found", so it is the permission that is missing.
func (f face) newRepositoryName(call awswire.Call, in *wire.CreateRepositoryInput) (string, error) {
	name, err := f.repository(in.RepositoryName, nil)
	if err != nil || in.RegistryId == nil {
		return name, err
	}
	return name, f.ownRegistry(call, *in.RegistryId, policy.CreateRepository, name)
}

// ownRegistry refuses an action in another account's registry.
func (f face) ownRegistry(call awswire.Call, registryID string, action policy.Action, repository string) error {
	if err := checkRegistryID("registryId", registryID); err != nil {
		return err
	}
	if registryID == f.Registry.ID() {
		return nil
	}
	theirs := strings.Replace(f.Registry.ARN(repository), ":"+f.Registry.ID()+":", ":"+registryID+":", 1)
	return fault.New(fault.AccessDenied, "%s", policy.Denied(call.Caller.ARN, action, theirs))
}

func (f face) describeRepositories(ctx context.Context, call awswire.Call, in *wire.DescribeRepositoriesInput) (*wire.DescribeRepositoriesOutput, error) {
	if in.RepositoryNames != nil {
		return f.describeNamedRepositories(ctx, call, in)
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if in.RegistryId != nil {
		if err := f.ownRegistry(call, *in.RegistryId, policy.DescribeRepositories, "*"); err != nil {
			return nil, err
		}
	}
	repos, err := f.Registry.Repositories(ctx, call.Caller, limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeRepositoriesOutput{Repositories: []types.Repository{}, NextToken: nextToken(repos.Next)}
	for _, repo := range repos.Items {
		out.Repositories = append(out.Repositories, *f.wireRepository(repo))
	}
	return out, nil
}

// describeNamedRepositories answers for all names or, where one is missing, for none.
func (f face) describeNamedRepositories(ctx context.Context, call awswire.Call, in *wire.DescribeRepositoriesInput) (*wire.DescribeRepositoriesOutput, error) {
	if err := batch("repositoryNames", in.RepositoryNames, maxBatch); err != nil {
		return nil, err
	}
	if err := notPaged("repositoryNames", in.MaxResults, in.NextToken); err != nil {
		return nil, err
	}
	out := &wire.DescribeRepositoriesOutput{Repositories: []types.Repository{}}
	for _, n := range in.RepositoryNames {
		name, err := f.repository(&n, in.RegistryId)
		if err != nil {
			return nil, err
		}
		repo, err := f.Registry.Repository(ctx, call.Caller, name)
		if err != nil {
			return nil, err
		}
		out.Repositories = append(out.Repositories, *f.wireRepository(repo))
	}
	return out, nil
}

func (f face) deleteRepository(ctx context.Context, call awswire.Call, in *wire.DeleteRepositoryInput) (*wire.DeleteRepositoryOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	repo, err := f.Registry.DeleteRepository(ctx, call.Caller, name, in.Force)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteRepositoryOutput{Repository: f.wireRepository(repo)}, nil
}

func (f face) putImageTagMutability(ctx context.Context, call awswire.Call, in *wire.PutImageTagMutabilityInput) (*wire.PutImageTagMutabilityOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if in.ImageTagMutability == "" {
		return nil, missing("imageTagMutability")
	}
	exclusions, err := exclusionFilters(in.ImageTagMutabilityExclusionFilters)
	if err != nil {
		return nil, err
	}
	repo, err := f.Registry.PutTagMutability(ctx, call.Caller, name, registry.Mutability(in.ImageTagMutability), exclusions)
	if err != nil {
		return nil, err
	}
	return &wire.PutImageTagMutabilityOutput{
		RegistryId:                         aws.String(f.Registry.ID()),
		RepositoryName:                     aws.String(repo.Name),
		ImageTagMutability:                 types.ImageTagMutability(repo.Mutability),
		ImageTagMutabilityExclusionFilters: wireExclusionFilters(repo.Exclusions),
	}, nil
}

func (f face) putImageScanningConfiguration(ctx context.Context, call awswire.Call, in *wire.PutImageScanningConfigurationInput) (*wire.PutImageScanningConfigurationOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	scanning, err := required("imageScanningConfiguration", in.ImageScanningConfiguration)
	if err != nil {
		return nil, err
	}
	repo, err := f.Registry.PutScanOnPush(ctx, call.Caller, name, scanning.ScanOnPush)
	if err != nil {
		return nil, err
	}
	return &wire.PutImageScanningConfigurationOutput{
		RegistryId:                 aws.String(f.Registry.ID()),
		RepositoryName:             aws.String(repo.Name),
		ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: repo.ScanOnPush},
	}, nil
}

// wireRepository fills in every member that Terraform compares; one that is absent makes it plan a
// change for ever.
func (f face) wireRepository(repo registry.Repository) *types.Repository {
	return &types.Repository{
		RegistryId:                         aws.String(f.Registry.ID()),
		RepositoryArn:                      aws.String(f.Registry.ARN(repo.Name)),
		RepositoryName:                     aws.String(repo.Name),
		RepositoryUri:                      aws.String(f.RepositoryHost + "/" + repo.Name),
		CreatedAt:                          aws.Time(repo.CreatedAt),
		ImageTagMutability:                 types.ImageTagMutability(repo.Mutability),
		ImageTagMutabilityExclusionFilters: wireExclusionFilters(repo.Exclusions),
		ImageScanningConfiguration:         &types.ImageScanningConfiguration{ScanOnPush: repo.ScanOnPush},
		EncryptionConfiguration:            &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
	}
}

// checkEncryption takes what ECR does when nothing is said, and refuses keys that Berth would not use.
func checkEncryption(e *types.EncryptionConfiguration) error {
	if e == nil {
		return nil
	}
	switch e.EncryptionType {
	case types.EncryptionTypeAes256:
		if e.KmsKey != nil {
			return fault.BadParameter("encryptionConfiguration.kmsKey", "must be absent when encryptionType is AES256")
		}
		return nil
	case "":
		return missing("encryptionConfiguration.encryptionType")
	case types.EncryptionTypeKms, types.EncryptionTypeKmsDsse:
		return fault.New(fault.SettingUnsupported,
			"Invalid parameter at 'encryptionConfiguration' failed to satisfy constraint: 'encryptionType %s is not supported: "+
				"this registry encrypts with no keys of a key management service; leave encryptionConfiguration out or set AES256'", e.EncryptionType)
	}
	return oneOf("encryptionConfiguration.encryptionType", e.EncryptionType, e.EncryptionType.Values())
}

func exclusionFilters(filters []types.ImageTagMutabilityExclusionFilter) ([]string, error) {
	var texts []string
	for i, filter := range filters {
		at := fmt.Sprintf("imageTagMutabilityExclusionFilters.%d.member.", i+1)
		if filter.FilterType == "" {
			return nil, missing(at + "filterType")
		}
		if err := oneOf(at+"filterType", filter.FilterType, filter.FilterType.Values()); err != nil {
			return nil, err
		}
		text, err := required(at+"filter", filter.Filter)
		if err != nil {
			return nil, err
		}
		texts = append(texts, text)
	}
	return texts, nil
}

func wireExclusionFilters(exclusions []string) []types.ImageTagMutabilityExclusionFilter {
	var filters []types.ImageTagMutabilityExclusionFilter
	for _, e := range exclusions {
		filters = append(filters, types.ImageTagMutabilityExclusionFilter{
			FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard, Filter: aws.String(e),
		})
	}
	return filters
}

// nextToken leaves the member out at the end of a listing.
func nextToken(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}
