package identity

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
)

// A sealed message is: version (1 byte), the token key's id (4), nonce (12), ciphertext and tag.
const (
	messageVersion = 1
	messageHeader  = 1 + 4
)

// ErrMessageInvalid is what OpenMessage answers for what SealMessage did not make, or not for that use.
var ErrMessageInvalid = errors.New("no message that was sealed here")

// SealMessage makes a text that this registry alone can read and make: what it hands to clients to bring back. The use is
// bound into it, so that a message for one cannot be brought for another.
func (d *Directory) SealMessage(ctx context.Context, use string, plain []byte) (string, error) {
	key, err := d.newestTokenKey(ctx)
	if err != nil {
		return "", err
	}
	seal, err := messageSeal(key)
	if err != nil {
		return "", err
	}
	header := binary.BigEndian.AppendUint32([]byte{messageVersion}, key.ID)
	return base64.RawURLEncoding.EncodeToString(seal.Seal(header, nil, plain, messageData(header, use))), nil
}

// OpenMessage reads what SealMessage made.
func (d *Directory) OpenMessage(ctx context.Context, use, text string) ([]byte, error) {
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) <= messageHeader || sealed[0] != messageVersion {
		return nil, ErrMessageInvalid
	}
	header := sealed[:messageHeader]
	all, err := d.TokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	for _, key := range all {
		if key.ID != binary.BigEndian.Uint32(header[1:]) {
			continue
		}
		seal, err := messageSeal(key)
		if err != nil {
			return nil, err
		}
		if plain, err := seal.Open(nil, nil, sealed[messageHeader:], messageData(header, use)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrMessageInvalid
}

// messageSeal derives the cipher for messages. It takes microseconds, and messages are few.
func messageSeal(key TokenKey) (cipher.AEAD, error) {
	sealKey, err := hkdf.Key(sha256.New, key.Secret, nil, "berth message v1", 32)
	if err != nil {
		return nil, fmt.Errorf("deriving the key for messages: %w", err)
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("making the cipher for messages: %w", err)
	}
	seal, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("making the cipher for messages: %w", err)
	}
	return seal, nil
}

// messageData is bound into the seal.
func messageData(header []byte, use string) []byte { return append(bytes.Clone(header), use...) }
