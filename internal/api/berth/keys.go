package berth

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/hoopstat-haus/berth/internal/api/awswire"
)

// RotateMasterKeyInput asks that everything be sealed under the first master key.
type RotateMasterKeyInput struct {
	MasterKeyId *string //nolint:revive // named as on the wire; that the first key must be, any if absent
}

// RotateMasterKeyOutput is what that came to.
type RotateMasterKeyOutput struct {
	MasterKeyId *string //nolint:revive // named as on the wire; of the key that seals now
	Rewrapped   *int32  // secrets that were sealed anew
	InUse       []MasterKeyUse
}

// MasterKeyUse counts the secrets that one key seals.
type MasterKeyUse struct {
	MasterKeyId *string //nolint:revive // named as on the wire
	Secrets     *int32
	Known       *bool // the server that was asked has the key
}

// RotateTokenKeyInput asks for a new token key.
type RotateTokenKeyInput struct {
	RevokeNow *bool // void what was issued under the older keys; false if absent
}

// RotateTokenKeyOutput is what that came to.
type RotateTokenKeyOutput struct {
	TokenKeyId    *int64  //nolint:revive // named as on the wire; of the new key
	OlderKeyIds   []int64 //nolint:revive // named as on the wire; keys whose tokens stay good
	RevokedKeyIds []int64 //nolint:revive // named as on the wire; keys whose tokens are void
}

func (f face) rotateMasterKey(ctx context.Context, call awswire.Call, in *RotateMasterKeyInput) (*RotateMasterKeyOutput, error) {
	done, err := f.keys.RotateMasterKey(ctx, call.Caller, aws.ToString(in.MasterKeyId))
	if err != nil {
		return nil, err
	}
	out := &RotateMasterKeyOutput{MasterKeyId: &done.KeyID, Rewrapped: aws.Int32(int32(done.Rewrapped)), InUse: []MasterKeyUse{}} //nolint:gosec // far fewer
	for _, u := range done.InUse {
		out.InUse = append(out.InUse, MasterKeyUse{MasterKeyId: &u.KeyID, Secrets: aws.Int32(int32(u.Rows)), Known: &u.Known}) //nolint:gosec // far fewer
	}
	return out, nil
}

func (f face) rotateTokenKey(ctx context.Context, call awswire.Call, in *RotateTokenKeyInput) (*RotateTokenKeyOutput, error) {
	done, err := f.keys.RotateTokenKey(ctx, call.Caller, aws.ToBool(in.RevokeNow))
	if err != nil {
		return nil, err
	}
	return &RotateTokenKeyOutput{
		TokenKeyId: aws.Int64(int64(done.KeyID)), OlderKeyIds: wireIDs(done.Older), RevokedKeyIds: wireIDs(done.Dropped),
	}, nil
}

func wireIDs(ids []uint32) []int64 {
	wire := []int64{}
	for _, id := range ids {
		wire = append(wire, int64(id))
	}
	return wire
}
