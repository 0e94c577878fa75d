package app_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestDenialsAreExplained has both faces refuse a user, and reads in the log what the client is not told.
func TestDenialsAreExplained(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer // slog's handlers write one line at a time; it is read when the server has stopped
	data, d := t.TempDir(), deps()
	d.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r := start(t, settings(t, data), d)
	ctx, root := t.Context(), r.ecr(t, data)
	people := iam.New(iam.Options{
		BaseEndpoint: root.Options().BaseEndpoint, Region: "us-east-1", Credentials: root.Options().Credentials, Retryer: aws.NopRetryer{}, HTTPClient: r.client,
	})
	if _, err := people.CreateUser(ctx, &iam.CreateUserInput{UserName: aws.String("ci")}); err != nil {
		t.Fatal(err)
	}
	key, err := people.CreateAccessKey(ctx, &iam.CreateAccessKeyInput{UserName: aws.String("ci")})
	if err != nil {
		t.Fatal(err)
	}
	_, err = people.PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("ci"), PolicyName: aws.String("push"), PolicyDocument: aws.String(`{
		"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ecr:GetAuthorizationToken","Resource":"*"},
		{"Sid":"Night","Effect":"Allow","Action":"ecr:*","Resource":"*","Condition":{"DateLessThan":{"aws:CurrentTime":"2020-01-01T00:00:00Z"}}}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	options := root.Options()
	options.Credentials = credentials.NewStaticCredentialsProvider(*key.AccessKey.AccessKeyId, *key.AccessKey.SecretAccessKey, "")
	ci := ecr.New(options)
	if _, err := ci.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err == nil || strings.Contains(err.Error(), "Night") {
		t.Errorf("DescribeRepositories: %v", err)
	}
	token, err := ci.GetAuthorizationToken(ctx, &ecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, *options.BaseEndpoint+"/v2/app/tags/list", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Basic "+*token.AuthorizationData[0].AuthorizationToken)
	res, err := r.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	res.Body.Close()
	if err != nil || res.StatusCode != http.StatusForbidden || strings.Contains(string(body), "Night") {
		t.Errorf("listing tags: %d %s, %v", res.StatusCode, body, err)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	const want = `denied_because="No identity-based policy allows ecr:`
	if n := strings.Count(log.String(), want); n != 2 || strings.Count(log.String(), "(Night) of the identity-based policy the inline policy push of user ci would allow it") != 2 {
		t.Errorf("%d of two denials are explained:\n%s", n, log.String())
	}
	if strings.Contains(log.String(), *key.AccessKey.SecretAccessKey) {
		t.Error("the log has the secret")
	}
}
