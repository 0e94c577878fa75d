package iam

import (
	"context"
	"maps"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// userOperations names what is done with users, groups and access keys.
func (f face) userOperations() map[string]awswire.Operation {
	all := map[string]awswire.Operation{
		"CreateUser":   awswire.Op(f.createUser),
		"DeleteUser":   awswire.Op(f.deleteUser),
		"GetUser":      awswire.Op(f.getUser),
		"ListUserTags": awswire.Op(f.listUserTags),
		"ListUsers":    awswire.Op(f.listUsers),
		"TagUser":      awswire.Op(f.tagUser),
		"UntagUser":    awswire.Op(f.untagUser),
		"UpdateUser":   awswire.Op(f.updateUser),
	}
	maps.Copy(all, f.groupOperations())
	maps.Copy(all, f.keyOperations())
	return all
}

// wireUser gives a user without its tags. The root principal has neither name nor path.
func wireUser(p access.Principal) types.User {
	u := types.User{
		Arn: aws.String(p.ARN), UserId: aws.String(p.ID), CreateDate: date(p.CreatedAt), PermissionsBoundary: boundary(p.Boundary),
	}
	if p.Name != "" {
		u.UserName, u.Path = aws.String(p.Name), aws.String(p.Path)
	}
	return u
}

func wireUsers(all []access.Principal) []types.User {
	wire := make([]types.User, 0, len(all))
	for _, p := range all {
		u := wireUser(p)
		u.PermissionsBoundary = nil // lists leave it out
		wire = append(wire, u)
	}
	return wire
}

func (f face) createUser(ctx context.Context, c awswire.Call, in *iam.CreateUserInput) (*iam.CreateUserOutput, error) {
	tags := readTags(in.Tags)
	p, err := f.access.CreateUser(ctx, c.Caller, access.NewUser{
		Name: aws.ToString(in.UserName), Path: aws.ToString(in.Path), Tags: tags, Boundary: aws.ToString(in.PermissionsBoundary),
	})
	if err != nil {
		return nil, err
	}
	u := wireUser(p)
	if len(tags) > 0 {
		u.Tags = wireTags(tags)
	}
	return &iam.CreateUserOutput{User: &u}, nil
}

func (f face) getUser(ctx context.Context, c awswire.Call, in *iam.GetUserInput) (*iam.GetUserOutput, error) {
	p, tags, err := f.access.User(ctx, c.Caller, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	u := wireUser(p)
	if len(tags) > 0 {
		u.Tags = wireTags(tags)
	}
	return &iam.GetUserOutput{User: &u}, nil
}

func (f face) listUsers(ctx context.Context, c awswire.Call, in *iam.ListUsersInput) (*iam.ListUsersOutput, error) {
	users, marker, err := f.access.Users(ctx, c.Caller, aws.ToString(in.PathPrefix), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListUsersOutput{Users: wireUsers(users), IsTruncated: marker != "", Marker: markerOf(marker)}, nil
}

func (f face) updateUser(ctx context.Context, c awswire.Call, in *iam.UpdateUserInput) (*iam.UpdateUserOutput, error) {
	err := f.access.UpdateUser(ctx, c.Caller, aws.ToString(in.UserName), aws.ToString(in.NewUserName), aws.ToString(in.NewPath))
	if err != nil {
		return nil, err
	}
	return &iam.UpdateUserOutput{}, nil
}

func (f face) deleteUser(ctx context.Context, c awswire.Call, in *iam.DeleteUserInput) (*iam.DeleteUserOutput, error) {
	if err := f.access.DeleteUser(ctx, c.Caller, aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.DeleteUserOutput{}, nil
}

func (f face) tagUser(ctx context.Context, c awswire.Call, in *iam.TagUserInput) (*iam.TagUserOutput, error) {
	if err := f.access.TagUser(ctx, c.Caller, aws.ToString(in.UserName), readTags(in.Tags)); err != nil {
		return nil, err
	}
	return &iam.TagUserOutput{}, nil
}

func (f face) untagUser(ctx context.Context, c awswire.Call, in *iam.UntagUserInput) (*iam.UntagUserOutput, error) {
	if err := f.access.UntagUser(ctx, c.Caller, aws.ToString(in.UserName), in.TagKeys); err != nil {
		return nil, err
	}
	return &iam.UntagUserOutput{}, nil
}

func (f face) listUserTags(ctx context.Context, c awswire.Call, in *iam.ListUserTagsInput) (*iam.ListUserTagsOutput, error) {
	tags, marker, err := f.access.UserTags(ctx, c.Caller, aws.ToString(in.UserName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListUserTagsOutput{Tags: wireTags(tags), IsTruncated: marker != "", Marker: markerOf(marker)}, nil
}
