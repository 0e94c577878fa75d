package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// Berth's users have access keys and no other credentials, and its account no alias. Who asks for those of a user, as
// Terraform does before it deletes one, is told so: the lists are empty, whoever it is.

func (f face) listMFADevices(ctx context.Context, c awswire.Call, in *iam.ListMFADevicesInput) (*iam.ListMFADevicesOutput, error) {
	if _, err := f.access.NoOtherCredentials(ctx, c.Caller, policy.ListMFADevices, aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.ListMFADevicesOutput{MFADevices: []types.MFADevice{}}, nil
}

func (f face) listSSHPublicKeys(ctx context.Context, c awswire.Call, in *iam.ListSSHPublicKeysInput) (*iam.ListSSHPublicKeysOutput, error) {
	if _, err := f.access.NoOtherCredentials(ctx, c.Caller, policy.ListSSHPublicKeys, aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.ListSSHPublicKeysOutput{SSHPublicKeys: []types.SSHPublicKeyMetadata{}}, nil
}

func (f face) listSigningCertificates(ctx context.Context, c awswire.Call, in *iam.ListSigningCertificatesInput) (*iam.ListSigningCertificatesOutput, error) {
	if _, err := f.access.NoOtherCredentials(ctx, c.Caller, policy.ListSigningCertificates, aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return &iam.ListSigningCertificatesOutput{Certificates: []types.SigningCertificate{}}, nil
}

func (f face) listServiceSpecificCredentials(ctx context.Context, c awswire.Call, in *iam.ListServiceSpecificCredentialsInput) (*iam.ListServiceSpecificCredentialsOutput, error) {
	out := &iam.ListServiceSpecificCredentialsOutput{ServiceSpecificCredentials: []types.ServiceSpecificCredentialMetadata{}}
	if aws.ToBool(in.AllUsers) {
		return out, f.access.NoneInAccount(ctx, c.Caller, policy.ListServiceSpecificCredentials)
	}
	if _, err := f.access.NoOtherCredentials(ctx, c.Caller, policy.ListServiceSpecificCredentials, aws.ToString(in.UserName)); err != nil {
		return nil, err
	}
	return out, nil
}

func (f face) listVirtualMFADevices(ctx context.Context, c awswire.Call, _ *iam.ListVirtualMFADevicesInput) (*iam.ListVirtualMFADevicesOutput, error) {
	if err := f.access.NoneInAccount(ctx, c.Caller, policy.ListVirtualMFADevices); err != nil {
		return nil, err
	}
	return &iam.ListVirtualMFADevicesOutput{VirtualMFADevices: []types.VirtualMFADevice{}}, nil
}

func (f face) listAccountAliases(ctx context.Context, c awswire.Call, _ *iam.ListAccountAliasesInput) (*iam.ListAccountAliasesOutput, error) {
	if err := f.access.NoneInAccount(ctx, c.Caller, policy.ListAccountAliases); err != nil {
		return nil, err
	}
	return &iam.ListAccountAliasesOutput{AccountAliases: []string{}}, nil
}

func (f face) getLoginProfile(ctx context.Context, c awswire.Call, in *iam.GetLoginProfileInput) (*iam.GetLoginProfileOutput, error) {
	return nil, f.noLoginProfile(ctx, c, policy.GetLoginProfile, in.UserName)
}

func (f face) deleteLoginProfile(ctx context.Context, c awswire.Call, in *iam.DeleteLoginProfileInput) (*iam.DeleteLoginProfileOutput, error) {
	return nil, f.noLoginProfile(ctx, c, policy.DeleteLoginProfile, in.UserName)
}

func (f face) noLoginProfile(ctx context.Context, c awswire.Call, action policy.Action, userName *string) error {
	p, err := f.access.NoOtherCredentials(ctx, c.Caller, action, aws.ToString(userName))
	if err != nil {
		return err
	}
	return fault.New(fault.EntityNotFound, "Login Profile for User %s cannot be found.", p.Name)
}

// getAccountSummary tells counts and quotas; those of what Berth does not have are 0 or left out.
func (f face) getAccountSummary(ctx context.Context, c awswire.Call, _ *iam.GetAccountSummaryInput) (*iam.GetAccountSummaryOutput, error) {
	sum, err := f.access.AccountSummary(ctx, c.Caller)
	if err != nil {
		return nil, err
	}
	return &iam.GetAccountSummaryOutput{SummaryMap: summary(sum)}, nil
}

func summary(sum access.Summary) map[string]int32 {
	return map[string]int32{
		"Users": int32(sum.Users), "UsersQuota": access.MaxUsers,
		"Groups": int32(sum.Groups), "GroupsQuota": access.MaxGroups, "GroupsPerUserQuota": access.MaxGroupsOfUser,
		"Roles": int32(sum.Roles), "Policies": int32(sum.Policies), "Providers": int32(sum.Providers),
		"AccessKeysPerUserQuota": access.MaxKeys, "AccountAccessKeysPresent": int32(min(sum.RootKeys, 1)),
		"AccountMFAEnabled": 0, "AccountPasswordPresent": 0, "MFADevices": 0, "MFADevicesInUse": 0,
	}
}
