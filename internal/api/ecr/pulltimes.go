package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// pullTimeOperations names what is done about pull times.
func (f face) pullTimeOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"RegisterPullTimeUpdateExclusion":   awswire.Op(f.registerPullTimeUpdateExclusion),
		"DeregisterPullTimeUpdateExclusion": awswire.Op(f.deregisterPullTimeUpdateExclusion),
		"ListPullTimeUpdateExclusions":      awswire.Op(f.listPullTimeUpdateExclusions),
	}
}

func (f face) registerPullTimeUpdateExclusion(ctx context.Context, call awswire.Call, in *wire.RegisterPullTimeUpdateExclusionInput) (*wire.RegisterPullTimeUpdateExclusionOutput, error) {
	arn, err := required("principalArn", in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	e, err := f.Registry.ExcludePuller(ctx, call.Caller, arn)
	if err != nil {
		return nil, err
	}
	return &wire.RegisterPullTimeUpdateExclusionOutput{PrincipalArn: aws.String(e.PrincipalARN), CreatedAt: aws.Time(e.CreatedAt)}, nil
}

func (f face) deregisterPullTimeUpdateExclusion(ctx context.Context, call awswire.Call, in *wire.DeregisterPullTimeUpdateExclusionInput) (*wire.DeregisterPullTimeUpdateExclusionOutput, error) {
	arn, err := required("principalArn", in.PrincipalArn)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.IncludePuller(ctx, call.Caller, arn); err != nil {
		return nil, err
	}
	return &wire.DeregisterPullTimeUpdateExclusionOutput{PrincipalArn: aws.String(arn)}, nil
}

func (f face) listPullTimeUpdateExclusions(ctx context.Context, call awswire.Call, in *wire.ListPullTimeUpdateExclusionsInput) (*wire.ListPullTimeUpdateExclusionsOutput, error) {
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	exclusions, err := f.Registry.PullExclusions(ctx, call.Caller, limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.ListPullTimeUpdateExclusionsOutput{PullTimeUpdateExclusions: []string{}, NextToken: nextToken(exclusions.Next)}
	for _, e := range exclusions.Items {
		out.PullTimeUpdateExclusions = append(out.PullTimeUpdateExclusions, e.PrincipalARN)
	}
	return out, nil
}
