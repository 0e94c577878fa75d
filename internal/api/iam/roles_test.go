package iam_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/core/access"
)

// TestRoles goes through a role's life as Terraform's aws_iam_role does.
func TestRoles(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c := t.Context(), b.client
	made, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{
		RoleName: aws.String("deploy"), Path: aws.String("/ci/"), AssumeRolePolicyDocument: aws.String(trustRoot), Description: aws.String("what CI is"),
		MaxSessionDuration: aws.Int32(7200), PermissionsBoundary: aws.String(pullOnlyARN), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
	})
	b.must("CreateRole", err)
	if got, err := url.PathUnescape(*made.Role.AssumeRolePolicyDocument); err != nil || got != trustRoot || strings.ContainsAny(*made.Role.AssumeRolePolicyDocument, `{" `) {
		t.Errorf("the trust policy came as %q", *made.Role.AssumeRolePolicyDocument)
	}
	if made.Role.CreateDate == nil || made.Role.CreateDate.IsZero() {
		t.Error("no date of creation")
	}
	got, err := c.GetRole(ctx, &awsiam.GetRoleInput{RoleName: aws.String("deploy")})
	b.must("GetRole", err)
	r := got.Role
	if *r.Arn != bureauARN+"role/ci/deploy" || *r.RoleId != *made.Role.RoleId || *r.Path != "/ci/" || *r.Description != "what CI is" || *r.MaxSessionDuration != 7200 ||
		*r.PermissionsBoundary.PermissionsBoundaryArn != pullOnlyARN || len(r.Tags) != 1 || *r.Tags[0].Value != "web" || r.RoleLastUsed == nil || r.RoleLastUsed.LastUsedDate != nil {
		t.Errorf("GetRole: %+v", r)
	}
	listed, err := c.ListRoles(ctx, &awsiam.ListRolesInput{PathPrefix: aws.String("/ci/")})
	b.must("ListRoles", err)
	if len(listed.Roles) != 1 || *listed.Roles[0].RoleName != "deploy" || listed.IsTruncated || listed.Marker != nil {
		t.Errorf("ListRoles: %+v", listed)
	}

	_, err = c.UpdateRole(ctx, &awsiam.UpdateRoleInput{RoleName: aws.String("deploy"), MaxSessionDuration: aws.Int32(3600)})
	b.must("UpdateRole", err)
	described, err := c.UpdateRoleDescription(ctx, &awsiam.UpdateRoleDescriptionInput{RoleName: aws.String("deploy"), Description: aws.String("other")})
	b.must("UpdateRoleDescription", err)
	if *described.Role.Description != "other" || *described.Role.MaxSessionDuration != 3600 {
		t.Errorf("UpdateRoleDescription: %+v", described.Role)
	}
	_, err = c.UpdateAssumeRolePolicy(ctx, &awsiam.UpdateAssumeRolePolicyInput{RoleName: aws.String("deploy"), PolicyDocument: aws.String(" " + trustRoot)})
	b.must("UpdateAssumeRolePolicy", err)
	_, err = c.TagRole(ctx, &awsiam.TagRoleInput{RoleName: aws.String("deploy"), Tags: []types.Tag{{Key: aws.String("a"), Value: aws.String("")}}})
	b.must("TagRole", err)
	_, err = c.UntagRole(ctx, &awsiam.UntagRoleInput{RoleName: aws.String("deploy"), TagKeys: []string{"team"}})
	b.must("UntagRole", err)
	tags, err := c.ListRoleTags(ctx, &awsiam.ListRoleTagsInput{RoleName: aws.String("deploy")})
	b.must("ListRoleTags", err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "a" || *tags.Tags[0].Value != "" {
		t.Errorf("tags: %+v", tags.Tags)
	}
	_, err = c.DeleteRolePermissionsBoundary(ctx, &awsiam.DeleteRolePermissionsBoundaryInput{RoleName: aws.String("deploy")})
	b.must("DeleteRolePermissionsBoundary", err)
	_, err = c.PutRolePermissionsBoundary(ctx, &awsiam.PutRolePermissionsBoundaryInput{RoleName: aws.String("deploy"), PermissionsBoundary: aws.String(pullOnlyARN)})
	b.must("PutRolePermissionsBoundary", err)
	profiles, err := c.ListInstanceProfilesForRole(ctx, &awsiam.ListInstanceProfilesForRoleInput{RoleName: aws.String("deploy")})
	b.must("ListInstanceProfilesForRole", err)
	if profiles.InstanceProfiles == nil || len(profiles.InstanceProfiles) != 0 {
		t.Errorf("instance profiles: %v", profiles.InstanceProfiles)
	}
	_, err = c.PutRolePolicy(ctx, &awsiam.PutRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("p"), PolicyDocument: aws.String(allowECR)})
	b.must("PutRolePolicy", err)
	_, err = c.DeleteRole(ctx, &awsiam.DeleteRoleInput{RoleName: aws.String("deploy")})
	wantWords(t, "DeleteRole", err, "DeleteConflict", "must delete policies first")
	_, err = c.DeleteRolePolicy(ctx, &awsiam.DeleteRolePolicyInput{RoleName: aws.String("deploy"), PolicyName: aws.String("p")})
	b.must("DeleteRolePolicy", err)
	_, err = c.DeleteRole(ctx, &awsiam.DeleteRoleInput{RoleName: aws.String("deploy")})
	b.must("DeleteRole", err)
	_, err = c.GetRole(ctx, &awsiam.GetRoleInput{RoleName: aws.String("deploy")})
	wantWords(t, "GetRole", err, "NoSuchEntity", "The role with name deploy cannot be found.")

	b.person(access.User, "ci")
	_, err = c.PutUserPermissionsBoundary(ctx, &awsiam.PutUserPermissionsBoundaryInput{UserName: aws.String("ci"), PermissionsBoundary: aws.String(pullOnlyARN)})
	b.must("PutUserPermissionsBoundary", err)
	_, err = c.DeleteUserPermissionsBoundary(ctx, &awsiam.DeleteUserPermissionsBoundaryInput{UserName: aws.String("ci")})
	b.must("DeleteUserPermissionsBoundary", err)
}

func TestRolesRefused(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c := t.Context(), b.client
	create := func(change func(in *awsiam.CreateRoleInput)) error {
		in := &awsiam.CreateRoleInput{RoleName: aws.String("r"), AssumeRolePolicyDocument: aws.String(trustRoot)}
		change(in)
		_, err := c.CreateRole(ctx, in)
		return err
	}
	b.must("CreateRole", create(func(in *awsiam.CreateRoleInput) { in.RoleName = aws.String("there") }))
	const github = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Federated":"` + bureauARN + `oidc-provider/token.actions.githubusercontent.com"},` +
		`"Action":"sts:AssumeRoleWithWebIdentity","Condition":{"StringEquals":{"token.actions.githubusercontent.com:aud":"sts.amazonaws.com"}}}]}`
	for what, c := range map[string]struct {
		change      func(in *awsiam.CreateRoleInput)
		code, words string
	}{
		"taken":     {func(in *awsiam.CreateRoleInput) { in.RoleName = aws.String("There") }, "EntityAlreadyExists", "Role with name There already exists."},
		"no policy": {func(in *awsiam.CreateRoleInput) { in.AssumeRolePolicyDocument = aws.String("{") }, "MalformedPolicyDocument", "JSON"},
		"nobody": {func(in *awsiam.CreateRoleInput) {
			in.AssumeRolePolicyDocument = aws.String(strings.Replace(trustRoot, ":root", ":user/x", 1))
		}, "MalformedPolicyDocument", `Invalid principal in policy: "AWS":"` + bureauARN + `user/x"`},
		"all GitHub":   {func(in *awsiam.CreateRoleInput) { in.AssumeRolePolicyDocument = aws.String(github) }, "MalformedPolicyDocument", "token.actions.githubusercontent.com:sub"},
		"no seconds":   {func(in *awsiam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(0) }, "ValidationError", "maxSessionDuration"},
		"few seconds":  {func(in *awsiam.CreateRoleInput) { in.MaxSessionDuration = aws.Int32(900) }, "ValidationError", "maxSessionDuration"},
		"no boundary":  {func(in *awsiam.CreateRoleInput) { in.PermissionsBoundary = aws.String(bureauARN + "policy/none") }, "NoSuchEntity", "does not exist or is not attachable"},
		"a bad name":   {func(in *awsiam.CreateRoleInput) { in.RoleName = aws.String("a/b") }, "ValidationError", "roleName"},
		"a bad marker": {func(in *awsiam.CreateRoleInput) { in.Path = aws.String("x") }, "ValidationError", "path"},
	} {
		wantWords(t, what, create(c.change), c.code, c.words)
	}
	_, err := c.UpdateRole(ctx, &awsiam.UpdateRoleInput{RoleName: aws.String("there"), MaxSessionDuration: aws.Int32(0)})
	wantWords(t, "UpdateRole", err, "ValidationError", "maxSessionDuration")
	_, err = c.ListRoles(ctx, &awsiam.ListRolesInput{MaxItems: aws.Int32(0)})
	wantWords(t, "ListRoles", err, "ValidationError", "maxItems")

	key := b.key(b.person(access.User, "eve"), "eve")
	_, err = b.connect(aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}).GetRole(ctx, &awsiam.GetRoleInput{RoleName: aws.String("there")})
	wantWords(t, "somebody else", err, "AccessDenied", "User: "+bureauARN+"user/eve is not authorized to perform: iam:GetRole on resource: "+bureauARN+
		"role/there because no identity-based policy allows the iam:GetRole action")
	_, err = b.connect(aws.Credentials{AccessKeyID: key.ID, SecretAccessKey: key.Secret}).GetRole(ctx, &awsiam.GetRoleInput{RoleName: aws.String("none")})
	wantWords(t, "somebody else", err, "AccessDenied", "role/none")
}
