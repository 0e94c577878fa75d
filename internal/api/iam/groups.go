package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
)

// groupOperations names what is done with groups.
func (f face) groupOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"AddUserToGroup":      awswire.Op(f.addUserToGroup),
		"CreateGroup":         awswire.Op(f.createGroup),
		"DeleteGroup":         awswire.Op(f.deleteGroup),
		"GetGroup":            awswire.Op(f.getGroup),
		"ListGroups":          awswire.Op(f.listGroups),
		"ListGroupsForUser":   awswire.Op(f.listGroupsForUser),
		"RemoveUserFromGroup": awswire.Op(f.removeUserFromGroup),
		"UpdateGroup":         awswire.Op(f.updateGroup),
	}
}

func wireGroup(g access.Principal) types.Group {
	return types.Group{
		Arn: aws.String(g.ARN), GroupId: aws.String(g.ID), GroupName: aws.String(g.Name), Path: aws.String(g.Path), CreateDate: date(g.CreatedAt),
	}
}

func wireGroups(all []access.Principal) []types.Group {
	wire := make([]types.Group, 0, len(all))
	for _, g := range all {
		wire = append(wire, wireGroup(g))
	}
	return wire
}

func (f face) createGroup(ctx context.Context, c awswire.Call, in *iam.CreateGroupInput) (*iam.CreateGroupOutput, error) {
	g, err := f.access.CreateGroup(ctx, c.Caller, aws.ToString(in.GroupName), aws.ToString(in.Path))
	if err != nil {
		return nil, err
	}
	wire := wireGroup(g)
	return &iam.CreateGroupOutput{Group: &wire}, nil
}

func (f face) getGroup(ctx context.Context, c awswire.Call, in *iam.GetGroupInput) (*iam.GetGroupOutput, error) {
	g, users, marker, err := f.access.Group(ctx, c.Caller, aws.ToString(in.GroupName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	wire := wireGroup(g)
	return &iam.GetGroupOutput{Group: &wire, Users: wireUsers(users), IsTruncated: marker != "", Marker: markerOf(marker)}, nil
}

func (f face) listGroups(ctx context.Context, c awswire.Call, in *iam.ListGroupsInput) (*iam.ListGroupsOutput, error) {
	groups, marker, err := f.access.Groups(ctx, c.Caller, aws.ToString(in.PathPrefix), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupsOutput{Groups: wireGroups(groups), IsTruncated: marker != "", Marker: markerOf(marker)}, nil
}

func (f face) listGroupsForUser(ctx context.Context, c awswire.Call, in *iam.ListGroupsForUserInput) (*iam.ListGroupsForUserOutput, error) {
	groups, marker, err := f.access.GroupsOfUser(ctx, c.Caller, aws.ToString(in.UserName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	return &iam.ListGroupsForUserOutput{Groups: wireGroups(groups), IsTruncated: marker != "", Marker: markerOf(marker)}, nil
}

func (f face) updateGroup(ctx context.Context, c awswire.Call, in *iam.UpdateGroupInput) (*iam.UpdateGroupOutput, error) {
	err := f.access.UpdateGroup(ctx, c.Caller, aws.ToString(in.GroupName), aws.ToString(in.NewGroupName), aws.ToString(in.NewPath))
	if err != nil {
		return nil, err
	}
	return &iam.UpdateGroupOutput{}, nil
}

func (f face) deleteGroup(ctx context.Context, c awswire.Call, in *iam.DeleteGroupInput) (*iam.DeleteGroupOutput, error) {
	if err := f.access.DeleteGroup(ctx, c.Caller, aws.ToString(in.GroupName)); err != nil {
		return nil, err
	}
	return &iam.DeleteGroupOutput{}, nil
}

func (f face) addUserToGroup(ctx context.Context, c awswire.Call, in *iam.AddUserToGroupInput) (*iam.AddUserToGroupOutput, error) {
	if err := f.access.AddUserToGroup(ctx, c.Caller, aws.ToString(in.GroupName), aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.AddUserToGroupOutput{}, nil
}

func (f face) removeUserFromGroup(ctx context.Context, c awswire.Call, in *iam.RemoveUserFromGroupInput) (*iam.RemoveUserFromGroupOutput, error) {
	if err := f.access.RemoveUserFromGroup(ctx, c.Caller, aws.ToString(in.GroupName), aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.RemoveUserFromGroupOutput{}, nil
}
