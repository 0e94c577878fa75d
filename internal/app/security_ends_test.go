package app_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
)

// TestCredentialsEndWithWhatTheyHangOn takes away what credentials hang on. From then on neither they nor the password that
// they were exchanged for open anything, on either face.
func TestCredentialsEndWithWhatTheyHangOn(t *testing.T) {
	t.Parallel()
	all := allowing("*", "*")
	ctx := t.Context()
	sam := func(c *castle) aws.Credentials { return c.user("sam", all) }
	samsSession := func(c *castle) aws.Credentials {
		out, err := c.stsAs(sam(c)).GetSessionToken(ctx, &sts.GetSessionTokenInput{})
		if err != nil {
			t.Fatal(err)
		}
		return sessionOf(out.Credentials)
	}
	rolesSession := func(c *castle) aws.Credentials { return c.assume(sam(c), c.role("job", all)) }
	for name, tt := range map[string]struct {
		get func(c *castle) aws.Credentials
		end func(c *castle, key aws.Credentials)
	}{
		"the key is deleted": {sam, func(c *castle, key aws.Credentials) {
			c.must(c.iam().DeleteAccessKey(ctx, &iam.DeleteAccessKeyInput{UserName: aws.String("sam"), AccessKeyId: &key.AccessKeyID}))
		}},
		"the key is switched off": {sam, func(c *castle, key aws.Credentials) {
			c.must(c.iam().UpdateAccessKey(ctx, &iam.UpdateAccessKeyInput{UserName: aws.String("sam"), AccessKeyId: &key.AccessKeyID, Status: iamtypes.StatusTypeInactive}))
		}},
		"the user is deleted":                       {sam, (*castle).deleteSam},
		"the user of a session is deleted":          {samsSession, (*castle).deleteSam},
		"the user comes back by the same name":      {samsSession, func(c *castle, key aws.Credentials) { c.deleteSam(key); sam(c) }},
		"the role of a session is deleted":          {rolesSession, (*castle).deleteJob},
		"the role comes back by the same name":      {rolesSession, func(c *castle, key aws.Credentials) { c.deleteJob(key); c.role("job", all) }},
		"the session of a user has expired":         {samsSession, func(c *castle, _ aws.Credentials) { c.time.add(12 * time.Hour) }},
		"the session of a role has expired":         {rolesSession, func(c *castle, _ aws.Credentials) { c.time.add(time.Hour) }},
		"the token keys are dropped, of a session":  {rolesSession, (*castle).dropTokenKeys},
		"the token keys are dropped, of a user":     {samsSession, (*castle).dropTokenKeys},
		"sessions of before are denied by a policy": {rolesSession, (*castle).revokeJob},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCastle(t)
			_, layer := c.repository("team/app", "what nobody else may see")
			// Everybody may, who proves to be somebody: what counts is whether the credentials still do.
			c.must(c.ecrAs(c.root).SetRepositoryPolicy(ctx, &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("team/app"), PolicyText: aws.String(aResource)}))
			key := tt.get(c)
			password := c.password(key)
			path := "/v2/team/app/blobs/" + layer
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				if status, _, answer := c.docker(password, method, path, ""); status != http.StatusOK {
					t.Fatalf("before: %s of a layer: %d %s", method, status, answer)
				}
			}
			if status, _, answer := c.call(key, ecrTarget+"DescribeRepositories", "{}"); status != http.StatusOK {
				t.Fatalf("before: DescribeRepositories: %d %s", status, answer)
			}
			tt.end(c, key)
			for _, method := range []string{http.MethodGet, http.MethodHead} {
				if status, _, answer := c.docker(password, method, path, ""); status != http.StatusUnauthorized && status != http.StatusForbidden {
					t.Errorf("%s of a layer with the password: %d %s", method, status, answer)
				}
			}
			for what, try := range map[string]func() (int, http.Header, string){
				"DescribeRepositories": func() (int, http.Header, string) { return c.call(key, ecrTarget+"DescribeRepositories", "{}") },
				"ListImages": func() (int, http.Header, string) {
					return c.call(key, ecrTarget+"ListImages", `{"repositoryName":"team/app"}`)
				},
				"GetAuthorizationToken": func() (int, http.Header, string) { return c.call(key, ecrTarget+"GetAuthorizationToken", "{}") },
				"iam:ListUsers":         func() (int, http.Header, string) { return c.form(key, "iam", "ListUsers") },
			} {
				if status, _, answer := try(); status < 400 || status >= 500 {
					t.Errorf("%s: %d %s", what, status, answer)
				}
			}
		})
	}
}

func (c *castle) deleteSam(aws.Credentials) {
	c.t.Helper()
	sam := aws.String("sam")
	keys, err := c.iam().ListAccessKeys(c.t.Context(), &iam.ListAccessKeysInput{UserName: sam})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, k := range keys.AccessKeyMetadata {
		c.must(c.iam().DeleteAccessKey(c.t.Context(), &iam.DeleteAccessKeyInput{UserName: sam, AccessKeyId: k.AccessKeyId}))
	}
	c.must(c.iam().DeleteUserPolicy(c.t.Context(), &iam.DeleteUserPolicyInput{UserName: sam, PolicyName: aws.String("may")}))
	c.must(c.iam().DeleteUser(c.t.Context(), &iam.DeleteUserInput{UserName: sam}))
}

func (c *castle) deleteJob(aws.Credentials) {
	c.t.Helper()
	job := aws.String("job")
	c.must(c.iam().DeleteRolePolicy(c.t.Context(), &iam.DeleteRolePolicyInput{RoleName: job, PolicyName: aws.String("may")}))
	c.must(c.iam().DeleteRole(c.t.Context(), &iam.DeleteRoleInput{RoleName: job}))
}

func (c *castle) dropTokenKeys(aws.Credentials) {
	c.t.Helper()
	if status, _, answer := c.call(c.root, berthTarget+"RotateTokenKey", `{"revokeNow":true}`); status != http.StatusOK {
		c.t.Fatalf("RotateTokenKey: %d %s", status, answer)
	}
}

// revokeJob is what the console's "Revoke active sessions" does.
func (c *castle) revokeJob(aws.Credentials) {
	c.t.Helper()
	deny := strings.Replace(allowing("*", "*", `,"Condition":{"DateLessThan":{"aws:TokenIssueTime":"`+
		time.Now().Add(2*time.Second).UTC().Format(time.RFC3339)+`"}}`), "Allow", "Deny", 1)
	c.must(c.iam().PutRolePolicy(c.t.Context(), &iam.PutRolePolicyInput{
		RoleName: aws.String("job"), PolicyName: aws.String("AWSRevokeOlderSessions"), PolicyDocument: &deny,
	}))
}
