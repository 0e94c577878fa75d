package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// replicationOperations names what is done about copies in other registries.
func (f face) replicationOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"PutReplicationConfiguration":    awswire.Op(f.putReplicationConfiguration),
		"DescribeImageReplicationStatus": awswire.Op(f.describeImageReplicationStatus),
	}
}

func (f face) putReplicationConfiguration(ctx context.Context, call awswire.Call, in *wire.PutReplicationConfigurationInput) (*wire.PutReplicationConfigurationOutput, error) {
	c, err := replicationConfiguration(in.ReplicationConfiguration)
	if err != nil {
		return nil, err
	}
	if err := f.Replication.PutConfiguration(ctx, call.Caller, c); err != nil {
		return nil, err
	}
	return &wire.PutReplicationConfigurationOutput{ReplicationConfiguration: wireReplication(c)}, nil
}

func replicationConfiguration(in *types.ReplicationConfiguration) (replicate.Configuration, error) {
	if in == nil {
		return replicate.Configuration{}, missing("replicationConfiguration")
	}
	if in.Rules == nil {
		return replicate.Configuration{}, missing("rules")
	}
	c := replicate.Configuration{Rules: []replicate.Rule{}}
	for _, r := range in.Rules {
		rule, err := replicationRule(r)
		if err != nil {
			return replicate.Configuration{}, err
		}
		c.Rules = append(c.Rules, rule)
	}
	return c, nil
}

func replicationRule(in types.ReplicationRule) (replicate.Rule, error) {
	if in.Destinations == nil {
		return replicate.Rule{}, missing("destinations")
	}
	var rule replicate.Rule
	for _, d := range in.Destinations {
		destination, err := replicationDestination(&d)
		if err != nil {
			return replicate.Rule{}, err
		}
		rule.Destinations = append(rule.Destinations, destination)
	}
	for _, filter := range in.RepositoryFilters {
		prefix, err := required("filter", filter.Filter)
		if err != nil {
			return replicate.Rule{}, err
		}
		if filter.FilterType == "" {
			return replicate.Rule{}, missing("filterType")
		}
		if err := oneOf("filterType", filter.FilterType, filter.FilterType.Values()); err != nil {
			return replicate.Rule{}, err
		}
		rule.Prefixes = append(rule.Prefixes, prefix)
	}
	return rule, nil
}

func replicationDestination(in *types.ReplicationDestination) (replicate.Destination, error) {
	if in == nil {
		return replicate.Destination{}, missing("destination")
	}
	region, err := required("region", in.Region)
	if err != nil {
		return replicate.Destination{}, err
	}
	if !regionRule.MatchString(region) {
		return replicate.Destination{}, mustMatch("region", regionPattern)
	}
	id, err := required("registryId", in.RegistryId)
	if err != nil {
		return replicate.Destination{}, err
	}
	return replicate.Destination{Region: region, RegistryID: id}, checkRegistryID("registryId", id)
}

func wireReplication(c replicate.Configuration) *types.ReplicationConfiguration {
	out := &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}}
	for _, r := range c.Rules {
		rule := types.ReplicationRule{Destinations: []types.ReplicationDestination{}, RepositoryFilters: []types.RepositoryFilter{}}
		for _, d := range r.Destinations {
			rule.Destinations = append(rule.Destinations, *wireDestination(d))
		}
		for _, p := range r.Prefixes {
			rule.RepositoryFilters = append(rule.RepositoryFilters, types.RepositoryFilter{Filter: aws.String(p), FilterType: types.RepositoryFilterTypePrefixMatch})
		}
		out.Rules = append(out.Rules, rule)
	}
	return out
}

func wireDestination(d replicate.Destination) *types.ReplicationDestination {
	return &types.ReplicationDestination{Region: aws.String(d.Region), RegistryId: aws.String(d.RegistryID)}
}

func (f face) describeImageReplicationStatus(ctx context.Context, call awswire.Call, in *wire.DescribeImageReplicationStatusInput) (*wire.DescribeImageReplicationStatusOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if in.ImageId == nil {
		return nil, missing("imageId")
	}
	id := registry.ImageID{Tag: aws.ToString(in.ImageId.ImageTag), Digest: aws.ToString(in.ImageId.ImageDigest)}
	img, rows, err := f.Replication.ImageStatus(ctx, call.Caller, name, id)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeImageReplicationStatusOutput{
		RepositoryName:      aws.String(name),
		ImageId:             &types.ImageIdentifier{ImageDigest: aws.String(img.Digest.String()), ImageTag: in.ImageId.ImageTag},
		ReplicationStatuses: []types.ImageReplicationStatus{},
	}
	for _, r := range rows {
		out.ReplicationStatuses = append(out.ReplicationStatuses, types.ImageReplicationStatus{
			Region: aws.String(r.Destination.Region), RegistryId: aws.String(r.Destination.RegistryID),
			Status: types.ReplicationStatus(r.Status), FailureCode: optional(r.FailureCode),
		})
	}
	return out, nil
}
