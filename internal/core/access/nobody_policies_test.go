package access_test

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

const trustNobody = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::000123456789:root"},"Action":"sts:AssumeRole"}]}`

func roleAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	return map[string]attempt{
		"CreateRole": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreateRole(ctx, c, access.NewRole{Name: name, Trust: trustNobody})
			return err
		},
		"Role": func(ctx ctx, s svc, c who, name string) error { _, _, err := s.Role(ctx, c, name); return err },
		"Roles": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.Roles(ctx, c, "", access.Page{})
			return err
		},
		"UpdateRole": func(ctx ctx, s svc, c who, name string) error { return s.UpdateRole(ctx, c, name, access.RoleUpdate{}) },
		"UpdateRoleDescription": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.UpdateRoleDescription(ctx, c, name, "x")
			return err
		},
		"UpdateAssumeRolePolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.UpdateAssumeRolePolicy(ctx, c, name, trustNobody)
		},
		"DeleteRole":              func(ctx ctx, s svc, c who, name string) error { return s.DeleteRole(ctx, c, name) },
		"InstanceProfilesForRole": func(ctx ctx, s svc, c who, name string) error { return s.InstanceProfilesForRole(ctx, c, name) },
		"TagRole": func(ctx ctx, s svc, c who, name string) error {
			return s.TagRole(ctx, c, name, []access.Tag{{Key: "a", Value: "b"}})
		},
		"UntagRole": func(ctx ctx, s svc, c who, name string) error { return s.UntagRole(ctx, c, name, []string{"a"}) },
		"RoleTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.RoleTags(ctx, c, name, access.Page{})
			return err
		},
		"PutRolePermissionsBoundary": func(ctx ctx, s svc, c who, name string) error {
			return s.PutRolePermissionsBoundary(ctx, c, name, "arn:aws:iam::aws:policy/AdministratorAccess")
		},
		"DeleteRolePermissionsBoundary": func(ctx ctx, s svc, c who, name string) error { return s.DeleteRolePermissionsBoundary(ctx, c, name) },
	}
}

func policyAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	arn := func(name string) string { return "arn:aws:iam::" + houseAccount + ":policy/" + name }
	return map[string]attempt{
		"PutInlinePolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.PutInlinePolicy(ctx, c, access.User, name, access.InlinePolicy{Name: "p", Document: document})
		},
		"InlinePolicy": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.InlinePolicy(ctx, c, access.User, name, "p")
			return err
		},
		"DeleteInlinePolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.DeleteInlinePolicy(ctx, c, access.User, name, "p")
		},
		"InlinePolicies": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.InlinePolicies(ctx, c, access.User, name, access.Page{})
			return err
		},
		"CreatePolicy": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreatePolicy(ctx, c, access.NewPolicy{Name: name, Document: document})
			return err
		},
		"Policy":       func(ctx ctx, s svc, c who, name string) error { _, err := s.Policy(ctx, c, arn(name)); return err },
		"DeletePolicy": func(ctx ctx, s svc, c who, name string) error { return s.DeletePolicy(ctx, c, arn(name)) },
		"TagPolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.TagPolicy(ctx, c, arn(name), []access.Tag{{Key: "a", Value: "b"}})
		},
		"UntagPolicy": func(ctx ctx, s svc, c who, name string) error { return s.UntagPolicy(ctx, c, arn(name), []string{"a"}) },
		"PolicyTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.PolicyTags(ctx, c, arn(name), access.Page{})
			return err
		},
		"AttachPolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.AttachPolicy(ctx, c, access.User, name, "arn:aws:iam::aws:policy/AdministratorAccess")
		},
		"DetachPolicy": func(ctx ctx, s svc, c who, name string) error {
			return s.DetachPolicy(ctx, c, access.User, name, "arn:aws:iam::aws:policy/AdministratorAccess")
		},
		"AttachedPolicies": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.AttachedPolicies(ctx, c, access.User, name, "", access.Page{})
			return err
		},
		"PutUserPermissionsBoundary": func(ctx ctx, s svc, c who, name string) error {
			return s.PutUserPermissionsBoundary(ctx, c, name, "arn:aws:iam::aws:policy/AdministratorAccess")
		},
		"DeleteUserPermissionsBoundary": func(ctx ctx, s svc, c who, name string) error { return s.DeleteUserPermissionsBoundary(ctx, c, name) },
	}
}

func versionAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	const document = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}`
	arn := func(name string) string { return "arn:aws:iam::" + houseAccount + ":policy/" + name }
	user := func(name string) string { return "arn:aws:iam::" + houseAccount + ":user/" + name }
	return map[string]attempt{
		"PolicyVersion": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.PolicyVersion(ctx, c, arn(name), 1)
			return err
		},
		"PolicyVersions": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.PolicyVersions(ctx, c, arn(name), access.Page{})
			return err
		},
		"CreatePolicyVersion": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreatePolicyVersion(ctx, c, arn(name), document, true)
			return err
		},
		"SetDefaultPolicyVersion": func(ctx ctx, s svc, c who, name string) error { return s.SetDefaultPolicyVersion(ctx, c, arn(name), 1) },
		"DeletePolicyVersion":     func(ctx ctx, s svc, c who, name string) error { return s.DeletePolicyVersion(ctx, c, arn(name), 2) },
		"Policies": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.Policies(ctx, c, access.PolicyFilter{}, access.Page{})
			return err
		},
		"PolicyEntities": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.PolicyEntities(ctx, c, arn(name), access.EntityFilter{}, access.Page{})
			return err
		},
		"ContextKeysOfPrincipal": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.ContextKeysOfPrincipal(ctx, c, user(name), nil)
			return err
		},
		"ContextKeysOfPolicies": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.ContextKeysOfPolicies(ctx, c, []string{document})
			return err
		},
		"SimulatePrincipalPolicy": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.SimulatePrincipalPolicy(ctx, c, user(name), access.Simulation{Actions: []string{"ecr:PutImage"}}, access.Page{})
			return err
		},
		"Details": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.Details(ctx, c, access.DetailFilter{}, access.Page{})
			return err
		},
		"SimulateCustomPolicy": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.SimulateCustomPolicy(ctx, c, access.Simulation{Actions: []string{"ecr:PutImage"}, Policies: []string{document}}, access.Page{})
			return err
		},
	}
}

func stsAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	arn := func(name string) string { return "arn:aws:iam::" + houseAccount + ":oidc-provider/" + name }
	return map[string]attempt{
		"AssumeRole": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.AssumeRole(ctx, c, access.AssumeRequest{RoleRequest: access.RoleRequest{
				Role: "arn:aws:iam::" + houseAccount + ":role/" + name, Name: "session",
			}})
			return err
		},
		"AccessKeyAccount": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.AccessKeyAccount(ctx, c, "AKIAAAAAAAAAAAAAAAAA")
			return err
		},
		"DecodeAuthorizationMessage": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.DecodeAuthorizationMessage(ctx, c, "x")
			return err
		},
		"CreateProvider": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreateProvider(ctx, c, access.NewProvider{Issuer: "https://" + name, ClientIDs: []string{"a"}})
			return err
		},
		"Provider":  func(ctx ctx, s svc, c who, name string) error { _, _, err := s.Provider(ctx, c, arn(name)); return err },
		"Providers": func(ctx ctx, s svc, c who, _ string) error { _, err := s.Providers(ctx, c); return err },
		"SetThumbprints": func(ctx ctx, s svc, c who, name string) error {
			return s.SetThumbprints(ctx, c, arn(name), []string{"0000000000000000000000000000000000000000"})
		},
		"AddClientID":    func(ctx ctx, s svc, c who, name string) error { return s.AddClientID(ctx, c, arn(name), "b") },
		"RemoveClientID": func(ctx ctx, s svc, c who, name string) error { return s.RemoveClientID(ctx, c, arn(name), "b") },
		"ProviderTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ProviderTags(ctx, c, arn(name), access.Page{})
			return err
		},
		"TagProvider": func(ctx ctx, s svc, c who, name string) error {
			return s.TagProvider(ctx, c, arn(name), []access.Tag{{Key: "a", Value: "b"}})
		},
		"UntagProvider": func(ctx ctx, s svc, c who, name string) error {
			return s.UntagProvider(ctx, c, arn(name), []string{"a"})
		},
		"DeleteProvider": func(ctx ctx, s svc, c who, name string) error { return s.DeleteProvider(ctx, c, arn(name)) },
	}
}
