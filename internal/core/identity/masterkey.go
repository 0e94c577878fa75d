package identity

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"strings"
)

// ErrWrongMasterKey is what opening answers when the bytes were sealed under another master key than the
// one at hand. Nothing is wrong with the bytes; the configuration is.
var ErrWrongMasterKey = errors.New("sealed under another master key")

// ErrSealBroken is what opening answers when the bytes were changed, cut short, or sealed as something else.
var ErrSealBroken = errors.New("sealed bytes are damaged or belong elsewhere")

const (
	masterKeySize = 32
	sealVersion   = 1
	keyIDSize     = 4
	sealHeader    = 1 + keyIDSize
)

// MasterKey seals the secrets that rest in the database, with AES-256-GCM. It prints as its id, never as
// itself; the zero MasterKey seals nothing.
//
// Sealed bytes are: version (1 byte), key id (4), nonce (12), ciphertext and tag. What is sealed is named
// when sealing and when opening, so that one record cannot be put in another's place.
type MasterKey struct {
	key  *[masterKeySize]byte // behind a pointer, since fmt prints unexported fields of structs it is in
	id   [keyIDSize]byte
	aead cipher.AEAD
}

// GenerateMasterKey makes a new random key.
func GenerateMasterKey() (MasterKey, error) {
	var key [masterKeySize]byte
	_, _ = rand.Read(key[:]) // never fails: the program ends if the system has no randomness
	return newMasterKey(key[:])
}

// ParseMasterKey reads a key from its text: 32 bytes as hexadecimal or base64, on a line of their own.
func ParseMasterKey(text string) (MasterKey, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil && len(key) == masterKeySize {
		return newMasterKey(key)
	}
	unpadded := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(unpadded); err == nil && len(key) == masterKeySize {
			return newMasterKey(key)
		}
	}
	// The text is a secret even when it is not a key, so the error does not repeat it.
	return MasterKey{}, fmt.Errorf("a master key is %d bytes written as 64 hexadecimal digits or as base64; this is neither", masterKeySize)
}

func newMasterKey(key []byte) (MasterKey, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return MasterKey{}, fmt.Errorf("making the cipher of the master key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return MasterKey{}, fmt.Errorf("making the cipher of the master key: %w", err)
	}
	m := MasterKey{key: (*[masterKeySize]byte)(bytes.Clone(key)), aead: aead}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("berth master key id"))
	copy(m.id[:], mac.Sum(nil))
	return m, nil
}

// Text is the key in the form that ParseMasterKey reads. It is for writing the key file and nothing else.
func (m MasterKey) Text() string {
	if m.key == nil {
		return ""
	}
	return hex.EncodeToString(m.key[:])
}

// ID names the key without giving it away.
func (m MasterKey) ID() string { return hex.EncodeToString(m.id[:]) }

// String names the key by its id.
func (m MasterKey) String() string { return "master key " + m.ID() }

// GoString keeps %#v from printing the key.
func (m MasterKey) GoString() string { return m.String() }

// LogValue keeps the key out of logs.
func (m MasterKey) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Seal encrypts plaintext as the thing that name says.
func (m MasterKey) Seal(name string, plaintext []byte) ([]byte, error) {
	if m.aead == nil {
		return nil, errors.New("sealing without a master key")
	}
	sealed := append([]byte{sealVersion}, m.id[:]...)
	return m.aead.Seal(sealed, nil, plaintext, associated(sealed, name)), nil
}

// Open decrypts what Seal made under the same name. It answers ErrWrongMasterKey or ErrSealBroken.
func (m MasterKey) Open(name string, sealed []byte) ([]byte, error) {
	if m.aead == nil {
		return nil, errors.New("opening without a master key")
	}
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return nil, fmt.Errorf("opening %s: %w", name, ErrSealBroken)
	}
	header := sealed[:sealHeader]
	if id := header[1:]; !bytes.Equal(id, m.id[:]) {
		return nil, fmt.Errorf("opening %s: %w: it wants key %x, the configured one is %s", name, ErrWrongMasterKey, id, m.ID())
	}
	plaintext, err := m.aead.Open(nil, nil, sealed[sealHeader:], associated(header, name))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, ErrSealBroken)
	}
	return plaintext, nil
}

// associated binds the header and the name into the seal.
func associated(header []byte, name string) []byte {
	return append(bytes.Clone(header[:sealHeader]), name...)
}
