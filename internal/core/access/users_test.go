package access_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

func TestNewUsers(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		tags := []access.Tag{{Key: "Team", Value: "data"}, {Key: "env", Value: "prod"}}
		made, err := h.CreateUser(t.Context(), h.root, access.NewUser{Name: "Ci", Path: "/bots/x/", Tags: tags})
		h.ok("CreateUser", err)
		want := access.Principal{ID: made.ID, Kind: access.User, Name: "Ci", Path: "/bots/x/", ARN: iamARN("user/bots/x/Ci"), CreatedAt: h.now()}
		if diff := cmp.Diff(want, made); diff != "" || len(made.ID) != 21 || made.ID[:4] != "AIDA" {
			t.Errorf("CreateUser: id %s (-want +got):\n%s", made.ID, diff)
		}
		got, gotTags, err := h.User(t.Context(), h.root, "cI")
		h.ok("User in another letter case", err)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("User (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff([]access.Tag{{Key: "env", Value: "prod"}, {Key: "Team", Value: "data"}}, gotTags); diff != "" {
			t.Errorf("its tags (-want +got):\n%s", diff)
		}
		for what, test := range map[string]struct {
			user  access.NewUser
			code  fault.Code
			words string
		}{
			"taken":            {access.NewUser{Name: "ci"}, fault.EntityExists, "User with name ci already exists."},
			"no name":          {access.NewUser{}, fault.InvalidParameter, "userName"},
			"bad name":         {access.NewUser{Name: "a/b"}, fault.InvalidParameter, "userName"},
			"long name":        {access.NewUser{Name: fmt.Sprintf("%065d", 1)}, fault.InvalidParameter, "64"},
			"bad path":         {access.NewUser{Name: "x", Path: "bots"}, fault.InvalidParameter, "path"},
			"bad tag":          {access.NewUser{Name: "x", Tags: []access.Tag{{Key: "aws:x"}}}, fault.InvalidParameter, "reserved"},
			"tag twice":        {access.NewUser{Name: "x", Tags: []access.Tag{{Key: "a"}, {Key: "A"}}}, fault.InvalidParameter, "Duplicate"},
			"unknown boundary": {access.NewUser{Name: "x", Boundary: iamARN("policy/none")}, fault.EntityNotFound, "Scope ARN: " + iamARN("policy/none") + " does not exist"},
		} {
			_, err := h.CreateUser(t.Context(), h.root, test.user)
			wantCode(t, what, err, test.code, test.words)
		}
		if _, _, err := h.User(t.Context(), h.root, "x"); err == nil {
			t.Error("a user that was refused is there")
		}
	})
}

func TestANewUsersBoundaryHolds(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		arn := iamARN("policy/limits")
		h.write(func(ctx context.Context, tx access.Tx) error {
			if err := tx.InsertManagedPolicy(ctx, access.ManagedPolicy{ARN: arn, Name: "limits", Path: "/", InForce: 1, LastVersion: 1, CreatedAt: h.now(), UpdatedAt: h.now()}); err != nil {
				return err
			}
			return tx.InsertPolicyVersion(ctx, arn, access.PolicyVersion{Number: 1, Document: statement("Allow", "iam:GetUser"), CreatedAt: h.now()})
		})
		delegate := h.user("lead", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:CreateUser","Resource":"*",
			"Condition":{"StringEquals":{"iam:PermissionsBoundary":"`+arn+`"}}}}`)
		_, err := h.CreateUser(t.Context(), delegate, access.NewUser{Name: "free"})
		wantCode(t, "CreateUser without the boundary that the policy asks for", err, fault.AccessDenied, "iam:CreateUser")
		p, err := h.CreateUser(t.Context(), delegate, access.NewUser{Name: "bound", Boundary: arn})
		h.ok("CreateUser with it", err)
		h.grant(p.ID, "all", statement("Allow", "*"))
		_, key, err := h.CreateAccessKey(t.Context(), h.root, "bound")
		h.ok("CreateAccessKey", err)
		bound := h.caller(key.ID)
		if _, _, err := h.User(t.Context(), bound, ""); err != nil {
			t.Errorf("what the boundary allows: %v", err)
		}
		_, _, err = h.Users(t.Context(), bound, "", access.Page{})
		wantCode(t, "what the boundary does not allow", err, fault.AccessDenied, "permissions boundary")
	})
}

func TestTagsNeedTheirOwnPermission(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		maker := h.user("maker", statement("Allow", "iam:CreateUser"))
		tagger := h.user("tagger", statement("Allow", "iam:CreateUser"), `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":["iam:TagUser","iam:UntagUser"],"Resource":"*",
			"Condition":{"ForAllValues:StringEquals":{"aws:TagKeys":["team"]},"StringNotEquals":{"iam:ResourceTag/team":"core"}}}}`)
		team := []access.Tag{{Key: "team", Value: "data"}}
		_, err := h.CreateUser(t.Context(), maker, access.NewUser{Name: "a", Tags: team})
		wantCode(t, "CreateUser with tags and without iam:TagUser", err, fault.AccessDenied, "iam:TagUser")
		_, err = h.CreateUser(t.Context(), tagger, access.NewUser{Name: "a", Tags: team})
		h.ok("CreateUser with both", err)
		err = h.TagUser(t.Context(), tagger, "a", []access.Tag{{Key: "cost", Value: "1"}})
		wantCode(t, "TagUser with a key that the policy leaves out", err, fault.AccessDenied, "iam:TagUser")
		wantCode(t, "UntagUser so", h.UntagUser(t.Context(), tagger, "a", []string{"cost"}), fault.AccessDenied, "iam:UntagUser")
		h.ok("TagUser", h.TagUser(t.Context(), tagger, "a", []access.Tag{{Key: "team", Value: "core"}}))
		wantCode(t, "UntagUser of one that is tagged so", h.UntagUser(t.Context(), tagger, "a", []string{"team"}), fault.AccessDenied, "iam:UntagUser")
		tags, _, err := h.UserTags(t.Context(), h.root, "a", access.Page{})
		h.ok("UserTags", err)
		if diff := cmp.Diff([]access.Tag{{Key: "team", Value: "core"}}, tags); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
		h.ok("UntagUser", h.UntagUser(t.Context(), h.root, "a", []string{"Team", "unknown"}))
		if tags, _, _ = h.UserTags(t.Context(), h.root, "a", access.Page{}); len(tags) > 0 {
			t.Errorf("tags after UntagUser: %v", tags)
		}
		var many []access.Tag
		for i := range 50 {
			many = append(many, access.Tag{Key: fmt.Sprintf("k%02d", i)})
		}
		h.ok("TagUser with 50", h.TagUser(t.Context(), h.root, "a", many))
		wantCode(t, "TagUser with one more", h.TagUser(t.Context(), h.root, "a", team), fault.LimitExceeded, "50")
		page, marker, err := h.UserTags(t.Context(), h.root, "a", access.Page{Limit: 49})
		h.ok("UserTags", err)
		rest, end, err := h.UserTags(t.Context(), h.root, "a", access.Page{Limit: 49, Marker: marker})
		h.ok("UserTags", err)
		if diff := cmp.Diff(many, append(page, rest...)); diff != "" || end != "" {
			t.Errorf("pages of tags, end marker %q (-want +got):\n%s", end, diff)
		}
	})
}

func TestWhoeverIsRenamedStaysWhoTheyAre(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci", statement("Allow", "iam:GetUser"))
		h.user("taken")
		session := ci
		session.Session = &identity.Session{IssuedAt: h.now(), Expires: h.now().Add(time.Hour)}
		issued, err := h.directory.NewSession(t.Context(), session)
		h.ok("NewSession", err)

		wantCode(t, "UpdateUser to a name that is taken", h.UpdateUser(t.Context(), h.root, "ci", "TAKEN", ""), fault.EntityExists, "User with name TAKEN already exists.")
		half := h.user("half", statement("Allow", "iam:UpdateUser", iamARN("user/ci")))
		wantCode(t, "UpdateUser without permission on the new ARN", h.UpdateUser(t.Context(), half, "ci", "Deploy", ""), fault.AccessDenied, iamARN("user/Deploy"))
		h.ok("UpdateUser", h.UpdateUser(t.Context(), h.root, "ci", "Deploy", "/bots/"))
		arn := iamARN("user/bots/Deploy")

		key, err := h.directory.SessionKey(t.Context(), issued.AccessKeyID, issued.SessionToken)
		h.ok("SessionKey", err)
		p, _, err := h.User(t.Context(), h.caller(ci.AccessKeyID), "")
		h.ok("its key", err)
		if p.ARN != arn || p.ID != ci.UserID || p.Name != "Deploy" || key.Principal.ARN != arn {
			t.Errorf("its session stands for %s, its key for %+v", key.Principal.ARN, p)
		}
		_, _, err = h.User(t.Context(), h.root, "ci")
		wantCode(t, "the old name", err, fault.EntityNotFound, "The user with name ci cannot be found.")
		h.ok("UpdateUser in letter case alone", h.UpdateUser(t.Context(), h.root, "deploy", "DEPLOY", ""))
		if p, _, err := h.User(t.Context(), h.root, "deploy"); err != nil || p.ARN != iamARN("user/bots/DEPLOY") {
			t.Errorf("afterwards: %+v, %v", p, err)
		}
	})
}

func TestUsersGoWhenNothingHangsOnThem(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci", statement("Allow", "iam:GetUser"))
		_, err := h.CreateGroup(t.Context(), h.root, "g", "")
		h.ok("CreateGroup", err)
		h.ok("AddUserToGroup", h.AddUserToGroup(t.Context(), h.root, "g", "ci"))
		attached := "arn:aws:iam::aws:policy/AmazonEC2ContainerRegistryReadOnly"
		h.write(func(ctx context.Context, tx access.Tx) error { return tx.Attach(ctx, ci.UserID, attached) })

		refused := func(words string) {
			t.Helper()
			wantCode(t, "DeleteUser", h.DeleteUser(t.Context(), h.root, "ci"), fault.EntityInUse, words)
		}
		refused("Cannot delete entity, must delete access keys first.")
		h.ok("DeleteAccessKey", h.DeleteAccessKey(t.Context(), h.root, "ci", ci.AccessKeyID))
		refused("Cannot delete entity, must remove users from group first.")
		wantCode(t, "DeleteGroup", h.DeleteGroup(t.Context(), h.root, "g"), fault.EntityInUse, "Cannot delete entity, must remove users from group first.")
		h.ok("RemoveUserFromGroup", h.RemoveUserFromGroup(t.Context(), h.root, "g", "ci"))
		refused("Cannot delete entity, must detach all policies first.")
		h.write(func(ctx context.Context, tx access.Tx) error {
			_, err := tx.Detach(ctx, ci.UserID, attached)
			return err
		})
		refused("Cannot delete entity, must delete policies first.")
		h.write(func(ctx context.Context, tx access.Tx) error {
			_, err := tx.DeleteInlinePolicy(ctx, ci.UserID, "pa")
			return err
		})
		h.ok("DeleteUser", h.DeleteUser(t.Context(), h.root, "ci"))
		wantCode(t, "DeleteUser again", h.DeleteUser(t.Context(), h.root, "ci"), fault.EntityNotFound, "The user with name ci cannot be found.")
		if p, err := h.CreateUser(t.Context(), h.root, access.NewUser{Name: "ci"}); err != nil || p.ID == ci.UserID {
			t.Errorf("another user of that name: %+v, %v; want one with an id of its own", p, err)
		}
	})
}

func TestUsersAreListed(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		for _, n := range []access.NewUser{{Name: "b", Path: "/bots/"}, {Name: "C", Path: "/bots/"}, {Name: "a", Path: "/BOTS/"}, {Name: "d", Path: "/b_ts/"}, {Name: "E"}} {
			_, err := h.CreateUser(t.Context(), h.root, n)
			h.ok("CreateUser", err)
		}
		for _, test := range []struct {
			prefix string
			limit  int
			want   string
		}{
			{"", 2, "[[a b] [C d] [E]]"},
			{"/", 5, "[[a b C d E]]"},
			{"/bots/", 1, "[[b] [C]]"},
			{"/b_ts", 0, "[[d]]"},
			{"/none/", 0, "[[]]"},
		} {
			var got [][]string
			for page := (access.Page{Limit: test.limit}); ; {
				users, marker, err := h.Users(t.Context(), h.root, test.prefix, page)
				h.ok("Users", err)
				names := []string{}
				for _, u := range users {
					names = append(names, u.Name)
				}
				got = append(got, names)
				if page.Marker = marker; marker == "" {
					break
				}
			}
			if fmt.Sprint(got) != test.want {
				t.Errorf("users under %q by %d: %v, want %v", test.prefix, test.limit, got, test.want)
			}
		}
		for what, page := range map[string]access.Page{"maxItems": {Limit: 1001}, "Marker": {Marker: "?"}} {
			_, _, err := h.Users(t.Context(), h.root, "", page)
			wantCode(t, "Users", err, fault.InvalidParameter, what)
		}
		_, _, err := h.Users(t.Context(), h.root, "bots/", access.Page{})
		wantCode(t, "Users", err, fault.InvalidParameter, "pathPrefix")
	})
}

func TestWhoAmI(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		p, _, err := h.User(t.Context(), h.root, "")
		h.ok("User of the root principal", err)
		if want := (access.Principal{ID: houseAccount, ARN: iamARN("root"), CreatedAt: h.now()}); p != want {
			t.Errorf("the root principal: %+v, want %+v", p, want)
		}
		h.write(func(ctx context.Context, tx access.Tx) error {
			return tx.InsertPrincipal(ctx, access.Principal{ID: "AROA1", Kind: access.Role, Name: "r", Path: "/", ARN: iamARN("role/r"), CreatedAt: h.now()})
		})
		h.grant("AROA1", "p", statement("Allow", "iam:*"))
		role := identity.Caller{
			Account: houseAccount, ARN: "arn:aws:sts::" + houseAccount + ":assumed-role/r/s", UserID: "AROA1:s", AccessKeyID: "ASIAAAAAAAAAAAAAAAAA",
			Session: &identity.Session{RoleARN: iamARN("role/r"), Name: "s", Expires: h.now().Add(time.Hour)},
		}
		_, _, err = h.User(t.Context(), role, "")
		wantCode(t, "User of a role", err, fault.InvalidParameter, "Must specify userName when calling with non-User credentials")
		_, _, err = h.CreateAccessKey(t.Context(), role, "")
		wantCode(t, "CreateAccessKey of a role", err, fault.InvalidParameter, "Must specify userName")
	})
}
