package sts

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// decodeOperations names what is done with refusals.
func (f face) decodeOperations() map[string]awswire.Operation {
	return map[string]awswire.Operation{"DecodeAuthorizationMessage": awswire.Op(f.decodeAuthorizationMessage)}
}

func (f face) decodeAuthorizationMessage(ctx context.Context, c awswire.Call, in *sts.DecodeAuthorizationMessageInput) (*sts.DecodeAuthorizationMessageOutput, error) {
	document, err := f.access.DecodeAuthorizationMessage(ctx, c.Caller, aws.ToString(in.EncodedMessage))
	if err != nil {
		return nil, err
	}
	return &sts.DecodeAuthorizationMessageOutput{DecodedMessage: aws.String(document)}, nil
}
