package access

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const (
	maxRoles       = 1000 // in an account
	maxDescription = 1000 // characters

	// What a role lets its sessions last is between these; the former is also what it is unless said.
	minRoleSession = time.Hour
	maxRoleSession = 12 * time.Hour
)

// NewRole is a role to be.
type NewRole struct {
	Name, Path, Description string
	Trust                   string        // the trust policy's document
	MaxSession              time.Duration // 0: minRoleSession
	Boundary                string        // a managed policy's ARN, or empty
	Tags                    []Tag
}

// CreateRole makes a role (IAM API Reference, CreateRole).
func (s *Service) CreateRole(ctx context.Context, caller identity.Caller, r NewRole) (Principal, error) {
	path := r.Path
	if path == "" {
		path = "/"
	}
	p := Principal{
		Kind: Role, Name: r.Name, Path: path, ARN: s.arn("role", path, r.Name), CreatedAt: s.now(), Boundary: r.Boundary,
		Description: r.Description, Trust: r.Trust, MaxSession: r.MaxSession,
	}
	about := firstOf(tagContext(nil, r.Tags), keyContext(boundaryKey, r.Boundary))
	if err := s.authorize(ctx, caller, policy.CreateRole, p.ARN, about); err != nil {
		return Principal{}, err
	}
	if len(r.Tags) > 0 {
		if err := s.authorize(ctx, caller, policy.TagRole, p.ARN, about); err != nil {
			return Principal{}, err
		}
	}
	if p.MaxSession == 0 {
		p.MaxSession = minRoleSession
	}
	if _, err := checkPath(path); err != nil {
		return Principal{}, err
	}
	trust, err := checkRole(p)
	if err != nil {
		return Principal{}, err
	}
	if err := checkTags(r.Tags); err != nil {
		return Principal{}, err
	}
	err = s.update(ctx, func(tx Tx) error {
		if err := s.checkTrusted(ctx, tx, trust); err != nil {
			return err
		}
		if err := s.checkBoundary(ctx, tx, p.Boundary); err != nil {
			return err
		}
		n, err := tx.CountPrincipals(ctx, Role)
		if err != nil {
			return fmt.Errorf("counting roles: %w", err)
		}
		if n >= maxRoles {
			return fault.New(fault.LimitExceeded, "Cannot exceed quota for RolesPerAccount: %d", maxRoles)
		}
		p.ID = newID(prefixes[Role])
		if err := tx.InsertPrincipal(ctx, p); errors.Is(err, ErrConflict) {
			return fault.New(fault.EntityExists, "Role with name %s already exists.", p.Name)
		} else if err != nil {
			return fmt.Errorf("creating role %s: %w", p.Name, err)
		}
		return tx.SetTags(ctx, p.ID, r.Tags)
	})
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// checkRole holds what a role says of itself to its rules, and reads its trust policy.
func checkRole(p Principal) (policy.Document, error) {
	if err := checkName("roleName", p.Name, maxName(Role)); err != nil {
		return policy.Document{}, err
	}
	if err := checkDescription(p.Description); err != nil {
		return policy.Document{}, err
	}
	if err := checkMaxSession(p.MaxSession); err != nil {
		return policy.Document{}, err
	}
	return readTrust(p.Trust)
}

func checkDescription(text string) error {
	if utf8.RuneCountInString(text) > maxDescription {
		return invalid("1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less than or equal to %d", maxDescription)
	}
	for _, r := range text {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0x7f || r == utf8.RuneError {
			return invalid("The specified value for description is invalid. It must not contain control characters.")
		}
	}
	return nil
}

func checkMaxSession(d time.Duration) error {
	if d < minRoleSession || d > maxRoleSession {
		return invalid("1 validation error detected: Value '%d' at 'maxSessionDuration' failed to satisfy constraint: Member must have value between %d and %d",
			int64(d/time.Second), int64(minRoleSession/time.Second), int64(maxRoleSession/time.Second))
	}
	return nil
}

// Role finds a role and its tags.
func (s *Service) Role(ctx context.Context, caller identity.Caller, name string) (Principal, []Tag, error) {
	p, tags, err := s.onPrincipal(ctx, caller, policy.GetRole, Role, name)
	if err != nil {
		return Principal{}, nil, err
	}
	return p, tags, nil
}

// Roles lists the roles whose path begins so, in order of name.
func (s *Service) Roles(ctx context.Context, caller identity.Caller, pathPrefix string, page Page) ([]Principal, string, error) {
	prefix, err := s.listed(ctx, caller, policy.ListRoles, "role", pathPrefix)
	if err != nil {
		return nil, "", err
	}
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	all, err := s.store.Read().Principals(ctx, Role, prefix, after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing roles: %w", err)
	}
	roles, marker := pageOf(all, limit, func(p Principal) string { return p.Name })
	return roles, marker, nil
}

// listed asks for the permission to list entities of a kind under a path, and holds the path's beginning to its rule.
func (s *Service) listed(ctx context.Context, caller identity.Caller, action policy.Action, kind, pathPrefix string) (string, error) {
	if pathPrefix == "" {
		pathPrefix = "/"
	}
	if err := s.authorize(ctx, caller, action, s.arn(kind, pathPrefix, ""), nil); err != nil {
		return "", err
	}
	return pathPrefix, checkPathPrefix(pathPrefix)
}

// checkPathPrefix holds what a path begins with to its rule.
func checkPathPrefix(prefix string) error {
	if prefix != "" && (len(prefix) > 512 || !pathPrefixRule.MatchString(prefix)) {
		return invalid("The specified value for pathPrefix is invalid. It must begin with / and contain only alphanumeric characters and/or / characters.")
	}
	return nil
}

// RoleUpdate is what is changed on a role. What is nil stays.
type RoleUpdate struct {
	Description *string
	MaxSession  *time.Duration
}

// UpdateRole changes a role's description and how long its sessions may last.
func (s *Service) UpdateRole(ctx context.Context, caller identity.Caller, name string, u RoleUpdate) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.UpdateRole, Role, name)
	if err != nil {
		return err
	}
	if u.Description != nil {
		if err := checkDescription(*u.Description); err != nil {
			return err
		}
	}
	if u.MaxSession != nil {
		if err := checkMaxSession(*u.MaxSession); err != nil {
			return err
		}
	}
	return s.change(ctx, p, func(_ Tx, p *Principal) error {
		if u.Description != nil {
			p.Description = *u.Description
		}
		if u.MaxSession != nil {
			p.MaxSession = *u.MaxSession
		}
		return nil
	})
}

// UpdateRoleDescription changes a role's description, and answers the role.
func (s *Service) UpdateRoleDescription(ctx context.Context, caller identity.Caller, name, description string) (Principal, error) {
	p, _, err := s.onPrincipal(ctx, caller, policy.UpdateRoleDescription, Role, name)
	if err != nil {
		return Principal{}, err
	}
	if err := checkDescription(description); err != nil {
		return Principal{}, err
	}
	err = s.change(ctx, p, func(_ Tx, now *Principal) error {
		now.Description = description
		p = *now
		return nil
	})
	if err != nil {
		return Principal{}, err
	}
	return p, nil
}

// UpdateAssumeRolePolicy replaces a role's trust policy.
func (s *Service) UpdateAssumeRolePolicy(ctx context.Context, caller identity.Caller, name, trust string) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.UpdateAssumeRolePolicy, Role, name)
	if err != nil {
		return err
	}
	d, err := readTrust(trust)
	if err != nil {
		return err
	}
	return s.change(ctx, p, func(tx Tx, p *Principal) error {
		p.Trust = trust
		return s.checkTrusted(ctx, tx, d)
	})
}

// DeleteRole removes a role on which nothing hangs any more.
func (s *Service) DeleteRole(ctx context.Context, caller identity.Caller, name string) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.DeleteRole, Role, name)
	if err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		if _, err := s.still(ctx, tx, p); err != nil {
			return err
		}
		inline, err := tx.InlinePolicies(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("reading the inline policies of role %s: %w", name, err)
		}
		if len(inline) > 0 {
			return fault.New(fault.EntityInUse, "Cannot delete entity, must delete policies first.")
		}
		attached, err := tx.Attachments(ctx, p.ID)
		if err != nil {
			return fmt.Errorf("reading what is attached to role %s: %w", name, err)
		}
		if len(attached) > 0 {
			return fault.New(fault.EntityInUse, "Cannot delete entity, must detach all policies first.")
		}
		return tx.DeletePrincipal(ctx, p.ID)
	})
}

// InstanceProfilesForRole tells that a role is in no instance profile, since there are none here.
func (s *Service) InstanceProfilesForRole(ctx context.Context, caller identity.Caller, name string) error {
	_, _, err := s.onPrincipal(ctx, caller, policy.ListInstanceProfilesForRole, Role, name)
	return err
}

// TagRole puts tags on a role, in the place of those with the same keys.
func (s *Service) TagRole(ctx context.Context, caller identity.Caller, name string, tags []Tag) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.TagRole, Role, name, tagContext(nil, tags))
	if err != nil {
		return err
	}
	return s.retag(ctx, p, func(have []Tag) []Tag { return mergeTags(have, tags) }, tags)
}

// UntagRole takes tags off a role.
func (s *Service) UntagRole(ctx context.Context, caller identity.Caller, name string, keys []string) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.UntagRole, Role, name, keysContext(keys))
	if err != nil {
		return err
	}
	return s.retag(ctx, p, func(have []Tag) []Tag { return dropTags(have, keys) }, nil)
}

// RoleTags lists a role's tags, in order of key.
func (s *Service) RoleTags(ctx context.Context, caller identity.Caller, name string, page Page) ([]Tag, string, error) {
	_, tags, err := s.onPrincipal(ctx, caller, policy.ListRoleTags, Role, name)
	if err != nil {
		return nil, "", err
	}
	return pageTags(tags, page)
}
