package access_test

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

func providerAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	arn := func(name string) string { return iamARN("oidc-provider/" + name) }
	return map[string]attempt{
		"CreateProvider": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreateProvider(ctx, c, access.NewProvider{Issuer: "https://" + name})
			return err
		},
		"Provider":       func(ctx ctx, s svc, c who, name string) error { _, _, err := s.Provider(ctx, c, arn(name)); return err },
		"Providers":      func(ctx ctx, s svc, c who, _ string) error { _, err := s.Providers(ctx, c); return err },
		"SetThumbprints": func(ctx ctx, s svc, c who, name string) error { return s.SetThumbprints(ctx, c, arn(name), nil) },
		"AddClientID":    func(ctx ctx, s svc, c who, name string) error { return s.AddClientID(ctx, c, arn(name), "x") },
		"RemoveClientID": func(ctx ctx, s svc, c who, name string) error { return s.RemoveClientID(ctx, c, arn(name), "x") },
		"TagProvider":    func(ctx ctx, s svc, c who, name string) error { return s.TagProvider(ctx, c, arn(name), nil) },
		"UntagProvider":  func(ctx ctx, s svc, c who, name string) error { return s.UntagProvider(ctx, c, arn(name), nil) },
		"DeleteProvider": func(ctx ctx, s svc, c who, name string) error { return s.DeleteProvider(ctx, c, arn(name)) },
		"ProviderTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.ProviderTags(ctx, c, arn(name), access.Page{})
			return err
		},
	}
}

func sessionAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	return map[string]attempt{
		"AssumeRole": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.AssumeRole(ctx, c, access.AssumeRequest{RoleRequest: access.RoleRequest{Role: iamARN("role/" + name), Name: "run"}})
			return err
		},
		"GetAccessKeyInfo": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.GetAccessKeyInfo(ctx, c, "ASIAIOSFODNN7EXAMPLE")
			return err
		},
		"DecodeAuthorizationMessage": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.DecodeAuthorizationMessage(ctx, c, "x")
			return err
		},
	}
}
