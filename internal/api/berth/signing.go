package berth

import (
	"context"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// GetSigningPublicKeyInput asks for a signing profile's public key.
type GetSigningPublicKeyInput struct {
	SigningProfile *string // required: its name, or its ARN
}

// GetSigningPublicKeyOutput is that key.
type GetSigningPublicKeyOutput struct {
	SigningProfileArn *string
	PublicKey         *string // PEM
}

func (f face) getSigningPublicKey(ctx context.Context, call awswire.Call, in *GetSigningPublicKeyInput) (*GetSigningPublicKeyOutput, error) {
	if in.SigningProfile == nil {
		return nil, fault.BadParameter("signingProfile", "Member must not be null")
	}
	key, err := f.signer.PublicKey(ctx, call.Caller, *in.SigningProfile)
	if err != nil {
		return nil, err
	}
	return &GetSigningPublicKeyOutput{SigningProfileArn: &key.Profile, PublicKey: &key.PEM}, nil
}
