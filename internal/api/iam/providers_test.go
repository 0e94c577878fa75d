package iam_test

import (
	"errors"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/authn"
	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/iam"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const providersAccount = "000123456789"

// providersClient is the SDK's client with the root key.
func providersClient(t *testing.T) *awsiam.Client {
	t.Helper()
	db := metadbtest.New(t)
	master, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	directory := identity.NewDirectory(identity.Config{Store: db, Master: master, Account: providersAccount, Now: time.Now})
	root, _, err := directory.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	house := access.New(access.Config{Store: db.Access(), Directory: directory, Account: providersAccount, Region: "eu-central-1", Now: time.Now})
	handler, err := awswire.New(awswire.Config{
		Authenticator: authn.New(authn.Config{Directory: directory, Now: time.Now}), Services: []awswire.Service{iam.New(house)},
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return awsiam.New(awsiam.Options{
		Region: "us-east-1", BaseEndpoint: aws.String(server.URL), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(root.ID, root.Secret, ""),
	})
}

// TestProvidersAsTerraformKeepsThem makes the calls of aws_iam_openid_connect_provider.
func TestProvidersAsTerraformKeepsThem(t *testing.T) {
	t.Parallel()
	c, ctx := providersClient(t), t.Context()
	tag := func(key, value string) types.Tag { return types.Tag{Key: aws.String(key), Value: aws.String(value)} }
	made, err := c.CreateOpenIDConnectProvider(ctx, &awsiam.CreateOpenIDConnectProviderInput{
		Url: aws.String("https://token.actions.githubusercontent.com"), ClientIDList: []string{"sts.amazonaws.com"},
		ThumbprintList: []string{"6938fd4d98bab03faadb97b34396831e3780aea1"}, Tags: []types.Tag{tag("team", "a")},
	})
	const arn = "arn:aws:iam::" + providersAccount + ":oidc-provider/token.actions.githubusercontent.com"
	if err != nil || *made.OpenIDConnectProviderArn != arn {
		t.Fatalf("CreateOpenIDConnectProvider: %v, %+v", err, made)
	}
	_, add := c.AddClientIDToOpenIDConnectProvider(ctx, &awsiam.AddClientIDToOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn), ClientID: aws.String("two")})
	_, remove := c.RemoveClientIDFromOpenIDConnectProvider(ctx, &awsiam.RemoveClientIDFromOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn), ClientID: aws.String("none")})
	_, thumb := c.UpdateOpenIDConnectProviderThumbprint(ctx, &awsiam.UpdateOpenIDConnectProviderThumbprintInput{
		OpenIDConnectProviderArn: aws.String(arn), ThumbprintList: []string{"1C58A3A8518E8759BF075B76B750D4F2DF264FCD"},
	})
	_, put := c.TagOpenIDConnectProvider(ctx, &awsiam.TagOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn), Tags: []types.Tag{tag("cost", "7")}})
	_, off := c.UntagOpenIDConnectProvider(ctx, &awsiam.UntagOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn), TagKeys: []string{"team"}})
	if err := errors.Join(add, remove, thumb, put, off); err != nil {
		t.Errorf("changes: %v", err)
	}
	got, err := c.GetOpenIDConnectProvider(ctx, &awsiam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn)})
	if err != nil {
		t.Fatalf("GetOpenIDConnectProvider: %v", err)
	}
	if diff := cmp.Diff([]string{"sts.amazonaws.com", "two"}, got.ClientIDList); diff != "" || *got.Url != "token.actions.githubusercontent.com" ||
		len(got.ThumbprintList) != 1 || got.ThumbprintList[0] != "1c58a3a8518e8759bf075b76b750d4f2df264fcd" || got.CreateDate == nil ||
		len(got.Tags) != 1 || *got.Tags[0].Key != "cost" {
		t.Errorf("GetOpenIDConnectProvider: %s %v %v %v %s", *got.Url, got.ThumbprintList, got.CreateDate, got.Tags, diff)
	}
	list, err := c.ListOpenIDConnectProviders(ctx, &awsiam.ListOpenIDConnectProvidersInput{})
	if err != nil || len(list.OpenIDConnectProviderList) != 1 || *list.OpenIDConnectProviderList[0].Arn != arn {
		t.Errorf("ListOpenIDConnectProviders: %v, %+v", err, list)
	}
	tags, err := c.ListOpenIDConnectProviderTags(ctx, &awsiam.ListOpenIDConnectProviderTagsInput{OpenIDConnectProviderArn: aws.String(arn)})
	if err != nil || len(tags.Tags) != 1 || tags.IsTruncated {
		t.Errorf("ListOpenIDConnectProviderTags: %v, %+v", err, tags)
	}
	for range 2 {
		if _, err := c.DeleteOpenIDConnectProvider(ctx, &awsiam.DeleteOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn)}); err != nil {
			t.Errorf("DeleteOpenIDConnectProvider: %v", err)
		}
	}
	_, err = c.GetOpenIDConnectProvider(ctx, &awsiam.GetOpenIDConnectProviderInput{OpenIDConnectProviderArn: aws.String(arn)})
	if gone, ok := errors.AsType[*types.NoSuchEntityException](err); !ok {
		t.Errorf("a deleted provider: %v", err)
	} else if gone.ErrorCode() != "NoSuchEntity" && gone.ErrorCode() != "NoSuchEntityException" {
		t.Errorf("a deleted provider: %v", gone.ErrorCode())
	}
}
