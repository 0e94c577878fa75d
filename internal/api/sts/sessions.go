package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// sessionOperations names what is done with one's own keys.
func (f face) sessionOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{
		"GetCallerIdentity": awswire.Op(getCallerIdentity),
		"GetSessionToken":   awswire.Op(f.getSessionToken),
		"GetAccessKeyInfo":  awswire.Op(f.getAccessKeyInfo),
	}
}

// getCallerIdentity tells callers who they are. It asks for no permission, as at Amazon: whoever can sign
// may know whose key it is.
func getCallerIdentity(_ context.Context, c awswire.Call, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
	return &sts.GetCallerIdentityOutput{
		Account: aws.String(c.Caller.Account),
		Arn:     aws.String(c.Caller.ARN),
		UserId:  aws.String(c.Caller.UserID),
	}, nil
}

func (f face) getSessionToken(ctx context.Context, c awswire.Call, in *sts.GetSessionTokenInput) (*sts.GetSessionTokenOutput, error) {
	if err := unsupported(in.SerialNumber, in.TokenCode, in.MinimumSessionTokenSize); err != nil {
		return nil, err
	}
	begun, err := f.access.StartSession(ctx, c.Caller, seconds(in.DurationSeconds))
	if err != nil {
		return nil, err
	}
	return &sts.GetSessionTokenOutput{
		Credentials: credentials(begun.Credentials), SessionTokenSize: tokenSize(begun), SessionTokenUtilization: utilization(begun),
	}, nil
}

func (f face) getAccessKeyInfo(ctx context.Context, c awswire.Call, in *sts.GetAccessKeyInfoInput) (*sts.GetAccessKeyInfoOutput, error) {
	account, err := f.access.AccessKeyAccount(ctx, c.Caller, aws.ToString(in.AccessKeyId))
	if err != nil {
		return nil, err
	}
	return &sts.GetAccessKeyInfoOutput{Account: aws.String(account)}, nil
}
