package access_test

import (
	"context"
	"maps"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// attempt calls one operation about an entity of that name, which may be there or not.
type attempt func(ctx context.Context, s *access.Service, c identity.Caller, name string) error

// attempts has every operation of the Service, by family. A new family adds its own list here.
func attempts() map[string]attempt {
	all := map[string]attempt{
		"Authorize": func(ctx context.Context, s *access.Service, c identity.Caller, name string) error {
			return s.Authorize(ctx, c, policy.Request{Action: policy.PutImage, Resource: policy.RepositoryARN("us-east-1", houseAccount, name), Account: houseAccount})
		},
	}
	maps.Copy(all, userAttempts())
	maps.Copy(all, groupAttempts())
	maps.Copy(all, keyAttempts())
	maps.Copy(all, roleAttempts())
	maps.Copy(all, policyAttempts())
	maps.Copy(all, versionAttempts())
	maps.Copy(all, stsAttempts())
	return all
}

// asksNothing lists the methods that take a caller and ask no permission, with the reason.
func asksNothing() map[string]string {
	return map[string]string{
		"Used":                      "notes that a proven credential was used",
		"AssumeRoleWithWebIdentity": "the token is the proof: its tests show whom it lets in",
		"StartSession":              "as at AWS, whoever has a key may have a session that can do no more",
	}
}

func userAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	return map[string]attempt{
		"CreateUser": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.CreateUser(ctx, c, access.NewUser{Name: name})
			return err
		},
		"User": func(ctx ctx, s svc, c who, name string) error { _, _, err := s.User(ctx, c, name); return err },
		"Users": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.Users(ctx, c, "", access.Page{})
			return err
		},
		"UpdateUser": func(ctx ctx, s svc, c who, name string) error { return s.UpdateUser(ctx, c, name, "other", "") },
		"DeleteUser": func(ctx ctx, s svc, c who, name string) error { return s.DeleteUser(ctx, c, name) },
		"TagUser": func(ctx ctx, s svc, c who, name string) error {
			return s.TagUser(ctx, c, name, []access.Tag{{Key: "a", Value: "b"}})
		},
		"UntagUser": func(ctx ctx, s svc, c who, name string) error { return s.UntagUser(ctx, c, name, []string{"a"}) },
		"UserTags": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.UserTags(ctx, c, name, access.Page{})
			return err
		},
	}
}

func groupAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	return map[string]attempt{
		"CreateGroup": func(ctx ctx, s svc, c who, name string) error { _, err := s.CreateGroup(ctx, c, name, ""); return err },
		"Group": func(ctx ctx, s svc, c who, name string) error {
			_, _, _, err := s.Group(ctx, c, name, access.Page{})
			return err
		},
		"Groups": func(ctx ctx, s svc, c who, _ string) error {
			_, _, err := s.Groups(ctx, c, "", access.Page{})
			return err
		},
		"GroupsOfUser": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.GroupsOfUser(ctx, c, name, access.Page{})
			return err
		},
		"UpdateGroup":         func(ctx ctx, s svc, c who, name string) error { return s.UpdateGroup(ctx, c, name, "other", "") },
		"DeleteGroup":         func(ctx ctx, s svc, c who, name string) error { return s.DeleteGroup(ctx, c, name) },
		"AddUserToGroup":      func(ctx ctx, s svc, c who, name string) error { return s.AddUserToGroup(ctx, c, name, "ci") },
		"RemoveUserFromGroup": func(ctx ctx, s svc, c who, name string) error { return s.RemoveUserFromGroup(ctx, c, name, "ci") },
	}
}

func keyAttempts() map[string]attempt {
	type (
		ctx = context.Context
		svc = *access.Service
		who = identity.Caller
	)
	return map[string]attempt{
		"CreateAccessKey": func(ctx ctx, s svc, c who, name string) error {
			_, _, err := s.CreateAccessKey(ctx, c, name)
			return err
		},
		"AccessKeys": func(ctx ctx, s svc, c who, name string) error {
			_, _, _, err := s.AccessKeys(ctx, c, name, access.Page{})
			return err
		},
		"SetAccessKeyActive": func(ctx ctx, s svc, c who, name string) error {
			return s.SetAccessKeyActive(ctx, c, name, "AKIAAAAAAAAAAAAAAAAA", false)
		},
		"DeleteAccessKey": func(ctx ctx, s svc, c who, name string) error {
			return s.DeleteAccessKey(ctx, c, name, "AKIAAAAAAAAAAAAAAAAA")
		},
		"AccessKeyLastUsed": func(ctx ctx, s svc, c who, _ string) error {
			_, err := s.AccessKeyLastUsed(ctx, c, "AKIAAAAAAAAAAAAAAAAA")
			return err
		},
		"NoOtherCredentials": func(ctx ctx, s svc, c who, name string) error {
			_, err := s.NoOtherCredentials(ctx, c, policy.ListMFADevices, name)
			return err
		},
		"NoneInAccount":  func(ctx ctx, s svc, c who, _ string) error { return s.NoneInAccount(ctx, c, policy.ListAccountAliases) },
		"AccountSummary": func(ctx ctx, s svc, c who, _ string) error { _, err := s.AccountSummary(ctx, c); return err },
	}
}

// TestNobodyIsAllowedNothing calls every exported operation with callers who may do nothing, about entities that are there and
// that are not: they learn no difference, and nothing changes. An operation is any method that takes a caller, so
// that a new one cannot forget to ask.
func TestNobodyIsAllowedNothing(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		callers := map[string]identity.Caller{
			"nobody":                 {},
			"a user without rights":  h.user("eve"),
			"a user who is denied":   h.user("mallory", statement("Allow", "*"), statement("Deny", "*")),
			"a role that is gone":    {Account: houseAccount, ARN: "arn:aws:sts::" + houseAccount + ":assumed-role/r/s", UserID: "AROAGONE:s", Session: &identity.Session{RoleARN: iamARN("role/r"), Name: "s"}},
			"another account's root": {Account: "999999999999", ARN: "arn:aws:iam::999999999999:root", UserID: "999999999999", Root: true},
		}
		h.user("ci")
		h.ok("UpdateUser", h.UpdateUser(t.Context(), h.root, "ci", "", "/hidden/"))
		_, err := h.CreateGroup(t.Context(), h.root, "ci", "/hidden/")
		h.ok("CreateGroup", err)
		_, err = h.CreateProvider(t.Context(), h.root, access.NewProvider{Issuer: "https://ci"})
		h.ok("CreateProvider", err)
		before := h.everything()
		tries, exempt := attempts(), asksNothing()
		for name := range operationsOf(h.Service) {
			try := tries[name]
			if try == nil {
				if exempt[name] == "" {
					t.Errorf("%s takes a caller and has no attempt: add one to the list of its family", name)
				}
				continue
			}
			for who, caller := range callers {
				var words [2]string
				for i, entity := range []string{"ci", "xx"} {
					err := try(t.Context(), h.Service, caller, entity)
					wantCode(t, name+" about "+entity+" by "+who, err, fault.AccessDenied, "")
					if err != nil {
						words[i] = strings.ReplaceAll(err.Error(), "/"+entity, "/E")
					}
				}
				if words[0] != words[1] {
					t.Errorf("%s by %s tells what is there from what is not:\n%s\n%s", name, who, words[0], words[1])
				}
			}
		}
		if diff := cmp.Diff(before, h.everything()); diff != "" {
			t.Errorf("something changed (-before +after):\n%s", diff)
		}
	})
}

// operationsOf lists the methods that take a caller.
func operationsOf(s *access.Service) map[string]bool {
	found := map[string]bool{}
	for m := range reflect.TypeOf(s).Methods() {
		for in := range m.Type.Ins() {
			if in == reflect.TypeFor[identity.Caller]() {
				found[m.Name] = true
			}
		}
	}
	return found
}

// everything lists who there is, with keys, tags and groups.
func (h *house) everything() []any {
	h.t.Helper()
	q, ctx := h.db.Access().Read(), h.t.Context()
	var all []any
	for _, kind := range []access.Kind{access.User, access.Group, access.Role} {
		ps, err := q.Principals(ctx, kind, "", "", 1000)
		h.ok("Principals", err)
		for _, p := range ps {
			keys, err := q.UserKeys(ctx, p.ID)
			h.ok("UserKeys", err)
			tags, err := q.Tags(ctx, p.ID)
			h.ok("Tags", err)
			groups, err := q.GroupsOf(ctx, p.ID)
			h.ok("GroupsOf", err)
			grants, err := q.Grants(ctx, p.ID)
			h.ok("Grants", err)
			all = append(all, p, keys, tags, groups, grants)
		}
	}
	return all
}
