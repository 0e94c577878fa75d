package ecr

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
)

// signingOperations names what is done about signatures.
func (f face) signingOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"PutSigningConfiguration":    awswire.Op(f.putSigningConfiguration),
		"GetSigningConfiguration":    awswire.Op(f.getSigningConfiguration),
		"DeleteSigningConfiguration": awswire.Op(f.deleteSigningConfiguration),
		"DescribeImageSigningStatus": awswire.Op(f.describeImageSigningStatus),
	}
}

func (f face) putSigningConfiguration(ctx context.Context, call awswire.Call, in *wire.PutSigningConfigurationInput) (*wire.PutSigningConfigurationOutput, error) {
	c, err := readSigningConfiguration(in.SigningConfiguration)
	if err != nil {
		return nil, err
	}
	c, err = f.Signing.PutConfiguration(ctx, call.Caller, c)
	if err != nil {
		return nil, err
	}
	return &wire.PutSigningConfigurationOutput{SigningConfiguration: signingConfiguration(c)}, nil
}

func (f face) getSigningConfiguration(ctx context.Context, call awswire.Call, _ *wire.GetSigningConfigurationInput) (*wire.GetSigningConfigurationOutput, error) {
	c, err := f.Signing.Configuration(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.GetSigningConfigurationOutput{RegistryId: aws.String(f.Registry.ID()), SigningConfiguration: signingConfiguration(c)}, nil
}

func (f face) deleteSigningConfiguration(ctx context.Context, call awswire.Call, _ *wire.DeleteSigningConfigurationInput) (*wire.DeleteSigningConfigurationOutput, error) {
	c, err := f.Signing.DeleteConfiguration(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteSigningConfigurationOutput{RegistryId: aws.String(f.Registry.ID()), SigningConfiguration: signingConfiguration(c)}, nil
}

func (f face) describeImageSigningStatus(ctx context.Context, call awswire.Call, in *wire.DescribeImageSigningStatusInput) (*wire.DescribeImageSigningStatusOutput, error) {
	repository, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	id, err := required("imageId", in.ImageId)
	if err != nil {
		return nil, err
	}
	digest, statuses, err := f.Signing.Statuses(ctx, call.Caller, repository,
		registry.ImageID{Tag: aws.ToString(id.ImageTag), Digest: aws.ToString(id.ImageDigest)})
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeImageSigningStatusOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(repository),
		ImageId:         &types.ImageIdentifier{ImageDigest: aws.String(digest.String()), ImageTag: id.ImageTag},
		SigningStatuses: []types.ImageSigningStatus{},
	}
	for _, s := range statuses {
		out.SigningStatuses = append(out.SigningStatuses, signingStatus(s))
	}
	return out, nil
}

func signingStatus(s signing.Status) types.ImageSigningStatus {
	out := types.ImageSigningStatus{SigningProfileArn: aws.String(s.Profile), Status: types.SigningStatusInProgress}
	switch s.State {
	case signing.Pending:
	case signing.Done:
		out.Status = types.SigningStatusComplete
	case signing.Failed:
		out.Status = types.SigningStatusFailed
		out.FailureCode, out.FailureReason = aws.String(s.Code), aws.String(s.Reason)
	}
	return out
}

func readSigningConfiguration(in *types.SigningConfiguration) (signing.Configuration, error) {
	c := signing.Configuration{Rules: []signing.Rule{}}
	if in == nil {
		return c, missing("signingConfiguration")
	}
	if in.Rules == nil {
		return c, missing("signingConfiguration.rules")
	}
	for i, r := range in.Rules {
		at := fmt.Sprintf("signingConfiguration.rules.%d.member.", i+1)
		profile, err := required(at+"signingProfileArn", r.SigningProfileArn)
		if err != nil {
			return c, err
		}
		rule := signing.Rule{Profile: profile}
		for j, filter := range r.RepositoryFilters {
			member := fmt.Sprintf("%srepositoryFilters.%d.member.", at, j+1)
			text, err := required(member+"filter", filter.Filter)
			if err != nil {
				return c, err
			}
			if filter.FilterType == "" {
				return c, missing(member + "filterType")
			}
			if err := oneOf(member+"filterType", filter.FilterType, filter.FilterType.Values()); err != nil {
				return c, err
			}
			rule.Filters = append(rule.Filters, text)
		}
		c.Rules = append(c.Rules, rule)
	}
	return c, nil
}

func signingConfiguration(c signing.Configuration) *types.SigningConfiguration {
	out := &types.SigningConfiguration{Rules: []types.SigningRule{}}
	for _, r := range c.Rules {
		rule := types.SigningRule{SigningProfileArn: aws.String(r.Profile)}
		for _, filter := range r.Filters {
			rule.RepositoryFilters = append(rule.RepositoryFilters, types.SigningRepositoryFilter{
				Filter: aws.String(filter), FilterType: types.SigningRepositoryFilterTypeWildcardMatch,
			})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}
