package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// inlineOperations names what is done with the policies that belong to one user, role or group.
func (f face) inlineOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"DeleteGroupPolicy": awswire.Op(f.deleteGroupPolicy),
		"DeleteRolePolicy":  awswire.Op(f.deleteRolePolicy),
		"DeleteUserPolicy":  awswire.Op(f.deleteUserPolicy),
		"GetGroupPolicy":    awswire.Op(f.getGroupPolicy),
		"GetRolePolicy":     awswire.Op(f.getRolePolicy),
		"GetUserPolicy":     awswire.Op(f.getUserPolicy),
		"ListGroupPolicies": awswire.Op(f.listGroupPolicies),
		"ListRolePolicies":  awswire.Op(f.listRolePolicies),
		"ListUserPolicies":  awswire.Op(f.listUserPolicies),
		"PutGroupPolicy":    awswire.Op(f.putGroupPolicy),
		"PutRolePolicy":     awswire.Op(f.putRolePolicy),
		"PutUserPolicy":     awswire.Op(f.putUserPolicy),
	}
}

func (f face) putGroupPolicy(ctx context.Context, c awswire.Call, in *iam.PutGroupPolicyInput) (*iam.PutGroupPolicyOutput, error) {
	put := access.InlinePolicy{Name: aws.ToString(in.PolicyName), Document: aws.ToString(in.PolicyDocument)}
	return &iam.PutGroupPolicyOutput{}, f.access.PutInlinePolicy(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), put)
}

func (f face) getGroupPolicy(ctx context.Context, c awswire.Call, in *iam.GetGroupPolicyInput) (*iam.GetGroupPolicyOutput, error) {
	p, found, err := f.access.InlinePolicy(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), aws.ToString(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &iam.GetGroupPolicyOutput{
		GroupName: aws.String(p.Name), PolicyName: aws.String(found.Name), PolicyDocument: document(found.Document),
	}, nil
}

func (f face) deleteGroupPolicy(ctx context.Context, c awswire.Call, in *iam.DeleteGroupPolicyInput) (*iam.DeleteGroupPolicyOutput, error) {
	err := f.access.DeleteInlinePolicy(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), aws.ToString(in.PolicyName))
	return &iam.DeleteGroupPolicyOutput{}, err
}

func (f face) listGroupPolicies(ctx context.Context, c awswire.Call, in *iam.ListGroupPoliciesInput) (*iam.ListGroupPoliciesOutput, error) {
	names, marker, err := f.access.InlinePolicies(ctx, c.Caller, access.Group, aws.ToString(in.GroupName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupPoliciesOutput{PolicyNames: some(names), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) putRolePolicy(ctx context.Context, c awswire.Call, in *iam.PutRolePolicyInput) (*iam.PutRolePolicyOutput, error) {
	put := access.InlinePolicy{Name: aws.ToString(in.PolicyName), Document: aws.ToString(in.PolicyDocument)}
	return &iam.PutRolePolicyOutput{}, f.access.PutInlinePolicy(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), put)
}

func (f face) getRolePolicy(ctx context.Context, c awswire.Call, in *iam.GetRolePolicyInput) (*iam.GetRolePolicyOutput, error) {
	p, found, err := f.access.InlinePolicy(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), aws.ToString(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &iam.GetRolePolicyOutput{
		RoleName: aws.String(p.Name), PolicyName: aws.String(found.Name), PolicyDocument: document(found.Document),
	}, nil
}

func (f face) deleteRolePolicy(ctx context.Context, c awswire.Call, in *iam.DeleteRolePolicyInput) (*iam.DeleteRolePolicyOutput, error) {
	err := f.access.DeleteInlinePolicy(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), aws.ToString(in.PolicyName))
	return &iam.DeleteRolePolicyOutput{}, err
}

func (f face) listRolePolicies(ctx context.Context, c awswire.Call, in *iam.ListRolePoliciesInput) (*iam.ListRolePoliciesOutput, error) {
	names, marker, err := f.access.InlinePolicies(ctx, c.Caller, access.Role, aws.ToString(in.RoleName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListRolePoliciesOutput{PolicyNames: some(names), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) putUserPolicy(ctx context.Context, c awswire.Call, in *iam.PutUserPolicyInput) (*iam.PutUserPolicyOutput, error) {
	put := access.InlinePolicy{Name: aws.ToString(in.PolicyName), Document: aws.ToString(in.PolicyDocument)}
	return &iam.PutUserPolicyOutput{}, f.access.PutInlinePolicy(ctx, c.Caller, access.User, aws.ToString(in.UserName), put)
}

func (f face) getUserPolicy(ctx context.Context, c awswire.Call, in *iam.GetUserPolicyInput) (*iam.GetUserPolicyOutput, error) {
	p, found, err := f.access.InlinePolicy(ctx, c.Caller, access.User, aws.ToString(in.UserName), aws.ToString(in.PolicyName))
	if err != nil {
		return nil, err
	}
	return &iam.GetUserPolicyOutput{
		UserName: aws.String(p.Name), PolicyName: aws.String(found.Name), PolicyDocument: document(found.Document),
	}, nil
}

func (f face) deleteUserPolicy(ctx context.Context, c awswire.Call, in *iam.DeleteUserPolicyInput) (*iam.DeleteUserPolicyOutput, error) {
	err := f.access.DeleteInlinePolicy(ctx, c.Caller, access.User, aws.ToString(in.UserName), aws.ToString(in.PolicyName))
	return &iam.DeleteUserPolicyOutput{}, err
}

func (f face) listUserPolicies(ctx context.Context, c awswire.Call, in *iam.ListUserPoliciesInput) (*iam.ListUserPoliciesOutput, error) {
	names, marker, err := f.access.InlinePolicies(ctx, c.Caller, access.User, aws.ToString(in.UserName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListUserPoliciesOutput{PolicyNames: some(names), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

// some makes of no list an empty one, which is written.
func some(names []string) []string {
	if names == nil {
		return []string{}
	}
	return names
}
