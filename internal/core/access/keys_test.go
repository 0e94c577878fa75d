package access_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// TestTwoKeysWhateverTheHurry has twenty callers make keys for one user at once: two are made.
func TestTwoKeysWhateverTheHurry(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		_, err := h.CreateUser(t.Context(), h.root, access.NewUser{Name: "ci"})
		h.ok("CreateUser", err)
		var made atomic.Int32
		var work sync.WaitGroup
		for range 20 {
			work.Go(func() {
				_, _, err := h.CreateAccessKey(t.Context(), h.root, "ci")
				if err == nil {
					made.Add(1)
					return
				}
				wantCode(t, "CreateAccessKey", err, fault.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: 2")
			})
		}
		work.Wait()
		_, keys, _, err := h.AccessKeys(t.Context(), h.root, "ci", access.Page{})
		if err != nil || len(keys) != 2 || made.Load() != 2 {
			t.Errorf("%d keys were made and %d are there (%v), want 2", made.Load(), len(keys), err)
		}
	})
}

func TestPeopleMindTheirOwnKeys(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci", statement("Allow", "iam:*AccessKey*", iamARN("user/${aws:username}")))
		other := h.user("other")
		info, key, err := h.CreateAccessKey(t.Context(), ci, "")
		h.ok("CreateAccessKey of one's own", err)
		if info.UserName != "ci" || info.ID != key.ID || !info.Active || info.UserID != ci.UserID || key.Secret == "" {
			t.Errorf("CreateAccessKey: %+v, %s", info, key.ID)
		}
		if again := h.caller(key.ID); again.ARN != ci.ARN || again.UserID != ci.UserID {
			t.Errorf("the new key stands for %+v", again)
		}
		page, marker, err := func() ([]access.KeyInfo, string, error) {
			_, keys, marker, err := h.AccessKeys(t.Context(), ci, "ci", access.Page{Limit: 1})
			return keys, marker, err
		}()
		h.ok("AccessKeys", err)
		_, rest, end, err := h.AccessKeys(t.Context(), ci, "", access.Page{Marker: marker})
		h.ok("AccessKeys", err)
		if len(page) != 1 || len(rest) != 1 || page[0].ID >= rest[0].ID || end != "" {
			t.Errorf("pages of keys: %v, %v, %q", page, rest, end)
		}
		_, _, err = h.CreateAccessKey(t.Context(), ci, "other")
		wantCode(t, "CreateAccessKey for another", err, fault.AccessDenied, iamARN("user/other"))
		for what, id := range map[string]string{"another's key": other.AccessKeyID, "a root key": h.root.AccessKeyID, "no key": "AKIAAAAAAAAAAAAAAAAA"} {
			wantCode(t, "DeleteAccessKey of "+what, h.DeleteAccessKey(t.Context(), ci, "", id), fault.EntityNotFound, "The Access Key with id "+id+" cannot be found.")
			wantCode(t, "SetAccessKeyActive of "+what, h.SetAccessKeyActive(t.Context(), ci, "ci", id, false), fault.EntityNotFound, id)
		}
		h.ok("DeleteAccessKey", h.DeleteAccessKey(t.Context(), ci, "", key.ID))
	})
}

// TestKeyChangesCount holds that a key switched off or deleted is refused here at once, elsewhere within three seconds.
func TestKeyChangesCount(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci")
		_, elsewhere := h.replica(h.db.Access())
		here := func() error { _, err := h.directory.AccessKey(t.Context(), ci.AccessKeyID); return err }
		there := func() error { _, err := elsewhere.AccessKey(t.Context(), ci.AccessKeyID); return err }
		h.ok("there", there())
		h.ok("SetAccessKeyActive", h.SetAccessKeyActive(t.Context(), h.root, "ci", ci.AccessKeyID, false))
		wantCode(t, "switched off, here", here(), fault.AccessKeyUnknown, "")
		h.sleep(3 * time.Second)
		wantCode(t, "switched off, there", there(), fault.AccessKeyUnknown, "")
		h.ok("SetAccessKeyActive", h.SetAccessKeyActive(t.Context(), h.root, "ci", ci.AccessKeyID, true))
		h.ok("switched on, here", here())
		h.ok("switched on, there", there())
		h.ok("DeleteAccessKey", h.DeleteAccessKey(t.Context(), h.root, "ci", ci.AccessKeyID))
		wantCode(t, "deleted, here", here(), fault.AccessKeyUnknown, "")
		h.sleep(3 * time.Second)
		wantCode(t, "deleted, there", there(), fault.AccessKeyUnknown, "")
	})
}

func TestTheRootPrincipalKeepsAKey(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		first := h.root.AccessKeyID
		wantCode(t, "SetAccessKeyActive", h.SetAccessKeyActive(t.Context(), h.root, "", first, false), fault.EntityUnmodifiable, "last active access key")
		wantCode(t, "DeleteAccessKey", h.DeleteAccessKey(t.Context(), h.root, "", first), fault.EntityInUse, "make another first")
		h.sleep(time.Second)
		info, second, err := h.CreateAccessKey(t.Context(), h.root, "")
		h.ok("CreateAccessKey", err)
		if c := h.caller(second.ID); !c.Root || c.ARN != h.root.ARN || !info.Root || info.UserName != "" {
			t.Errorf("the root principal's second key: %+v for %+v", info, c)
		}
		_, _, err = h.CreateAccessKey(t.Context(), h.root, "")
		wantCode(t, "a third", err, fault.LimitExceeded, "2")
		h.ok("SetAccessKeyActive", h.SetAccessKeyActive(t.Context(), h.root, "", first, false))
		wantCode(t, "the second one off too", h.SetAccessKeyActive(t.Context(), h.root, "", second.ID, false), fault.EntityUnmodifiable, second.ID)
		wantCode(t, "or away", h.DeleteAccessKey(t.Context(), h.root, "", second.ID), fault.EntityInUse, second.ID)
		h.ok("DeleteAccessKey of the one that is off", h.DeleteAccessKey(t.Context(), h.root, "", first))
		if key, created, err := h.directory.EnsureRoot(t.Context()); err != nil || created || key.ID != second.ID {
			t.Errorf("the next start finds %s (made: %v), %v; want %s", key.ID, created, err, second.ID)
		}
		admin := h.user("admin", statement("Allow", "*"))
		wantCode(t, "an administrator about it", h.DeleteAccessKey(t.Context(), admin, "", second.ID), fault.EntityNotFound, second.ID)
	})
}

// TestAKeysOwnerIsNoStrangersBusiness holds that one without permission is told the same about a user's key, a root key and none.
func TestAKeysOwnerIsNoStrangersBusiness(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci, eve := h.user("ci"), h.user("eve", statement("Allow", "iam:GetAccessKeyLastUsed", iamARN("user/eve")))
		told := map[string]bool{}
		for _, id := range []string{ci.AccessKeyID, h.root.AccessKeyID, "AKIAAAAAAAAAAAAAAAAA"} {
			k, err := h.AccessKeyLastUsed(t.Context(), eve, id)
			wantCode(t, "AccessKeyLastUsed", err, fault.AccessDenied, "")
			told[fmt.Sprint(k, err)] = true
		}
		if len(told) != 1 {
			t.Errorf("three answers differ: %v", told)
		}
		if k, err := h.AccessKeyLastUsed(t.Context(), eve, eve.AccessKeyID); err != nil || k.UserName != "eve" {
			t.Errorf("her own: %+v, %v", k, err)
		}
	})
}

func TestUsesAreWritten(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci")
		role := identity.Caller{Account: houseAccount, UserID: "AROA1:s", AccessKeyID: "ASIAAAAAAAAAAAAAAAAA", Session: &identity.Session{RoleARN: iamARN("role/r")}}
		h.write(func(ctx context.Context, tx access.Tx) error {
			return tx.InsertPrincipal(ctx, access.Principal{ID: "AROA1", Kind: access.Role, Name: "r", Path: "/", ARN: iamARN("role/r"), CreatedAt: h.now()})
		})
		last := func() access.Use {
			t.Helper()
			k, err := h.AccessKeyLastUsed(t.Context(), h.root, ci.AccessKeyID)
			h.ok("AccessKeyLastUsed", err)
			if k.UserName != "ci" {
				t.Errorf("AccessKeyLastUsed: the key is %q's", k.UserName)
			}
			return k.Used
		}
		h.ok("FlushUses of nothing", h.FlushUses(t.Context()))
		if got := last(); got != (access.Use{}) {
			t.Errorf("never used, and last: %+v", got)
		}
		h.Used(ci, "iam", "eu-west-1")
		h.sleep(time.Second)
		h.Used(ci, "ecr", "")
		h.Used(role, "sts", "us-west-2")
		want := access.Use{At: h.now(), Service: "ecr", Region: "us-east-1"}
		h.ok("FlushUses", h.FlushUses(t.Context()))
		if got := last(); got != want {
			t.Errorf("last used %+v, want %+v", got, want)
		}
		p, err := h.db.Access().Read().PrincipalByID(t.Context(), "AROA1")
		if err != nil || !p.UsedAt.Equal(want.At) || p.UsedRegion != "us-west-2" {
			t.Errorf("the role was used %v in %q, %v", p.UsedAt, p.UsedRegion, err)
		}
		// Another replica that has been waiting with an older use does not undo that.
		late, _ := h.replica(h.db.Access())
		h.sleep(-time.Minute)
		late.Used(ci, "sts", "")
		h.ok("FlushUses", late.FlushUses(t.Context()))
		if got := last(); got != want {
			t.Errorf("last used %+v, want %+v still", got, want)
		}
	})
}

// broken is a store that writes nothing while it is on.
type broken struct {
	access.Store
	on bool
}

var errBroken = errors.New("broken")

func (b *broken) Update(ctx context.Context, f func(tx access.Tx) error) error {
	if b.on {
		return errBroken
	}
	return b.Store.Update(ctx, f)
}

func TestUsesOutliveABrokenDatabase(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci")
		store := &broken{Store: h.db.Access(), on: true}
		s, _ := h.replica(store)
		s.Used(ci, "iam", "")
		if err := s.FlushUses(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("FlushUses: %v", err)
		}
		h.sleep(time.Second)
		s.Used(ci, "ecr", "")
		store.on = false
		h.ok("FlushUses", s.FlushUses(t.Context()))
		k, err := s.AccessKeyLastUsed(t.Context(), h.root, ci.AccessKeyID)
		h.ok("AccessKeyLastUsed", err)
		if k.Used.Service != "ecr" || !k.Used.At.Equal(h.now()) {
			t.Errorf("last used %+v", k.Used)
		}
	})
}
