package signing

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// PublicKey is what verifies a profile's signatures.
type PublicKey struct {
	Profile string // ARN
	PEM     string // a PUBLIC KEY block (PKIX) of an ECDSA P-256 key, as cosign verify --key reads it
}

// PublicKey gives the public key of a profile, by its ARN or by its name alone (ecr:GetSigningConfiguration).
// A profile has a key once a configuration has named it, and keeps it when none does any more.
func (s *Signer) PublicKey(ctx context.Context, caller identity.Caller, profile string) (PublicKey, error) {
	if err := s.registry.May(ctx, caller, policy.GetSigningConfiguration, ""); err != nil {
		return PublicKey{}, err
	}
	sealed, err := s.findKey(ctx, profile)
	if err != nil {
		return PublicKey{}, err
	}
	key, err := s.open(sealed)
	if err != nil {
		return PublicKey{}, err
	}
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return PublicKey{}, fmt.Errorf("encoding the public key of %s: %w", sealed.Profile, err)
	}
	return PublicKey{Profile: sealed.Profile, PEM: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, nil
}

func (s *Signer) findKey(ctx context.Context, profile string) (SealedKey, error) {
	const member = "signingProfile"
	none := fault.BadParameter(member, "must be a profile that a signing configuration has named: the registry makes its key then")
	if strings.HasPrefix(profile, "arn:") {
		sealed, err := s.keys.SigningKey(ctx, profile)
		if errors.Is(err, ErrNoKey) {
			return SealedKey{}, none
		}
		return sealed, err
	}
	sealed, err := s.keys.SigningKeysNamed(ctx, profile)
	switch {
	case err != nil:
		return SealedKey{}, err
	case len(sealed) == 0:
		return SealedKey{}, none
	case len(sealed) > 1:
		var arns []string
		for _, k := range sealed {
			arns = append(arns, k.Profile)
		}
		return SealedKey{}, fault.BadParameter(member, "several profiles have that name, give the ARN of one: "+strings.Join(arns, ", "))
	}
	return sealed[0], nil
}

// ensureKey makes a profile's key, unless it has one.
func (s *Signer) ensureKey(ctx context.Context, profile string) error {
	_, err := s.keys.SigningKey(ctx, profile)
	if !errors.Is(err, ErrNoKey) {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of %s: %w", profile, err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding the key of %s: %w", profile, err)
	}
	sealed, err := s.master.Seal(sealName(profile), der)
	if err != nil {
		return fmt.Errorf("sealing the key of %s: %w", profile, err)
	}
	return s.keys.EnsureSigningKey(ctx, SealedKey{Profile: profile, Name: path.Base(profile), Sealed: sealed, CreatedAt: s.now()})
}

// key gets a profile's key.
func (s *Signer) key(ctx context.Context, profile string) (*ecdsa.PrivateKey, error) {
	sealed, err := s.keys.SigningKey(ctx, profile)
	if err != nil {
		return nil, fmt.Errorf("finding the key of %s: %w", profile, err)
	}
	return s.open(sealed)
}

func (s *Signer) open(k SealedKey) (*ecdsa.PrivateKey, error) {
	der, err := s.master.Open(sealName(k.Profile), k.Sealed)
	if err != nil {
		return nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, fmt.Errorf("decoding the key of %s: %w", k.Profile, err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("the key of %s is a %T", k.Profile, parsed)
	}
	return key, nil
}

// sealName is the name under which a profile's key is sealed.
func sealName(profile string) string { return "signing-key/" + profile }

// sign signs a message. The same key makes the same signature of it each time: without a source of randomness
// the nonce comes from key and message (RFC 6979).
func sign(key *ecdsa.PrivateKey, message []byte) ([]byte, error) {
	sum := sha256.Sum256(message)
	return key.Sign(nil, sum[:], crypto.SHA256)
}

// keyUnusable tells an error about the key, which no other storage or image could mend.
func keyUnusable(err error) bool {
	return errors.Is(err, ErrNoKey) || errors.Is(err, identity.ErrWrongMasterKey) || errors.Is(err, identity.ErrSealBroken)
}
