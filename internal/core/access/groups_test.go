package access_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/access"
	"github.com/hoopstat-haus/berth/internal/core/fault"
)

func TestGroupsGrantWhatTheyHave(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		ci := h.user("ci")
		g, err := h.CreateGroup(t.Context(), h.root, "Readers", "/teams/")
		h.ok("CreateGroup", err)
		if g.ARN != iamARN("group/teams/Readers") || g.ID[:4] != "AGPA" {
			t.Errorf("CreateGroup: %+v", g)
		}
		_, err = h.CreateGroup(t.Context(), h.root, "readers", "")
		wantCode(t, "CreateGroup again", err, fault.EntityExists, "Group with name readers already exists.")
		h.grant(g.ID, "p", statement("Allow", "iam:ListUsers"))
		list := func() error {
			_, _, err := h.Users(t.Context(), ci, "", access.Page{})
			return err
		}
		wantCode(t, "before", list(), fault.AccessDenied, "iam:ListUsers")
		// The clock stands still from here: what changes counts at once.
		h.ok("AddUserToGroup", h.AddUserToGroup(t.Context(), h.root, "readers", "ci"))
		h.ok("AddUserToGroup again", h.AddUserToGroup(t.Context(), h.root, "readers", "ci"))
		h.ok("in the group", list())
		h.ok("UpdateGroup", h.UpdateGroup(t.Context(), h.root, "readers", "Auditors", "/"))
		h.ok("in the group by another name", list())
		h.ok("RemoveUserFromGroup", h.RemoveUserFromGroup(t.Context(), h.root, "auditors", "ci"))
		wantCode(t, "after", list(), fault.AccessDenied, "iam:ListUsers")

		err = h.RemoveUserFromGroup(t.Context(), h.root, "auditors", "ci")
		wantCode(t, "RemoveUserFromGroup again", err, fault.EntityNotFound, "not in the group")
		wantCode(t, "an unknown user", h.AddUserToGroup(t.Context(), h.root, "auditors", "x"), fault.EntityNotFound, "The user with name x cannot be found.")
		wantCode(t, "an unknown group", h.AddUserToGroup(t.Context(), h.root, "readers", "ci"), fault.EntityNotFound, "The group with name readers cannot be found.")
		wantCode(t, "DeleteGroup", h.DeleteGroup(t.Context(), h.root, "auditors"), fault.EntityInUse, "must delete policies first.")
	})
}

func TestGroupsAreListed(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		h.user("ci")
		for i := range 11 {
			name := fmt.Sprintf("g%02d", i)
			_, err := h.CreateGroup(t.Context(), h.root, name, "")
			h.ok("CreateGroup", err)
			err = h.AddUserToGroup(t.Context(), h.root, name, "ci")
			if i == 10 {
				wantCode(t, "the eleventh group", err, fault.LimitExceeded, "Cannot exceed quota for GroupsPerUser: 10")
				continue
			}
			h.ok("AddUserToGroup", err)
		}
		of, marker, err := h.GroupsOfUser(t.Context(), h.root, "CI", access.Page{Limit: 7})
		h.ok("GroupsOfUser", err)
		rest, end, err := h.GroupsOfUser(t.Context(), h.root, "ci", access.Page{Marker: marker})
		h.ok("GroupsOfUser", err)
		if len(of) != 7 || len(rest) != 3 || rest[0].Name != "g07" || end != "" {
			t.Errorf("groups of ci: %d, then %v, then %q", len(of), rest, end)
		}
		all, _, err := h.Groups(t.Context(), h.root, "", access.Page{})
		if err != nil || len(all) != 11 {
			t.Errorf("Groups: %d, %v", len(all), err)
		}
		for _, name := range []string{"B", "a"} {
			h.user(name)
			h.ok("AddUserToGroup", h.AddUserToGroup(t.Context(), h.root, "g00", name))
		}
		_, users, marker, err := h.Group(t.Context(), h.root, "g00", access.Page{Limit: 2})
		h.ok("Group", err)
		_, more, end, err := h.Group(t.Context(), h.root, "g00", access.Page{Limit: 2, Marker: marker})
		h.ok("Group", err)
		if len(users) != 2 || users[0].Name != "a" || users[1].Name != "B" || len(more) != 1 || more[0].Name != "ci" || end != "" {
			t.Errorf("users of g00: %v, then %v, then %q", users, more, end)
		}
	})
}

func TestGroupsHaveAQuota(t *testing.T) {
	t.Parallel()
	eachHouse(t, func(t *testing.T, h *house) {
		h.write(func(ctx context.Context, tx access.Tx) error {
			for i := range access.MaxGroups - 1 {
				name := fmt.Sprintf("g%03d", i)
				p := access.Principal{ID: "AGPA" + name, Kind: access.Group, Name: name, Path: "/", ARN: iamARN("group/" + name), CreatedAt: h.now()}
				if err := tx.InsertPrincipal(ctx, p); err != nil {
					return err
				}
			}
			return nil
		})
		_, err := h.CreateGroup(t.Context(), h.root, "last", "")
		h.ok("CreateGroup of the last", err)
		_, err = h.CreateGroup(t.Context(), h.root, "more", "")
		wantCode(t, "CreateGroup of one more", err, fault.LimitExceeded, "Cannot exceed quota for GroupsPerAccount: 300")
		_, _, _, err = h.Group(t.Context(), h.root, "more", access.Page{})
		wantCode(t, "Group of the one that was refused", err, fault.EntityNotFound, "more")
	})
}
