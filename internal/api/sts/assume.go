package sts

import (
	"context"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/api/middleware"
	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// assumeOperations names the ways to take a role on.
func (f face) assumeOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"AssumeRole":                awswire.Op(f.assumeRole),
		"AssumeRoleWithWebIdentity": awswire.Op(f.assumeRoleWithWebIdentity).Unsigned(),
	}
}

func (f face) assumeRole(ctx context.Context, c awswire.Call, in *sts.AssumeRoleInput) (*sts.AssumeRoleOutput, error) {
	if err := unsupported(in.SerialNumber, in.TokenCode, in.MinimumSessionTokenSize); err != nil {
		return nil, err
	}
	if len(in.ProvidedContexts) > 0 {
		return nil, fault.New(fault.SettingUnsupported, "Berth knows no context providers, and so takes no ProvidedContexts.")
	}
	r := access.AssumeRequest{
		RoleRequest:    roleRequest(in.RoleArn, in.RoleSessionName, in.Policy, in.PolicyArns, in.DurationSeconds),
		TransitiveTags: in.TransitiveTagKeys,
		ExternalID:     aws.ToString(in.ExternalId),
		SourceIdentity: aws.ToString(in.SourceIdentity),
	}
	for _, t := range in.Tags {
		r.Tags = append(r.Tags, access.Tag{Key: aws.ToString(t.Key), Value: aws.ToString(t.Value)})
	}
	begun, err := f.access.AssumeRole(ctx, c.Caller, r)
	if err != nil {
		return nil, err
	}
	return &sts.AssumeRoleOutput{
		AssumedRoleUser:         roleUser(begun.Principal),
		Credentials:             credentials(begun.Credentials),
		PackedPolicySize:        packed(begun), //nolint:staticcheck // deprecated, and what clients of today read
		SessionTokenSize:        tokenSize(begun),
		SessionTokenUtilization: utilization(begun),
		SourceIdentity:          optional(begun.Principal.Session.SourceIdentity),
	}, nil
}

func (f face) assumeRoleWithWebIdentity(ctx context.Context, c awswire.Call, in *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
	if err := unsupported(nil, nil, in.MinimumSessionTokenSize); err != nil {
		return nil, err
	}
	if aws.ToString(in.ProviderId) != "" {
		return nil, fault.New(fault.SettingUnsupported, "A ProviderId goes with OAuth 2.0 access tokens; Berth takes OpenID Connect ID tokens.")
	}
	begun, err := f.access.AssumeRoleWithWebIdentity(ctx, c.Caller, access.WebIdentityRequest{
		RoleRequest: roleRequest(in.RoleArn, in.RoleSessionName, in.Policy, in.PolicyArns, in.DurationSeconds),
		Token:       aws.ToString(in.WebIdentityToken),
	})
	if err != nil {
		return nil, err
	}
	middleware.Note(ctx).Caller.Session = &identity.Session{Provider: begun.Principal.Session.Provider, Subject: begun.Subject}
	return &sts.AssumeRoleWithWebIdentityOutput{
		AssumedRoleUser:             roleUser(begun.Principal),
		Audience:                    optional(begun.Audience),
		Credentials:                 credentials(begun.Credentials),
		PackedPolicySize:            packed(begun.RoleSession), //nolint:staticcheck // as above
		Provider:                    aws.String(begun.Issuer),
		SessionTokenSize:            tokenSize(begun.RoleSession),
		SessionTokenUtilization:     utilization(begun.RoleSession),
		SourceIdentity:              optional(begun.Principal.Session.SourceIdentity),
		SubjectFromWebIdentityToken: aws.String(begun.Subject),
	}, nil
}

// unsupported refuses what Berth would not do: ask for a second factor, and stretch tokens.
func unsupported(serial, code *string, minimum *int32) error {
	switch {
	case aws.ToString(serial) != "" || aws.ToString(code) != "":
		return fault.New(fault.SettingUnsupported, "Berth has no multi-factor authentication: call without SerialNumber and TokenCode.")
	case aws.ToInt32(minimum) != 0:
		return fault.New(fault.SettingUnsupported, "Berth does not stretch session tokens: call without MinimumSessionTokenSize.")
	}
	return nil
}

// roleRequest reads what both ways have in common.
func roleRequest(role, name, policy *string, arns []types.PolicyDescriptorType, duration *int32) access.RoleRequest {
	r := access.RoleRequest{
		Role: aws.ToString(role), Name: aws.ToString(name), Policy: aws.ToString(policy), Duration: seconds(duration),
	}
	for _, p := range arns {
		r.PolicyARNs = append(r.PolicyARNs, aws.ToString(p.Arn))
	}
	return r
}

// seconds reads a duration: 0 where none is asked for. One of 0 seconds is asked for, and too short.
func seconds(n *int32) time.Duration {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return 1
	}
	return time.Duration(*n) * time.Second
}

func credentials(c identity.Credentials) *types.Credentials {
	return &types.Credentials{
		AccessKeyId: aws.String(c.AccessKeyID), SecretAccessKey: aws.String(c.SecretAccessKey),
		SessionToken: aws.String(c.SessionToken), Expiration: aws.Time(c.Expires.UTC()),
	}
}

// roleUser names a role's session.
func roleUser(c identity.Caller) *types.AssumedRoleUser {
	return &types.AssumedRoleUser{Arn: aws.String(c.ARN), AssumedRoleId: aws.String(c.UserID)}
}

// packed tells how much of the room for policies and tags a session takes, where it has any.
func packed(s access.RoleSession) *int32 {
	if !s.Limited {
		return nil
	}
	return utilization(s)
}

func utilization(s access.RoleSession) *int32 { return aws.Int32(int32(access.Percent(s.Packed))) } //nolint:gosec // at most 100

func tokenSize(s access.RoleSession) *int32 {
	return aws.Int32(int32(len(s.SessionToken))) //nolint:gosec // a few thousand
}

// optional leaves an empty text out.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}
