package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const keysAccount = "000123456789"

func keysRoot() identity.Caller {
	return identity.Caller{Account: keysAccount, ARN: "arn:aws:iam::" + keysAccount + ":root", Root: true}
}

// replica is a server's view of the keys, with a key file and a clock of its own.
type replica struct {
	*identity.Directory
	db     *metadb.DB
	master identity.MasterKey

	mu   sync.Mutex
	file string
	time time.Time
}

func newReplica(t *testing.T, db *metadb.DB, vault identity.Vault, file string) (*replica, error) {
	t.Helper()
	r := &replica{db: db, file: file, time: noon()}
	read := func() (identity.MasterKey, error) {
		r.mu.Lock()
		defer r.mu.Unlock()
		return identity.ParseMasterKey(r.file)
	}
	var err error
	if r.master, err = read(); err != nil {
		t.Fatal(err)
	}
	now := func() time.Time {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.time
	}
	r.master.Follow(read, now)
	r.Directory = identity.NewDirectory(identity.Config{Store: db, Vault: vault, Master: r.master, Account: keysAccount, Now: now})
	_, _, err = r.EnsureRoot(t.Context())
	return r, err
}

func mustReplica(t *testing.T, db *metadb.DB, file string) *replica {
	t.Helper()
	r, err := newReplica(t, db, db.Vault(), file)
	if err != nil {
		t.Fatalf("EnsureRoot: %v", err)
	}
	return r
}

func (r *replica) give(file string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file = file
}

func (r *replica) sleep(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.time = r.time.Add(d)
}

// keep stores a signing key, sealed as the signer does.
func (r *replica) keep(ctx context.Context, t *testing.T, profile string) {
	t.Helper()
	sealed, err := r.master.Seal("signing-key/"+profile, []byte("key of "+profile))
	if err != nil {
		t.Errorf("Seal: %v", err)
	}
	if err := r.db.Signing().EnsureSigningKey(ctx, signing.SealedKey{Profile: profile, Name: profile, Sealed: sealed, CreatedAt: noon()}); err != nil {
		t.Errorf("EnsureSigningKey: %v", err)
	}
}

// opens checks that a replica can open a signing key.
func (r *replica) opens(t *testing.T, profile string) {
	t.Helper()
	k, err := r.db.Signing().SigningKey(t.Context(), profile)
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := r.master.Open("signing-key/"+profile, k.Sealed); err != nil || string(plain) != "key of "+profile {
		t.Errorf("Open of the key of %s: %q, %v", profile, plain, err)
	}
}

func (r *replica) rotate(t *testing.T) identity.MasterKeyRotation {
	t.Helper()
	done, err := r.RotateMasterKey(t.Context(), keysRoot(), "")
	if err != nil {
		t.Fatalf("RotateMasterKey: %v", err)
	}
	return done
}

func (r *replica) tokenIDs(t *testing.T) []uint32 {
	t.Helper()
	keys, err := r.TokenKeys(t.Context())
	if err != nil {
		t.Fatalf("TokenKeys: %v", err)
	}
	var ids []uint32
	for _, k := range keys {
		ids = append(ids, k.ID)
	}
	return ids
}

func keyText(t *testing.T) (text, id string) {
	t.Helper()
	m, err := identity.GenerateMasterKey()
	if err != nil {
		t.Fatal(err)
	}
	return m.Text(), m.ID()
}

func wantInUse(t *testing.T, when string, got identity.MasterKeyRotation, want ...identity.SealedUse) {
	t.Helper()
	if !slices.Equal(got.InUse, want) {
		t.Errorf("%s keys are in use as %v, want %v", when, got.InUse, want)
	}
}

func TestTheMasterKeyRotates(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		older, olderID := keyText(t)
		newer, newerID := keyText(t)
		a := mustReplica(t, db, older)
		b := mustReplica(t, db, older)
		tokens := a.tokenIDs(t)
		a.keep(t.Context(), t, "before")
		if _, err := db.Secret(t.Context(), "blob-store-id", []byte("9c0f1e")); err != nil { // rests there in the clear
			t.Fatal(err)
		}

		// The file is distributed. Until the rotation, a replica that starts with it seals under the older key, which all have.
		both := newer + "\n" + older
		a.give(both)
		c := mustReplica(t, db, both)
		c.keep(t.Context(), t, "between")
		b.opens(t, "between")
		b.give(both)

		done := a.rotate(t)
		if done.KeyID != newerID || done.Rewrapped != 4 { // the root key, the token key, two signing keys
			t.Errorf("the rotation sealed %d rows anew under %s, want 4 under %s", done.Rewrapped, done.KeyID, newerID)
		}
		wantInUse(t, "after the rotation", done, identity.SealedUse{KeyID: newerID, Rows: 5, Known: true})

		// The others read their files when they meet the new key, and no request notices.
		for _, r := range []*replica{b, c} {
			r.opens(t, "before")
			r.opens(t, "between")
			if _, err := r.rootKey(t); err != nil {
				t.Errorf("the root key: %v", err)
			}
			if got := r.tokenIDs(t); !slices.Equal(got, tokens) {
				t.Errorf("token keys %v, want %v", got, tokens)
			}
		}

		// A replica that has not heard of it seals under the older key still. Its own look, or any other's, mends that.
		b.keep(t.Context(), t, "late")
		a.opens(t, "late")
		again := a.rotate(t)
		if again.Rewrapped != 1 {
			t.Errorf("the second rotation sealed %d rows anew, want 1", again.Rewrapped)
		}
		b.keep(t.Context(), t, "later")
		if more, err := b.FollowMasterKey(t.Context()); more || err != nil {
			t.Errorf("FollowMasterKey: more %v, error %v", more, err)
		}
		b.keep(t.Context(), t, "at last")
		wantInUse(t, "in the end", a.rotate(t), identity.SealedUse{KeyID: newerID, Rows: 8, Known: true})

		// The older key can go.
		d := mustReplica(t, db, newer)
		for _, profile := range []string{"before", "between", "late", "later", "at last"} {
			d.opens(t, profile)
		}
		_, err := newReplica(t, db, db.Vault(), older)
		if !errors.Is(err, identity.ErrWrongMasterKey) || !strings.Contains(err.Error(), newerID) || !strings.Contains(err.Error(), olderID) {
			t.Errorf("a start with the older key alone: %v, want ErrWrongMasterKey that names %s and %s", err, newerID, olderID)
		}
	})
}

// rootKey finds the root key once more, as a request would.
func (r *replica) rootKey(t *testing.T) (identity.AccessKey, error) {
	t.Helper()
	keys, err := r.db.RootAccessKeys(t.Context())
	if err != nil || len(keys) != 1 {
		t.Fatalf("RootAccessKeys: %d, %v", len(keys), err)
	}
	return r.AccessKey(t.Context(), keys[0].ID)
}

// dying is a Vault whose process ends after some transactions.
type dying struct {
	identity.Vault
	left int
}

var errDied = errors.New("the process died")

func (d *dying) Reseal(ctx context.Context, marker []byte, rows []identity.Resealing) (int, error) {
	if d.left == 0 {
		return 0, errDied
	}
	d.left--
	return d.Vault.Reseal(ctx, marker, rows)
}

func TestARotationThatEndedHalfWayGoesOn(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		older, olderID := keyText(t)
		newer, newerID := keyText(t)
		a, err := newReplica(t, db, &dying{db.Vault(), 1}, older)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 250 {
			a.keep(t.Context(), t, fmt.Sprintf("profile-%d", i))
		}
		a.give(newer + "\n" + older)
		if _, err := a.RotateMasterKey(t.Context(), keysRoot(), ""); !errors.Is(err, errDied) {
			t.Fatalf("RotateMasterKey: %v, want %v", err, errDied)
		}
		// Each key has its half: the older one alone does not start, and the newer one alone misses what is left.
		if _, err := newReplica(t, db, db.Vault(), older); !errors.Is(err, identity.ErrWrongMasterKey) {
			t.Errorf("a start with the older key alone: %v, want ErrWrongMasterKey", err)
		}
		half := mustReplica(t, db, newer).rotate(t)
		if len(half.InUse) != 2 || half.Rewrapped != 0 {
			t.Errorf("with the newer key alone a rotation finds %v and seals %d rows anew, want both keys and none", half.InUse, half.Rewrapped)
		}
		b := mustReplica(t, db, older+"\n"+newer) // the order counts when it is told to rotate, and not before
		b.keep(t.Context(), t, "new")
		k, err := db.Signing().SigningKey(t.Context(), "new")
		if err != nil {
			t.Fatal(err)
		}
		if id := fmt.Sprintf("%x", k.Sealed[1:5]); id != newerID {
			t.Errorf("after half a rotation to %s a restarted replica seals under %s", newerID, id)
		}
		if _, err := b.FollowMasterKey(t.Context()); err != nil { // the background work alone completes it
			t.Fatal(err)
		}
		c := mustReplica(t, db, newer)
		done := c.rotate(t)
		wantInUse(t, "in the end", done, identity.SealedUse{KeyID: newerID, Rows: 253, Known: true})
		if done.Rewrapped != 0 {
			t.Errorf("%d rows were left under %s", done.Rewrapped, olderID)
		}
		for i := range 250 {
			c.opens(t, fmt.Sprintf("profile-%d", i))
		}
	})
}

// TestRotationsAmidChanges rotates the master key to and fro while keys are made and the token key is rotated, on two
// replicas.
func TestRotationsAmidChanges(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		one, oneID := keyText(t)
		two, twoID := keyText(t)
		a := mustReplica(t, db, one+"\n"+two)
		b := mustReplica(t, db, one+"\n"+two)
		const rounds = 15
		var all sync.WaitGroup
		for _, r := range []*replica{a, b} {
			name := fmt.Sprintf("%p", r)
			all.Go(func() {
				for i := range rounds {
					r.keep(t.Context(), t, fmt.Sprintf("%s-%d", name, i))
				}
			})
			all.Go(func() {
				for range rounds {
					if _, err := r.RotateTokenKey(t.Context(), keysRoot(), false); err != nil {
						t.Errorf("RotateTokenKey: %v", err)
					}
				}
			})
			all.Go(func() {
				for i := range rounds {
					file := one + "\n" + two
					if i%2 == 0 {
						file = two + "\n" + one
					}
					r.give(file)
					if _, err := r.RotateMasterKey(t.Context(), keysRoot(), ""); err != nil {
						t.Errorf("RotateMasterKey: %v", err)
					}
					if _, err := r.FollowMasterKey(t.Context()); err != nil {
						t.Errorf("FollowMasterKey: %v", err)
					}
				}
			})
		}
		all.Wait()
		a.give(two + "\n" + one)
		wantInUse(t, "in the end", a.rotate(t), identity.SealedUse{KeyID: twoID, Rows: 2*rounds + 4, Known: true})
		c := mustReplica(t, db, two)
		for _, r := range []*replica{a, b} {
			for i := range rounds {
				c.opens(t, fmt.Sprintf("%p-%d", r, i))
			}
		}
		if got := c.tokenIDs(t); len(got) != 2*rounds+1 || got[0] != 2*rounds {
			t.Errorf("after %d rotations of the token key there are %v (%s, %s)", 2*rounds, got, oneID, twoID)
		}
	})
}

func TestUnknownKeysAreReportedAndLeft(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		older, _ := keyText(t)
		newer, newerID := keyText(t)
		a := mustReplica(t, db, newer+"\n"+older)
		lost, lostID := keyText(t)
		foreign, err := identity.ParseMasterKey(lost)
		if err != nil {
			t.Fatal(err)
		}
		stray := &replica{db: db, master: foreign}
		stray.keep(t.Context(), t, "stray")
		done := a.rotate(t)
		want := []identity.SealedUse{{KeyID: newerID, Rows: 2, Known: true}, {KeyID: lostID, Rows: 1}}
		slices.SortFunc(want, func(a, b identity.SealedUse) int { return strings.Compare(a.KeyID, b.KeyID) })
		wantInUse(t, "with a lost key", done, want...)
		stray.opens(t, "stray")
		// The key turns up.
		a.sleep(time.Minute)
		a.give(newer + "\n" + older + "\n" + lost)
		wantInUse(t, "with the key found", a.rotate(t), identity.SealedUse{KeyID: newerID, Rows: 3, Known: true})
	})
}

func TestResealingHoldsToItsMarker(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		v := db.Vault()
		if err := v.ReplaceSecret(t.Context(), "x", nil, []byte("\x01old ")); err != nil {
			t.Fatal(err)
		}
		if err := v.ReplaceSecret(t.Context(), "x", nil, []byte("\x01new ")); !errors.Is(err, identity.ErrChanged) {
			t.Errorf("ReplaceSecret of none where there is one: %v, want ErrChanged", err)
		}
		if err := v.ReplaceSecret(t.Context(), "x", []byte("\x01new "), []byte("y")); !errors.Is(err, identity.ErrChanged) {
			t.Errorf("ReplaceSecret of another: %v, want ErrChanged", err)
		}
		rows := []identity.Resealing{{Name: "secret/x", Old: []byte("\x01old "), New: []byte("\x01new ")}}
		if _, err := v.Reseal(t.Context(), []byte("m"), rows); !errors.Is(err, identity.ErrChanged) {
			t.Errorf("Reseal without a marker: %v, want ErrChanged", err)
		}
		if err := v.ReplaceSecret(t.Context(), identity.MasterKeySecret, nil, []byte("\x01mark")); err != nil {
			t.Fatal(err)
		}
		if _, err := v.Reseal(t.Context(), []byte("m"), rows); !errors.Is(err, identity.ErrChanged) {
			t.Errorf("Reseal with another marker: %v, want ErrChanged", err)
		}
		rows = append(rows, identity.Resealing{Name: "secret/x", Old: []byte("gone"), New: []byte("z")})
		n, err := v.Reseal(t.Context(), []byte("\x01mark"), rows)
		want(t, "Reseal", n, err, 1)
		got, err := v.FindSecret(t.Context(), "x")
		want(t, "FindSecret", string(got), err, "\x01new ")
		if _, err := v.FindSecret(t.Context(), "none"); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("FindSecret of none: %v, want ErrNotFound", err)
		}
	})
}

func TestTheTokenKeyRotates(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		file, _ := keyText(t)
		a, b := mustReplica(t, db, file), mustReplica(t, db, file)
		rotate := func(drop bool, want identity.TokenKeyRotation) {
			t.Helper()
			got, err := a.RotateTokenKey(t.Context(), keysRoot(), drop)
			if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("RotateTokenKey: %v, %v; want %v", got, err, want)
			}
		}
		ids := func(r *replica, when string, want ...uint32) {
			t.Helper()
			if got := r.tokenIDs(t); !slices.Equal(got, want) {
				t.Errorf("%s: token keys %v, want %v", when, got, want)
			}
		}
		has := func(r *replica, id uint32, want bool) {
			t.Helper()
			key, ok, err := r.TokenKey(t.Context(), id)
			if err != nil || ok != want || (ok && (key.ID != id || len(key.Secret) != 32)) {
				t.Errorf("TokenKey(%d): %v, found %v, error %v; want found %v", id, key.ID, ok, err, want)
			}
		}
		ids(a, "at first", 0)
		ids(b, "at first", 0)
		rotate(false, identity.TokenKeyRotation{KeyID: 1, Older: []uint32{0}})
		ids(a, "where it was rotated", 1, 0)
		ids(b, "elsewhere, at the same moment", 0)
		has(b, 1, true) // no clock has moved: it met the id and looked
		ids(b, "elsewhere, since", 1, 0)
		has(b, 2, false)

		rotate(false, identity.TokenKeyRotation{KeyID: 2, Older: []uint32{1, 0}})
		b.sleep(3 * time.Second)
		ids(b, "elsewhere, seconds later", 2, 1, 0)

		for _, r := range []*replica{a, b} {
			r.sleep(36 * time.Hour)
			has(r, 0, true)
			r.sleep(time.Hour + 4*time.Second)
			has(r, 0, false)
			has(r, 1, false)
			ids(r, "37 hours later", 2)
		}
		rotate(false, identity.TokenKeyRotation{KeyID: 3, Older: []uint32{2}})
		rotate(true, identity.TokenKeyRotation{KeyID: 4, Dropped: []uint32{3, 2}})
		has(a, 2, false)
		b.sleep(3 * time.Second)
		has(b, 2, false)
		ids(b, "after the emergency", 4)
		ids(mustReplica(t, db, file), "after a restart", 4)
	})
}

func TestNobodyElseRotatesKeys(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	file, _ := keyText(t)
	a := mustReplica(t, db, file)
	for _, caller := range []identity.Caller{
		{},
		{Account: keysAccount, ARN: "arn:aws:iam::" + keysAccount + ":user/anna"},
		{Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", Root: true},
		identity.Service("999999999999", "keys"),
		{Account: keysAccount, ARN: "arn:aws:iam::" + keysAccount + ":root", UserID: keysAccount, Root: true, Session: &identity.Session{}},
	} {
		if _, err := a.RotateMasterKey(t.Context(), caller, ""); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("RotateMasterKey by %v: %v, want AccessDenied", caller, err)
		}
		if _, err := a.RotateTokenKey(t.Context(), caller, true); !errors.Is(err, fault.AccessDenied) {
			t.Errorf("RotateTokenKey by %v: %v, want AccessDenied", caller, err)
		}
	}
	if _, err := a.RotateTokenKey(t.Context(), identity.Service(keysAccount, "keys"), false); err != nil {
		t.Errorf("RotateTokenKey by the server itself: %v", err)
	}
	if _, err := a.RotateMasterKey(t.Context(), keysRoot(), "00000000"); !errors.Is(err, fault.InvalidParameter) {
		t.Errorf("RotateMasterKey to a key that is not the first: %v, want InvalidParameter", err)
	}
}

// TestEverySealedColumnRotates finds columns that a migration added and a rotation would leave behind.
func TestEverySealedColumnRotates(t *testing.T) {
	t.Parallel()
	schema, err := os.ReadFile("testdata/schema.txt")
	if err != nil {
		t.Fatal(err)
	}
	var columns []string
	for line := range strings.Lines(string(schema)) {
		if name, _, _ := strings.Cut(line, " "); strings.Contains(name, ".sealed") {
			columns = append(columns, name)
		}
	}
	if got := metadb.SealedColumns(); !slices.Equal(got, columns) {
		t.Errorf("a rotation of the master key covers %v, and the schema has %v", got, columns)
	}
}
