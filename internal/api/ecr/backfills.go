package ecr

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/replicate"
)

// Pages of backfills, and of their results.
const (
	backfillsPage, maxBackfillsPage = 25, 50
	resultsPage                     = 100
)

// backfillOperations names what is done about images that were there before the rules.
func (f face) backfillOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"StartReplicationBackfill":           awswire.Op(f.startReplicationBackfill),
		"StopReplicationBackfill":            awswire.Op(f.stopReplicationBackfill),
		"ListReplicationBackfills":           awswire.Op(f.listReplicationBackfills),
		"DescribeReplicationBackfillResults": awswire.Op(f.describeReplicationBackfillResults),
	}
}

// thisRegistry refuses an action on another account's registry as a whole.
func (f face) thisRegistry(call awswire.Call, registryID *string, action policy.Action) error {
	if registryID == nil {
		return nil
	}
	return f.ownRegistry(call, *registryID, action, "*")
}

func (f face) startReplicationBackfill(ctx context.Context, call awswire.Call, in *wire.StartReplicationBackfillInput) (*wire.StartReplicationBackfillOutput, error) {
	d, err := replicationDestination(in.Destination)
	if err != nil {
		return nil, err
	}
	if err := f.thisRegistry(call, in.RegistryId, policy.StartReplicationBackfill); err != nil {
		return nil, err
	}
	b, err := f.Replication.StartBackfill(ctx, call.Caller, d)
	if err != nil {
		return nil, err
	}
	return &wire.StartReplicationBackfillOutput{
		RegistryId: aws.String(f.Registry.ID()), ReplicationBackfillId: &b.ID, Destination: wireDestination(b.Destination),
		Status: types.ReplicationBackfillStatus(b.Status), StartedAt: &b.StartedAt,
	}, nil
}

func (f face) stopReplicationBackfill(ctx context.Context, call awswire.Call, in *wire.StopReplicationBackfillInput) (*wire.StopReplicationBackfillOutput, error) {
	id, err := required("replicationBackfillId", in.ReplicationBackfillId)
	if err != nil {
		return nil, err
	}
	if err := f.thisRegistry(call, in.RegistryId, policy.StopReplicationBackfill); err != nil {
		return nil, err
	}
	b, err := f.Replication.StopBackfill(ctx, call.Caller, id)
	if err != nil {
		return nil, err
	}
	return &wire.StopReplicationBackfillOutput{
		RegistryId: aws.String(f.Registry.ID()), ReplicationBackfillId: &b.ID, Destination: wireDestination(b.Destination),
		Status: types.ReplicationBackfillStatus(b.Status), StartedAt: &b.StartedAt,
	}, nil
}

func (f face) listReplicationBackfills(ctx context.Context, call awswire.Call, in *wire.ListReplicationBackfillsInput) (*wire.ListReplicationBackfillsOutput, error) {
	limit, token, err := page(in.MaxResults, in.NextToken)
	switch {
	case err != nil:
		return nil, err
	case limit > maxBackfillsPage:
		return nil, fault.BadParameter("maxResults", fmt.Sprintf("Member must have value less than or equal to %d", maxBackfillsPage))
	case limit == 0:
		limit = backfillsPage
	}
	if err := f.thisRegistry(call, in.RegistryId, policy.ListReplicationBackfills); err != nil {
		return nil, err
	}
	all, err := f.Replication.ListBackfills(ctx, call.Caller, limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.ListReplicationBackfillsOutput{
		RegistryId: aws.String(f.Registry.ID()), Backfills: []types.ReplicationBackfillSummary{}, NextToken: nextToken(all.Next),
	}
	for _, b := range all.Items {
		out.Backfills = append(out.Backfills, types.ReplicationBackfillSummary{
			ReplicationBackfillId: &b.ID, Destination: wireDestination(b.Destination), Status: types.ReplicationBackfillStatus(b.Status),
			FailureCode: optional(b.FailureCode), StartedAt: &b.StartedAt, EndedAt: wireEnd(b), Progress: wireProgress(b),
		})
	}
	return out, nil
}

func (f face) describeReplicationBackfillResults(ctx context.Context, call awswire.Call, in *wire.DescribeReplicationBackfillResultsInput) (*wire.DescribeReplicationBackfillResultsOutput, error) {
	id, err := required("replicationBackfillId", in.ReplicationBackfillId)
	if err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err != nil {
		return nil, err
	}
	if limit == 0 {
		limit = resultsPage
	}
	if err := oneOf("resultStatusFilter", in.ResultStatusFilter, in.ResultStatusFilter.Values()); err != nil {
		return nil, err
	}
	if err := f.thisRegistry(call, in.RegistryId, policy.DescribeReplicationBackfillResults); err != nil {
		return nil, err
	}
	b, results, err := f.Replication.BackfillResults(ctx, call.Caller, id, replicate.Status(in.ResultStatusFilter), limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribeReplicationBackfillResultsOutput{
		RegistryId: aws.String(f.Registry.ID()), ReplicationBackfillId: &b.ID, Destination: wireDestination(b.Destination),
		Status: types.ReplicationBackfillStatus(b.Status), FailureCode: optional(b.FailureCode),
		StartedAt: &b.StartedAt, EndedAt: wireEnd(b), Progress: wireProgress(b),
		Results: []types.ReplicationBackfillResult{}, NextToken: nextToken(results.Next),
	}
	for _, r := range results.Items {
		out.Results = append(out.Results, types.ReplicationBackfillResult{
			RepositoryName: &r.Repository, ImageId: &types.ImageIdentifier{ImageDigest: aws.String(r.Digest.String()), ImageTag: optional(r.Tag)},
			Status: types.ReplicationBackfillResultStatus(r.Status), FailureCode: optional(r.FailureCode), SubImageFailureCodes: r.SubFailures,
		})
	}
	return out, nil
}

// wireProgress is absent until the images are listed.
func wireProgress(b replicate.Backfill) *types.ReplicationBackfillProgress {
	if b.Total < 0 {
		return nil
	}
	codes := b.Progress.FailureCodes
	if codes == nil {
		codes = []string{}
	}
	return &types.ReplicationBackfillProgress{
		TotalReplicationCount: count(b.Total), CompletedReplicationCount: count(b.Progress.Completed), FailedReplicationCount: count(b.Progress.Failed),
		FailureCodes: codes,
	}
}

func count(n int) *int32 { return aws.Int32(int32(min(n, math.MaxInt32))) } //nolint:gosec // bounded

// wireEnd is absent while a backfill goes on.
func wireEnd(b replicate.Backfill) *time.Time {
	if b.EndedAt.IsZero() {
		return nil
	}
	return &b.EndedAt
}
