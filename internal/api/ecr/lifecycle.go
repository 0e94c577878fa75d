package ecr

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// lifecycleOperations names what is done with lifecycle policies.
func (f face) lifecycleOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"PutLifecyclePolicy":          awswire.Op(f.putLifecyclePolicy),
		"GetLifecyclePolicy":          awswire.Op(f.getLifecyclePolicy),
		"DeleteLifecyclePolicy":       awswire.Op(f.deleteLifecyclePolicy),
		"StartLifecyclePolicyPreview": awswire.Op(f.startLifecyclePolicyPreview),
		"GetLifecyclePolicyPreview":   awswire.Op(f.getLifecyclePolicyPreview),
	}
}

func (f face) putLifecyclePolicy(ctx context.Context, call awswire.Call, in *wire.PutLifecyclePolicyInput) (*wire.PutLifecyclePolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	text, err := required("lifecyclePolicyText", in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	stored, err := f.Lifecycle.PutPolicy(ctx, call.Caller, name, text)
	if err != nil {
		return nil, err
	}
	return &wire.PutLifecyclePolicyOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: &name, LifecyclePolicyText: &stored,
	}, nil
}

func (f face) getLifecyclePolicy(ctx context.Context, call awswire.Call, in *wire.GetLifecyclePolicyInput) (*wire.GetLifecyclePolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	p, err := f.Lifecycle.Policy(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	return &wire.GetLifecyclePolicyOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: &name, LifecyclePolicyText: &p.Text, LastEvaluatedAt: evaluatedAt(p),
	}, nil
}

func (f face) deleteLifecyclePolicy(ctx context.Context, call awswire.Call, in *wire.DeleteLifecyclePolicyInput) (*wire.DeleteLifecyclePolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	p, err := f.Lifecycle.DeletePolicy(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteLifecyclePolicyOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: &name, LifecyclePolicyText: &p.Text, LastEvaluatedAt: evaluatedAt(p),
	}, nil
}

// evaluatedAt is ECR's way to say when: never is the beginning of 1970.
func evaluatedAt(p registry.LifecyclePolicy) *time.Time {
	if p.EvaluatedAt.IsZero() {
		return aws.Time(time.Unix(0, 0))
	}
	return &p.EvaluatedAt
}

func (f face) startLifecyclePolicyPreview(ctx context.Context, call awswire.Call, in *wire.StartLifecyclePolicyPreviewInput) (*wire.StartLifecyclePolicyPreviewOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	text, err := f.Lifecycle.StartPreview(ctx, call.Caller, name, in.LifecyclePolicyText)
	if err != nil {
		return nil, err
	}
	return &wire.StartLifecyclePolicyPreviewOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: &name, LifecyclePolicyText: &text,
		Status: types.LifecyclePolicyPreviewStatusInProgress,
	}, nil
}

func (f face) getLifecyclePolicyPreview(ctx context.Context, call awswire.Call, in *wire.GetLifecyclePolicyPreviewInput) (*wire.GetLifecyclePolicyPreviewOutput, error) {
	name, query, err := f.previewQuery(in)
	if err != nil {
		return nil, err
	}
	p, err := f.Lifecycle.Preview(ctx, call.Caller, name, query)
	if err != nil {
		return nil, err
	}
	out := &wire.GetLifecyclePolicyPreviewOutput{
		RegistryId: aws.String(f.Registry.ID()), RepositoryName: &name, LifecyclePolicyText: &p.Text,
		Status: types.LifecyclePolicyPreviewStatus(p.Status), PreviewResults: []types.LifecyclePolicyPreviewResult{}, NextToken: nextToken(p.Next),
	}
	for _, r := range p.Results {
		out.PreviewResults = append(out.PreviewResults, previewResult(r))
	}
	if p.Status == lifecycle.Complete {
		out.Summary = &types.LifecyclePolicyPreviewSummary{ExpiringImageTotalCount: aws.Int32(int32(p.Summary.Expiring))}
		if p.Summary.Transitioning > 0 {
			out.Summary.TransitioningImageTotalCounts = []types.TransitioningImageTotalCount{{
				ImageTotalCount: aws.Int32(int32(p.Summary.Transitioning)), TargetStorageClass: types.LifecyclePolicyTargetStorageClassArchive,
			}}
		}
	}
	return out, nil
}

// previewQuery reads the input of getLifecyclePolicyPreview.
func (f face) previewQuery(in *wire.GetLifecyclePolicyPreviewInput) (string, lifecycle.PreviewQuery, error) {
	var query lifecycle.PreviewQuery
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return "", query, err
	}
	if in.ImageIds != nil {
		if err := notPaged("imageIds", in.MaxResults, in.NextToken); err != nil {
			return "", query, err
		}
		if _, query.IDs, err = f.batchOfImages(in.RepositoryName, in.RegistryId, in.ImageIds); err != nil {
			return "", query, err
		}
	}
	if query.Limit, query.Token, err = page(in.MaxResults, in.NextToken); err != nil {
		return "", query, err
	}
	if query.Limit > lifecycle.MaxPreviewPage {
		return "", query, fault.BadParameter("maxResults", "Member must have value less than or equal to 100")
	}
	if in.Filter != nil {
		filter, err := readFilter(in.Filter.TagStatus, "")
		if err != nil {
			return "", query, err
		}
		query.Tags = filter.Tagged
	}
	return name, query, nil
}

// previewResult words a result: the API spells in capitals what a policy's text spells in small letters.
func previewResult(r lifecycle.Result) types.LifecyclePolicyPreviewResult {
	result := types.LifecyclePolicyPreviewResult{
		Action:              &types.LifecyclePolicyRuleAction{Type: types.ImageActionTypeExpire},
		AppliedRulePriority: aws.Int32(r.Rule),
		ImageDigest:         aws.String(r.Digest.String()),
		ImagePushedAt:       aws.Time(r.PushedAt),
		ImageTags:           r.Tags,
		StorageClass:        types.LifecyclePolicyStorageClassStandard,
	}
	if r.Action == lifecycle.Transition {
		result.Action = &types.LifecyclePolicyRuleAction{
			Type: types.ImageActionTypeTransition, TargetStorageClass: types.LifecyclePolicyTargetStorageClassArchive,
		}
	}
	if r.Class == lifecycle.Archive {
		result.StorageClass = types.LifecyclePolicyStorageClassArchive
	}
	return result
}
