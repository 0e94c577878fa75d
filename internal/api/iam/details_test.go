package iam_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
)

func TestAccountAuthorizationDetails(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c, x := t.Context(), b.client, aws.String("x")
	user, group := b.person(access.User, "x"), b.person(access.Group, "x")
	b.must("AddMember", b.db.Access().Update(ctx, func(tx access.Tx) error { return tx.AddMember(ctx, group, user) }))
	_, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: x, AssumeRolePolicyDocument: aws.String(trustRoot), Tags: []types.Tag{{Key: x, Value: x}}})
	b.must("CreateRole", err)
	made, err := c.CreatePolicy(ctx, &awsiam.CreatePolicyInput{PolicyName: x, PolicyDocument: aws.String(allowECR)})
	b.must("CreatePolicy", err)
	_, err = c.AttachRolePolicy(ctx, &awsiam.AttachRolePolicyInput{RoleName: x, PolicyArn: aws.String(pullOnlyARN)})
	b.must("AttachRolePolicy", err)
	_, err = c.PutUserPolicy(ctx, &awsiam.PutUserPolicyInput{UserName: x, PolicyName: x, PolicyDocument: aws.String(allowECR)})
	b.must("PutUserPolicy", err)
	_, err = c.PutUserPermissionsBoundary(ctx, &awsiam.PutUserPermissionsBoundaryInput{UserName: x, PermissionsBoundary: made.Policy.Arn})
	b.must("PutUserPermissionsBoundary", err)

	inShort := func(d *awsiam.GetAccountAuthorizationDetailsOutput) (all []string) {
		for _, g := range d.GroupDetailList {
			all = append(all, "group "+*g.GroupName)
		}
		for _, r := range d.RoleDetailList {
			all = append(all, "role "+*r.RoleName+" with "+*r.AttachedManagedPolicies[0].PolicyName+" tag "+*r.Tags[0].Key)
		}
		for _, u := range d.UserDetailList {
			text, _ := url.PathUnescape(*u.UserPolicyList[0].PolicyDocument)
			all = append(all, "user "+*u.UserName+" in "+strings.Join(u.GroupList, ",")+" with "+text+" under "+*u.PermissionsBoundary.PermissionsBoundaryArn)
		}
		for _, p := range d.Policies {
			text, _ := url.PathUnescape(*p.PolicyVersionList[0].Document)
			all = append(all, "policy "+*p.PolicyName+" "+*p.PolicyVersionList[0].VersionId+" of "+strings.Join(strings.Fields(text), "")[:24])
		}
		return all
	}
	want := []string{
		"group x", "role x with AmazonEC2ContainerRegistryPullOnly tag x", "user x in x with " + allowECR + " under " + *made.Policy.Arn,
		`policy AmazonEC2ContainerRegistryPullOnly v1 of {"Version":"2012-10-17",`, `policy x v1 of {"Version":"2012-10-17",`,
	}
	whole, err := c.GetAccountAuthorizationDetails(ctx, &awsiam.GetAccountAuthorizationDetailsInput{})
	b.must("GetAccountAuthorizationDetails", err)
	if diff := cmp.Diff(want, inShort(whole)); diff != "" {
		t.Errorf("all (-want +got):\n%s", diff)
	}
	var paged []string
	pages := awsiam.NewGetAccountAuthorizationDetailsPaginator(c, &awsiam.GetAccountAuthorizationDetailsInput{MaxItems: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		b.must("GetAccountAuthorizationDetails", err)
		paged = append(paged, inShort(page)...)
	}
	if diff := cmp.Diff(want, paged); diff != "" {
		t.Errorf("in pages (-want +got):\n%s", diff)
	}
	for kind, n := range map[types.EntityType]int{
		types.EntityTypeGroup: 0, types.EntityTypeRole: 1, types.EntityTypeUser: 2, types.EntityTypeAWSManagedPolicy: 3, types.EntityTypeLocalManagedPolicy: 4,
	} {
		one, err := c.GetAccountAuthorizationDetails(ctx, &awsiam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{kind}})
		b.must("GetAccountAuthorizationDetails", err)
		if diff := cmp.Diff(want[n:n+1], inShort(one)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", kind, diff)
		}
	}
	_, err = c.GetAccountAuthorizationDetails(ctx, &awsiam.GetAccountAuthorizationDetailsInput{Filter: []types.EntityType{"Thing"}})
	wantWords(t, "a kind", err, "ValidationError", "filter")
}
