package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// attachmentOperations names what is done with managed policies where they hang.
func (f face) attachmentOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"AttachGroupPolicy":         awswire.Op(f.attachGroupPolicy),
		"AttachRolePolicy":          awswire.Op(f.attachRolePolicy),
		"AttachUserPolicy":          awswire.Op(f.attachUserPolicy),
		"DetachGroupPolicy":         awswire.Op(f.detachGroupPolicy),
		"DetachRolePolicy":          awswire.Op(f.detachRolePolicy),
		"DetachUserPolicy":          awswire.Op(f.detachUserPolicy),
		"ListAttachedGroupPolicies": awswire.Op(f.listAttachedGroupPolicies),
		"ListAttachedRolePolicies":  awswire.Op(f.listAttachedRolePolicies),
		"ListAttachedUserPolicies":  awswire.Op(f.listAttachedUserPolicies),
		"ListEntitiesForPolicy":     awswire.Op(f.listEntitiesForPolicy),
	}
}

func (f face) attachGroupPolicy(ctx context.Context, c awswire.Call, in *iam.AttachGroupPolicyInput) (*iam.AttachGroupPolicyOutput, error) {
	err := f.access.AttachPolicy(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), aws.ToString(in.PolicyArn))
	return &iam.AttachGroupPolicyOutput{}, err
}

func (f face) detachGroupPolicy(ctx context.Context, c awswire.Call, in *iam.DetachGroupPolicyInput) (*iam.DetachGroupPolicyOutput, error) {
	err := f.access.DetachPolicy(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), aws.ToString(in.PolicyArn))
	return &iam.DetachGroupPolicyOutput{}, err
}

func (f face) listAttachedGroupPolicies(ctx context.Context, c awswire.Call, in *iam.ListAttachedGroupPoliciesInput) (*iam.ListAttachedGroupPoliciesOutput, error) {
	attached, marker, err := f.access.AttachedPolicies(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), aws.ToString(in.PathPrefix),
		page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedGroupPoliciesOutput{AttachedPolicies: wireAttached(attached), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) attachRolePolicy(ctx context.Context, c awswire.Call, in *iam.AttachRolePolicyInput) (*iam.AttachRolePolicyOutput, error) {
	err := f.access.AttachPolicy(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), aws.ToString(in.PolicyArn))
	return &iam.AttachRolePolicyOutput{}, err
}

func (f face) detachRolePolicy(ctx context.Context, c awswire.Call, in *iam.DetachRolePolicyInput) (*iam.DetachRolePolicyOutput, error) {
	err := f.access.DetachPolicy(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), aws.ToString(in.PolicyArn))
	return &iam.DetachRolePolicyOutput{}, err
}

func (f face) listAttachedRolePolicies(ctx context.Context, c awswire.Call, in *iam.ListAttachedRolePoliciesInput) (*iam.ListAttachedRolePoliciesOutput, error) {
	attached, marker, err := f.access.AttachedPolicies(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), aws.ToString(in.PathPrefix),
		page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedRolePoliciesOutput{AttachedPolicies: wireAttached(attached), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) attachUserPolicy(ctx context.Context, c awswire.Call, in *iam.AttachUserPolicyInput) (*iam.AttachUserPolicyOutput, error) {
	err := f.access.AttachPolicy(ctx, c.Caller, access.User, aws.ToString(in.UserName), aws.ToString(in.PolicyArn))
	return &iam.AttachUserPolicyOutput{}, err
}

func (f face) detachUserPolicy(ctx context.Context, c awswire.Call, in *iam.DetachUserPolicyInput) (*iam.DetachUserPolicyOutput, error) {
	err := f.access.DetachPolicy(ctx, c.Caller, access.User, aws.ToString(in.UserName), aws.ToString(in.PolicyArn))
	return &iam.DetachUserPolicyOutput{}, err
}

func (f face) listAttachedUserPolicies(ctx context.Context, c awswire.Call, in *iam.ListAttachedUserPoliciesInput) (*iam.ListAttachedUserPoliciesOutput, error) {
	attached, marker, err := f.access.AttachedPolicies(ctx, c.Caller, access.User, aws.ToString(in.UserName), aws.ToString(in.PathPrefix),
		page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListAttachedUserPoliciesOutput{AttachedPolicies: wireAttached(attached), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func wireAttached(attached []access.AttachedPolicy) []types.AttachedPolicy {
	wire := make([]types.AttachedPolicy, 0, len(attached))
	for _, a := range attached {
		wire = append(wire, types.AttachedPolicy{PolicyName: aws.String(a.Name), PolicyArn: aws.String(a.ARN)})
	}
	return wire
}

func (f face) listEntitiesForPolicy(ctx context.Context, c awswire.Call, in *iam.ListEntitiesForPolicyInput) (*iam.ListEntitiesForPolicyOutput, error) {
	filter := access.EntityFilter{PathPrefix: aws.ToString(in.PathPrefix)}
	var err error
	if filter.Usage, err = usage(in.PolicyUsageFilter); err != nil {
		return nil, err
	}
	switch in.EntityFilter {
	case "":
	case types.EntityTypeUser:
		filter.Kind = access.User
	case types.EntityTypeRole:
		filter.Kind = access.Role
	case types.EntityTypeGroup:
		filter.Kind = access.Group
	case types.EntityTypeLocalManagedPolicy, types.EntityTypeAWSManagedPolicy:
		fallthrough // a policy is attached to none
	default:
		return nil, badValue("entityFilter", string(in.EntityFilter), "[User, Role, Group]")
	}
	found, marker, err := f.access.PolicyEntities(ctx, c.Caller, aws.ToString(in.PolicyArn), filter, page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.ListEntitiesForPolicyOutput{
		PolicyGroups: []types.PolicyGroup{}, PolicyRoles: []types.PolicyRole{}, PolicyUsers: []types.PolicyUser{},
		Marker: markerOf(marker), IsTruncated: marker != "",
	}
	for _, p := range found {
		switch p.Kind {
		case access.Group:
			out.PolicyGroups = append(out.PolicyGroups, types.PolicyGroup{GroupId: aws.String(p.ID), GroupName: aws.String(p.Name)})
		case access.Role:
			out.PolicyRoles = append(out.PolicyRoles, types.PolicyRole{RoleId: aws.String(p.ID), RoleName: aws.String(p.Name)})
		case access.User:
			out.PolicyUsers = append(out.PolicyUsers, types.PolicyUser{UserId: aws.String(p.ID), UserName: aws.String(p.Name)})
		}
	}
	return out, nil
}
