package ecr

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
	"github.com/hoopstat-haus/berth/internal/core/pullthrough"
)

// pullThroughOperations names what is done with the rules of the pull-through cache.
func (f face) pullThroughOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreatePullThroughCacheRule":    awswire.Op(f.createPullThroughCacheRule),
		"DescribePullThroughCacheRules": awswire.Op(f.describePullThroughCacheRules),
		"UpdatePullThroughCacheRule":    awswire.Op(f.updatePullThroughCacheRule),
		"DeletePullThroughCacheRule":    awswire.Op(f.deletePullThroughCacheRule),
		"ValidatePullThroughCacheRule":  awswire.Op(f.validatePullThroughCacheRule),
	}
}

func (f face) createPullThroughCacheRule(ctx context.Context, call awswire.Call, in *wire.CreatePullThroughCacheRuleInput) (*wire.CreatePullThroughCacheRuleOutput, error) {
	prefix, err := f.cachePrefix(call, policy.CreatePullThroughCacheRule, in.EcrRepositoryPrefix, in.RegistryId)
	if err != nil {
		return nil, err
	}
	upstream, err := required("upstreamRegistryUrl", in.UpstreamRegistryUrl)
	if err != nil {
		return nil, err
	}
	if err := oneOf("upstreamRegistry", in.UpstreamRegistry, in.UpstreamRegistry.Values()); err != nil {
		return nil, err
	}
	if err := noRole(in.CustomRoleArn); err != nil {
		return nil, err
	}
	r, err := f.PullThrough.CreateRule(ctx, call.Caller, pullthrough.Rule{
		Prefix: prefix, Upstream: upstream, Kind: pullthrough.Kind(in.UpstreamRegistry),
		UpstreamPrefix: aws.ToString(in.UpstreamRepositoryPrefix), Credential: aws.ToString(in.CredentialArn),
	})
	if err != nil {
		return nil, err
	}
	return &wire.CreatePullThroughCacheRuleOutput{
		CreatedAt: aws.Time(r.CreatedAt), CredentialArn: optional(r.Credential), EcrRepositoryPrefix: aws.String(r.Prefix),
		RegistryId: aws.String(f.Registry.ID()), UpstreamRegistry: types.UpstreamRegistry(r.Kind),
		UpstreamRegistryUrl: aws.String(r.Upstream), UpstreamRepositoryPrefix: optional(r.UpstreamPrefix),
	}, nil
}

// cachePrefix reads which rule a request is about.
func (f face) cachePrefix(call awswire.Call, action policy.Action, prefix, registryID *string) (string, error) {
	if err := f.rulesOf(call, action, registryID); err != nil {
		return "", err
	}
	return required("ecrRepositoryPrefix", prefix)
}

// rulesOf refuses the rules of another account's registry.
func (f face) rulesOf(call awswire.Call, action policy.Action, registryID *string) error {
	if registryID == nil {
		return nil
	}
	if err := checkRegistryID("registryId", *registryID); err != nil {
		return err
	}
	if *registryID != f.Registry.ID() {
		return fault.New(fault.AccessDenied, "%s", policy.Denied(call.Caller.ARN, action, policy.AnyResource))
	}
	return nil
}

// noRole refuses roles: nobody here could assume one in AWS.
func noRole(arn *string) error {
	if arn == nil {
		return nil
	}
	return fault.New(fault.SettingUnsupported, "%s", fault.BadParameter("customRoleArn",
		"roles are not assumed; name a secret whose username is an access key id and whose access token its secret, with credentialArn").Message)
}

func (f face) describePullThroughCacheRules(ctx context.Context, call awswire.Call, in *wire.DescribePullThroughCacheRulesInput) (*wire.DescribePullThroughCacheRulesOutput, error) {
	if err := f.rulesOf(call, policy.DescribePullThroughCacheRules, in.RegistryId); err != nil {
		return nil, err
	}
	if err := optionalBatch("ecrRepositoryPrefixes", in.EcrRepositoryPrefixes, maxBatch); err != nil {
		return nil, err
	}
	limit, token, err := page(in.MaxResults, in.NextToken)
	if err == nil && in.EcrRepositoryPrefixes != nil {
		err = notPaged("ecrRepositoryPrefixes", in.MaxResults, in.NextToken)
	}
	if err != nil {
		return nil, err
	}
	rules, err := f.PullThrough.Rules(ctx, call.Caller, in.EcrRepositoryPrefixes, limit, token)
	if err != nil {
		return nil, err
	}
	out := &wire.DescribePullThroughCacheRulesOutput{PullThroughCacheRules: []types.PullThroughCacheRule{}, NextToken: optional(rules.Next)}
	for _, r := range rules.Items {
		out.PullThroughCacheRules = append(out.PullThroughCacheRules, types.PullThroughCacheRule{
			CreatedAt: aws.Time(r.CreatedAt), UpdatedAt: aws.Time(r.UpdatedAt), CredentialArn: optional(r.Credential),
			EcrRepositoryPrefix: aws.String(r.Prefix), RegistryId: aws.String(f.Registry.ID()), UpstreamRegistry: types.UpstreamRegistry(r.Kind),
			UpstreamRegistryUrl: aws.String(r.Upstream), UpstreamRepositoryPrefix: optional(r.UpstreamPrefix),
		})
	}
	return out, nil
}

func (f face) updatePullThroughCacheRule(ctx context.Context, call awswire.Call, in *wire.UpdatePullThroughCacheRuleInput) (*wire.UpdatePullThroughCacheRuleOutput, error) {
	prefix, err := f.cachePrefix(call, policy.UpdatePullThroughCacheRule, in.EcrRepositoryPrefix, in.RegistryId)
	if err != nil {
		return nil, err
	}
	if err := noRole(in.CustomRoleArn); err != nil {
		return nil, err
	}
	arn, err := required("credentialArn", in.CredentialArn) // all that there is to update
	if err != nil {
		return nil, err
	}
	if arn == "" {
		return nil, tooShort("credentialArn")
	}
	r, err := f.PullThrough.SetCredential(ctx, call.Caller, prefix, arn)
	if err != nil {
		return nil, err
	}
	return &wire.UpdatePullThroughCacheRuleOutput{
		CredentialArn: optional(r.Credential), EcrRepositoryPrefix: aws.String(r.Prefix), RegistryId: aws.String(f.Registry.ID()),
		UpdatedAt: aws.Time(r.UpdatedAt), UpstreamRepositoryPrefix: optional(r.UpstreamPrefix),
	}, nil
}

func (f face) deletePullThroughCacheRule(ctx context.Context, call awswire.Call, in *wire.DeletePullThroughCacheRuleInput) (*wire.DeletePullThroughCacheRuleOutput, error) {
	prefix, err := f.cachePrefix(call, policy.DeletePullThroughCacheRule, in.EcrRepositoryPrefix, in.RegistryId)
	if err != nil {
		return nil, err
	}
	r, err := f.PullThrough.DeleteRule(ctx, call.Caller, prefix)
	if err != nil {
		return nil, err
	}
	return &wire.DeletePullThroughCacheRuleOutput{
		CreatedAt: aws.Time(r.CreatedAt), CredentialArn: optional(r.Credential), EcrRepositoryPrefix: aws.String(r.Prefix),
		RegistryId: aws.String(f.Registry.ID()), UpstreamRegistryUrl: aws.String(r.Upstream), UpstreamRepositoryPrefix: optional(r.UpstreamPrefix),
	}, nil
}

func (f face) validatePullThroughCacheRule(ctx context.Context, call awswire.Call, in *wire.ValidatePullThroughCacheRuleInput) (*wire.ValidatePullThroughCacheRuleOutput, error) {
	prefix, err := f.cachePrefix(call, policy.ValidatePullThroughCacheRule, in.EcrRepositoryPrefix, in.RegistryId)
	if err != nil {
		return nil, err
	}
	r, failure, err := f.PullThrough.ValidateRule(ctx, call.Caller, prefix)
	if err != nil {
		return nil, err
	}
	return &wire.ValidatePullThroughCacheRuleOutput{
		CredentialArn: optional(r.Credential), EcrRepositoryPrefix: aws.String(r.Prefix), Failure: optional(failure), IsValid: failure == "",
		RegistryId: aws.String(f.Registry.ID()), UpstreamRegistryUrl: aws.String(r.Upstream), UpstreamRepositoryPrefix: optional(r.UpstreamPrefix),
	}, nil
}

// upstreamFault turns a failure to get something from upstream into the exception that an operation has for it.
func upstreamFault(err error, code string) error {
	for _, about := range []fault.Code{fault.UpstreamDenied, fault.UpstreamBusy, fault.UpstreamUnavailable} {
		if flt, ok := fault.Of(err); ok && errors.Is(err, about) {
			return &exception{Exception: awswire.Exception{Code: code, Status: badRequest, Message: flt.Message}, cause: err}
		}
	}
	return err
}
