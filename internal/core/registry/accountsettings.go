package registry

import (
	"context"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// AccountSetting is a named choice that the account has made for its registry.
type AccountSetting struct {
	Name  string
	Value string
}

// The account settings and their values. Those with one value are there because clients read them: what else they once
// could be is retired (ECR User Guide, "Private registry settings").
const (
	BasicScanVersion    = "BASIC_SCAN_TYPE_VERSION"
	RegistryPolicyScope = "REGISTRY_POLICY_SCOPE"
	BlobMounting        = "BLOB_MOUNTING"

	Enabled  = "ENABLED"
	Disabled = "DISABLED"
)

// settingAccount holds the account settings that were put, values by name.
const settingAccount SettingName = "account"

// accountSettings has the values that each may have, the usual one first.
func accountSettings() map[string][]string {
	return map[string][]string{
		BasicScanVersion:    {"AWS_NATIVE"},
		RegistryPolicyScope: {"V2"},
		BlobMounting:        {Enabled, Disabled},
	}
}

// valuesOf gives the values of a setting, or says which settings there are.
func valuesOf(name string) ([]string, error) {
	values := accountSettings()[name]
	if values == nil {
		return nil, fault.New(fault.RegistrySettingInvalid,
			"there is no account setting '%s': there are %s, %s and %s", name, BasicScanVersion, BlobMounting, RegistryPolicyScope)
	}
	return values, nil
}

// AccountSetting gives a setting's value (ecr:GetAccountSetting).
func (r *Registry) AccountSetting(ctx context.Context, caller identity.Caller, name string) (AccountSetting, error) {
	if err := r.authorize(ctx, caller, policy.GetAccountSetting, policy.AnyResource); err != nil {
		return AccountSetting{}, err
	}
	values, err := valuesOf(name)
	if err != nil {
		return AccountSetting{}, err
	}
	if len(values) == 1 {
		return AccountSetting{Name: name, Value: values[0]}, nil
	}
	value, err := r.accountSetting(ctx, r.store.Read(), name)
	return AccountSetting{Name: name, Value: value}, err
}

// accountSetting gives the value that was put, or the usual one.
func (r *Registry) accountSetting(ctx context.Context, q SettingQueries, name string) (string, error) {
	put := map[string]string{}
	if _, err := ReadSetting(ctx, q, settingAccount, &put); err != nil {
		return "", err
	}
	if value, ok := put[name]; ok {
		return value, nil
	}
	return accountSettings()[name][0], nil
}

// PutAccountSetting makes a choice (ecr:PutAccountSetting), or answers fault.RegistrySettingInvalid.
func (r *Registry) PutAccountSetting(ctx context.Context, caller identity.Caller, s AccountSetting) error {
	if err := r.authorize(ctx, caller, policy.PutAccountSetting, policy.AnyResource); err != nil {
		return err
	}
	values, err := valuesOf(s.Name)
	if err != nil {
		return err
	}
	if !slices.Contains(values, s.Value) {
		return fault.New(fault.RegistrySettingInvalid, "the account setting '%s' cannot be '%s', but %s", s.Name, s.Value, strings.Join(values, " or "))
	}
	return r.store.Update(ctx, func(tx Tx) error {
		put := map[string]string{}
		if _, err := ReadSetting(ctx, tx, settingAccount, &put); err != nil {
			return err
		}
		put[s.Name] = s.Value
		return WriteSetting(ctx, tx, settingAccount, put, r.now())
	})
}
