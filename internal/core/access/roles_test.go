package access_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

func TestRole(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		boundary := o.policy("limit", granting(policy.PutImage))
		trust := " " + trusting(`"AWS":"`+officeAccount+`"`) + "\n"
		made, err := o.CreateRole(ctx, o.root, access.NewRole{
			Name: "Deploy", Path: "/ci/", Description: "what CI is", Trust: trust, MaxSession: 2 * time.Hour, Boundary: boundary,
			Tags: []access.Tag{{Key: "team", Value: "web"}, {Key: "Env", Value: ""}},
		})
		o.must("CreateRole", err)
		if !strings.HasPrefix(made.ID, "AROA") || len(made.ID) != 21 {
			t.Errorf("id %q", made.ID)
		}
		if want := arnPrefix + "role/ci/Deploy"; made.ARN != want {
			t.Errorf("ARN %q, want %q", made.ARN, want)
		}
		got, tags, err := o.Role(ctx, o.root, "deploy")
		o.must("GetRole", err)
		if diff := cmp.Diff(made, got); diff != "" {
			t.Errorf("GetRole (-made +got):\n%s", diff)
		}
		if diff := cmp.Diff([]access.Tag{{Key: "Env"}, {Key: "team", Value: "web"}}, tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
		if got.Trust != trust {
			t.Errorf("the trust policy is %q", got.Trust)
		}

		description, longer := "another", 3*time.Hour
		o.must("UpdateRole", o.UpdateRole(ctx, o.root, "Deploy", access.RoleUpdate{MaxSession: &longer}))
		o.must("UpdateRole", o.UpdateRole(ctx, o.root, "Deploy", access.RoleUpdate{Description: &description}))
		o.must("UpdateAssumeRolePolicy", o.UpdateAssumeRolePolicy(ctx, o.root, "Deploy", trusting(`"Service":"ec2.amazonaws.com"`)))
		got, _, err = o.Role(ctx, o.root, "Deploy")
		o.must("GetRole", err)
		if got.Description != "another" || got.MaxSession != longer || !strings.Contains(got.Trust, "ec2") || got.Boundary != boundary {
			t.Errorf("after updates: %+v", got)
		}
		got, err = o.UpdateRoleDescription(ctx, o.root, "Deploy", "")
		o.must("UpdateRoleDescription", err)
		if got.Description != "" {
			t.Errorf("description %q", got.Description)
		}

		o.must("TagRole", o.TagRole(ctx, o.root, "Deploy", []access.Tag{{Key: "TEAM", Value: "data"}, {Key: "x", Value: "y"}}))
		o.must("UntagRole", o.UntagRole(ctx, o.root, "Deploy", []string{"env", "none"}))
		tags, marker, err := o.RoleTags(ctx, o.root, "Deploy", access.Page{Limit: 1})
		o.must("ListRoleTags", err)
		rest, end, err := o.RoleTags(ctx, o.root, "Deploy", access.Page{Marker: marker})
		o.must("ListRoleTags", err)
		if diff := cmp.Diff([]access.Tag{{Key: "TEAM", Value: "data"}, {Key: "x", Value: "y"}}, append(tags, rest...)); diff != "" || len(tags) != 1 || end != "" {
			t.Errorf("tags in pages of %d and %d, then %q (-want +got):\n%s", len(tags), len(rest), end, diff)
		}
		o.must("DeleteRole", o.DeleteRole(ctx, o.root, "Deploy"))
		_, _, err = o.Role(ctx, o.root, "Deploy")
		wantFault(t, "GetRole of none", err, fault.EntityNotFound, "The role with name Deploy cannot be found.")
		again := o.role("deploy")
		if _, tags, err = o.Role(ctx, o.root, "deploy"); err != nil || len(tags) != 0 || again.ID == made.ID {
			t.Errorf("the next of that name has the tags %v (%v)", tags, err)
		}
	})
}

func TestRoleList(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		for _, name := range []string{"b", "C", "a"} {
			o.role(name)
		}
		_, err := o.CreateRole(t.Context(), o.root, access.NewRole{Name: "d", Path: "/ci/", Trust: trusting(`"AWS":"*"`)})
		o.must("CreateRole", err)
		var names []string
		page := access.Page{Limit: 3}
		for {
			roles, marker, err := o.Roles(t.Context(), o.root, "", page)
			o.must("ListRoles", err)
			for _, r := range roles {
				names = append(names, r.Name)
			}
			names = append(names, "|")
			if page.Marker = marker; marker == "" {
				break
			}
		}
		if got := strings.Join(names, ""); got != "abC|d|" {
			t.Errorf("pages %s", got)
		}
		roles, _, err := o.Roles(t.Context(), o.root, "/ci", access.Page{})
		if err != nil || len(roles) != 1 || roles[0].Name != "d" {
			t.Errorf("under /ci: %v, %v", roles, err)
		}
		_, _, err = o.Roles(t.Context(), o.root, "ci", access.Page{})
		wantFault(t, "a prefix without a slash", err, fault.InvalidParameter, "pathPrefix")
		_, _, err = o.Roles(t.Context(), o.root, "", access.Page{Limit: 1001})
		wantFault(t, "a page too large", err, fault.InvalidParameter, "maxItems")
		_, _, err = o.Roles(t.Context(), o.root, "", access.Page{Marker: "!"})
		wantFault(t, "a marker of somebody's own", err, fault.InvalidParameter, "Marker")
		o.must("InstanceProfilesForRole", o.InstanceProfilesForRole(t.Context(), o.root, "a"))
	})
}

func TestRoleRefused(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.role("there")
		o.principal(access.User, "ci")
		o.principal(access.Group, "devs")
		good := trusting(`"AWS":"` + officeAccount + `"`)
		fifty := make([]access.Tag, 51)
		for i := range fifty {
			fifty[i].Key = fmt.Sprint("k", i)
		}
		for what, c := range map[string]struct {
			role  access.NewRole
			code  fault.Code
			words string
		}{
			"no name":             {access.NewRole{Trust: good}, fault.InvalidParameter, "roleName"},
			"a long name":         {access.NewRole{Name: strings.Repeat("a", 65), Trust: good}, fault.InvalidParameter, "64"},
			"a name's letters":    {access.NewRole{Name: "a b", Trust: good}, fault.InvalidParameter, "alphanumeric"},
			"taken":               {access.NewRole{Name: "THERE", Trust: good}, fault.EntityExists, "Role with name THERE already exists."},
			"a path":              {access.NewRole{Name: "r", Path: "ci", Trust: good}, fault.InvalidParameter, "path"},
			"a description":       {access.NewRole{Name: "r", Description: strings.Repeat("d", 1001), Trust: good}, fault.InvalidParameter, "1000"},
			"control characters":  {access.NewRole{Name: "r", Description: "a\x00", Trust: good}, fault.InvalidParameter, "control"},
			"short sessions":      {access.NewRole{Name: "r", MaxSession: time.Hour - time.Second, Trust: good}, fault.InvalidParameter, "'3599' at 'maxSessionDuration'"},
			"long sessions":       {access.NewRole{Name: "r", MaxSession: 12*time.Hour + time.Second, Trust: good}, fault.InvalidParameter, "between 3600 and 43200"},
			"many tags":           {access.NewRole{Name: "r", Tags: fifty, Trust: good}, fault.LimitExceeded, "50"},
			"two tags of one key": {access.NewRole{Name: "r", Tags: []access.Tag{{Key: "a"}, {Key: "A"}}, Trust: good}, fault.InvalidParameter, "Duplicate"},
			"no such boundary":    {access.NewRole{Name: "r", Boundary: arnPrefix + "policy/none", Trust: good}, fault.EntityNotFound, "Scope ARN: " + arnPrefix + "policy/none does not exist"},
			"no boundary at all":  {access.NewRole{Name: "r", Boundary: "x", Trust: good}, fault.InvalidParameter, "ARN x is not valid."},
			"no trust":            {access.NewRole{Name: "r"}, fault.PolicyMalformed, "not JSON"},
			"trust in nobody":     {access.NewRole{Name: "r", Trust: granting("sts:AssumeRole")}, fault.PolicyMalformed, "no Principal"},
			"trust for a push":    {access.NewRole{Name: "r", Trust: strings.Replace(good, "sts:AssumeRole", "ecr:PutImage", 1)}, fault.PolicyMalformed, "ecr:PutImage"},
			"a long trust":        {access.NewRole{Name: "r", Trust: strings.Replace(good, `"Version"`, `"Id":"`+strings.Repeat("x", 8192)+`","Version"`, 1)}, fault.LimitExceeded, "ACLSizePerRole"},
		} {
			_, err := o.CreateRole(t.Context(), o.root, c.role)
			wantFault(t, what, err, c.code, c.words)
		}
		for principal, there := range map[string]bool{
			`"AWS":"*"`:                                                                          true,
			`"AWS":"111122223333"`:                                                               true,
			`"AWS":"` + arnPrefix + `root"`:                                                      true,
			`"AWS":"` + arnPrefix + `user/ci"`:                                                   true,
			`"AWS":"` + arnPrefix + `user/eve"`:                                                  false,
			`"AWS":"` + arnPrefix + `user/other/ci"`:                                             false,
			`"AWS":"` + arnPrefix + `group/devs"`:                                                false,
			`"AWS":"` + arnPrefix + `role/there"`:                                                true,
			`"AWS":"` + arnPrefix + `role/none"`:                                                 false,
			`"AWS":"arn:aws:sts::` + officeAccount + `:assumed-role/there/me"`:                   true,
			`"AWS":"arn:aws:sts::` + officeAccount + `:assumed-role/none/me"`:                    false,
			`"AWS":"arn:aws:iam::111122223333:role/x"`:                                           true,
			`"AWS":"AIDACICICICICICICICIC"`:                                                      true,
			`"AWS":"AIDANOBODYNOBODYNOBOD"`:                                                      false,
			`"Service":"ec2.amazonaws.com"`:                                                      true,
			`"Federated":"` + arnPrefix + `oidc-provider/idp.example.com"`:                       true,
			`"Federated":"arn:aws:iam::111122223333:oidc-provider/idp.example.com"`:              false,
			`"Federated":"cognito-identity.amazonaws.com"`:                                       false,
			`"CanonicalUser":"79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"`: false,
		} {
			_, err := o.CreateRole(t.Context(), o.root, access.NewRole{Name: "r", Trust: trusting(principal)})
			update := o.UpdateAssumeRolePolicy(t.Context(), o.root, "there", trusting(principal))
			if !there {
				wantFault(t, "trust in "+principal, err, fault.PolicyMalformed, "Invalid principal in policy: "+principal)
				wantFault(t, "trust put in "+principal, update, fault.PolicyMalformed, "Invalid principal in policy: "+principal)
				continue
			}
			if err != nil || update != nil {
				t.Errorf("trust in %s: %v; %v", principal, err, update)
				continue
			}
			o.must("DeleteRole", o.DeleteRole(t.Context(), o.root, "r"))
		}
	})
}

// TestEverybodysTokens has trust in issuers that anybody can have a token of.
func TestEverybodysTokens(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		o.role("r")
		for _, issuer := range []string{"token.actions.githubusercontent.com", "gitlab.com", "app.terraform.io", "agent.buildkite.com"} {
			federated := `"Federated":"` + arnPrefix + "oidc-provider/" + issuer + `"`
			for condition, words := range map[string]string{
				"": "has no condition that limits " + issuer + ":sub",
				`{"StringEquals":{"ISSUER:aud":"sts.amazonaws.com"}}`:                 "has no condition",
				`{"StringLike":{"ISSUER:sub":"*"}}`:                                   `lets "*" through`,
				`{"StringLike":{"ISSUER:sub":["repo:me/mine:*","?*"]}}`:               `lets "?*" through`,
				`{"StringLike":{"ISSUER:sub":"repo:*"}}`:                              `lets "repo:*" through`,
				`{"StringLike":{"ISSUER:sub":"repo:*/*:*"}}`:                          `lets "repo:*/*:*" through`,
				`{"StringEquals":{"ISSUER:sub":"${ISSUER:sub}"}}`:                     `lets "${`,
				`{"StringLike":{"ISSUER:sub":"repo:${ISSUER:sub}*"}}`:                 `lets "repo:${`,
				`{"StringLike":{"ISSUER:sub":"repo:*/mine:ref:refs/heads/main"}}`:     `lets "repo:*/mine`,
				`{"StringLike":{"ISSUER:sub":"repo:*:ref:refs/heads/main"}}`:          `lets "repo:*:ref`,
				`{"StringLike":{"ISSUER:sub":"*:ref:refs/heads/main"}}`:               `lets "*:ref`,
				`{"StringLike":{"ISSUER:sub":"repo*"}}`:                               `lets "repo*" through`,
				`{"StringLike":{"ISSUER:sub":"repo?*"}}`:                              `lets "repo?*"`,
				`{"StringLike":{"ISSUER:sub":"organization:?*:pipeline:x:*"}}`:        `lets "organization:?*`,
				`{"StringEquals":{"ISSUER:sub":"repo:${ISSUER:repository}:x"}}`:       `lets "repo:${`,
				`{"StringLikeIfExists":{"ISSUER:sub":"repo:me/mine:*"}}`:              "has no condition",
				`{"ForAllValues:StringLike":{"ISSUER:sub":"repo:me/mine:*"}}`:         "has no condition",
				`{"StringNotEquals":{"ISSUER:sub":"repo:me/mine:ref:refs/heads/x"}}`:  "has no condition",
				`{"StringEquals":{"other.example:sub":"repo:me/mine:*"}}`:             "has no condition",
				`{"StringEquals":{"ISSUER:sub":"repo:me/mine:ref:refs/heads/main"}}`:  "",
				`{"StringLike":{"ISSUER:SUB":"repo:me/*"}}`:                           "",
				`{"StringLike":{"ISSUER:sub":"repo:me@123456/my-repo@456789:ref:*"}}`: "",
			} {
				condition = strings.ReplaceAll(condition, "ISSUER", issuer)
				err := o.UpdateAssumeRolePolicy(t.Context(), o.root, "r", trustingWhen(federated, condition))
				if words == "" {
					o.must(condition, err)
					continue
				}
				wantFault(t, issuer+" "+condition, err, fault.PolicyMalformed, words)
			}
		}
		deny := strings.Replace(trusting(`"Federated":"`+arnPrefix+`oidc-provider/gitlab.com"`), "Allow", "Deny", 1)
		o.must("a deny", o.UpdateAssumeRolePolicy(t.Context(), o.root, "r", deny))
		tagging := strings.Replace(trusting(`"Federated":"`+arnPrefix+`oidc-provider/gitlab.com"`), "sts:AssumeRole", "sts:TagSession", 1)
		o.must("to tag the session", o.UpdateAssumeRolePolicy(t.Context(), o.root, "r", tagging))
		o.must("an issuer of one's own", o.UpdateAssumeRolePolicy(t.Context(), o.root, "r", trusting(`"Federated":"`+arnPrefix+`oidc-provider/gitlab.example.com"`)))
	})
}

func TestDeleteRole(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		o.role("r")
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.Role, "r", access.InlinePolicy{Name: "p", Document: granting("ecr:*")}))
		o.must("AttachPolicy", o.AttachPolicy(ctx, o.root, access.Role, "r", pullOnly))
		wantFault(t, "with an inline policy", o.DeleteRole(ctx, o.root, "r"), fault.EntityInUse, "must delete policies first")
		o.must("DeleteInlinePolicy", o.DeleteInlinePolicy(ctx, o.root, access.Role, "r", "p"))
		wantFault(t, "with an attached policy", o.DeleteRole(ctx, o.root, "r"), fault.EntityInUse, "must detach all policies first")
		o.must("DetachPolicy", o.DetachPolicy(ctx, o.root, access.Role, "r", pullOnly))
		o.must("DeleteRole", o.DeleteRole(ctx, o.root, "r"))
		wantFault(t, "again", o.DeleteRole(ctx, o.root, "r"), fault.EntityNotFound, "r cannot be found")
	})
}

func TestBoundaries(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		ci := o.principal(access.User, "ci")
		o.role("r")
		limit := o.policy("limit", granting(policy.GetAuthorizationToken))
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.User, "ci", access.InlinePolicy{Name: "all", Document: granting("*")}))
		o.must("PutUserPermissionsBoundary", o.PutUserPermissionsBoundary(ctx, o.root, "ci", limit))
		o.must("PutRolePermissionsBoundary", o.PutRolePermissionsBoundary(ctx, o.root, "r", pullOnly))
		if !o.may(ci, policy.GetAuthorizationToken, "*") || o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("the boundary does not bound")
		}
		info, err := o.Policy(ctx, o.root, limit)
		if err != nil || info.BoundaryOf != 1 || info.Attached != 0 {
			t.Errorf("the boundary is used %+v, %v", info, err)
		}
		wantFault(t, "deleting it", o.DeletePolicy(ctx, o.root, limit), fault.EntityInUse, "boundary")
		wantFault(t, "no boundary", o.PutUserPermissionsBoundary(ctx, o.root, "ci", ""), fault.InvalidParameter, "permissionsBoundary")
		wantFault(t, "no ARN", o.PutUserPermissionsBoundary(ctx, o.root, "ci", "limit"), fault.InvalidParameter, "limit")
		wantFault(t, "none there", o.PutRolePermissionsBoundary(ctx, o.root, "r", arnPrefix+"policy/none"), fault.EntityNotFound, "none")
		o.must("DeleteUserPermissionsBoundary", o.DeleteUserPermissionsBoundary(ctx, o.root, "ci"))
		o.must("DeleteRolePermissionsBoundary", o.DeleteRolePermissionsBoundary(ctx, o.root, "r"))
		if !o.may(ci, policy.DescribeRegistry, "*") {
			t.Error("the boundary stays")
		}
		wantFault(t, "again", o.DeleteUserPermissionsBoundary(ctx, o.root, "ci"), fault.EntityNotFound, "has no permissions boundary")
		o.must("DeletePolicy", o.DeletePolicy(ctx, o.root, limit))
	})
}

// TestBoundaryCondition holds a helper to giving others its own boundary, as AWS's guide to delegation has it.
func TestBoundaryCondition(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		helper := o.principal(access.User, "helper")
		limit := o.policy("limit", granting("ecr:*"))
		document := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":["iam:CreateRole","iam:AttachRolePolicy","iam:PutRolePermissionsBoundary"],"Resource":"*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"` + limit + `"},"StringEqualsIfExists":{"iam:PolicyARN":"` + pullOnly + `"}}}]}`
		o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.User, "helper", access.InlinePolicy{Name: "p", Document: document}))
		trust := trusting(`"AWS":"*"`)
		_, err := o.CreateRole(ctx, helper, access.NewRole{Name: "free", Trust: trust})
		wantFault(t, "a role without the boundary", err, fault.AccessDenied, "iam:CreateRole")
		_, err = o.CreateRole(ctx, helper, access.NewRole{Name: "bound", Trust: trust, Boundary: limit})
		o.must("a role with the boundary", err)
		o.role("free")
		o.must("attaching to it", o.AttachPolicy(ctx, helper, access.Role, "bound", pullOnly))
		wantFault(t, "attaching something else", o.AttachPolicy(ctx, helper, access.Role, "bound", limit), fault.AccessDenied, "iam:AttachRolePolicy")
		wantFault(t, "attaching elsewhere", o.AttachPolicy(ctx, helper, access.Role, "free", pullOnly), fault.AccessDenied, "role/free")
		wantFault(t, "another boundary", o.PutRolePermissionsBoundary(ctx, helper, "bound", pullOnly), fault.AccessDenied, "iam:PutRolePermissionsBoundary")
		wantFault(t, "no boundary", o.DeleteRolePermissionsBoundary(ctx, helper, "bound"), fault.AccessDenied, "iam:DeleteRolePermissionsBoundary")
	})
}

// TestTagsOnCreation wants the permission to tag beside the one to create, as AWS does.
func TestTagsOnCreation(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		ctx := t.Context()
		ci := o.principal(access.User, "ci")
		allow := func(actions string) {
			o.must("PutInlinePolicy", o.PutInlinePolicy(ctx, o.root, access.User, "ci", access.InlinePolicy{
				Name: "p", Document: `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":[` + actions + `],"Resource":"*","Condition":{"StringEquals":{"aws:RequestTag/team":"web"}}}}`,
			}))
		}
		create := func(team string) (role, managed error) {
			tags := []access.Tag{{Key: "team", Value: team}}
			_, role = o.CreateRole(ctx, ci, access.NewRole{Name: "r" + team, Trust: trusting(`"AWS":"*"`), Tags: tags})
			_, managed = o.CreatePolicy(ctx, ci, access.NewPolicy{Name: "p" + team, Document: granting("*"), Tags: tags})
			return role, managed
		}
		allow(`"iam:CreateRole","iam:CreatePolicy"`)
		role, managed := create("web")
		wantFault(t, "a role with tags", role, fault.AccessDenied, "iam:TagRole")
		wantFault(t, "a policy with tags", managed, fault.AccessDenied, "iam:TagPolicy")
		allow(`"iam:CreateRole","iam:CreatePolicy","iam:TagRole","iam:TagPolicy"`)
		role, managed = create("web")
		o.must("a role with its tag", role)
		o.must("a policy with its tag", managed)
		role, managed = create("data")
		wantFault(t, "a role with another tag", role, fault.AccessDenied, "iam:CreateRole")
		wantFault(t, "a policy with another tag", managed, fault.AccessDenied, "iam:CreatePolicy")
	})
}
