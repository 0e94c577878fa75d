package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// permit runs f in a transaction of the access store and wants it to succeed.
func permit(t testing.TB, db *metadb.DB, f func(ctx context.Context, tx access.Tx) error) {
	t.Helper()
	if err := db.Access().Update(t.Context(), func(tx access.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// person makes up a principal with everything set that its kind has.
func person(kind access.Kind, name, path string) access.Principal {
	p := access.Principal{
		ID: "ID-" + string(kind) + name, Kind: kind, Name: name, Path: path, ARN: "arn:aws:iam::1:" + string(kind) + path + name, CreatedAt: noon(),
	}
	if kind == access.Role {
		p.Description, p.Trust, p.MaxSession, p.Boundary = "what it is for", `{"Statement":[]}`, 2*time.Hour, "arn:b"
		p.UsedAt, p.UsedRegion = noon().Add(time.Minute), "eu-west-1"
	}
	return p
}

func addPerson(t testing.TB, db *metadb.DB, all ...access.Principal) {
	t.Helper()
	permit(t, db, func(ctx context.Context, tx access.Tx) error {
		for _, p := range all {
			if err := tx.InsertPrincipal(ctx, p); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestPrincipals(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		ci, role, other := person(access.User, "Ci", "/bots/"), person(access.Role, "ci", "/"), person(access.User, "b", "/BOTS/x/")
		addPerson(t, db, ci, role, other)
		for _, p := range []access.Principal{ci, role} {
			got, err := q.Principal(t.Context(), p.Kind, "cI")
			want(t, "Principal", got, err, p)
			got, err = q.PrincipalByID(t.Context(), p.ID)
			want(t, "PrincipalByID", got, err, p)
		}
		for what, find := range map[string]func() (access.Principal, error){
			"of another kind": func() (access.Principal, error) { return q.Principal(t.Context(), access.Group, "ci") },
			"unknown":         func() (access.Principal, error) { return q.Principal(t.Context(), access.User, "c_") },
			"unknown id":      func() (access.Principal, error) { return q.PrincipalByID(t.Context(), "x") },
		} {
			if _, err := find(); !errors.Is(err, access.ErrNoRow) {
				t.Errorf("Principal %s: %v, want ErrNoRow", what, err)
			}
		}
		for _, list := range []struct {
			prefix, after string
			limit         int
			want          []access.Principal
		}{
			{"", "", 10, []access.Principal{other, ci}},
			{"/", "", 1, []access.Principal{other}},
			{"/", "b", 10, []access.Principal{ci}},
			{"/bots/", "", 10, []access.Principal{ci}},
			{"/BOTS/", "", 10, []access.Principal{other}},
			{"/bots/x", "", 10, nil},
			{"/%", "", 10, nil},
			{"/____", "", 10, nil},
		} {
			got, err := q.Principals(t.Context(), access.User, list.prefix, list.after, list.limit)
			want(t, fmt.Sprintf("Principals under %q after %q", list.prefix, list.after), got, err, list.want)
		}
		for kind, n := range map[access.Kind]int{access.User: 2, access.Role: 1, access.Group: 0} {
			got, err := q.CountPrincipals(t.Context(), kind)
			want(t, "CountPrincipals of "+string(kind), got, err, n)
		}
	})
}

func TestPrincipalsChange(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		role, other := person(access.Role, "r", "/"), person(access.Role, "other", "/")
		addPerson(t, db, role, other)
		again := person(access.Role, "R", "/x/")
		again.ID = "another"
		err := db.Access().Update(t.Context(), func(tx access.Tx) error { return tx.InsertPrincipal(t.Context(), again) })
		if !errors.Is(err, access.ErrConflict) {
			t.Errorf("InsertPrincipal of a name that is taken: %v, want ErrConflict", err)
		}
		changed := role
		changed.Name, changed.Path, changed.ARN = "R", "/p/", "arn:new"
		changed.Description, changed.Trust, changed.MaxSession, changed.Boundary = "", "{}", time.Hour, ""
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.UpdatePrincipal(ctx, changed) })
		got, err := q.Principal(t.Context(), access.Role, "r")
		want(t, "after UpdatePrincipal", got, err, changed)
		taken := changed
		taken.Name = "OTHER"
		err = db.Access().Update(t.Context(), func(tx access.Tx) error { return tx.UpdatePrincipal(t.Context(), taken) })
		if !errors.Is(err, access.ErrConflict) {
			t.Errorf("UpdatePrincipal to a name that is taken: %v, want ErrConflict", err)
		}
		arn, err := db.PrincipalARN(t.Context(), role.ID)
		want(t, "PrincipalARN", arn, err, "arn:new")
		if _, err := db.PrincipalARN(t.Context(), "x"); !errors.Is(err, identity.ErrNotFound) {
			t.Errorf("PrincipalARN of nobody: %v, want ErrNotFound", err)
		}

		later := noon().Add(time.Hour)
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.RecordRoleUse(ctx, role.ID, later, "us-west-2"),
				tx.RecordRoleUse(ctx, role.ID, later.Add(-time.Second), "older"),
				tx.RecordRoleUse(ctx, "gone", later, "x"),
			)
		})
		changed.UsedAt, changed.UsedRegion = later, "us-west-2"
		got, err = q.PrincipalByID(t.Context(), role.ID)
		want(t, "after RecordRoleUse", got, err, changed)
	})
}

// TestGrants has a user with policies of every origin, and reads them in one piece.
func TestGrants(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		ci, other := person(access.User, "ci", "/"), person(access.User, "other", "/")
		ci.Boundary = "arn:own"
		in, out := person(access.Group, "In", "/"), person(access.Group, "out", "/")
		addPerson(t, db, ci, other, in, out)
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.InsertManagedPolicy(ctx, access.ManagedPolicy{ARN: "arn:own", Name: "own", Path: "/", InForce: 2, LastVersion: 2, CreatedAt: noon(), UpdatedAt: noon()}),
				tx.InsertPolicyVersion(ctx, "arn:own", access.PolicyVersion{Number: 1, Document: "v1", CreatedAt: noon()}),
				tx.InsertPolicyVersion(ctx, "arn:own", access.PolicyVersion{Number: 2, Document: "v2", CreatedAt: noon()}),
				tx.AddMember(ctx, in.ID, ci.ID),
				tx.AddMember(ctx, in.ID, ci.ID),
				tx.AddMember(ctx, out.ID, other.ID),
				tx.PutInlinePolicy(ctx, ci.ID, access.InlinePolicy{Name: "mine", Document: "old"}),
				tx.PutInlinePolicy(ctx, ci.ID, access.InlinePolicy{Name: "mine", Document: "of the user"}),
				tx.PutInlinePolicy(ctx, in.ID, access.InlinePolicy{Name: "ours", Document: "of the group"}),
				tx.PutInlinePolicy(ctx, out.ID, access.InlinePolicy{Name: "theirs", Document: "of another group"}),
				tx.PutInlinePolicy(ctx, other.ID, access.InlinePolicy{Name: "theirs", Document: "of another user"}),
				tx.Attach(ctx, ci.ID, "arn:own"),
				tx.Attach(ctx, ci.ID, "arn:own"),
				tx.Attach(ctx, in.ID, "arn:aws:iam::aws:policy/X"),
				tx.SetTags(ctx, ci.ID, []access.Tag{{Key: "Team", Value: "data"}, {Key: "env", Value: ""}}),
				tx.SetTags(ctx, ci.ID, []access.Tag{{Key: "Team", Value: "data"}, {Key: "env", Value: "x"}}),
			)
		})
		wanted := access.Grants{
			Principal: ci,
			Tags:      []access.Tag{{Key: "env", Value: "x"}, {Key: "Team", Value: "data"}},
			Policies: []access.GrantedPolicy{
				{Inline: "mine", Document: "of the user"},
				{ARN: "arn:own", Document: "v2"},
				{Inline: "ours", Of: "In", Document: "of the group"},
				{ARN: "arn:aws:iam::aws:policy/X", Of: "In"},
			},
			BoundaryDocument: "v2",
		}
		got, err := q.Grants(t.Context(), ci.ID)
		want(t, "Grants", got, err, wanted)
		if _, err := q.Grants(t.Context(), "gone"); !errors.Is(err, access.ErrNoRow) {
			t.Errorf("Grants of nobody: %v, want ErrNoRow", err)
		}
		groups, err := q.GroupsOf(t.Context(), ci.ID)
		want(t, "GroupsOf", groups, err, []access.Principal{in})
		members, err := q.Members(t.Context(), in.ID)
		want(t, "Members", members, err, []access.Principal{ci})
		attached, err := q.AttachedTo(t.Context(), "arn:own")
		want(t, "AttachedTo", attached, err, []access.Principal{ci})
		bounded, err := q.BoundaryOf(t.Context(), "arn:own")
		want(t, "BoundaryOf", bounded, err, []access.Principal{ci})

		aws := ci
		aws.Boundary = "arn:aws:iam::aws:policy/X"
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.UpdatePrincipal(ctx, aws) })
		got, err = q.Grants(t.Context(), ci.ID)
		wanted.Principal, wanted.BoundaryDocument = aws, ""
		want(t, "Grants with a boundary of AWS's", got, err, wanted)

		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			for what, was := range map[string]func() (bool, error){
				"RemoveMember":       func() (bool, error) { return tx.RemoveMember(ctx, in.ID, ci.ID) },
				"DeleteInlinePolicy": func() (bool, error) { return tx.DeleteInlinePolicy(ctx, ci.ID, "mine") },
				"Detach":             func() (bool, error) { return tx.Detach(ctx, ci.ID, "arn:own") },
			} {
				for _, there := range []bool{true, false} {
					got, err := was()
					want(t, what, got, err, there)
				}
			}
			return nil
		})
		got, err = q.Grants(t.Context(), ci.ID)
		wanted.Policies = nil
		want(t, "Grants after all was taken away", got, err, wanted)
	})
}

// TestDeletedPrincipalsLeaveNothing holds that nothing of one is found by the next that has its id, which never happens, or
// by the lists of others.
func TestDeletedPrincipalsLeaveNothing(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		ci, g := person(access.User, "ci", "/"), person(access.Group, "g", "/")
		addPerson(t, db, ci, g)
		hang := func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.AddMember(ctx, g.ID, ci.ID),
				tx.PutInlinePolicy(ctx, ci.ID, access.InlinePolicy{Name: "p", Document: "d"}),
				tx.Attach(ctx, ci.ID, "arn:p"),
				tx.SetTags(ctx, ci.ID, []access.Tag{{Key: "a", Value: "b"}}),
				tx.InsertKey(ctx, identity.SealedKey{ID: "AKIA1", SealedSecret: []byte("s"), PrincipalARN: ci.ARN, UserID: ci.ID, CreatedAt: noon(), Active: true}),
			)
		}
		permit(t, db, hang)
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.DeletePrincipal(ctx, ci.ID) })
		if _, err := q.KeyInfo(t.Context(), "AKIA1"); !errors.Is(err, access.ErrNoRow) {
			t.Errorf("its key: %v, want ErrNoRow", err)
		}
		members, err := q.Members(t.Context(), g.ID)
		want(t, "Members", members, err, nil)
		attached, err := q.AttachedTo(t.Context(), "arn:p")
		want(t, "AttachedTo", attached, err, nil)
		addPerson(t, db, ci)
		got, err := q.Grants(t.Context(), ci.ID)
		want(t, "Grants of the next", got, err, access.Grants{Principal: ci})

		permit(t, db, hang)
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.DeletePrincipal(ctx, g.ID) })
		groups, err := q.GroupsOf(t.Context(), ci.ID)
		want(t, "GroupsOf after the group is gone", groups, err, nil)
	})
}

func TestKeysOfUsers(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		ci := person(access.User, "ci", "/")
		addPerson(t, db, ci)
		key := func(id, owner string, root bool, age time.Duration) identity.SealedKey {
			return identity.SealedKey{ID: id, SealedSecret: []byte(id), PrincipalARN: "arn:then", UserID: owner, Root: root, CreatedAt: noon().Add(-age), Active: true}
		}
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.InsertKey(ctx, key("AKIANEW", ci.ID, false, 0)), tx.InsertKey(ctx, key("AKIAOLD", ci.ID, false, time.Hour)), tx.InsertKey(ctx, key("AKIAROOT", "1", true, 0)),
			)
		})
		err := db.Access().Update(t.Context(), func(tx access.Tx) error { return tx.InsertKey(t.Context(), key("AKIANEW", "x", false, 0)) })
		if !errors.Is(err, access.ErrConflict) {
			t.Errorf("InsertKey of an id that is taken: %v, want ErrConflict", err)
		}
		info := func(id, name string, age time.Duration) access.KeyInfo {
			return access.KeyInfo{ID: id, UserID: ci.ID, UserName: name, Active: true, CreatedAt: noon().Add(-age)}
		}
		older, newer := info("AKIAOLD", "ci", time.Hour), info("AKIANEW", "ci", 0)
		keys, err := q.UserKeys(t.Context(), ci.ID)
		want(t, "UserKeys", keys, err, []access.KeyInfo{older, newer})
		root, err := q.KeyInfo(t.Context(), "AKIAROOT")
		want(t, "KeyInfo of a root key", root, err, access.KeyInfo{ID: "AKIAROOT", UserID: "1", Root: true, Active: true, CreatedAt: noon()})
		if _, err := q.KeyInfo(t.Context(), "AKIANONE"); !errors.Is(err, access.ErrNoRow) {
			t.Errorf("KeyInfo of none: %v, want ErrNoRow", err)
		}
		sealed, err := db.AccessKey(t.Context(), "AKIAOLD")
		wantSealed := key("AKIAOLD", ci.ID, false, time.Hour)
		wantSealed.PrincipalARN = ci.ARN // of now
		want(t, "AccessKey", sealed, err, wantSealed)

		use := access.Use{At: noon().Add(time.Minute), Region: "us-west-2", Service: "ecr"}
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.SetKeyActive(ctx, "AKIAOLD", false),
				tx.RecordKeyUse(ctx, "AKIAOLD", use),
				tx.RecordKeyUse(ctx, "AKIAOLD", access.Use{At: noon(), Region: "x", Service: "older"}),
				tx.RecordKeyUse(ctx, "AKIAGONE", use),
				tx.DeleteKey(ctx, "AKIANEW"),
			)
		})
		older.Active, older.Used = false, use
		keys, err = q.UserKeys(t.Context(), ci.ID)
		want(t, "UserKeys after", keys, err, []access.KeyInfo{older})
	})
}

// TestLimitsHoldInAHurry has many transactions count and then add: no two run side by side.
func TestLimitsHoldInAHurry(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const most = 3
		var all sync.WaitGroup
		for i := range 16 {
			all.Go(func() {
				err := db.Access().Update(t.Context(), func(tx access.Tx) error {
					n, err := tx.CountPrincipals(t.Context(), access.User)
					if err != nil || n >= most {
						return err
					}
					return tx.InsertPrincipal(t.Context(), person(access.User, fmt.Sprint("u", i), "/"))
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			})
		}
		all.Wait()
		n, err := db.Access().Read().CountPrincipals(t.Context(), access.User)
		want(t, "CountPrincipals", n, err, most)
		undo := errors.New("undo")
		err = db.Access().Update(t.Context(), func(tx access.Tx) error {
			if err := tx.InsertPrincipal(t.Context(), person(access.User, "undone", "/")); err != nil {
				return err
			}
			return undo
		})
		if n, _ := db.Access().Read().CountPrincipals(t.Context(), access.User); !errors.Is(err, undo) || n != most {
			t.Errorf("Update whose function fails: %v, and then there are %d users, want %d", err, n, most)
		}
	})
}
