package platform

import "context"

// SigningKey is what verifies the signatures of a signing profile.
type SigningKey struct {
	Profile string // ARN
	PEM     string // the public key
}

// SigningPublicKey gets a signing profile's public key, by its name or its ARN.
func (c *Client) SigningPublicKey(ctx context.Context, profile string) (SigningKey, error) {
	type input struct {
		SigningProfile string `json:"signingProfile"`
	}
	var out struct {
		SigningProfileARN string `json:"signingProfileArn"`
		PublicKey         string `json:"publicKey"`
	}
	err := c.call(ctx, "GetSigningPublicKey", input{profile}, &out)
	return SigningKey{Profile: out.SigningProfileARN, PEM: out.PublicKey}, err
}
