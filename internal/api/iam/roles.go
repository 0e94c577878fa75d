package iam

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// roleOperations names what is done with roles, and with permissions boundaries.
func (f face) roleOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreateRole":                    awswire.Op(f.createRole),
		"DeleteRole":                    awswire.Op(f.deleteRole),
		"DeleteRolePermissionsBoundary": awswire.Op(f.deleteRolePermissionsBoundary),
		"DeleteUserPermissionsBoundary": awswire.Op(f.deleteUserPermissionsBoundary),
		"GetRole":                       awswire.Op(f.getRole),
		"ListInstanceProfilesForRole":   awswire.Op(f.listInstanceProfilesForRole),
		"ListRoleTags":                  awswire.Op(f.listRoleTags),
		"ListRoles":                     awswire.Op(f.listRoles),
		"PutRolePermissionsBoundary":    awswire.Op(f.putRolePermissionsBoundary),
		"PutUserPermissionsBoundary":    awswire.Op(f.putUserPermissionsBoundary),
		"TagRole":                       awswire.Op(f.tagRole),
		"UntagRole":                     awswire.Op(f.untagRole),
		"UpdateAssumeRolePolicy":        awswire.Op(f.updateAssumeRolePolicy),
		"UpdateRole":                    awswire.Op(f.updateRole),
		"UpdateRoleDescription":         awswire.Op(f.updateRoleDescription),
	}
}

// seconds reads a duration. Zero is asked for, and refused.
func seconds(n *int32) *time.Duration {
	if n == nil {
		return nil
	}
	return aws.Duration(time.Duration(*n) * time.Second)
}

// listedRole is a role as ListRoles shows it: without tags, boundary and last use.
func listedRole(p access.Principal) types.Role {
	role := types.Role{
		Arn: aws.String(p.ARN), RoleId: aws.String(p.ID), RoleName: aws.String(p.Name), Path: aws.String(p.Path),
		CreateDate: date(p.CreatedAt), AssumeRolePolicyDocument: document(p.Trust),
		MaxSessionDuration: aws.Int32(int32(p.MaxSession / time.Second)), //nolint:gosec // 12 hours at most
	}
	if p.Description != "" {
		role.Description = aws.String(p.Description)
	}
	return role
}

// wholeRole is a role as GetRole shows it.
func wholeRole(p access.Principal, tags []access.Tag) *types.Role {
	role := listedRole(p)
	role.PermissionsBoundary = boundary(p.Boundary)
	role.RoleLastUsed = &types.RoleLastUsed{LastUsedDate: date(p.UsedAt)}
	if p.UsedRegion != "" {
		role.RoleLastUsed.Region = aws.String(p.UsedRegion)
	}
	if len(tags) > 0 {
		role.Tags = wireTags(tags)
	}
	return &role
}

func (f face) createRole(ctx context.Context, c awswire.Call, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	role := access.NewRole{
		Name: aws.ToString(in.RoleName), Path: aws.ToString(in.Path), Description: aws.ToString(in.Description),
		Trust: aws.ToString(in.AssumeRolePolicyDocument), Boundary: aws.ToString(in.PermissionsBoundary), Tags: readTags(in.Tags),
	}
	if d := seconds(in.MaxSessionDuration); d != nil {
		if role.MaxSession = *d; *d == 0 {
			role.MaxSession = -1
		}
	}
	p, err := f.access.CreateRole(ctx, c.Caller, role)
	if err != nil {
		return nil, err
	}
	made := wholeRole(p, role.Tags)
	made.RoleLastUsed = nil
	return &iam.CreateRoleOutput{Role: made}, nil
}

func (f face) getRole(ctx context.Context, c awswire.Call, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	p, tags, err := f.access.Role(ctx, c.Caller, aws.ToString(in.RoleName))
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: wholeRole(p, tags)}, nil
}

func (f face) listRoles(ctx context.Context, c awswire.Call, in *iam.ListRolesInput) (*iam.ListRolesOutput, error) {
	roles, marker, err := f.access.Roles(ctx, c.Caller, aws.ToString(in.PathPrefix), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.ListRolesOutput{Roles: []types.Role{}, Marker: markerOf(marker), IsTruncated: marker != ""}
	for _, p := range roles {
		out.Roles = append(out.Roles, listedRole(p))
	}
	return out, nil
}

func (f face) updateRole(ctx context.Context, c awswire.Call, in *iam.UpdateRoleInput) (*iam.UpdateRoleOutput, error) {
	u := access.RoleUpdate{Description: in.Description, MaxSession: seconds(in.MaxSessionDuration)}
	return &iam.UpdateRoleOutput{}, f.access.UpdateRole(ctx, c.Caller, aws.ToString(in.RoleName), u)
}

func (f face) updateRoleDescription(ctx context.Context, c awswire.Call, in *iam.UpdateRoleDescriptionInput) (*iam.UpdateRoleDescriptionOutput, error) {
	p, err := f.access.UpdateRoleDescription(ctx, c.Caller, aws.ToString(in.RoleName), aws.ToString(in.Description))
	if err != nil {
		return nil, err
	}
	role := listedRole(p)
	return &iam.UpdateRoleDescriptionOutput{Role: &role}, nil
}

func (f face) updateAssumeRolePolicy(ctx context.Context, c awswire.Call, in *iam.UpdateAssumeRolePolicyInput) (*iam.UpdateAssumeRolePolicyOutput, error) {
	err := f.access.UpdateAssumeRolePolicy(ctx, c.Caller, aws.ToString(in.RoleName), aws.ToString(in.PolicyDocument))
	return &iam.UpdateAssumeRolePolicyOutput{}, err
}

func (f face) deleteRole(ctx context.Context, c awswire.Call, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	return &iam.DeleteRoleOutput{}, f.access.DeleteRole(ctx, c.Caller, aws.ToString(in.RoleName))
}

// listInstanceProfilesForRole always finds none: there are no instances here for profiles to be of.
func (f face) listInstanceProfilesForRole(ctx context.Context, c awswire.Call, in *iam.ListInstanceProfilesForRoleInput) (*iam.ListInstanceProfilesForRoleOutput, error) {
	err := f.access.InstanceProfilesForRole(ctx, c.Caller, aws.ToString(in.RoleName))
	return &iam.ListInstanceProfilesForRoleOutput{InstanceProfiles: []types.InstanceProfile{}}, err
}

func (f face) tagRole(ctx context.Context, c awswire.Call, in *iam.TagRoleInput) (*iam.TagRoleOutput, error) {
	return &iam.TagRoleOutput{}, f.access.TagRole(ctx, c.Caller, aws.ToString(in.RoleName), readTags(in.Tags))
}

func (f face) untagRole(ctx context.Context, c awswire.Call, in *iam.UntagRoleInput) (*iam.UntagRoleOutput, error) {
	return &iam.UntagRoleOutput{}, f.access.UntagRole(ctx, c.Caller, aws.ToString(in.RoleName), in.TagKeys)
}

func (f face) listRoleTags(ctx context.Context, c awswire.Call, in *iam.ListRoleTagsInput) (*iam.ListRoleTagsOutput, error) {
	tags, marker, err := f.access.RoleTags(ctx, c.Caller, aws.ToString(in.RoleName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListRoleTagsOutput{Tags: wireTags(tags), Marker: markerOf(marker), IsTruncated: marker != ""}, nil
}

func (f face) putRolePermissionsBoundary(ctx context.Context, c awswire.Call, in *iam.PutRolePermissionsBoundaryInput) (*iam.PutRolePermissionsBoundaryOutput, error) {
	err := f.access.PutRolePermissionsBoundary(ctx, c.Caller, aws.ToString(in.RoleName), aws.ToString(in.PermissionsBoundary))
	return &iam.PutRolePermissionsBoundaryOutput{}, err
}

func (f face) putUserPermissionsBoundary(ctx context.Context, c awswire.Call, in *iam.PutUserPermissionsBoundaryInput) (*iam.PutUserPermissionsBoundaryOutput, error) {
	err := f.access.PutUserPermissionsBoundary(ctx, c.Caller, aws.ToString(in.UserName), aws.ToString(in.PermissionsBoundary))
	return &iam.PutUserPermissionsBoundaryOutput{}, err
}

func (f face) deleteRolePermissionsBoundary(ctx context.Context, c awswire.Call, in *iam.DeleteRolePermissionsBoundaryInput) (*iam.DeleteRolePermissionsBoundaryOutput, error) {
	return &iam.DeleteRolePermissionsBoundaryOutput{}, f.access.DeleteRolePermissionsBoundary(ctx, c.Caller, aws.ToString(in.RoleName))
}

func (f face) deleteUserPermissionsBoundary(ctx context.Context, c awswire.Call, in *iam.DeleteUserPermissionsBoundaryInput) (*iam.DeleteUserPermissionsBoundaryOutput, error) {
	return &iam.DeleteUserPermissionsBoundaryOutput{}, f.access.DeleteUserPermissionsBoundary(ctx, c.Caller, aws.ToString(in.UserName))
}
