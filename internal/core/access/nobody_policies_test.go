package access_test

import (
	"context"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// attemptsOnPolicies has every operation on roles and policies, about an entity of that name, which may be there or not.
func attemptsOnPolicies(account string) map[string]func(ctx context.Context, s *access.Service, c identity.Caller, name string) error {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	iam := "arn:aws:iam::" + account + ":"
	arn := func(name string) string { return iam + "policy/" + name }
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"sts:AssumeRole"}}`
	document := granting("ecr:*")
	tags, page := []access.Tag{{Key: "a", Value: "b"}}, access.Page{}
	all := map[string]func(ctx ctx, s svc, c who, name string) error{
		"CreateRole": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreateRole(ctx, c, access.NewRole{Name: name, Trust: trust})
			return err
		},
		"GetRole":   func(ctx ctx, s svc, c who, name string) error { _, _, err := s.GetRole(ctx, c, name); return err },
		"ListRoles": func(ctx ctx, s svc, c who, _ string) error { _, _, err := s.ListRoles(ctx, c, "", page); return err },
		"UpdateRole": func(ctx ctx, s svc, c who, name string) error {
			return s.UpdateRole(ctx, c, name, access.RoleUpdate{Description: &name})
		},
		"UpdateRoleDescription": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.UpdateRoleDescription(ctx, c, name, "x")
			return err
		},
		"UpdateAssumeRolePolicy":  func(ctx ctx, s svc, c who, name string) error { return s.UpdateAssumeRolePolicy(ctx, c, name, trust) },
		"DeleteRole":              func(ctx ctx, s svc, c who, name string) error { return s.DeleteRole(ctx, c, name) },
		"InstanceProfilesForRole": func(ctx ctx, s svc, c who, name string) error { return s.InstanceProfilesForRole(ctx, c, name) },
		"TagRole":                 func(ctx ctx, s svc, c who, name string) error { return s.TagRole(ctx, c, name, tags) },
		"UntagRole":               func(ctx ctx, s svc, c who, name string) error { return s.UntagRole(ctx, c, name, []string{"a"}) },
		"ListRoleTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ListRoleTags(ctx, c, name, page)
			return err
		},
		"PutRolePermissionsBoundary": func(ctx ctx, s svc, c who, name string) error {
			return s.PutRolePermissionsBoundary(ctx, c, name, pullOnly)
		},
		"PutUserPermissionsBoundary": func(ctx ctx, s svc, c who, name string) error {
			return s.PutUserPermissionsBoundary(ctx, c, name, pullOnly)
		},
		"DeleteRolePermissionsBoundary": func(ctx ctx, s svc, c who, name string) error { return s.DeleteRolePermissionsBoundary(ctx, c, name) },
		"DeleteUserPermissionsBoundary": func(ctx ctx, s svc, c who, name string) error { return s.DeleteUserPermissionsBoundary(ctx, c, name) },
		"CreatePolicy": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreatePolicy(ctx, c, access.NewPolicy{Name: name, Document: document})
			return err
		},
		"GetPolicy": func(ctx ctx, s svc, c who, name string) error { _, err := s.GetPolicy(ctx, c, arn(name)); return err },
		"GetPolicyVersion": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.GetPolicyVersion(ctx, c, arn(name), 1)
			return err
		},
		"ListPolicyVersions": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ListPolicyVersions(ctx, c, arn(name), page)
			return err
		},
		"CreatePolicyVersion": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreatePolicyVersion(ctx, c, arn(name), document, true)
			return err
		},
		"SetDefaultPolicyVersion": func(ctx ctx, s svc, c who, name string) error { return s.SetDefaultPolicyVersion(ctx, c, arn(name), 1) },
		"DeletePolicyVersion":     func(ctx ctx, s svc, c who, name string) error { return s.DeletePolicyVersion(ctx, c, arn(name), 1) },
		"DeletePolicy":            func(ctx ctx, s svc, c who, name string) error { return s.DeletePolicy(ctx, c, arn(name)) },
		"TagPolicy":               func(ctx ctx, s svc, c who, name string) error { return s.TagPolicy(ctx, c, arn(name), tags) },
		"UntagPolicy":             func(ctx ctx, s svc, c who, name string) error { return s.UntagPolicy(ctx, c, arn(name), []string{"a"}) },
		"ListPolicyTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ListPolicyTags(ctx, c, arn(name), page)
			return err
		},
		"ListPolicies": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.ListPolicies(ctx, c, access.PolicyFilter{}, page)
			return err
		},
		"ListEntitiesForPolicy": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ListEntitiesForPolicy(ctx, c, arn(name), access.EntityFilter{}, page)
			return err
		},
		"SimulatePrincipalPolicy": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.SimulatePrincipalPolicy(ctx, c, iam+"user/"+name, access.Simulation{Actions: []string{"ecr:PutImage"}}, page)
			return err
		},
		"SimulateCustomPolicy": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.SimulateCustomPolicy(ctx, c, access.Simulation{Actions: []string{"ecr:PutImage"}, Policies: []string{document}}, page)
			return err
		},
		"GetContextKeysForPrincipalPolicy": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.GetContextKeysForPrincipalPolicy(ctx, c, iam+"user/"+name, nil)
			return err
		},
		"GetAccountAuthorizationDetails": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.GetAccountAuthorizationDetails(ctx, c, access.DetailFilter{}, page)
			return err
		},
		"GetContextKeysForCustomPolicy": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.GetContextKeysForCustomPolicy(ctx, c, []string{document})
			return err
		},
	}
	// What all kinds of principals have: each is tried on each kind.
	for operation, try := range map[string]func(ctx ctx, s svc, c who, kind access.Kind, name string) error{
		"PutInlinePolicy": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			return s.PutInlinePolicy(ctx, c, kind, name, access.InlinePolicy{Name: "p", Document: document})
		},
		"GetInlinePolicy": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			_, _, err := s.GetInlinePolicy(ctx, c, kind, name, "p")
			return err
		},
		"DeleteInlinePolicy": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			return s.DeleteInlinePolicy(ctx, c, kind, name, "p")
		},
		"ListInlinePolicies": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			_, _, err := s.ListInlinePolicies(ctx, c, kind, name, page)
			return err
		},
		"AttachPolicy": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			return s.AttachPolicy(ctx, c, kind, name, pullOnly)
		},
		"DetachPolicy": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			return s.DetachPolicy(ctx, c, kind, name, pullOnly)
		},
		"ListAttachedPolicies": func(ctx ctx, s svc, c who, kind access.Kind, name string) error {
			_, _, err := s.ListAttachedPolicies(ctx, c, kind, name, "", page)
			return err
		},
	} {
		all[operation] = func(ctx ctx, s svc, c who, name string) error {
			var last error
			for _, kind := range []access.Kind{access.User, access.Role, access.Group} {
				if last = try(ctx, s, c, kind, name); !isDenied(last) {
					return last
				}
			}
			return last
		}
	}
	return all
}

func isDenied(err error) bool {
	f, ok := fault.Of(err)
	return ok && f.Code == fault.AccessDenied
}

// TestNobodyTouchesPolicies calls every operation on roles and policies with callers who may do nothing, about entities that are
// there and that are not.
func TestNobodyTouchesPolicies(t *testing.T) {
	eachOffice(t, func(t *testing.T, o *office) {
		mallory := o.principal(access.User, "mallory")
		o.principal(access.User, "ci")
		o.principal(access.Group, "ci")
		o.role("ci")
		o.policy("ci", granting("*"))
		o.must("PutInlinePolicy", o.PutInlinePolicy(t.Context(), o.root, access.User, "mallory", access.InlinePolicy{Name: "p", Document: `{"Version":"2012-10-17",
			"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},{"Effect":"Deny","Action":"*","Resource":"*"}]}`}))
		for who, caller := range map[string]identity.Caller{
			"nobody": {}, "a user without rights": o.principal(access.User, "eve"), "a user who is denied": mallory,
			"another account's root": {Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", UserID: "999999999999", Root: true},
		} {
			for name, try := range attemptsOnPolicies(officeAccount) {
				for _, entity := range []string{"ci", "xx"} {
					wantFault(t, name+" about "+entity+" by "+who, try(t.Context(), o.Service, caller, entity), fault.AccessDenied, "not authorized to perform: iam:")
				}
			}
		}
		for name, try := range attemptsOnPolicies(officeAccount) { // the attempts are sound
			if err := try(t.Context(), o.Service, o.root, "ci"); isDenied(err) {
				t.Errorf("%s by root: %v", name, err)
			}
		}
	})
}
