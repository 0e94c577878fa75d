package platform

import "context"

// MasterKeyRotation is what a rotation of the master key came to.
type MasterKeyRotation struct {
	KeyID     string         `json:"masterKeyId"` // of the key that seals now
	Rewrapped int            `json:"rewrapped"`   // secrets that were sealed anew
	InUse     []MasterKeyUse `json:"inUse"`       // by which keys secrets are sealed now
}

// MasterKeyUse counts the secrets that one master key seals.
type MasterKeyUse struct {
	KeyID   string `json:"masterKeyId"`
	Secrets int    `json:"secrets"`
	Known   bool   `json:"known"` // the server that was asked has the key
}

// RotateMasterKey has everything sealed under the first key of the server's ring. With want, a key's id, it is refused
// unless that is the first.
func (c *Client) RotateMasterKey(ctx context.Context, want string) (MasterKeyRotation, error) {
	in := struct {
		MasterKeyID string `json:"masterKeyId,omitempty"`
	}{want}
	var out MasterKeyRotation
	err := c.call(ctx, "RotateMasterKey", in, &out)
	return out, err
}

// TokenKeyRotation is what a rotation of the token key came to.
type TokenKeyRotation struct {
	KeyID   int64   `json:"tokenKeyId"`    // of the new key
	Older   []int64 `json:"olderKeyIds"`   // keys whose tokens stay good
	Revoked []int64 `json:"revokedKeyIds"` // keys whose tokens are void
}

// RotateTokenKey makes a new key for tokens. With revoke everything that was issued under the older ones is void.
func (c *Client) RotateTokenKey(ctx context.Context, revoke bool) (TokenKeyRotation, error) {
	in := struct {
		RevokeNow bool `json:"revokeNow"`
	}{revoke}
	var out TokenKeyRotation
	err := c.call(ctx, "RotateTokenKey", in, &out)
	return out, err
}
