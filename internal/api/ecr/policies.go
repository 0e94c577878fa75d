package ecr

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	wire "github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// policyOperations names what is done with the policies of repositories and of the registry, and with the account's
// settings.
func (f face) policyOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"SetRepositoryPolicy":    awswire.Op(f.setRepositoryPolicy),
		"GetRepositoryPolicy":    awswire.Op(f.getRepositoryPolicy),
		"DeleteRepositoryPolicy": awswire.Op(f.deleteRepositoryPolicy),
		"PutRegistryPolicy":      awswire.Op(f.putRegistryPolicy),
		"GetRegistryPolicy":      awswire.Op(f.getRegistryPolicy),
		"DeleteRegistryPolicy":   awswire.Op(f.deleteRegistryPolicy),
		"GetAccountSetting":      awswire.Op(f.getAccountSetting),
		"PutAccountSetting":      awswire.Op(f.putAccountSetting),
	}
}

func (f face) setRepositoryPolicy(ctx context.Context, call awswire.Call, in *wire.SetRepositoryPolicyInput) (*wire.SetRepositoryPolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	text, err := required("policyText", in.PolicyText)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.SetRepositoryPolicy(ctx, call.Caller, name, text, in.Force); err != nil {
		return nil, err
	}
	return &wire.SetRepositoryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name), PolicyText: aws.String(text)}, nil
}

func (f face) getRepositoryPolicy(ctx context.Context, call awswire.Call, in *wire.GetRepositoryPolicyInput) (*wire.GetRepositoryPolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	text, err := f.Registry.RepositoryPolicy(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	return &wire.GetRepositoryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name), PolicyText: aws.String(text)}, nil
}

func (f face) deleteRepositoryPolicy(ctx context.Context, call awswire.Call, in *wire.DeleteRepositoryPolicyInput) (*wire.DeleteRepositoryPolicyOutput, error) {
	name, err := f.repository(in.RepositoryName, in.RegistryId)
	if err != nil {
		return nil, err
	}
	text, err := f.Registry.DeleteRepositoryPolicy(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteRepositoryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), RepositoryName: aws.String(name), PolicyText: aws.String(text)}, nil
}

func (f face) putRegistryPolicy(ctx context.Context, call awswire.Call, in *wire.PutRegistryPolicyInput) (*wire.PutRegistryPolicyOutput, error) {
	text, err := required("policyText", in.PolicyText)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.PutPolicy(ctx, call.Caller, text); err != nil {
		return nil, err
	}
	return &wire.PutRegistryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), PolicyText: aws.String(text)}, nil
}

func (f face) getRegistryPolicy(ctx context.Context, call awswire.Call, _ *wire.GetRegistryPolicyInput) (*wire.GetRegistryPolicyOutput, error) {
	text, err := f.Registry.Policy(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.GetRegistryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), PolicyText: aws.String(text)}, nil
}

func (f face) deleteRegistryPolicy(ctx context.Context, call awswire.Call, _ *wire.DeleteRegistryPolicyInput) (*wire.DeleteRegistryPolicyOutput, error) {
	text, err := f.Registry.DeletePolicy(ctx, call.Caller)
	if err != nil {
		return nil, err
	}
	return &wire.DeleteRegistryPolicyOutput{RegistryId: aws.String(f.Registry.ID()), PolicyText: aws.String(text)}, nil
}

func (f face) getAccountSetting(ctx context.Context, call awswire.Call, in *wire.GetAccountSettingInput) (*wire.GetAccountSettingOutput, error) {
	name, err := required("name", in.Name)
	if err != nil {
		return nil, err
	}
	s, err := f.Registry.AccountSetting(ctx, call.Caller, name)
	if err != nil {
		return nil, err
	}
	return &wire.GetAccountSettingOutput{Name: aws.String(s.Name), Value: aws.String(s.Value)}, nil
}

func (f face) putAccountSetting(ctx context.Context, call awswire.Call, in *wire.PutAccountSettingInput) (*wire.PutAccountSettingOutput, error) {
	name, err := required("name", in.Name)
	if err != nil {
		return nil, err
	}
	value, err := required("value", in.Value)
	if err != nil {
		return nil, err
	}
	if err := f.Registry.PutAccountSetting(ctx, call.Caller, registry.AccountSetting{Name: name, Value: value}); err != nil {
		return nil, err
	}
	return &wire.PutAccountSettingOutput{Name: aws.String(name), Value: aws.String(value)}, nil
}
