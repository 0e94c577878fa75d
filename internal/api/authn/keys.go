package authn

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"strconv"

	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// maxDerived bounds how many keys' derivations are kept.
const maxDerived = 64

// keys are what is derived from one of the shared secrets, one for each use.
type keys struct {
	id     uint32
	name   string // the id as tokens and links name it
	secret []byte
	tokens cipher.AEAD // AES-256-GCM with random nonces
	links  []byte      // for HMAC-SHA256
}

// newest gives the keys that new tokens and links hang on.
func (a *Authenticator) newest(ctx context.Context) (*keys, error) {
	all, err := a.directory.TokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	return a.derived(all[0])
}

// named gives the keys that a token or a link names, or nil when there are none of that id any more.
func (a *Authenticator) named(ctx context.Context, id uint32) (*keys, error) {
	key, ok, err := a.directory.TokenKey(ctx, id)
	if err != nil || !ok {
		return nil, err
	}
	return a.derived(key)
}

// derived gives the keys of a secret, deriving them when they are first needed.
func (a *Authenticator) derived(from identity.TokenKey) (*keys, error) {
	known := a.keys.Load()
	if known != nil {
		if k, ok := (*known)[from.ID]; ok && subtle.ConstantTimeCompare(k.secret, from.Secret) == 1 {
			return k, nil
		}
	}
	k, err := derive(from)
	if err != nil {
		return nil, err
	}
	more := map[uint32]*keys{}
	if known != nil && len(*known) < maxDerived {
		maps.Copy(more, *known)
	}
	more[from.ID] = k
	// Another request may have done the same meanwhile: what is lost thereby is derived again.
	a.keys.Store(&more)
	return k, nil
}

func derive(from identity.TokenKey) (*keys, error) {
	key := func(use string) ([]byte, error) { return hkdf.Key(sha256.New, from.Secret, nil, use, 32) }
	tokenKey, err := key("berth authorization token v1")
	if err != nil {
		return nil, fmt.Errorf("deriving the key for tokens: %w", err)
	}
	block, err := aes.NewCipher(tokenKey)
	if err != nil {
		return nil, fmt.Errorf("making the cipher for tokens: %w", err)
	}
	k := &keys{id: from.ID, name: strconv.FormatUint(uint64(from.ID), 10), secret: from.Secret}
	if k.tokens, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("making the cipher for tokens: %w", err)
	}
	if k.links, err = key("berth download link v1"); err != nil {
		return nil, fmt.Errorf("deriving the key for links: %w", err)
	}
	return k, nil
}

// parseKeyID reads the id of a key other than 0, which has one spelling.
func parseKeyID(text string) (uint32, bool) {
	id, err := strconv.ParseUint(text, 10, 32)
	return uint32(id), err == nil && id > 0 && strconv.FormatUint(id, 10) == text
}

// version is that of the tokens under these keys: those of key 0 do not name it.
func (k *keys) version() byte {
	if k.id == 0 {
		return 1
	}
	return 2
}

// tokenPrefix is what tokens under these keys begin with. It is bound into their seal.
func (k *keys) tokenPrefix() string {
	if k.id == 0 {
		return tokenPrefix
	}
	return tokenPrefix + k.name + "."
}
