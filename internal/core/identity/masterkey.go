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
	"slices"
	"strings"
)

// ErrWrongMasterKey is what opening answers when the bytes were sealed under another master key than
// those at hand. Nothing is wrong with the bytes; the configuration is.
var ErrWrongMasterKey = errors.New("sealed under another master key")

// ErrSealBroken is what opening answers when the bytes were changed, cut short, or sealed as something else.
var ErrSealBroken = errors.New("sealed bytes are damaged or belong elsewhere")

const (
	masterKeySize = 32
	sealVersion   = 1
	keyIDSize     = 4
	sealHeader    = 1 + keyIDSize
)

// MasterKey seals the secrets that rest in the database, with AES-256-GCM. It may be several keys: one seals, and all
// of them open. It prints as the id of the one that seals, never as itself; the zero MasterKey seals nothing. Copies
// are the same key: what one of them learns, all know.
//
// Sealed bytes are: version (1 byte), key id (4), nonce (12), ciphertext and tag. What is sealed is named
// when sealing and when opening, so that one record cannot be put in another's place.
type MasterKey struct {
	ring *ring // behind a pointer, since fmt prints unexported fields of structs it is in
}

// sealer is one key of the ring.
type sealer struct {
	key  *[masterKeySize]byte
	id   keyID
	aead cipher.AEAD
}

// keyID names a key without giving it away. Sealed bytes carry it.
type keyID [keyIDSize]byte

func (id keyID) String() string { return hex.EncodeToString(id[:]) }

// GenerateMasterKey makes a new random key.
func GenerateMasterKey() (MasterKey, error) {
	var key [masterKeySize]byte
	_, _ = rand.Read(key[:]) // never fails: the program ends if the system has no randomness
	s, err := newSealer(key[:])
	if err != nil {
		return MasterKey{}, err
	}
	return newRing([]sealer{s}), nil
}

// ParseMasterKey reads keys from their text: 32 bytes each as hexadecimal or base64, on lines of their own or with
// commas between them. The first seals until [Directory] knows otherwise.
func ParseMasterKey(text string) (MasterKey, error) {
	var keys []sealer
	for part := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == ',' || r == '\n' }) {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		s, err := parseSealer(part)
		if err != nil {
			return MasterKey{}, err
		}
		if slices.ContainsFunc(keys, func(k sealer) bool { return k.id == s.id }) {
			return MasterKey{}, fmt.Errorf("the master key %s is there twice", s.id)
		}
		keys = append(keys, s)
	}
	if len(keys) == 0 {
		return MasterKey{}, errNoKey()
	}
	return newRing(keys), nil
}

// errNoKey does not repeat the text that is no key: it is a secret all the same.
func errNoKey() error {
	return fmt.Errorf("a master key is %d bytes written as 64 hexadecimal digits or as base64; this is neither", masterKeySize)
}

func parseSealer(text string) (sealer, error) {
	if key, err := hex.DecodeString(text); err == nil && len(key) == masterKeySize {
		return newSealer(key)
	}
	unpadded := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(unpadded); err == nil && len(key) == masterKeySize {
			return newSealer(key)
		}
	}
	return sealer{}, errNoKey()
}

func newSealer(key []byte) (sealer, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return sealer{}, fmt.Errorf("making the cipher of the master key: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return sealer{}, fmt.Errorf("making the cipher of the master key: %w", err)
	}
	s := sealer{key: (*[masterKeySize]byte)(bytes.Clone(key)), aead: aead}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("berth master key id"))
	copy(s.id[:], mac.Sum(nil))
	return s, nil
}

// Text is all the keys, each on a line, in the form that ParseMasterKey reads. It is for writing the key file and
// nothing else.
func (m MasterKey) Text() string {
	if m.ring == nil {
		return ""
	}
	var lines []string
	for _, k := range m.ring.state.Load().keys {
		lines = append(lines, hex.EncodeToString(k.key[:]))
	}
	return strings.Join(lines, "\n")
}

// ID names the key that seals, without giving it away.
func (m MasterKey) ID() string {
	if m.ring == nil {
		return keyID{}.String()
	}
	return m.ring.state.Load().sealing.id.String()
}

// String names the key by its id.
func (m MasterKey) String() string { return "master key " + m.ID() }

// GoString keeps %#v from printing the key.
func (m MasterKey) GoString() string { return m.String() }

// LogValue keeps the key out of logs.
func (m MasterKey) LogValue() slog.Value { return slog.StringValue(m.String()) }

// Seal encrypts plaintext as the thing that name says.
func (m MasterKey) Seal(name string, plaintext []byte) ([]byte, error) {
	if m.ring == nil {
		return nil, errors.New("sealing without a master key")
	}
	return m.ring.state.Load().sealing.seal(name, plaintext)
}

func (s sealer) seal(name string, plaintext []byte) ([]byte, error) {
	header := s.header()
	return s.aead.Seal(header, nil, plaintext, associated(header, name)), nil
}

// header is what bytes that the key sealed begin with.
func (s sealer) header() []byte { return append([]byte{sealVersion}, s.id[:]...) }

// Open decrypts what Seal made under the same name. It answers ErrWrongMasterKey or ErrSealBroken. When none of the
// keys is the one, it looks whether there are others meanwhile: see [MasterKey.Follow].
func (m MasterKey) Open(name string, sealed []byte) ([]byte, error) {
	if m.ring == nil {
		return nil, errors.New("opening without a master key")
	}
	id, err := sealedUnder(sealed)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	key, err := m.ring.find(id)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, err)
	}
	plaintext, err := key.aead.Open(nil, nil, sealed[sealHeader:], associated(sealed, name))
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", name, ErrSealBroken)
	}
	return plaintext, nil
}

// sealedUnder reads which key sealed the bytes.
func sealedUnder(sealed []byte) (keyID, error) {
	if len(sealed) < sealHeader || sealed[0] != sealVersion {
		return keyID{}, ErrSealBroken
	}
	return keyID(sealed[1:sealHeader]), nil
}

// associated binds the header and the name into the seal.
func associated(header []byte, name string) []byte {
	return append(bytes.Clone(header[:sealHeader]), name...)
}
