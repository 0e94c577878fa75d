package ecr

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// resourceTagOperations names what is done with a repository's resource tags.
func (f face) resourceTagOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"ListTagsForResource": awswire.Op(f.listTagsForResource),
		"TagResource":         awswire.Op(f.tagResource),
		"UntagResource":       awswire.Op(f.untagResource),
	}
}

func (f face) listTagsForResource(ctx context.Context, call awswire.Call, in *wire.ListTagsForResourceInput) (*wire.ListTagsForResourceOutput, error) {
	name, err := f.repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	tags, err := f.Registry.ResourceTags(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	out := &wire.ListTagsForResourceOutput{Tags: []types.Tag{}}
	for _, t := range tags {
		out.Tags = append(out.Tags, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return out, nil
}

func (f face) tagResource(ctx context.Context, call awswire.Call, in *wire.TagResourceInput) (*wire.TagResourceOutput, error) {
	name, err := f.repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if in.Tags == nil {
		return nil, missing("tags")
	}
	tags, err := resourceTags(in.Tags)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.TagResource(ctx, call.Caller, name, tags); err != nil {
		return nil, err
	}
	return &wire.TagResourceOutput{}, nil
}

func (f face) untagResource(ctx context.Context, call awswire.Call, in *wire.UntagResourceInput) (*wire.UntagResourceOutput, error) {
	name, err := f.repositoryOfARN(in.ResourceArn)
	if err != nil {
		return nil, err
	}
	if in.TagKeys == nil {
		return nil, missing("tagKeys")
	}
	if err := f.Registry.UntagResource(ctx, call.Caller, name, in.TagKeys); err != nil {
		return nil, err
	}
	return &wire.UntagResourceOutput{}, nil
}

// resourceTags reads tags of a request. A value that is left out is empty, as the API's documentation has it.
func resourceTags(in []types.Tag) ([]registry.ResourceTag, error) {
	var tags []registry.ResourceTag
	for i, t := range in {
		key, err := required(fmt.Sprintf("tags.%d.member.key", i+1), t.Key)
		if err != nil {
			return nil, err
		}
		tags = append(tags, registry.ResourceTag{Key: key, Value: aws.ToString(t.Value)})
	}
	return tags, nil
}
