package berth

import (
	"cmp"
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

// ListPullThroughCachesInput asks for the rules of the pull-through cache.
type ListPullThroughCachesInput struct {
	MaxResults *int32  // 1 to 1000; 100 if absent
	NextToken  *string // of the page before
}

// ListPullThroughCachesOutput is one page of rules, in order of prefix.
type ListPullThroughCachesOutput struct {
	PullThroughCaches []PullThroughCache
	NextToken         *string // absent on the last page
}

// PullThroughCache is a rule with what ECR's API does not say of it.
type PullThroughCache struct {
	EcrRepositoryPrefix      *string
	UpstreamRegistryUrl      *string //nolint:revive // named as on ECR's wire
	UpstreamRepositoryPrefix *string
	CredentialArn            *string // absent without
	TtlSeconds               *int64  //nolint:revive // named as on the wire
}

// SetPullThroughCacheTtlInput says for how long tags under a rule are served without asking the upstream.
type SetPullThroughCacheTtlInput struct { //nolint:revive // named as on the wire
	EcrRepositoryPrefix *string // required
	TtlSeconds          *int64  //nolint:revive // required; 0 asks the upstream on each pull
}

// SetPullThroughCacheTtlOutput is the rule as it now is.
type SetPullThroughCacheTtlOutput struct { //nolint:revive // named as on the wire
	PullThroughCache *PullThroughCache
}

func (f face) listPullThroughCaches(ctx context.Context, call awswire.Call, in *ListPullThroughCachesInput) (*ListPullThroughCachesOutput, error) {
	limit, err := pageLimit(in.MaxResults)
	if err != nil {
		return nil, err
	}
	rules, err := f.caches.Rules(ctx, call.Caller, nil, limit, aws.ToString(in.NextToken))
	if err != nil {
		return nil, err
	}
	out := &ListPullThroughCachesOutput{PullThroughCaches: []PullThroughCache{}, NextToken: optional(rules.Next)}
	for _, r := range rules.Items {
		out.PullThroughCaches = append(out.PullThroughCaches, wireCache(r))
	}
	return out, nil
}

func (f face) setPullThroughCacheTTL(ctx context.Context, call awswire.Call, in *SetPullThroughCacheTtlInput) (*SetPullThroughCacheTtlOutput, error) {
	const missing = "Member must not be null"
	switch {
	case in.EcrRepositoryPrefix == nil:
		return nil, fault.BadParameter("ecrRepositoryPrefix", missing)
	case in.TtlSeconds == nil:
		return nil, fault.BadParameter("ttlSeconds", missing)
	case *in.TtlSeconds < 0 || *in.TtlSeconds > int64(pullthrough.MaxTTL/time.Second):
		return nil, fault.BadParameter("ttlSeconds", "must be from 0 to ten years of seconds")
	}
	r, err := f.caches.SetTTL(ctx, call.Caller, *in.EcrRepositoryPrefix, time.Duration(*in.TtlSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	cache := wireCache(r)
	return &SetPullThroughCacheTtlOutput{PullThroughCache: &cache}, nil
}

func wireCache(r pullthrough.Rule) PullThroughCache {
	return PullThroughCache{
		EcrRepositoryPrefix: aws.String(r.Prefix), UpstreamRegistryUrl: aws.String(r.Upstream), UpstreamRepositoryPrefix: aws.String(cmp.Or(r.UpstreamPrefix, pullthrough.Root)),
		CredentialArn: optional(r.Credential), TtlSeconds: aws.Int64(int64(r.TTL / time.Second)),
	}
}
