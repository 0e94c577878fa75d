package identity

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

const (
	// firstTokenKeySecret is key 0 by itself, which all there is was issued under before the first rotation.
	firstTokenKeySecret = "token-key"
	// tokenKeysSecret is all keys, from the first rotation on.
	tokenKeysSecret = "token-keys"
	tokenKeySize    = 32

	// tokenKeyKept is how long a key stays good after another has taken its place: what hangs on it the longest is a
	// session, 36 hours, and replicas need a moment to hear of the new key.
	tokenKeyKept = 37 * time.Hour
	// tokenKeysFresh bounds how long a key that another replica dropped goes on working here.
	tokenKeysFresh = 3 * time.Second
	// maxUnheardOf bounds how far ahead of the newest known key an id may be to be looked for.
	maxUnheardOf = 1000
)

// TokenKey is a secret that all replicas share. What is sealed or signed under it names it by its id.
type TokenKey struct {
	ID     uint32
	Secret []byte // 32 bytes
}

// tokenKeys is what is known of the shared secrets. It never changes once it is stored.
type tokenKeys struct {
	keys   []TokenKey // newest first
	ring   tokenRing
	sealed []byte // that the ring was read from; nil before the first rotation
	readAt time.Time
	number uint64 // of the reading, by when it began
}

// tokenRing is how the keys rest, sealed.
type tokenRing struct {
	Keys []storedTokenKey `json:"keys"` // newest first
}

type storedTokenKey struct {
	ID         uint32 `json:"id"`
	Secret     []byte `json:"secret"`
	ReplacedAt int64  `json:"replaced_at,omitempty"` // microseconds; 0 for the newest
}

// TokenKeys are the secrets that tokens, links and sessions may hang on, the one for new ones first. All replicas
// share them. The first to ask makes the first key.
func (d *Directory) TokenKeys(ctx context.Context) ([]TokenKey, error) {
	t, err := d.freshTokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	return t.keys, nil
}

// TokenKey finds one of them by its id; ok is false when there is none. A key that another replica made this moment is
// found.
func (d *Directory) TokenKey(ctx context.Context, id uint32) (key TokenKey, ok bool, err error) {
	seen := d.tokenReads.Load()
	t, err := d.freshTokenKeys(ctx)
	if err != nil {
		return TokenKey{}, false, err
	}
	// Ids only ever rise, so an older one that is not there will not come. A stranger may make up ids: those who ask
	// at the same time share a look at the database.
	if newest := t.keys[0].ID; id > newest && id-newest <= maxUnheardOf {
		if t, err = d.readTokenKeys(ctx, seen); err != nil {
			return TokenKey{}, false, err
		}
	}
	for _, k := range t.keys {
		if k.ID == id {
			return k, true, nil
		}
	}
	return TokenKey{}, false, nil
}

// freshTokenKeys gives the keys as they were a moment ago at most.
func (d *Directory) freshTokenKeys(ctx context.Context) (*tokenKeys, error) {
	t := d.tokens.Load()
	if t == nil {
		return d.readTokenKeys(ctx, d.tokenReads.Load())
	}
	if age := d.now().Sub(t.readAt); age >= tokenKeysFresh || age < 0 {
		return d.readTokenKeys(ctx, d.tokenReads.Load())
	}
	return t, nil
}

// readTokenKeys reads the keys, unless a reading that began after the caller saw that count of them has ended by now.
func (d *Directory) readTokenKeys(ctx context.Context, seen uint64) (*tokenKeys, error) {
	d.tokenMu.Lock()
	defer d.tokenMu.Unlock()
	if t := d.tokens.Load(); t != nil && t.number > seen {
		return t, nil
	}
	number := d.tokenReads.Add(1)
	t, err := d.loadTokenKeys(ctx)
	if err != nil {
		return nil, err
	}
	t.number = number
	d.tokens.Store(t)
	return t, nil
}

func (d *Directory) loadTokenKeys(ctx context.Context) (*tokenKeys, error) {
	t := &tokenKeys{readAt: d.now()}
	var err error
	if d.vault != nil {
		t.sealed, err = d.vault.FindSecret(ctx, tokenKeysSecret)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, fmt.Errorf("reading the token keys: %w", err)
		}
	}
	if t.sealed == nil {
		secret, err := d.firstTokenKey(ctx)
		if err != nil {
			return nil, err
		}
		t.ring.Keys = []storedTokenKey{{Secret: secret}}
	} else {
		plain, err := d.master.Open(secretName(tokenKeysSecret), t.sealed)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(plain, &t.ring); err != nil || len(t.ring.Keys) == 0 {
			return nil, fmt.Errorf("reading the token keys: they are not what Berth writes (%w)", err)
		}
	}
	t.ring.Keys = t.ring.goodAt(t.readAt)
	for _, k := range t.ring.Keys {
		t.keys = append(t.keys, TokenKey{ID: k.ID, Secret: k.Secret})
	}
	return t, nil
}

// goodAt leaves the keys out that were replaced so long ago that nothing can hang on them.
func (r tokenRing) goodAt(now time.Time) []storedTokenKey {
	return slices.DeleteFunc(slices.Clone(r.Keys), func(k storedTokenKey) bool {
		return k.ReplacedAt != 0 && !now.Before(time.UnixMicro(k.ReplacedAt).Add(tokenKeyKept))
	})
}

// firstTokenKey gives key 0. The first to ask for it makes it.
func (d *Directory) firstTokenKey(ctx context.Context) ([]byte, error) {
	if t := d.tokens.Load(); t != nil && t.sealed == nil {
		return t.keys[0].Secret, nil
	}
	fresh, err := d.newTokenKey()
	if err != nil {
		return nil, err
	}
	fallback, err := d.master.Seal(secretName(firstTokenKeySecret), fresh)
	if err != nil {
		return nil, fmt.Errorf("sealing the token key: %w", err)
	}
	sealed, err := d.store.Secret(ctx, firstTokenKeySecret, fallback)
	if err != nil {
		return nil, fmt.Errorf("reading the token key: %w", err)
	}
	return d.master.Open(secretName(firstTokenKeySecret), sealed)
}

func (d *Directory) newTokenKey() ([]byte, error) {
	fresh := make([]byte, tokenKeySize)
	if _, err := io.ReadFull(d.rand, fresh); err != nil {
		return nil, fmt.Errorf("making the token key: %w", err)
	}
	return fresh, nil
}

// TokenKeyRotation is what a rotation of the token key came to.
type TokenKeyRotation struct {
	KeyID   uint32   // of the new key
	Older   []uint32 // keys that go on opening what was issued under them
	Dropped []uint32 // keys that nothing opens under any more
}

// RotateTokenKey makes a new key for authorization tokens, download links and sessions (berth:RotateTokenKey). Those
// that are out stay good until their end; with drop all of them are void at once, here, and within seconds on other
// replicas.
func (d *Directory) RotateTokenKey(ctx context.Context, caller Caller, drop bool) (TokenKeyRotation, error) {
	if err := d.authorize(caller, actionRotateTokenKey); err != nil {
		return TokenKeyRotation{}, err
	}
	if d.vault == nil {
		return TokenKeyRotation{}, errNoVault
	}
	fresh, err := d.newTokenKey()
	if err != nil {
		return TokenKeyRotation{}, err
	}
	for range maxAttempts {
		t, err := d.readTokenKeys(ctx, d.tokenReads.Load())
		if err != nil {
			return TokenKeyRotation{}, err
		}
		next, rotation := t.ring.next(fresh, d.now(), drop)
		err = d.storeTokenKeys(ctx, t.sealed, next)
		if errors.Is(err, ErrChanged) {
			continue // another rotation, of either key, was quicker
		}
		if err != nil {
			return TokenKeyRotation{}, fmt.Errorf("storing the token keys: %w", err)
		}
		_, err = d.readTokenKeys(ctx, d.tokenReads.Load())
		return rotation, err
	}
	return TokenKeyRotation{}, fmt.Errorf("storing the token keys: %w", ErrChanged)
}

// next is the ring with one more key.
func (r tokenRing) next(secret []byte, now time.Time, drop bool) (tokenRing, TokenKeyRotation) {
	id := r.Keys[0].ID + 1
	next := tokenRing{Keys: []storedTokenKey{{ID: id, Secret: secret}}}
	rotation := TokenKeyRotation{KeyID: id}
	for _, k := range r.Keys {
		if drop {
			rotation.Dropped = append(rotation.Dropped, k.ID)
			continue
		}
		if k.ReplacedAt == 0 {
			k.ReplacedAt = now.UnixMicro()
		}
		next.Keys = append(next.Keys, k)
		rotation.Older = append(rotation.Older, k.ID)
	}
	return next, rotation
}

func (d *Directory) storeTokenKeys(ctx context.Context, old []byte, ring tokenRing) error {
	plain, err := json.Marshal(ring)
	if err != nil {
		return fmt.Errorf("encoding the token keys: %w", err)
	}
	sealed, err := d.master.Seal(secretName(tokenKeysSecret), plain)
	if err != nil {
		return err
	}
	return d.vault.ReplaceSecret(ctx, tokenKeysSecret, old, sealed)
}
