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

// TestPolicies goes through a managed policy's life as Terraform's aws_iam_policy does.
func TestPolicies(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c := t.Context(), b.client
	made, err := c.CreatePolicy(ctx, &awsiam.CreatePolicyInput{
		PolicyName: aws.String("push"), Path: aws.String("/ci/"), Description: aws.String("to push"), PolicyDocument: aws.String(allowECR),
		Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("web")}},
	})
	b.must("CreatePolicy", err)
	arn := made.Policy.Arn
	got, err := c.GetPolicy(ctx, &awsiam.GetPolicyInput{PolicyArn: arn})
	b.must("GetPolicy", err)
	if p := got.Policy; *p.Arn != bureauARN+"policy/ci/push" || *p.DefaultVersionId != "v1" || *p.AttachmentCount != 0 || *p.PermissionsBoundaryUsageCount != 0 ||
		!p.IsAttachable || *p.Description != "to push" || len(p.Tags) != 1 || p.UpdateDate == nil || !strings.HasPrefix(*p.PolicyId, "ANPA") {
		t.Errorf("GetPolicy: %+v", p)
	}
	v, err := c.CreatePolicyVersion(ctx, &awsiam.CreatePolicyVersionInput{PolicyArn: arn, PolicyDocument: aws.String(allowECR + "\n"), SetAsDefault: true})
	b.must("CreatePolicyVersion", err)
	if *v.PolicyVersion.VersionId != "v2" || !v.PolicyVersion.IsDefaultVersion || v.PolicyVersion.Document != nil {
		t.Errorf("CreatePolicyVersion: %+v", v.PolicyVersion)
	}
	version, err := c.GetPolicyVersion(ctx, &awsiam.GetPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")})
	b.must("GetPolicyVersion", err)
	if text, err := url.PathUnescape(*version.PolicyVersion.Document); err != nil || text != allowECR+"\n" {
		t.Errorf("version 2 is %q, %v", text, err)
	}
	_, err = c.SetDefaultPolicyVersion(ctx, &awsiam.SetDefaultPolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")})
	b.must("SetDefaultPolicyVersion", err)
	versions, err := c.ListPolicyVersions(ctx, &awsiam.ListPolicyVersionsInput{PolicyArn: arn})
	b.must("ListPolicyVersions", err)
	if len(versions.Versions) != 2 || *versions.Versions[0].VersionId != "v2" || versions.Versions[0].IsDefaultVersion || !versions.Versions[1].IsDefaultVersion {
		t.Errorf("versions: %+v", versions.Versions)
	}
	_, err = c.DeletePolicyVersion(ctx, &awsiam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v1")})
	wantWords(t, "DeletePolicyVersion", err, "DeleteConflict", "default version")
	_, err = c.DeletePolicyVersion(ctx, &awsiam.DeletePolicyVersionInput{PolicyArn: arn, VersionId: aws.String("v2")})
	b.must("DeletePolicyVersion", err)
	_, err = c.TagPolicy(ctx, &awsiam.TagPolicyInput{PolicyArn: arn, Tags: []types.Tag{{Key: aws.String("x"), Value: aws.String("y")}}})
	b.must("TagPolicy", err)
	_, err = c.UntagPolicy(ctx, &awsiam.UntagPolicyInput{PolicyArn: arn, TagKeys: []string{"team"}})
	b.must("UntagPolicy", err)
	tags, err := c.ListPolicyTags(ctx, &awsiam.ListPolicyTagsInput{PolicyArn: arn})
	b.must("ListPolicyTags", err)
	if len(tags.Tags) != 1 || *tags.Tags[0].Key != "x" {
		t.Errorf("tags: %+v", tags.Tags)
	}
	for scope, want := range map[types.PolicyScopeType]int{"": 8, types.PolicyScopeTypeAll: 8, types.PolicyScopeTypeAws: 7, types.PolicyScopeTypeLocal: 1} {
		listed, err := c.ListPolicies(ctx, &awsiam.ListPoliciesInput{Scope: scope})
		b.must("ListPolicies", err)
		if len(listed.Policies) != want || listed.IsTruncated {
			t.Errorf("%d policies of scope %q, want %d", len(listed.Policies), scope, want)
		}
	}
	_, err = c.DeletePolicy(ctx, &awsiam.DeletePolicyInput{PolicyArn: arn})
	b.must("DeletePolicy", err)
	_, err = c.GetPolicy(ctx, &awsiam.GetPolicyInput{PolicyArn: arn})
	wantWords(t, "GetPolicy", err, "NoSuchEntity", "was not found")

	_, err = c.CreatePolicy(ctx, &awsiam.CreatePolicyInput{PolicyName: aws.String("p"), PolicyDocument: aws.String("x")})
	wantWords(t, "no policy", err, "MalformedPolicyDocument", "JSON")
	_, err = c.DeletePolicy(ctx, &awsiam.DeletePolicyInput{PolicyArn: aws.String(pullOnlyARN)})
	wantWords(t, "AWS's", err, "UnmodifiableEntity", "managed by AWS")
	for _, id := range []string{"", "1", "v0", "v", "v1.2", "v9999999999"} {
		_, err = c.GetPolicyVersion(ctx, &awsiam.GetPolicyVersionInput{PolicyArn: aws.String(pullOnlyARN), VersionId: aws.String(id)})
		wantWords(t, "version "+id, err, "ValidationError", "versionId")
		_, err = c.SetDefaultPolicyVersion(ctx, &awsiam.SetDefaultPolicyVersionInput{PolicyArn: aws.String(pullOnlyARN), VersionId: aws.String(id)})
		wantWords(t, "version "+id, err, "ValidationError", "versionId")
		_, err = c.DeletePolicyVersion(ctx, &awsiam.DeletePolicyVersionInput{PolicyArn: aws.String(pullOnlyARN), VersionId: aws.String(id)})
		wantWords(t, "version "+id, err, "ValidationError", "versionId")
	}
	_, err = c.ListPolicies(ctx, &awsiam.ListPoliciesInput{Scope: "Mine"})
	wantWords(t, "a scope", err, "ValidationError", "scope")
	_, err = c.ListPolicies(ctx, &awsiam.ListPoliciesInput{PolicyUsageFilter: "None"})
	wantWords(t, "a usage", err, "ValidationError", "policyUsageFilter")
}

// TestPoliciesOfPrincipals puts policies on each kind of principal, and takes them off again.
func TestPoliciesOfPrincipals(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c, name, p := t.Context(), b.client, aws.String("x"), aws.String("p")
	b.person(access.User, "x")
	b.person(access.Group, "x")
	_, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trustRoot)})
	b.must("CreateRole", err)

	text := aws.String(" " + allowECR)
	_, err = c.PutUserPolicy(ctx, &awsiam.PutUserPolicyInput{UserName: name, PolicyName: p, PolicyDocument: text})
	b.must("PutUserPolicy", err)
	_, err = c.PutRolePolicy(ctx, &awsiam.PutRolePolicyInput{RoleName: name, PolicyName: p, PolicyDocument: text})
	b.must("PutRolePolicy", err)
	_, err = c.PutGroupPolicy(ctx, &awsiam.PutGroupPolicyInput{GroupName: name, PolicyName: p, PolicyDocument: text})
	b.must("PutGroupPolicy", err)
	u, err := c.GetUserPolicy(ctx, &awsiam.GetUserPolicyInput{UserName: name, PolicyName: p})
	b.must("GetUserPolicy", err)
	r, err := c.GetRolePolicy(ctx, &awsiam.GetRolePolicyInput{RoleName: name, PolicyName: p})
	b.must("GetRolePolicy", err)
	g, err := c.GetGroupPolicy(ctx, &awsiam.GetGroupPolicyInput{GroupName: name, PolicyName: p})
	b.must("GetGroupPolicy", err)
	for what, got := range map[string][3]*string{
		"user": {u.UserName, u.PolicyName, u.PolicyDocument}, "role": {r.RoleName, r.PolicyName, r.PolicyDocument}, "group": {g.GroupName, g.PolicyName, g.PolicyDocument},
	} {
		if d, err := url.PathUnescape(*got[2]); *got[0] != "x" || *got[1] != "p" || d != *text || err != nil {
			t.Errorf("%s %s has policy %s: %s", what, *got[0], *got[1], d)
		}
	}
	names := func() (all []string) {
		u, err := c.ListUserPolicies(ctx, &awsiam.ListUserPoliciesInput{UserName: name})
		b.must("ListUserPolicies", err)
		r, err := c.ListRolePolicies(ctx, &awsiam.ListRolePoliciesInput{RoleName: name})
		b.must("ListRolePolicies", err)
		g, err := c.ListGroupPolicies(ctx, &awsiam.ListGroupPoliciesInput{GroupName: name})
		b.must("ListGroupPolicies", err)
		return append(append(append(all, u.PolicyNames...), r.PolicyNames...), g.PolicyNames...)
	}
	if diff := cmp.Diff([]string{"p", "p", "p"}, names()); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	_, err = c.DeleteUserPolicy(ctx, &awsiam.DeleteUserPolicyInput{UserName: name, PolicyName: p})
	b.must("DeleteUserPolicy", err)
	_, err = c.DeleteRolePolicy(ctx, &awsiam.DeleteRolePolicyInput{RoleName: name, PolicyName: p})
	b.must("DeleteRolePolicy", err)
	_, err = c.DeleteGroupPolicy(ctx, &awsiam.DeleteGroupPolicyInput{GroupName: name, PolicyName: p})
	b.must("DeleteGroupPolicy", err)
	if got := names(); len(got) != 0 {
		t.Errorf("names afterwards: %v", got)
	}
	_, err = c.GetRolePolicy(ctx, &awsiam.GetRolePolicyInput{RoleName: name, PolicyName: p})
	wantWords(t, "GetRolePolicy", err, "NoSuchEntity", "The role policy with name p cannot be found.")
	_, err = c.PutRolePolicy(ctx, &awsiam.PutRolePolicyInput{RoleName: name, PolicyName: p, PolicyDocument: aws.String(trustRoot)})
	wantWords(t, "PutRolePolicy", err, "MalformedPolicyDocument", "Principal")
	long := strings.Replace(allowECR, `"ecr:*"`, `"ecr:`+strings.Repeat("x", 2048)+`"`, 1)
	_, err = c.PutUserPolicy(ctx, &awsiam.PutUserPolicyInput{UserName: name, PolicyName: p, PolicyDocument: aws.String(long)})
	wantWords(t, "PutUserPolicy", err, "LimitExceeded", "Maximum policy size of 2048 bytes exceeded for user x")
}

func TestAttachments(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c, name, arn := t.Context(), b.client, aws.String("x"), aws.String(pullOnlyARN)
	b.person(access.User, "x")
	b.person(access.Group, "x")
	_, err := c.CreateRole(ctx, &awsiam.CreateRoleInput{RoleName: name, AssumeRolePolicyDocument: aws.String(trustRoot)})
	b.must("CreateRole", err)
	_, err = c.AttachUserPolicy(ctx, &awsiam.AttachUserPolicyInput{UserName: name, PolicyArn: arn})
	b.must("AttachUserPolicy", err)
	_, err = c.AttachRolePolicy(ctx, &awsiam.AttachRolePolicyInput{RoleName: name, PolicyArn: arn})
	b.must("AttachRolePolicy", err)
	_, err = c.AttachGroupPolicy(ctx, &awsiam.AttachGroupPolicyInput{GroupName: name, PolicyArn: arn})
	b.must("AttachGroupPolicy", err)
	attached := func() (all []string) {
		u, err := c.ListAttachedUserPolicies(ctx, &awsiam.ListAttachedUserPoliciesInput{UserName: name})
		b.must("ListAttachedUserPolicies", err)
		r, err := c.ListAttachedRolePolicies(ctx, &awsiam.ListAttachedRolePoliciesInput{RoleName: name})
		b.must("ListAttachedRolePolicies", err)
		g, err := c.ListAttachedGroupPolicies(ctx, &awsiam.ListAttachedGroupPoliciesInput{GroupName: name})
		b.must("ListAttachedGroupPolicies", err)
		for _, p := range append(append(u.AttachedPolicies, r.AttachedPolicies...), g.AttachedPolicies...) {
			all = append(all, *p.PolicyName+" "+*p.PolicyArn)
		}
		return all
	}
	one := "AmazonEC2ContainerRegistryPullOnly " + pullOnlyARN
	if diff := cmp.Diff([]string{one, one, one}, attached()); diff != "" {
		t.Errorf("attached (-want +got):\n%s", diff)
	}
	got, err := c.GetPolicy(ctx, &awsiam.GetPolicyInput{PolicyArn: arn})
	b.must("GetPolicy", err)
	if *got.Policy.AttachmentCount != 3 {
		t.Errorf("attached %d times", *got.Policy.AttachmentCount)
	}
	for filter, want := range map[types.EntityType][3]int{"": {1, 1, 1}, types.EntityTypeUser: {1, 0, 0}, types.EntityTypeRole: {0, 1, 0}, types.EntityTypeGroup: {0, 0, 1}} {
		e, err := c.ListEntitiesForPolicy(ctx, &awsiam.ListEntitiesForPolicyInput{PolicyArn: arn, EntityFilter: filter})
		b.must("ListEntitiesForPolicy", err)
		if got := [3]int{len(e.PolicyUsers), len(e.PolicyRoles), len(e.PolicyGroups)}; got != want {
			t.Errorf("entities of kind %q: %v, want %v", filter, got, want)
		}
	}
	for what, in := range map[string]*awsiam.ListEntitiesForPolicyInput{
		"entityFilter":      {PolicyArn: arn, EntityFilter: types.EntityTypeLocalManagedPolicy},
		"policyUsageFilter": {PolicyArn: arn, PolicyUsageFilter: "x"},
	} {
		_, err = c.ListEntitiesForPolicy(ctx, in)
		wantWords(t, what, err, "ValidationError", what)
	}
	_, err = c.AttachRolePolicy(ctx, &awsiam.AttachRolePolicyInput{RoleName: name, PolicyArn: aws.String("arn:aws:iam::aws:policy/ReadOnlyAccess")})
	wantWords(t, "a policy of AWS's that is not here", err, "NoSuchEntity", "Policy arn:aws:iam::aws:policy/ReadOnlyAccess does not exist or is not attachable.")
	_, err = c.DetachUserPolicy(ctx, &awsiam.DetachUserPolicyInput{UserName: name, PolicyArn: arn})
	b.must("DetachUserPolicy", err)
	_, err = c.DetachRolePolicy(ctx, &awsiam.DetachRolePolicyInput{RoleName: name, PolicyArn: arn})
	b.must("DetachRolePolicy", err)
	_, err = c.DetachGroupPolicy(ctx, &awsiam.DetachGroupPolicyInput{GroupName: name, PolicyArn: arn})
	b.must("DetachGroupPolicy", err)
	if got := attached(); len(got) != 0 {
		t.Errorf("attached afterwards: %v", got)
	}
}

func TestSimulate(t *testing.T) {
	t.Parallel()
	b := newBureau(t)
	ctx, c := t.Context(), b.client
	b.person(access.User, "ci")
	_, err := c.AttachUserPolicy(ctx, &awsiam.AttachUserPolicyInput{UserName: aws.String("ci"), PolicyArn: aws.String(pullOnlyARN)})
	b.must("AttachUserPolicy", err)
	_, err = c.PutUserPermissionsBoundary(ctx, &awsiam.PutUserPermissionsBoundaryInput{UserName: aws.String("ci"), PermissionsBoundary: aws.String(pullOnlyARN)})
	b.must("PutUserPermissionsBoundary", err)
	const deny = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"ecr:BatchGetImage","Resource":"*","Condition":{"StringEquals":{"aws:ResourceTag/secret":"yes"}}}}`
	in := &awsiam.SimulatePrincipalPolicyInput{
		PolicySourceArn: aws.String(bureauARN + "user/ci"), ActionNames: []string{"ecr:BatchGetImage", "ecr:PutImage"}, PolicyInputList: []string{deny},
		ResourceArns: []string{"arn:aws:ecr:us-east-1:" + bureauAccount + ":repository/app"},
	}
	out, err := c.SimulatePrincipalPolicy(ctx, in)
	b.must("SimulatePrincipalPolicy", err)
	if len(out.EvaluationResults) != 2 {
		t.Fatalf("results: %+v", out.EvaluationResults)
	}
	pull, push := out.EvaluationResults[0], out.EvaluationResults[1]
	if pull.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || *pull.EvalActionName != "ecr:BatchGetImage" || *pull.EvalResourceName != in.ResourceArns[0] ||
		len(pull.MatchedStatements) != 2 || !pull.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary || pull.MissingContextValues[0] != "aws:ResourceTag/secret" ||
		pull.ResourceSpecificResults[0].EvalResourceDecision != types.PolicyEvaluationDecisionTypeAllowed {
		t.Errorf("pull: %+v", pull)
	}
	if s := pull.MatchedStatements[0]; *s.SourcePolicyId != "AmazonEC2ContainerRegistryPullOnly" || s.SourcePolicyType != types.PolicySourceTypeAwsManaged ||
		s.StartPosition.Line != 4 || s.StartPosition.Column != 9 || s.EndPosition.Line != 13 {
		t.Errorf("the statement: %+v", s)
	}
	if push.EvalDecision != types.PolicyEvaluationDecisionTypeImplicitDeny || len(push.MatchedStatements) != 0 || push.PermissionsBoundaryDecisionDetail.AllowedByPermissionsBoundary {
		t.Errorf("push: %+v", push)
	}
	in.ContextEntries = []types.ContextEntry{{ContextKeyName: aws.String("aws:ResourceTag/secret"), ContextKeyType: types.ContextKeyTypeEnumStringList, ContextKeyValues: []string{"yes"}}}
	in.MaxItems = aws.Int32(1)
	out, err = c.SimulatePrincipalPolicy(ctx, in)
	b.must("SimulatePrincipalPolicy", err)
	if len(out.EvaluationResults) != 1 || out.EvaluationResults[0].EvalDecision != types.PolicyEvaluationDecisionTypeExplicitDeny || !out.IsTruncated || out.Marker == nil {
		t.Errorf("with the tag: %+v", out)
	}

	custom, err := c.SimulateCustomPolicy(ctx, &awsiam.SimulateCustomPolicyInput{PolicyInputList: []string{allowECR}, ActionNames: []string{"ecr:PutImage"}})
	b.must("SimulateCustomPolicy", err)
	if r := custom.EvaluationResults[0]; r.EvalDecision != types.PolicyEvaluationDecisionTypeAllowed || *r.MatchedStatements[0].SourcePolicyId != "PolicyInputList.1" || r.PermissionsBoundaryDecisionDetail != nil {
		t.Errorf("custom: %+v", r)
	}
	keys, err := c.GetContextKeysForPrincipalPolicy(ctx, &awsiam.GetContextKeysForPrincipalPolicyInput{PolicySourceArn: aws.String(bureauARN + "user/ci"), PolicyInputList: []string{deny}})
	b.must("GetContextKeysForPrincipalPolicy", err)
	more, err := c.GetContextKeysForCustomPolicy(ctx, &awsiam.GetContextKeysForCustomPolicyInput{PolicyInputList: []string{deny}})
	b.must("GetContextKeysForCustomPolicy", err)
	if diff := cmp.Diff([]string{"aws:ResourceTag/secret", "aws:ResourceTag/secret"}, append(keys.ContextKeyNames, more.ContextKeyNames...)); diff != "" {
		t.Errorf("keys (-want +got):\n%s", diff)
	}

	base := awsiam.SimulatePrincipalPolicyInput{PolicySourceArn: aws.String(bureauARN + "user/ci"), ActionNames: []string{"ecr:PutImage"}}
	for what, c := range map[string]struct {
		change      func(in *awsiam.SimulatePrincipalPolicyInput)
		code, words string
	}{
		"nobody": {func(in *awsiam.SimulatePrincipalPolicyInput) {
			in.PolicySourceArn = aws.String(bureauARN + "user/none")
		}, "NoSuchEntity", "The user with name none cannot be found."},
		"no action": {func(in *awsiam.SimulatePrincipalPolicyInput) { in.ActionNames = []string{"push"} }, "ValidationError", "push"},
		"a type": {func(in *awsiam.SimulatePrincipalPolicyInput) {
			in.ContextEntries = []types.ContextEntry{{ContextKeyName: aws.String("k"), ContextKeyType: "word"}}
		}, "ValidationError", "contextKeyType"},
		"EC2's handling": {func(in *awsiam.SimulatePrincipalPolicyInput) { in.ResourceHandlingOption = aws.String("EC2-VPC") }, "InvalidInput", "ResourceHandlingOption"},
		"exclusions": {func(in *awsiam.SimulatePrincipalPolicyInput) {
			in.PolicyExclusionList = []types.PolicyIdentifier{&types.PolicyIdentifierMemberPolicyArn{Value: pullOnlyARN}}
		}, "InvalidInput", "PolicyExclusionList"},
	} {
		in := base
		c.change(&in)
		_, err := b.client.SimulatePrincipalPolicy(ctx, &in)
		wantWords(t, what, err, c.code, c.words)
	}
}
