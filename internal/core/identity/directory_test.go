package identity_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/identity/identitytest"
)

const account = "000123456789"

// clock is a time that the test sets.
type clock struct{ t time.Time }

func (c *clock) now() time.Time { return c.t }

func newClock() *clock { return &clock{time.Date(2026, 11, 24, 10, 0, 0, 123456789, time.UTC)} }

func newMaster(t *testing.T) identity.MasterKey {
	t.Helper()
	m, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatalf("GenerateMasterKey: %v", err)
	}
	return m
}

func newDirectory(store identity.Store, master identity.MasterKey, c *clock, random io.Reader) *identity.Directory {
	return identity.NewDirectory(identity.Config{Store: store, Master: master, Account: account, Now: c.now, Rand: random})
}

func TestFirstStartMakesOneRootKey(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	key, created, err := newDirectory(store, master, c, nil).EnsureRoot(t.Context())
	if err != nil || !created {
		t.Fatalf("EnsureRoot on an empty store: created %v, error %v", created, err)
	}
	if !regexp.MustCompile(`^AKIA[A-Z2-7]{16}$`).MatchString(key.ID) {
		t.Errorf("key id %q is not AKIA and 16 characters of base32", key.ID)
	}
	if len(key.Secret) != 40 {
		t.Errorf("the secret has %d characters, want 40", len(key.Secret))
	}
	want := identity.Caller{
		Account: account, ARN: "arn:aws:iam::000123456789:root", UserID: account, AccessKeyID: key.ID, Root: true,
	}
	if diff := cmp.Diff(want, key.Principal); diff != "" {
		t.Errorf("root principal (-want +got):\n%s", diff)
	}

	again, created, err := newDirectory(store, master, c, nil).EnsureRoot(t.Context())
	if err != nil || created {
		t.Fatalf("EnsureRoot the second time: created %v, error %v", created, err)
	}
	if diff := cmp.Diff(key, again); diff != "" {
		t.Errorf("the root key after a restart (-first +second):\n%s", diff)
	}
	if bytes.Contains(store.Keys[0].SealedSecret, []byte(key.Secret)) {
		t.Error("the secret rests in the clear")
	}
}

func TestKeysComeFromTheGivenRandomness(t *testing.T) {
	t.Parallel()
	key, _, err := newDirectory(&identitytest.Memory{}, newMaster(t), newClock(), bytes.NewReader(make([]byte, 40))).EnsureRoot(t.Context())
	if err != nil || key.ID != "AKIAAAAAAAAAAAAAAAAA" {
		t.Errorf("EnsureRoot on zeros made %q, error %v", key.ID, err)
	}
	_, _, err = newDirectory(&identitytest.Memory{}, newMaster(t), newClock(), bytes.NewReader(nil)).EnsureRoot(t.Context())
	if !errors.Is(err, io.EOF) {
		t.Errorf("EnsureRoot without randomness: error %v, want EOF", err)
	}
}

func TestRootKeysSwitchedOffStayOff(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	key, _, err := newDirectory(store, master, c, nil).EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	store.Deactivate(key.ID)
	got, created, err := newDirectory(store, master, c, nil).EnsureRoot(t.Context())
	if !errors.Is(err, fault.AccessKeyUnknown) || created {
		t.Errorf("EnsureRoot with the only root key inactive: key %q, created %v, error %v", got.ID, created, err)
	}
}

func TestAccessKeyIsFoundAndCachedBriefly(t *testing.T) {
	t.Parallel()
	store, c := &identitytest.Memory{}, newClock()
	d := newDirectory(store, newMaster(t), c, nil)
	root, _, err := d.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		got, err := d.AccessKey(t.Context(), root.ID)
		if diff := cmp.Diff(root, got); diff != "" || err != nil {
			t.Fatalf("AccessKey(%s): error %v, (-want +got):\n%s", root.ID, err, diff)
		}
	}
	if store.Lookups != 1 {
		t.Errorf("three look-ups within a moment asked the store %d times, want 1", store.Lookups)
	}

	store.Deactivate(root.ID)
	c.t = c.t.Add(10 * time.Second)
	if _, err := d.AccessKey(t.Context(), root.ID); !errors.Is(err, fault.AccessKeyUnknown) {
		t.Errorf("AccessKey of an inactive key, 10 s later: %v, want AccessKeyUnknown", err)
	}
}

func TestUnknownKeys(t *testing.T) {
	t.Parallel()
	store := &identitytest.Memory{}
	d := newDirectory(store, newMaster(t), newClock(), nil)
	for _, id := range []string{"", "AKIA", "akiaaaaaaaaaaaaaaaaa", "AKIA'; DROP TABLE KEYS", string(make([]byte, 4096))} {
		if _, err := d.AccessKey(t.Context(), id); !errors.Is(err, fault.AccessKeyUnknown) {
			t.Errorf("AccessKey(%q): %v, want AccessKeyUnknown", id, err)
		}
	}
	if store.Lookups != 0 {
		t.Errorf("ids that cannot be ids reached the store %d times", store.Lookups)
	}
	if _, err := d.AccessKey(t.Context(), "AKIAAAAAAAAAAAAAAAAA"); !errors.Is(err, fault.AccessKeyUnknown) {
		t.Errorf("AccessKey of a key that is not there: %v, want AccessKeyUnknown", err)
	}
	store.Broken = errors.New("the disk is on fire")
	_, err := d.AccessKey(t.Context(), "AKIAAAAAAAAAAAAAAAAA")
	if errors.Is(err, fault.AccessKeyUnknown) || !errors.Is(err, store.Broken) {
		t.Errorf("AccessKey when the store is down: %v, want the store's error and not AccessKeyUnknown", err)
	}
}

func TestAnotherMasterKeyIsSaidClearly(t *testing.T) {
	t.Parallel()
	store, c := &identitytest.Memory{}, newClock()
	d := newDirectory(store, newMaster(t), c, nil)
	root, _, err := d.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.TokenKeys(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := newDirectory(store, newMaster(t), c, nil)
	calls := map[string]func() error{
		"EnsureRoot": func() error { _, _, err := other.EnsureRoot(t.Context()); return err },
		"AccessKey":  func() error { _, err := other.AccessKey(t.Context(), root.ID); return err },
		"TokenKeys":  func() error { _, err := other.TokenKeys(t.Context()); return err },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, identity.ErrWrongMasterKey) || errors.Is(err, fault.AccessKeyUnknown) {
			t.Errorf("%s under another master key: %v, want ErrWrongMasterKey and no fault", name, err)
		}
	}
}

func TestSwappedRecordsDoNotOpen(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	d := newDirectory(store, master, c, nil)
	root, _, err := d.EnsureRoot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := master.Seal("access-key/AKIABBBBBBBBBBBBBBBB", []byte("someone else's secret"))
	if err != nil {
		t.Fatal(err)
	}
	store.Keys[0].SealedSecret = sealed
	if _, err := d.AccessKey(t.Context(), root.ID); !errors.Is(err, identity.ErrSealBroken) {
		t.Errorf("AccessKey over another key's secret: %v, want ErrSealBroken", err)
	}
}

func TestReplicasShareOneTokenKey(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	var wg sync.WaitGroup
	keys := make([][]byte, 8)
	for i := range keys {
		wg.Go(func() {
			d := newDirectory(store, master, c, nil)
			for range 2 {
				all, err := d.TokenKeys(t.Context())
				if err != nil || len(all) != 1 || all[0].ID != 0 {
					t.Errorf("TokenKeys: %d keys, error %v", len(all), err)
					return
				}
				keys[i] = all[0].Secret
			}
		})
	}
	wg.Wait()
	for i, key := range keys {
		if len(key) != 32 || !bytes.Equal(key, keys[0]) {
			t.Errorf("replica %d has the token key %x, replica 0 has %x", i, key, keys[0])
		}
	}
	if bytes.Contains(store.Secrets["token-key"], keys[0]) {
		t.Error("the token key rests in the clear")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	d := newDirectory(store, master, c, nil)
	const many = 4100
	for i := range many {
		id := fmt.Sprintf("AKIA%016d", i)
		sealed, err := master.Seal("access-key/"+id, []byte("s"))
		if err != nil {
			t.Fatal(err)
		}
		store.Keys = []identity.SealedKey{{ID: id, SealedSecret: sealed, Active: true}}
		if _, err := d.AccessKey(t.Context(), id); err != nil {
			t.Fatalf("AccessKey(%s): %v", id, err)
		}
	}
	if n := identity.CachedKeys(d); n > 4096 {
		t.Errorf("the cache holds %d keys", n)
	}
}

func TestAnotherAccountsRegistryIsRefused(t *testing.T) {
	t.Parallel()
	store, master, c := &identitytest.Memory{}, newMaster(t), newClock()
	if _, _, err := newDirectory(store, master, c, nil).EnsureRoot(t.Context()); err != nil {
		t.Fatal(err)
	}
	other := identity.NewDirectory(identity.Config{Store: store, Master: master, Account: "999999999999", Now: time.Now})
	if _, _, err := other.EnsureRoot(t.Context()); err == nil || !strings.Contains(err.Error(), account) {
		t.Errorf("EnsureRoot as another account: %v, want an error that names the account it has", err)
	}
}
