package iam_test

import (
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
)

func TestUserComesAndGoes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	made, err := s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{UserName: aws.String("ci"), Path: aws.String("/bots/")})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *made.User.Arn, "arn:aws:iam::"+account+":user/bots/ci"; got != want {
		t.Errorf("ARN %s, want %s", got, want)
	}
	_, err = s.client.CreateUser(t.Context(), &awsiam.CreateUserInput{UserName: aws.String("CI")})
	wantError(t, "CreateUser again", err, "EntityAlreadyExists", "User with name CI already exists.")
	if _, err := s.client.DeleteUser(t.Context(), &awsiam.DeleteUserInput{UserName: aws.String("ci")}); err != nil {
		t.Fatal(err)
	}
	_, err = s.client.GetUser(t.Context(), &awsiam.GetUserInput{UserName: aws.String("ci")})
	wantError(t, "GetUser after", err, "NoSuchEntity", "The user with name ci cannot be found.")
}
