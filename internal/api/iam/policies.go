package iam

import (
	"context"
	"maps"
	"regexp"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// policyOperations names what is done with policies and where they hang.
func (f face) policyOperations() map[string]awswire.Operation {
	all := map[string]awswire.Operation{
		"CreatePolicy":            awswire.Op(f.createPolicy),
		"CreatePolicyVersion":     awswire.Op(f.createPolicyVersion),
		"DeletePolicy":            awswire.Op(f.deletePolicy),
		"DeletePolicyVersion":     awswire.Op(f.deletePolicyVersion),
		"GetPolicy":               awswire.Op(f.getPolicy),
		"GetPolicyVersion":        awswire.Op(f.getPolicyVersion),
		"ListPolicies":            awswire.Op(f.listPolicies),
		"ListPolicyTags":          awswire.Op(f.listPolicyTags),
		"ListPolicyVersions":      awswire.Op(f.listPolicyVersions),
		"SetDefaultPolicyVersion": awswire.Op(f.setDefaultPolicyVersion),
		"TagPolicy":               awswire.Op(f.tagPolicy),
		"UntagPolicy":             awswire.Op(f.untagPolicy),
	}
	maps.Copy(all, f.inlineOperations())
	maps.Copy(all, f.attachmentOperations())
	maps.Copy(all, f.simulationOperations())
	return all
}

// badValue refuses what is not in an enumeration.
func badValue(parameter, value, of string) error {
	return fault.New(fault.InvalidParameter, "1 validation error detected: Value '%s' at '%s' failed to satisfy constraint: Member must satisfy enum value set: %s",
		value, parameter, of)
}

func usage(u types.PolicyUsageType) (access.Usage, error) {
	switch u {
	case "":
		return access.AnyUsage, nil
	case types.PolicyUsageTypePermissionsPolicy:
		return access.AsPermissions, nil
	case types.PolicyUsageTypePermissionsBoundary:
		return access.AsBoundary, nil
	}
	return "", badValue("policyUsageFilter", string(u), "[PermissionsPolicy, PermissionsBoundary]")
}

// versionRule is how versions are named: v1. AWS allows words after it that its own policies alone have had.
var versionRule = regexp.MustCompile(`^v([1-9][0-9]{0,8})$`)

func readVersion(id *string) (int, error) {
	m := versionRule.FindStringSubmatch(aws.ToString(id))
	if m == nil {
		return 0, fault.New(fault.InvalidParameter, "1 validation error detected: Value '%s' at 'versionId' failed to satisfy constraint: Member must satisfy regular expression pattern: v[1-9][0-9]*", aws.ToString(id))
	}
	n, err := strconv.Atoi(m[1])
	return n, err
}

func versionID(n int) *string { return aws.String("v" + strconv.Itoa(n)) }

// wirePolicy is a managed policy as GetPolicy shows it; ListPolicies leaves the description and tags out.
func wirePolicy(p access.PolicyInfo) types.Policy {
	wire := types.Policy{
		Arn: aws.String(p.ARN), PolicyId: aws.String(p.ID), PolicyName: aws.String(p.Name), Path: aws.String(p.Path),
		DefaultVersionId: versionID(p.InForce), IsAttachable: true,
		AttachmentCount: aws.Int32(int32(p.Attached)), PermissionsBoundaryUsageCount: aws.Int32(int32(p.BoundaryOf)), //nolint:gosec // few
		CreateDate: date(p.CreatedAt), UpdateDate: date(p.UpdatedAt),
	}
	return wire
}

func wholePolicy(p access.PolicyInfo) *types.Policy {
	wire := wirePolicy(p)
	if p.Description != "" {
		wire.Description = aws.String(p.Description)
	}
	wire.Tags = wireTags(p.Tags)
	return &wire
}

func (f face) createPolicy(ctx context.Context, c awswire.Call, in *iam.CreatePolicyInput) (*iam.CreatePolicyOutput, error) {
	p, err := f.access.CreatePolicy(ctx, c.Caller, access.NewPolicy{
		Name: aws.ToString(in.PolicyName), Path: aws.ToString(in.Path), Description: aws.ToString(in.Description),
		Document: aws.ToString(in.PolicyDocument), Tags: readTags(in.Tags),
	})
	if err != nil {
		return nil, err
	}
	return &iam.CreatePolicyOutput{Policy: wholePolicy(p)}, nil
}

func (f face) getPolicy(ctx context.Context, c awswire.Call, in *iam.GetPolicyInput) (*iam.GetPolicyOutput, error) {
	p, err := f.access.Policy(ctx, c.Caller, aws.ToString(in.PolicyArn))
	if err != nil {
		return nil, err
	}
	return &iam.GetPolicyOutput{Policy: wholePolicy(p)}, nil
}

func (f face) listPolicies(ctx context.Context, c awswire.Call, in *iam.ListPoliciesInput) (*iam.ListPoliciesOutput, error) {
	filter := access.PolicyFilter{OnlyAttached: in.OnlyAttached, PathPrefix: aws.ToString(in.PathPrefix)}
	var err error
	if filter.Usage, err = usage(in.PolicyUsageFilter); err != nil {
		return nil, err
	}
	switch in.Scope {
	case "", types.PolicyScopeTypeAll:
	case types.PolicyScopeTypeAws:
		filter.Scope = access.OfAWS
	case types.PolicyScopeTypeLocal:
		filter.Scope = access.OfAccount
	default:
		return nil, badValue("scope", string(in.Scope), "[All, AWS, Local]")
	}
	found, marker, err := f.access.Policies(ctx, c.Caller, filter, page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.ListPoliciesOutput{Policies: []types.Policy{}, Marker: markerOf(marker), IsTruncated: marker != ""}
	for _, p := range found {
		out.Policies = append(out.Policies, wirePolicy(p))
	}
	return out, nil
}

func (f face) deletePolicy(ctx context.Context, c awswire.Call, in *iam.DeletePolicyInput) (*iam.DeletePolicyOutput, error) {
	return &iam.DeletePolicyOutput{}, f.access.DeletePolicy(ctx, c.Caller, aws.ToString(in.PolicyArn))
}

// listedVersion is a version as lists show it: without its document.
func listedVersion(v access.VersionInfo) types.PolicyVersion {
	return types.PolicyVersion{VersionId: versionID(v.Number), IsDefaultVersion: v.InForce, CreateDate: date(v.CreatedAt)}
}

func (f face) createPolicyVersion(ctx context.Context, c awswire.Call, in *iam.CreatePolicyVersionInput) (*iam.CreatePolicyVersionOutput, error) {
	v, err := f.access.CreatePolicyVersion(ctx, c.Caller, aws.ToString(in.PolicyArn), aws.ToString(in.PolicyDocument), in.SetAsDefault)
	if err != nil {
		return nil, err
	}
	wire := listedVersion(v)
	return &iam.CreatePolicyVersionOutput{PolicyVersion: &wire}, nil
}

func (f face) getPolicyVersion(ctx context.Context, c awswire.Call, in *iam.GetPolicyVersionInput) (*iam.GetPolicyVersionOutput, error) {
	n, err := readVersion(in.VersionId)
	if err != nil {
		return nil, err
	}
	v, err := f.access.PolicyVersion(ctx, c.Caller, aws.ToString(in.PolicyArn), n)
	if err != nil {
		return nil, err
	}
	wire := listedVersion(v)
	wire.Document = document(v.Document)
	return &iam.GetPolicyVersionOutput{PolicyVersion: &wire}, nil
}

func (f face) listPolicyVersions(ctx context.Context, c awswire.Call, in *iam.ListPolicyVersionsInput) (*iam.ListPolicyVersionsOutput, error) {
	versions, marker, err := f.access.PolicyVersions(ctx, c.Caller, aws.ToString(in.PolicyArn), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.ListPolicyVersionsOutput{Versions: []types.PolicyVersion{}, Marker: markerOf(marker), IsTruncated: marker != ""}
	for _, v := range versions {
		out.Versions = append(out.Versions, listedVersion(v))
	}
	return out, nil
}

func (f face) setDefaultPolicyVersion(ctx context.Context, c awswire.Call, in *iam.SetDefaultPolicyVersionInput) (*iam.SetDefaultPolicyVersionOutput, error) {
	n, err := readVersion(in.VersionId)
	if err != nil {
		return nil, err
	}
	return &iam.SetDefaultPolicyVersionOutput{}, f.access.SetDefaultPolicyVersion(ctx, c.Caller, aws.ToString(in.PolicyArn), n)
}

func (f face) deletePolicyVersion(ctx context.Context, c awswire.Call, in *iam.DeletePolicyVersionInput) (*iam.DeletePolicyVersionOutput, error) {
	n, err := readVersion(in.VersionId)
	if err != nil {
		return nil, err
	}
	return &iam.DeletePolicyVersionOutput{}, f.access.DeletePolicyVersion(ctx, c.Caller, aws.ToString(in.PolicyArn), n)
}

func (f face) tagPolicy(ctx context.Context, c awswire.Call, in *iam.TagPolicyInput) (*iam.TagPolicyOutput, error) {
	return &iam.TagPolicyOutput{}, f.access.TagPolicy(ctx, c.Caller, aws.ToString(in.PolicyArn), readTags(in.Tags))
}

func (f face) untagPolicy(ctx context.Context, c awswire.Call, in *iam.UntagPolicyInput) (*iam.UntagPolicyOutput, error) {
	return &iam.UntagPolicyOutput{}, f.access.UntagPolicy(ctx, c.Caller, aws.ToString(in.PolicyArn), in.TagKeys)
}

func (f face) listPolicyTags(ctx context.Context, c awswire.Call, in *iam.ListPolicyTagsInput) (*iam.ListPolicyTagsOutput, error) {
	tags, marker, err := f.access.PolicyTags(ctx, c.Caller, aws.ToString(in.PolicyArn), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListPolicyTagsOutput{Tags: wireTags(tags), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}
