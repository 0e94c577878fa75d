package iam_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// alike compares what the SDK read.
func alike() cmp.Options {
	return cmp.Options{cmpopts.IgnoreUnexported(types.User{}, types.Tag{}, types.Group{}, types.AccessKeyMetadata{}, types.AccessKeyLastUsed{})}
}

func TestUserComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := time.Now().Truncate(time.Second)
	made, err := s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{
		UserName: aws.String("ci"), Path: aws.String("/bots/"), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("data")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := &types.User{
		Arn: aws.String("arn:aws:iam::" + account + ":user/bots/ci"), UserName: aws.String("ci"), Path: aws.String("/bots/"),
		UserId: made.User.UserId, CreateDate: made.User.CreateDate, Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("data")}},
	}
	if diff := cmp.Diff(want, made.User, alike()); diff != "" || made.User.CreateDate.Before(before) || time.Now().Before(*made.User.CreateDate) {
		t.Errorf("CreateUser: made at %v (-want +got):\n%s", made.User.CreateDate, diff)
	}
	got, err := s.client.GetUser(t.Context(), &awsiam.GetUserInput{UserName: aws.String("CI")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got.User, alike()); diff != "" {
		t.Errorf("GetUser (-want +got):\n%s", diff)
	}
	_, err = s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{UserName: aws.String("CI")})
	wantError(t, "CreateUser again", err, "EntityAlreadyExists", "User with name CI already exists.")
	_, err = s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{UserName: aws.String("a b")})
	wantError(t, "CreateUser with a space", err, "ValidationError", "userName")
	_, err = s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{UserName: aws.String("x"), PermissionsBoundary: aws.String("arn:aws:iam::" + account + ":policy/none")})
	wantError(t, "CreateUser with an unknown boundary", err, "NoSuchEntity", "does not exist or is not attachable")

	_, err = s.client.UpdateUser(t.Context(), &awsiam.UpdateUserInput{UserName: aws.String("ci"), NewUserName: aws.String("deploy"), NewPath: aws.String("/")})
	if err != nil {
		t.Fatal(err)
	}
	list, err := s.client.ListUsers(t.Context(), &awsiam.ListUsersInput{})
	if err != nil {
		t.Fatal(err)
	}
	want.UserName, want.Path, want.Arn, want.Tags = aws.String("deploy"), aws.String("/"), aws.String("arn:aws:iam::"+account+":user/deploy"), nil
	if diff := cmp.Diff([]types.User{*want}, list.Users, alike()); diff != "" || list.IsTruncated || list.Marker != nil {
		t.Errorf("ListUsers (-want +got):\n%s", diff)
	}
	_, err = s.client.DeleteUser(t.Context(), &awsiam.DeleteUserInput{UserName: aws.String("deploy")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.client.GetUser(t.Context(), &awsiam.GetUserInput{UserName: aws.String("deploy")})
	wantError(t, "GetUser after", err, "NoSuchEntity", "The user with name deploy cannot be found.")
}

func TestUsersTags(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.user(t, "ci", "")
	tag := func(key, value string) types.Tag { return types.Tag{Key: aws.String(key), Value: aws.String(value)} }
	_, err := s.client.TagUser(t.Context(), &awsiam.TagUserInput{UserName: aws.String("ci"), Tags: []types.Tag{tag("b", "1"), tag("a", ""), tag("c", "3")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.UntagUser(t.Context(), &awsiam.UntagUserInput{UserName: aws.String("ci"), TagKeys: []string{"c", "none"}}); err != nil {
		t.Fatal(err)
	}
	var got []types.Tag
	pages := awsiam.NewListUserTagsPaginator(s.client, &awsiam.ListUserTagsInput{UserName: aws.String("ci"), MaxItems: aws.Int32(1)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Tags) != 1 {
			t.Errorf("a page of %d tags, want 1", len(page.Tags))
		}
		got = append(got, page.Tags...)
	}
	if diff := cmp.Diff([]types.Tag{tag("a", ""), tag("b", "1")}, got, alike()); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	_, err = s.client.TagUser(t.Context(), &awsiam.TagUserInput{UserName: aws.String("ci"), Tags: []types.Tag{tag("aws:x", "")}})
	wantError(t, "TagUser", err, "ValidationError", "reserved")
	_, err = s.client.ListUserTags(t.Context(), &awsiam.ListUserTagsInput{UserName: aws.String("ci"), MaxItems: aws.Int32(0)})
	wantError(t, "ListUserTags of none", err, "ValidationError", "maxItems")
}

// TestTheCallersOwnUser is what Terraform asks first of all.
func TestTheCallersOwnUser(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	out, err := s.client.GetUser(t.Context(), &awsiam.GetUserInput{})
	if err != nil {
		t.Fatal(err)
	}
	want := &types.User{Arn: aws.String("arn:aws:iam::" + account + ":root"), UserId: aws.String(account), CreateDate: out.User.CreateDate}
	if diff := cmp.Diff(want, out.User, alike()); diff != "" || out.User.CreateDate == nil {
		t.Errorf("GetUser of the root principal (-want +got):\n%s", diff)
	}
	out, err = s.connect(s.user(t, "ci", allow("iam:GetUser", "arn:aws:iam::"+account+":user/${aws:username}"))).GetUser(t.Context(), &awsiam.GetUserInput{})
	if err != nil || *out.User.UserName != "ci" {
		t.Errorf("GetUser of ci: %+v, %v", out, err)
	}
	_, err = s.connect(s.user(t, "eve", "")).GetUser(t.Context(), &awsiam.GetUserInput{})
	wantError(t, "GetUser of one who may not", err, "AccessDenied",
		"User: arn:aws:iam::"+account+":user/eve is not authorized to perform: iam:GetUser on resource: arn:aws:iam::"+account+":user/eve because no identity-based policy allows the iam:GetUser action")
}
