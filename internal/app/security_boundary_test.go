package app_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
)

// TestABoundaryHolds has a user and a role whose permissions boundaries allow less than everything else does: their own policies,
// a repository's policy that names them, a policy that they may put on themselves.
func TestABoundaryHolds(t *testing.T) {
	t.Parallel()
	c := newCastle(t)
	c.repository("team/app", "a layer")
	ctx := t.Context()
	limit, err := c.iam().CreatePolicy(ctx, &iam.CreatePolicyInput{PolicyName: aws.String("limit"), PolicyDocument: aws.String(
		`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["ecr:DescribeRepositories","ecr:GetAuthorizationToken","iam:PutUserPolicy","sts:AssumeRole"],"Resource":"*"}]}`)})
	if err != nil {
		t.Fatal(err)
	}
	sam := c.user("sam", allowing("*", "*"))
	role := c.role("job", allowing("*", "*"))
	session := c.assume(sam, role)
	images := func(key aws.Credentials) error {
		_, err := c.ecrAs(key).ListImages(ctx, &ecr.ListImagesInput{RepositoryName: aws.String("team/app")})
		return err
	}
	for name, key := range map[string]aws.Credentials{"the user": sam, "the role": session} {
		if err := images(key); err != nil {
			t.Fatalf("%s, without a boundary: %v", name, err)
		}
	}
	c.must(c.iam().PutUserPermissionsBoundary(ctx, &iam.PutUserPermissionsBoundaryInput{UserName: aws.String("sam"), PermissionsBoundary: limit.Policy.Arn}))
	c.must(c.iam().PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: aws.String("job"), PermissionsBoundary: limit.Policy.Arn}))
	refused := func(when string) {
		t.Helper()
		for name, key := range map[string]aws.Credentials{"the user": sam, "the role": session} {
			c.refused(name+" "+when, images(key), "AccessDenied")
			if _, err := c.ecrAs(key).DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{}); err != nil {
				t.Errorf("%s %s, what both allow: %v", name, when, err)
			}
			if status, _, answer := c.docker(c.password(key), http.MethodGet, "/v2/team/app/tags/list", ""); status != http.StatusForbidden {
				t.Errorf("%s %s, by docker: %d %s", name, when, status, answer)
			}
		}
	}
	refused("with a boundary")
	everything := allowing("*", "*")
	c.must(c.iamAs(sam).PutUserPolicy(ctx, &iam.PutUserPolicyInput{UserName: aws.String("sam"), PolicyName: aws.String("more"), PolicyDocument: &everything}))
	_, err = c.iamAs(sam).DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("sam")})
	c.refused("taking the boundary off", err, "AccessDenied")
	_, err = c.iamAs(sam).CreatePolicyVersion(ctx, &iam.CreatePolicyVersionInput{PolicyArn: limit.Policy.Arn, PolicyDocument: &everything, SetAsDefault: true})
	c.refused("widening the boundary", err, "AccessDenied")
	refused("with another policy of its own")

	// A repository's policy that names the role, or the account, is held by the boundary. (One that names a user is not, nor one that
	// names a session: so it is at AWS, and whoever writes such a policy may write any.)
	for _, principal := range []string{role, "arn:aws:iam::123456789012:root", "123456789012"} {
		text := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + principal + `"},"Action":"ecr:*"}]}`
		c.must(c.ecrAs(c.root).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("team/app"), PolicyText: &text}))
		refused("named by the repository's policy as " + principal)
	}
	// A deny there counts whatever else allows.
	c.must(c.iam().DeleteUserPermissionsBoundary(ctx, &iam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("sam")}))
	if err := images(sam); err != nil {
		t.Fatalf("without the boundary: %v", err)
	}
	deny := strings.Replace(aResource, `"Allow","Principal":"*"`, `"Deny","Principal":{"AWS":"arn:aws:iam::123456789012:user/sam"}`, 1)
	c.must(c.ecrAs(c.root).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("team/app"), PolicyText: &deny}))
	c.refused("denied by the repository's policy", images(sam), "AccessDenied")
}
