package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

func (f face) getAccountAuthorizationDetails(ctx context.Context, c awswire.Call, in *iam.GetAccountAuthorizationDetailsInput) (*iam.GetAccountAuthorizationDetailsOutput, error) {
	var filter access.DetailFilter
	for _, kind := range in.Filter {
		switch kind {
		case types.EntityTypeUser:
			filter.Users = true
		case types.EntityTypeGroup:
			filter.Groups = true
		case types.EntityTypeRole:
			filter.Roles = true
		case types.EntityTypeLocalManagedPolicy:
			filter.OwnPolicies = true
		case types.EntityTypeAWSManagedPolicy:
			filter.OfAWSUsed = true
		default:
			return nil, badValue("filter", string(kind), "[User, Role, Group, LocalManagedPolicy, AWSManagedPolicy]")
		}
	}
	details, marker, err := f.access.Details(ctx, c.Caller, filter, page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.GetAccountAuthorizationDetailsOutput{
		UserDetailList: []types.UserDetail{}, GroupDetailList: []types.GroupDetail{}, RoleDetailList: []types.RoleDetail{},
		Policies: []types.ManagedPolicyDetail{}, Marker: markerOf(marker), IsTruncated: marker != "",
	}
	for _, p := range details.Principals {
		switch p.Kind {
		case access.User:
			out.UserDetailList = append(out.UserDetailList, userDetail(p))
		case access.Group:
			out.GroupDetailList = append(out.GroupDetailList, groupDetail(p))
		case access.Role:
			out.RoleDetailList = append(out.RoleDetailList, roleDetail(p))
		}
	}
	for _, p := range details.Policies {
		out.Policies = append(out.Policies, policyDetail(p))
	}
	return out, nil
}

func userDetail(p access.PrincipalDetail) types.UserDetail {
	return types.UserDetail{
		Arn: aws.String(p.ARN), UserId: aws.String(p.ID), UserName: aws.String(p.Name), Path: aws.String(p.Path), CreateDate: date(p.CreatedAt),
		GroupList: some(p.Groups), UserPolicyList: wireInline(p.Inline), AttachedManagedPolicies: wireAttached(p.Attached),
		PermissionsBoundary: boundary(p.Boundary), Tags: wireTags(p.Tags),
	}
}

func groupDetail(p access.PrincipalDetail) types.GroupDetail {
	return types.GroupDetail{
		Arn: aws.String(p.ARN), GroupId: aws.String(p.ID), GroupName: aws.String(p.Name), Path: aws.String(p.Path), CreateDate: date(p.CreatedAt),
		GroupPolicyList: wireInline(p.Inline), AttachedManagedPolicies: wireAttached(p.Attached),
	}
}

func roleDetail(p access.PrincipalDetail) types.RoleDetail {
	role := wholeRole(p.Principal, nil)
	return types.RoleDetail{
		Arn: role.Arn, RoleId: role.RoleId, RoleName: role.RoleName, Path: role.Path, CreateDate: role.CreateDate,
		AssumeRolePolicyDocument: role.AssumeRolePolicyDocument, InstanceProfileList: []types.InstanceProfile{},
		RolePolicyList: wireInline(p.Inline), AttachedManagedPolicies: wireAttached(p.Attached),
		PermissionsBoundary: role.PermissionsBoundary, RoleLastUsed: role.RoleLastUsed, Tags: wireTags(p.Tags),
	}
}

func policyDetail(p access.PolicyDetail) types.ManagedPolicyDetail {
	whole := wholePolicy(p.PolicyInfo)
	versions := make([]types.PolicyVersion, 0, len(p.Versions))
	for _, v := range p.Versions {
		wire := listedVersion(v)
		wire.Document = document(v.Document)
		versions = append(versions, wire)
	}
	return types.ManagedPolicyDetail{
		Arn: whole.Arn, PolicyId: whole.PolicyId, PolicyName: whole.PolicyName, Path: whole.Path, Description: whole.Description,
		DefaultVersionId: whole.DefaultVersionId, AttachmentCount: whole.AttachmentCount, IsAttachable: whole.IsAttachable,
		PermissionsBoundaryUsageCount: whole.PermissionsBoundaryUsageCount, CreateDate: whole.CreateDate, UpdateDate: whole.UpdateDate,
		PolicyVersionList: versions,
	}
}

func wireInline(policies []access.InlinePolicy) []types.PolicyDetail {
	wire := make([]types.PolicyDetail, 0, len(policies))
	for _, p := range policies {
		wire = append(wire, types.PolicyDetail{PolicyName: aws.String(p.Name), PolicyDocument: document(p.Document)})
	}
	return wire
}
