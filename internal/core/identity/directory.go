package identity

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

const (
	// keyCacheFor bounds how long a key that another replica deactivated goes on working here.
	keyCacheFor = 3 * time.Second
	// maxCachedKeys bounds the cache's memory; there are rarely more than a few dozen keys in use.
	maxCachedKeys = 4096

	// unknownKeyMessage is how AWS puts it, and what people search for.
	unknownKeyMessage = "The security token included in the request is invalid."
)

// Directory finds principals by their credentials. It is safe for concurrent use.
type Directory struct {
	store   Store
	vault   Vault // may be nil
	master  MasterKey
	account string
	now     func() time.Time
	rand    io.Reader

	mu   sync.RWMutex
	keys map[string]cachedKey // guarded by mu
	arns map[string]cachedARN // of principals, by unique id; guarded by mu
	era  uint64               // counts the calls of Forget; guarded by mu

	tokens     atomic.Pointer[tokenKeys] // nil until they were needed
	tokenMu    sync.Mutex                // held while they are read
	tokenReads atomic.Uint64             // how many readings of them have begun

	sessions sync.Map // token key id -> *sessionKeys
}

type cachedARN struct {
	arn   string
	until time.Time
}

type cachedKey struct {
	key   AccessKey
	until time.Time
}

// Config is what a Directory is made of.
type Config struct {
	Store   Store
	Vault   Vault // where the keys are that can be rotated; nil: none can
	Master  MasterKey
	Account string // 12 digits
	Now     func() time.Time
	Rand    io.Reader // where new keys come from; crypto/rand if nil
}

// NewDirectory makes a Directory over the store.
func NewDirectory(cfg Config) *Directory {
	d := &Directory{
		store:   cfg.Store,
		vault:   cfg.Vault,
		master:  cfg.Master,
		account: cfg.Account,
		now:     cfg.Now,
		rand:    cfg.Rand,
		keys:    map[string]cachedKey{},
		arns:    map[string]cachedARN{},
	}
	if d.rand == nil {
		d.rand = rand.Reader
	}
	return d
}

// EnsureRoot returns the oldest active access key of the account's root principal, and makes one when the
// account has no root key at all. When replicas start together for the first time each may make one; all
// of them work.
func (d *Directory) EnsureRoot(ctx context.Context) (key AccessKey, created bool, err error) {
	sealed, err := d.store.RootAccessKeys(ctx)
	if err != nil {
		return AccessKey{}, false, fmt.Errorf("listing the root access keys: %w", err)
	}
	if err := d.chooseSealing(ctx, sealed); err != nil {
		return AccessKey{}, false, err
	}
	for _, s := range sealed {
		if !s.Active {
			continue
		}
		if s.PrincipalARN != rootARN(d.account) {
			return AccessKey{}, false, fmt.Errorf("this registry belongs to %s, and was started as account %s: start it with the account it has", s.PrincipalARN, d.account)
		}
		key, err := d.open(s)
		return key, false, err
	}
	if len(sealed) > 0 {
		// Somebody switched them off on purpose: making another would undo that.
		return AccessKey{}, false, fault.New(fault.AccessKeyUnknown, "the account %s has root access keys, and none of them is active", d.account)
	}
	key, err = d.newKey(Caller{Account: d.account, ARN: rootARN(d.account), UserID: d.account, Root: true})
	if err != nil {
		return AccessKey{}, false, err
	}
	if err := d.insert(ctx, key); err != nil {
		return AccessKey{}, false, err
	}
	return key, true, nil
}

// chooseSealing decides under which master key this process seals: the one that the last rotation chose, or without any
// the one that everything is sealed under. A key that was put first in the file seals nothing before a rotation: other
// replicas may not have it yet.
func (d *Directory) chooseSealing(ctx context.Context, root []SealedKey) error {
	marker, err := d.followMaster(ctx)
	if err != nil || marker != nil || len(root) == 0 || d.master.ring == nil {
		return err
	}
	id, err := sealedUnder(root[0].SealedSecret)
	if err != nil {
		return fmt.Errorf("opening %s: %w", accessKeyName(root[0].ID), err)
	}
	return d.master.ring.sealUnder(id)
}

// AccessKey finds an active key by its id. It answers [fault.AccessKeyUnknown] when there is none, and an
// error that is [ErrWrongMasterKey] when the key is there and this process cannot open it.
func (d *Directory) AccessKey(ctx context.Context, id string) (AccessKey, error) {
	if !plausibleKeyID(id) {
		return AccessKey{}, fault.New(fault.AccessKeyUnknown, unknownKeyMessage)
	}
	now := d.now()
	d.mu.RLock()
	cached, ok := d.keys[id]
	era := d.era
	d.mu.RUnlock()
	if ok && now.Before(cached.until) {
		return cached.key, nil
	}
	sealed, err := d.store.AccessKey(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound), err == nil && !sealed.Active:
		d.forget(id)
		return AccessKey{}, fault.New(fault.AccessKeyUnknown, unknownKeyMessage)
	case err != nil:
		return AccessKey{}, fmt.Errorf("finding access key %s: %w", id, err)
	}
	key, err := d.open(sealed)
	if err != nil {
		return AccessKey{}, err
	}
	d.remember(key, now, era)
	return key, nil
}

// remember keeps a key, unless somebody changed one since it was read.
func (d *Directory) remember(key AccessKey, now time.Time, era uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if era != d.era {
		return
	}
	if len(d.keys) >= maxCachedKeys {
		clear(d.keys)
	}
	d.keys[key.ID] = cachedKey{key: key, until: now.Add(keyCacheFor)}
}

func (d *Directory) forget(id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.keys, id)
}

// Forget drops what is remembered of keys and principals, after somebody changed them here.
func (d *Directory) Forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.era++
	clear(d.keys)
	clear(d.arns)
}

// principalARN gives the ARN of the user or role with a unique id, or answers ErrNotFound.
func (d *Directory) principalARN(ctx context.Context, id string) (string, error) {
	now := d.now()
	d.mu.RLock()
	cached, ok := d.arns[id]
	era := d.era
	d.mu.RUnlock()
	if ok && now.Before(cached.until) {
		return cached.arn, nil
	}
	arn, err := d.store.PrincipalARN(ctx, id)
	if err != nil {
		return "", err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if era != d.era {
		return arn, nil
	}
	if len(d.arns) >= maxCachedKeys {
		clear(d.arns)
	}
	d.arns[id] = cachedARN{arn: arn, until: now.Add(keyCacheFor)}
	return arn, nil
}

// NewKey makes an access key for a user, and its sealed form. It stores nothing.
func (d *Directory) NewKey(user Caller) (AccessKey, SealedKey, error) {
	key, err := d.newKey(user)
	if err != nil {
		return AccessKey{}, SealedKey{}, err
	}
	sealed, err := d.seal(key)
	return key, sealed, err
}

func (d *Directory) open(s SealedKey) (AccessKey, error) {
	secret, err := d.master.Open(accessKeyName(s.ID), s.SealedSecret)
	if err != nil {
		return AccessKey{}, err
	}
	return AccessKey{
		ID:     s.ID,
		Secret: string(secret),
		Principal: Caller{
			Account:     d.account,
			ARN:         s.PrincipalARN,
			UserID:      s.UserID,
			AccessKeyID: s.ID,
			Root:        s.Root,
		},
		CreatedAt: s.CreatedAt,
		Active:    s.Active,
	}, nil
}

func (d *Directory) insert(ctx context.Context, key AccessKey) error {
	sealed, err := d.seal(key)
	if err != nil {
		return err
	}
	if err := d.store.InsertAccessKey(ctx, sealed); err != nil {
		return fmt.Errorf("storing access key %s: %w", key.ID, err)
	}
	return nil
}

func (d *Directory) seal(key AccessKey) (SealedKey, error) {
	sealed, err := d.master.Seal(accessKeyName(key.ID), []byte(key.Secret))
	if err != nil {
		return SealedKey{}, fmt.Errorf("sealing access key %s: %w", key.ID, err)
	}
	return SealedKey{
		ID:           key.ID,
		SealedSecret: sealed,
		PrincipalARN: key.Principal.ARN,
		UserID:       key.Principal.UserID,
		Root:         key.Principal.Root,
		CreatedAt:    key.CreatedAt,
		Active:       key.Active,
	}, nil
}

// newKey makes a key that looks like AWS's: an id of AKIA and 16 characters of base32, and a secret of
// 40 characters.
func (d *Directory) newKey(principal Caller) (AccessKey, error) {
	var random [10 + 30]byte
	if _, err := io.ReadFull(d.rand, random[:]); err != nil {
		return AccessKey{}, fmt.Errorf("making an access key: %w", err)
	}
	principal.AccessKeyID = "AKIA" + base32.StdEncoding.EncodeToString(random[:10])
	return AccessKey{
		ID:        principal.AccessKeyID,
		Secret:    base64.RawStdEncoding.EncodeToString(random[10:]),
		Principal: principal,
		CreatedAt: d.now().UTC().Truncate(time.Microsecond),
		Active:    true,
	}, nil
}

func rootARN(account string) string { return "arn:aws:iam::" + account + ":root" }

// plausibleKeyID tells whether id could be one at all, so that strangers' bytes do not reach the database.
func plausibleKeyID(id string) bool {
	if len(id) < 16 || len(id) > 128 {
		return false
	}
	for _, c := range []byte(id) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// The names under which things are sealed.
func accessKeyName(id string) string { return "access-key/" + id }
func secretName(name string) string  { return "secret/" + name }
