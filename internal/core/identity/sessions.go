package identity

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Temporary credentials are kept nowhere. The session token is the session itself, sealed under the token key that all
// replicas share, and the secret follows from that key and the access key's id. So they cost no rows and end by
// themselves; whose principal is gone has none, and a policy may deny those issued before a date.
//
// A sealed session is: version (1 byte), the token key's id (4), nonce (12), ciphertext and tag. What is sealed is
// the compressed JSON of sessionBody; the access key's id is bound into the seal.

const (
	sessionVersion = 1
	sessionHeader  = 1 + 4
	sessionPrefix  = "berths_" // for people, and for scanners for leaked secrets

	// MaxSession is how many bytes a sealed session may have: what a session is given must fit in with its policies
	// and tags, as AWS limits their packed size. A token to log in with carries it whole, and some clients' stores
	// take 4 KiB of that.
	MaxSession = 2560
	// maxSessionText bounds what is inflated.
	maxSessionText = 64 << 10
)

// ErrSessionTooLarge is what NewSession answers for a session that does not fit into its token.
var ErrSessionTooLarge = errors.New("the session does not fit into its token")

// Credentials are a temporary access key.
type Credentials struct {
	AccessKeyID     string // ASIA…
	SecretAccessKey string
	SessionToken    string
	Expires         time.Time
	Packed          float64 // the share of the room in the token that is used: 0 to 1
}

// sessionBody is what a token seals.
type sessionBody struct {
	ARN     string  `json:"u"`
	UserID  string  `json:"id"`
	Session Session `json:"s"`
}

// NewSession issues temporary credentials that stand for a principal whose Session is set. It answers
// ErrSessionTooLarge where policies and tags take too much room, with Packed saying how much.
func (d *Directory) NewSession(ctx context.Context, principal Caller) (Credentials, error) {
	var random [10]byte
	if _, err := io.ReadFull(d.rand, random[:]); err != nil {
		return Credentials{}, fmt.Errorf("making an access key: %w", err)
	}
	principal.AccessKeyID = "ASIA" + base32.StdEncoding.EncodeToString(random[:])
	sealed, keys, err := d.sealSession(ctx, principal)
	if err != nil {
		return Credentials{}, err
	}
	packed := float64(len(sealed)) / MaxSession
	if len(sealed) > MaxSession {
		return Credentials{Packed: packed}, fmt.Errorf("%w: it has %d bytes and may have %d", ErrSessionTooLarge, len(sealed), MaxSession)
	}
	return Credentials{
		AccessKeyID:     principal.AccessKeyID,
		SecretAccessKey: keys.secretOf(principal.AccessKeyID),
		SessionToken:    sessionPrefix + base64.RawURLEncoding.EncodeToString(sealed),
		Expires:         principal.Session.Expires,
		Packed:          packed,
	}, nil
}

// SealSession gives the session that a caller came with in the form that SealedSession opens.
func (d *Directory) SealSession(ctx context.Context, caller Caller) ([]byte, error) {
	sealed, _, err := d.sealSession(ctx, caller)
	return sealed, err
}

func (d *Directory) sealSession(ctx context.Context, c Caller) ([]byte, *sessionKeys, error) {
	key, err := d.newestTokenKey(ctx)
	if err != nil {
		return nil, nil, err
	}
	packed, err := packSession(sessionBody{c.ARN, c.UserID, *c.Session})
	if err != nil {
		return nil, nil, err
	}
	keys, err := d.sessionKeys(ctx, key.ID)
	if err != nil {
		return nil, nil, err
	}
	header := binary.BigEndian.AppendUint32([]byte{sessionVersion}, key.ID)
	return keys.seal.Seal(header, nil, packed, sessionData(header, c.AccessKeyID)), keys, nil
}

// SessionKey finds the temporary access key of that id and session token. The faults are fault.AccessKeyUnknown for a
// token that this registry did not issue to the key, or whose principal is gone, and fault.SessionExpired.
func (d *Directory) SessionKey(ctx context.Context, id, token string) (AccessKey, error) {
	sealed, ok := DecodeSessionToken(token)
	if !ok {
		return AccessKey{}, fault.New(fault.AccessKeyUnknown, unknownKeyMessage)
	}
	return d.openSession(ctx, id, sealed)
}

// SealedSession is SessionKey for the bytes of a token.
func (d *Directory) SealedSession(ctx context.Context, id string, sealed []byte) (AccessKey, error) {
	return d.openSession(ctx, id, sealed)
}

// DecodeSessionToken gives the bytes of a token, if it may be one of ours.
func DecodeSessionToken(token string) ([]byte, bool) {
	encoded, ok := strings.CutPrefix(token, sessionPrefix)
	if !ok || len(encoded) > base64.RawURLEncoding.EncodedLen(MaxSession) {
		return nil, false
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(encoded) // strict: a token has one spelling
	return sealed, err == nil
}

func (d *Directory) openSession(ctx context.Context, id string, sealed []byte) (AccessKey, error) {
	unknown := fault.New(fault.AccessKeyUnknown, unknownKeyMessage)
	if !plausibleKeyID(id) || len(sealed) <= sessionHeader || sealed[0] != sessionVersion {
		return AccessKey{}, unknown
	}
	header := sealed[:sessionHeader]
	keys, err := d.sessionKeys(ctx, binary.BigEndian.Uint32(header[1:]))
	switch {
	case errors.Is(err, ErrNotFound):
		return AccessKey{}, unknown
	case err != nil:
		return AccessKey{}, err
	}
	packed, err := keys.seal.Open(nil, nil, sealed[sessionHeader:], sessionData(header, id))
	if err != nil {
		return AccessKey{}, unknown
	}
	body, err := unpackSession(packed)
	if err != nil {
		return AccessKey{}, fmt.Errorf("reading a session that was sealed here: %w", err)
	}
	if !d.now().Before(body.Session.Expires) {
		return AccessKey{}, fault.New(fault.SessionExpired, "The security token included in the request is expired")
	}
	principal := Caller{Account: d.account, ARN: body.ARN, UserID: body.UserID, AccessKeyID: id, Session: &body.Session}
	if principal.UserID == d.account {
		principal.Root = true
	} else if arn, err := d.principalARN(ctx, principal.PrincipalID()); errors.Is(err, ErrNotFound) {
		return AccessKey{}, unknown // deleted since
	} else if err != nil {
		return AccessKey{}, err
	} else if body.Session.RoleARN == "" {
		principal.ARN = arn // a user may have another name by now
	}
	return AccessKey{ID: id, Secret: keys.secretOf(id), Principal: principal, CreatedAt: body.Session.IssuedAt, Active: true}, nil
}

// sessionKeys are what one token key is to sessions.
type sessionKeys struct {
	seal    cipher.AEAD
	secrets []byte // for HMAC-SHA256
	from    []byte // the token key's secret
}

func deriveSessionKeys(key TokenKey) (*sessionKeys, error) {
	derive := func(use string) ([]byte, error) { return hkdf.Key(sha256.New, key.Secret, nil, use, 32) }
	sealKey, err := derive("berth session v1")
	if err != nil {
		return nil, fmt.Errorf("deriving the key for sessions: %w", err)
	}
	block, err := aes.NewCipher(sealKey)
	if err != nil {
		return nil, fmt.Errorf("making the cipher for sessions: %w", err)
	}
	k := &sessionKeys{from: key.Secret}
	if k.seal, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, fmt.Errorf("making the cipher for sessions: %w", err)
	}
	if k.secrets, err = derive("berth session secret v1"); err != nil {
		return nil, fmt.Errorf("deriving the key for sessions' secrets: %w", err)
	}
	return k, nil
}

// secretOf is the secret that goes with a temporary access key: 40 characters, as AWS's have.
func (k *sessionKeys) secretOf(id string) string {
	h := hmac.New(sha256.New, k.secrets)
	h.Write([]byte(id))
	return base64.RawStdEncoding.EncodeToString(h.Sum(nil)[:30])
}

// sessionKeys finds the derived keys of the token key with that id, or answers ErrNotFound.
func (d *Directory) sessionKeys(ctx context.Context, id uint32) (*sessionKeys, error) {
	key, ok, err := d.TokenKey(ctx, id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNotFound
	}
	if k, ok := d.sessions.Load(id); ok && subtle.ConstantTimeCompare(k.(*sessionKeys).from, key.Secret) == 1 {
		return k.(*sessionKeys), nil
	}
	k, err := deriveSessionKeys(key)
	if err == nil {
		d.sessions.Store(id, k)
	}
	return k, err
}

func (d *Directory) newestTokenKey(ctx context.Context) (TokenKey, error) {
	all, err := d.TokenKeys(ctx)
	if err != nil {
		return TokenKey{}, err
	}
	return all[0], nil
}

// sessionData is bound into the seal.
func sessionData(header []byte, accessKeyID string) []byte {
	return append(bytes.Clone(header[:sessionHeader]), accessKeyID...)
}

func packSession(body sessionBody) ([]byte, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("writing a session: %w", err)
	}
	var packed bytes.Buffer
	w, err := flate.NewWriter(&packed, flate.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("compressing a session: %w", err)
	}
	if _, err := w.Write(text); err != nil {
		return nil, fmt.Errorf("compressing a session: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("compressing a session: %w", err)
	}
	return packed.Bytes(), nil
}

// inflaters are kept, since each has tens of kilobytes.
var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }} //nolint:gochecknoglobals // a pool

func unpackSession(packed []byte) (sessionBody, error) {
	inflater := inflaters.Get().(io.Reader) //nolint:forcetypeassert // nothing else is in it
	defer inflaters.Put(inflater)
	if err := inflater.(flate.Resetter).Reset(bytes.NewReader(packed), nil); err != nil { //nolint:forcetypeassert // flate's are
		return sessionBody{}, err
	}
	text, err := io.ReadAll(io.LimitReader(inflater, maxSessionText))
	if err != nil {
		return sessionBody{}, err
	}
	var body sessionBody
	err = json.Unmarshal(text, &body)
	return body, err
}
