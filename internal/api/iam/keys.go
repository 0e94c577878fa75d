package iam

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// keyOperations names what is done with access keys, and what is asked about the credentials that Berth does not have.
func (f face) keyOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"CreateAccessKey":                awswire.Op(f.createAccessKey),
		"DeleteAccessKey":                awswire.Op(f.deleteAccessKey),
		"DeleteLoginProfile":             awswire.Op(f.deleteLoginProfile),
		"GetAccessKeyLastUsed":           awswire.Op(f.getAccessKeyLastUsed),
		"GetAccountSummary":              awswire.Op(f.getAccountSummary),
		"GetLoginProfile":                awswire.Op(f.getLoginProfile),
		"ListAccessKeys":                 awswire.Op(f.listAccessKeys),
		"ListAccountAliases":             awswire.Op(f.listAccountAliases),
		"ListMFADevices":                 awswire.Op(f.listMFADevices),
		"ListSSHPublicKeys":              awswire.Op(f.listSSHPublicKeys),
		"ListServiceSpecificCredentials": awswire.Op(f.listServiceSpecificCredentials),
		"ListSigningCertificates":        awswire.Op(f.listSigningCertificates),
		"ListVirtualMFADevices":          awswire.Op(f.listVirtualMFADevices),
		"UpdateAccessKey":                awswire.Op(f.updateAccessKey),
	}
}

func status(active bool) types.StatusType {
	if active {
		return types.StatusTypeActive
	}
	return types.StatusTypeInactive
}

// nameOrNone leaves out the name that the root principal does not have.
func nameOrNone(name string) *string {
	if name == "" {
		return nil
	}
	return aws.String(name)
}

func (f face) createAccessKey(ctx context.Context, c awswire.Call, in *iam.CreateAccessKeyInput) (*iam.CreateAccessKeyOutput, error) {
	info, key, err := f.access.CreateAccessKey(ctx, c.Caller, aws.ToString(in.UserName))
	if err != nil {
		return nil, err
	}
	return &iam.CreateAccessKeyOutput{AccessKey: &types.AccessKey{
		AccessKeyId: aws.String(key.ID), SecretAccessKey: aws.String(key.Secret), UserName: nameOrNone(info.UserName),
		Status: status(true), CreateDate: date(info.CreatedAt),
	}}, nil
}

func (f face) listAccessKeys(ctx context.Context, c awswire.Call, in *iam.ListAccessKeysInput) (*iam.ListAccessKeysOutput, error) {
	owner, keys, marker, err := f.access.AccessKeys(ctx, c.Caller, aws.ToString(in.UserName), page(in.Marker, in.MaxItems))
	if err != nil {
		return nil, err
	}
	out := &iam.ListAccessKeysOutput{AccessKeyMetadata: []types.AccessKeyMetadata{}, IsTruncated: marker != "", Marker: markerOf(marker)}
	for _, k := range keys {
		out.AccessKeyMetadata = append(out.AccessKeyMetadata, types.AccessKeyMetadata{
			AccessKeyId: aws.String(k.ID), UserName: nameOrNone(owner.Name), Status: status(k.Active), CreateDate: date(k.CreatedAt),
		})
	}
	return out, nil
}

func (f face) updateAccessKey(ctx context.Context, c awswire.Call, in *iam.UpdateAccessKeyInput) (*iam.UpdateAccessKeyOutput, error) {
	if in.Status != types.StatusTypeActive && in.Status != types.StatusTypeInactive {
		return nil, fault.New(fault.InvalidParameter,
			"1 validation error detected: Value '%s' at 'status' failed to satisfy constraint: Member must satisfy enum value set: [Active, Inactive]", in.Status)
	}
	active := in.Status == types.StatusTypeActive
	if err := f.access.SetAccessKeyActive(ctx, c.Caller, aws.ToString(in.UserName), aws.ToString(in.AccessKeyId), active); err != nil {
		return nil, err
	}
	return &iam.UpdateAccessKeyOutput{}, nil
}

func (f face) deleteAccessKey(ctx context.Context, c awswire.Call, in *iam.DeleteAccessKeyInput) (*iam.DeleteAccessKeyOutput, error) {
	if err := f.access.DeleteAccessKey(ctx, c.Caller, aws.ToString(in.UserName), aws.ToString(in.AccessKeyId)); err != nil {
		return nil, err
	}
	return &iam.DeleteAccessKeyOutput{}, nil
}

func (f face) getAccessKeyLastUsed(ctx context.Context, c awswire.Call, in *iam.GetAccessKeyLastUsedInput) (*iam.GetAccessKeyLastUsedOutput, error) {
	key, err := f.access.AccessKeyLastUsed(ctx, c.Caller, aws.ToString(in.AccessKeyId))
	if err != nil {
		return nil, err
	}
	const never = "N/A"
	used := &types.AccessKeyLastUsed{Region: aws.String(never), ServiceName: aws.String(never)}
	if !key.Used.At.IsZero() {
		used = &types.AccessKeyLastUsed{LastUsedDate: date(key.Used.At), Region: aws.String(key.Used.Region), ServiceName: aws.String(key.Used.Service)}
	}
	return &iam.GetAccessKeyLastUsedOutput{UserName: nameOrNone(key.UserName), AccessKeyLastUsed: used}, nil
}
