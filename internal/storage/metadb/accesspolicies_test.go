package metadb_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestManagedPolicies(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		policy := func(name, path string) access.ManagedPolicy {
			return access.ManagedPolicy{
				ARN: "arn:" + name, ID: "ANPA" + name, Name: name, Path: path, Description: "of " + name, InForce: 1, LastVersion: 1,
				CreatedAt: noon(), UpdatedAt: noon(),
			}
		}
		push, pull := policy("Push", "/ci/"), policy("pull", "/CI/")
		v1, v2 := access.PolicyVersion{Number: 1, Document: "{1}", CreatedAt: noon()}, access.PolicyVersion{Number: 2, Document: "{2}", CreatedAt: noon().Add(time.Hour)}
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.InsertManagedPolicy(ctx, push), tx.InsertManagedPolicy(ctx, pull),
				tx.InsertPolicyVersion(ctx, push.ARN, v1), tx.InsertPolicyVersion(ctx, push.ARN, v2),
				tx.SetTags(ctx, push.ARN, []access.Tag{{Key: "a", Value: "b"}}),
			)
		})
		again := policy("PUSH", "/other/")
		err := db.Access().Update(t.Context(), func(tx access.Tx) error { return tx.InsertManagedPolicy(t.Context(), again) })
		if !errors.Is(err, access.ErrConflict) {
			t.Errorf("InsertManagedPolicy of a name that is taken: %v, want ErrConflict", err)
		}
		got, err := q.ManagedPolicy(t.Context(), push.ARN)
		want(t, "ManagedPolicy", got, err, push)
		if _, err := q.ManagedPolicy(t.Context(), "arn:none"); !errors.Is(err, access.ErrNoRow) {
			t.Errorf("ManagedPolicy of none: %v, want ErrNoRow", err)
		}
		for _, list := range []struct {
			prefix, after string
			limit         int
			want          []access.ManagedPolicy
		}{
			{"", "", 10, []access.ManagedPolicy{pull, push}},
			{"/", "", 1, []access.ManagedPolicy{pull}},
			{"/", "pull", 10, []access.ManagedPolicy{push}},
			{"/ci/", "", 10, []access.ManagedPolicy{push}},
			{"/c_", "", 10, nil},
		} {
			got, err := q.ManagedPolicies(t.Context(), list.prefix, list.after, list.limit)
			want(t, "ManagedPolicies under "+list.prefix, got, err, list.want)
		}
		push.InForce, push.LastVersion, push.UpdatedAt = 2, 2, noon().Add(time.Hour)
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.UpdateManagedPolicy(ctx, push) })
		got, err = q.ManagedPolicy(t.Context(), push.ARN)
		want(t, "ManagedPolicy after UpdateManagedPolicy", got, err, push)
		versions, err := q.PolicyVersions(t.Context(), push.ARN)
		want(t, "PolicyVersions", versions, err, []access.PolicyVersion{v2, v1})
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			for _, there := range []bool{true, false} {
				was, err := tx.DeletePolicyVersion(ctx, push.ARN, 1)
				want(t, "DeletePolicyVersion", was, err, there)
			}
			return tx.DeleteManagedPolicy(ctx, pull.ARN)
		})
		versions, err = q.PolicyVersions(t.Context(), push.ARN)
		want(t, "PolicyVersions after", versions, err, []access.PolicyVersion{v2})

		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.DeleteManagedPolicy(ctx, push.ARN) })
		all, err := q.ManagedPolicies(t.Context(), "", "", 10)
		want(t, "ManagedPolicies after DeleteManagedPolicy", all, err, nil)
		versions, err = q.PolicyVersions(t.Context(), push.ARN)
		want(t, "its versions", versions, err, nil)
		tags, err := q.Tags(t.Context(), push.ARN)
		want(t, "its tags", tags, err, nil)
	})
}

func TestWhatHangsOnAPrincipal(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		role, user, group := person(access.Role, "a", "/"), person(access.User, "B", "/"), person(access.Group, "c", "/")
		role.Boundary, user.Boundary = "arn:x", "arn:x"
		addPerson(t, db, role, user, group)
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(
				tx.PutInlinePolicy(ctx, role.ID, access.InlinePolicy{Name: "z", Document: "1"}),
				tx.PutInlinePolicy(ctx, role.ID, access.InlinePolicy{Name: "a", Document: "2"}),
				tx.Attach(ctx, role.ID, "arn:y"), tx.Attach(ctx, role.ID, "arn:x"), tx.Attach(ctx, user.ID, "arn:x"), tx.Attach(ctx, group.ID, "arn:x"),
			)
		})
		inline, err := q.InlinePolicies(t.Context(), role.ID)
		want(t, "InlinePolicies", inline, err, []access.InlinePolicy{{Name: "a", Document: "2"}, {Name: "z", Document: "1"}})
		attached, err := q.Attachments(t.Context(), role.ID)
		want(t, "Attachments", attached, err, []string{"arn:x", "arn:y"})
		to, err := q.AttachedTo(t.Context(), "arn:x")
		want(t, "AttachedTo", to, err, []access.Principal{group, role, user})
		of, err := q.BoundaryOf(t.Context(), "arn:x")
		want(t, "BoundaryOf", of, err, []access.Principal{role, user})
		of, err = q.BoundaryOf(t.Context(), "")
		want(t, "BoundaryOf nothing", of, err, nil)
	})
}

func TestProviders(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		q := db.Access().Read()
		github := access.Provider{
			ARN: "arn:b", Issuer: "https://token.actions.githubusercontent.com", ClientIDs: []string{"sts.amazonaws.com", "x"},
			Thumbprints: []string{"6938fd4d98bab03faadb97b34396831e3780aea1"}, CreatedAt: noon(),
		}
		bare := access.Provider{ARN: "arn:a", Issuer: "https://a.test", CreatedAt: noon()}
		permit(t, db, func(ctx context.Context, tx access.Tx) error {
			return errors.Join(tx.InsertProvider(ctx, github), tx.InsertProvider(ctx, bare), tx.SetTags(ctx, github.ARN, []access.Tag{{Key: "a"}}))
		})
		err := db.Access().Update(t.Context(), func(tx access.Tx) error { return tx.InsertProvider(t.Context(), github) })
		if !errors.Is(err, access.ErrConflict) {
			t.Errorf("InsertProvider again: %v, want ErrConflict", err)
		}
		all, err := q.Providers(t.Context())
		want(t, "Providers", all, err, []access.Provider{bare, github})
		github.ClientIDs, github.Thumbprints = []string{"y"}, nil
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.UpdateProvider(ctx, github) })
		got, err := q.Provider(t.Context(), github.ARN)
		want(t, "Provider after UpdateProvider", got, err, github)
		permit(t, db, func(ctx context.Context, tx access.Tx) error { return tx.DeleteProvider(ctx, github.ARN) })
		if _, err := q.Provider(t.Context(), github.ARN); !errors.Is(err, access.ErrNoRow) {
			t.Errorf("Provider after DeleteProvider: %v, want ErrNoRow", err)
		}
		tags, err := q.Tags(t.Context(), github.ARN)
		want(t, "its tags", tags, err, nil)
	})
}
