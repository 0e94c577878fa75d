package access

import (
	"context"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// IAM's quotas.
const (
	MaxGroups       = 300
	MaxGroupsOfUser = 10
)

// CreateGroup makes a group. The path may be empty. The faults are fault.InvalidParameter, EntityExists and
// LimitExceeded.
func (s *Service) CreateGroup(ctx context.Context, caller identity.Caller, name, path string) (Principal, error) {
	if err := checkName("groupName", name, maxName(Group)); err != nil {
		return Principal{}, err
	}
	path, err := checkPath(path)
	if err != nil {
		return Principal{}, err
	}
	g := Principal{ID: newID(prefixes[Group]), Kind: Group, Name: name, Path: path, ARN: s.arn("group", path, name), CreatedAt: s.now()}
	if err := s.authorize(ctx, caller, policy.CreateGroup, g.ARN, nil); err != nil {
		return Principal{}, err
	}
	return g, s.update(ctx, func(tx Tx) error { return insertPrincipal(ctx, tx, g, MaxGroups) })
}

// Group finds a group and a page of its users, in order of name.
func (s *Service) Group(ctx context.Context, caller identity.Caller, name string, page Page) (g Principal, users []Principal, marker string, err error) {
	if g, _, err = s.onPrincipal(ctx, caller, policy.GetGroup, Group, name); err != nil {
		return Principal{}, nil, "", err
	}
	all, err := s.store.Read().Members(ctx, g.ID)
	if err != nil {
		return Principal{}, nil, "", fmt.Errorf("reading the users of group %s: %w", name, err)
	}
	users, marker, err = pageFrom(all, page, nameOf)
	return g, users, marker, err
}

// Groups lists groups whose path begins so (empty: all), in order of name.
func (s *Service) Groups(ctx context.Context, caller identity.Caller, pathPrefix string, page Page) (groups []Principal, marker string, err error) {
	return s.listPrincipals(ctx, caller, policy.ListGroups, Group, pathPrefix, page)
}

// GroupsOfUser lists the groups that a user is in, in order of name.
func (s *Service) GroupsOfUser(ctx context.Context, caller identity.Caller, userName string, page Page) (groups []Principal, marker string, err error) {
	p, _, err := s.onPrincipal(ctx, caller, policy.ListGroupsForUser, User, userName)
	if err != nil {
		return nil, "", err
	}
	all, err := s.store.Read().GroupsOf(ctx, p.ID)
	if err != nil {
		return nil, "", fmt.Errorf("reading the groups of user %s: %w", userName, err)
	}
	return pageFrom(all, page, nameOf)
}

// UpdateGroup gives a group a new name, path or both; what is empty stays. The permission is asked on both ARNs.
func (s *Service) UpdateGroup(ctx context.Context, caller identity.Caller, name, newName, newPath string) error {
	return s.rename(ctx, caller, policy.UpdateGroup, Group, name, newName, newPath)
}

// DeleteGroup removes a group without users and policies; otherwise fault.EntityInUse says what it has.
func (s *Service) DeleteGroup(ctx context.Context, caller identity.Caller, name string) error {
	g, _, err := s.onPrincipal(ctx, caller, policy.DeleteGroup, Group, name)
	if err != nil {
		return err
	}
	return s.updatePrincipal(ctx, g, func(tx Tx, g Principal) error {
		users, err := tx.Members(ctx, g.ID)
		if err != nil {
			return err
		}
		if len(users) > 0 {
			return inUse("remove users from group")
		}
		return deleteWithoutPolicies(ctx, tx, g)
	})
}

// AddUserToGroup puts a user in a group. It may be there already. The permission is asked on the group.
func (s *Service) AddUserToGroup(ctx context.Context, caller identity.Caller, groupName, userName string) error {
	return s.changeMember(ctx, caller, policy.AddUserToGroup, groupName, userName, func(tx Tx, g, u Principal) error {
		groups, err := tx.GroupsOf(ctx, u.ID)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(groups, func(in Principal) bool { return in.ID == g.ID }) {
			return nil
		}
		if len(groups) >= MaxGroupsOfUser {
			return fault.New(fault.LimitExceeded, "Cannot exceed quota for GroupsPerUser: %d", MaxGroupsOfUser)
		}
		return tx.AddMember(ctx, g.ID, u.ID)
	})
}

// RemoveUserFromGroup takes a user out of a group. The permission is asked on the group.
func (s *Service) RemoveUserFromGroup(ctx context.Context, caller identity.Caller, groupName, userName string) error {
	return s.changeMember(ctx, caller, policy.RemoveUserFromGroup, groupName, userName, func(tx Tx, g, u Principal) error {
		was, err := tx.RemoveMember(ctx, g.ID, u.ID)
		if err == nil && !was {
			err = fault.New(fault.EntityNotFound, "The user with name %s is not in the group with name %s.", u.Name, g.Name)
		}
		return err
	})
}

func (s *Service) changeMember(ctx context.Context, caller identity.Caller, action policy.Action, groupName, userName string, f func(tx Tx, g, u Principal) error) error {
	g, _, err := s.onPrincipal(ctx, caller, action, Group, groupName)
	if err != nil {
		return err
	}
	if err := checkName("userName", userName, maxName(User)); err != nil {
		return err
	}
	return s.updatePrincipal(ctx, g, func(tx Tx, g Principal) error {
		u, err := s.principal(ctx, tx, User, userName)
		if err != nil {
			return err
		}
		return f(tx, g, u)
	})
}
