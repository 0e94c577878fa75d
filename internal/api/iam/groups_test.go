package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
)

func TestGroupComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.user(t, "b", "")
	s.user(t, "a", "")
	made, err := s.client.CreateGroup(t.Context(), &awsiam.CreateGroupInput{GroupName: aws.String("old")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.CreateGroup(t.Context(), &awsiam.CreateGroupInput{GroupName: aws.String("OLD")})
	wantError(t, "CreateGroup again", err, "EntityAlreadyExists", "Group with name OLD already exists.")
	for _, name := range []string{"b", "a"} {
		if _, err := s.client.AddUserToGroup(t.Context(), &awsiam.AddUserToGroupInput{GroupName: aws.String("old"), UserName: aws.String(name)}); err != nil {
			t.Fatal(err)
		}
	}
	_, err = s.client.UpdateGroup(t.Context(), &awsiam.UpdateGroupInput{GroupName: aws.String("old"), NewGroupName: aws.String("readers"), NewPath: aws.String("/teams/")})
	if err != nil {
		t.Fatal(err)
	}
	want := types.Group{
		Arn: aws.String("arn:aws:iam::" + account + ":group/teams/readers"), GroupName: aws.String("readers"), Path: aws.String("/teams/"),
		GroupId: made.Group.GroupId, CreateDate: made.Group.CreateDate,
	}
	var users []string
	pages := awsiam.NewGetGroupPaginator(s.client, &awsiam.GetGroupInput{GroupName: aws.String("readers"), MaxItems: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(&want, page.Group, alike()); diff != "" {
			t.Errorf("GetGroup (-want +got):\n%s", diff)
		}
		for _, u := range page.Users {
			users = append(users, *u.UserName)
		}
	}
	if diff := cmp.Diff([]string{"a", "b"}, users); diff != "" {
		t.Errorf("its users (-want +got):\n%s", diff)
	}
	of, err := s.client.ListGroupsForUser(t.Context(), &awsiam.ListGroupsForUserInput{UserName: aws.String("a")})
	if err != nil {
		t.Fatal(err)
	}
	all, err := s.client.ListGroups(t.Context(), &awsiam.ListGroupsInput{PathPrefix: aws.String("/teams/")})
	if err != nil {
		t.Fatal(err)
	}
	for what, got := range map[string][]types.Group{"ListGroupsForUser": of.Groups, "ListGroups": all.Groups} {
		if diff := cmp.Diff([]types.Group{want}, got, alike()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", what, diff)
		}
	}
	_, err = s.client.DeleteGroup(t.Context(), &awsiam.DeleteGroupInput{GroupName: aws.String("readers")})
	wantError(t, "DeleteGroup", err, "DeleteConflict", "Cannot delete entity, must remove users from group first.")
	for _, name := range users {
		if _, err := s.client.RemoveUserFromGroup(t.Context(), &awsiam.RemoveUserFromGroupInput{GroupName: aws.String("readers"), UserName: aws.String(name)}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.client.DeleteGroup(t.Context(), &awsiam.DeleteGroupInput{GroupName: aws.String("readers")}); err != nil {
		t.Fatal(err)
	}
	_, err = s.client.GetGroup(t.Context(), &awsiam.GetGroupInput{GroupName: aws.String("readers")})
	wantError(t, "GetGroup after", err, "NoSuchEntity", "The group with name readers cannot be found.")
}
