package access

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// MaxUsers is how many users an account has, as IAM's quotas have it.
const MaxUsers = 5000

// nameOf is how lists of principals are ordered and continued.
func nameOf(p Principal) string { return p.Name }

// NewUser is a user to be made.
type NewUser struct {
	Name     string
	Path     string // or empty
	Tags     []Tag
	Boundary string // a managed policy's ARN, or empty
}

// CreateUser makes a user. The faults are fault.InvalidParameter, EntityExists, LimitExceeded, and EntityNotFound for
// a boundary that there is not.
func (s *Service) CreateUser(ctx context.Context, caller identity.Caller, n NewUser) (Principal, error) {
	if err := checkName("userName", n.Name, maxName(User)); err != nil {
		return Principal{}, err
	}
	path, err := checkPath(n.Path)
	if err != nil {
		return Principal{}, err
	}
	p := Principal{
		ID: newID(prefixes[User]), Kind: User, Name: n.Name, Path: path, ARN: s.arn("user", path, n.Name), CreatedAt: s.now(), Boundary: n.Boundary,
	}
	if err := s.authorize(ctx, caller, policy.CreateUser, p.ARN, withBoundary(tagContext(nil, n.Tags), n.Boundary)); err != nil {
		return Principal{}, err
	}
	if len(n.Tags) > 0 {
		if err := s.authorize(ctx, caller, policy.TagUser, p.ARN, tagContext(nil, n.Tags)); err != nil {
			return Principal{}, err
		}
	}
	if err := checkTags(n.Tags); err != nil {
		return Principal{}, err
	}
	return p, s.update(ctx, func(tx Tx) error {
		if err := boundaryExists(ctx, tx, n.Boundary); err != nil {
			return err
		}
		if err := insertPrincipal(ctx, tx, p, MaxUsers); err != nil {
			return err
		}
		return tx.SetTags(ctx, p.ID, n.Tags)
	})
}

// withBoundary adds the condition key for the boundary that a request sets.
func withBoundary(rest policy.Context, arn string) policy.Context {
	return func(key string) ([]string, bool) {
		if key == "iam:permissionsboundary" && arn != "" {
			return []string{arn}, true
		}
		return rest(key)
	}
}

// boundaryExists refuses a boundary that is no managed policy.
func boundaryExists(ctx context.Context, q PolicyQueries, arn string) error {
	if arn == "" || awsDocument(arn) != "" {
		return nil
	}
	_, err := q.ManagedPolicy(ctx, arn)
	if errors.Is(err, ErrNoRow) {
		return fault.New(fault.EntityNotFound, "Scope ARN: %s does not exist or is not attachable.", arn)
	}
	return err
}

// insertPrincipal adds one where its name is free and there are not too many of its kind.
func insertPrincipal(ctx context.Context, tx Tx, p Principal, most int) error {
	err := tx.InsertPrincipal(ctx, p)
	if errors.Is(err, ErrConflict) {
		return taken(p)
	}
	if err != nil {
		return err
	}
	n, err := tx.CountPrincipals(ctx, p.Kind)
	if err == nil && n > most {
		err = fault.New(fault.LimitExceeded, "Cannot exceed quota for %ssPerAccount: %d", title(p.Kind), most)
	}
	return err
}

// title is a kind as it begins a sentence.
func title(k Kind) string { return strings.ToUpper(string(k[:1])) + string(k[1:]) }

func taken(p Principal) error {
	return fault.New(fault.EntityExists, "%s with name %s already exists.", title(p.Kind), p.Name)
}

// User finds a user with its tags: the caller where no name is given. The root principal, which is no user, is given as
// AWS gives it, without a name: its id is the account's, and it is as old as its oldest key.
func (s *Service) User(ctx context.Context, caller identity.Caller, name string) (Principal, []Tag, error) {
	return s.ownOrNamed(ctx, caller, policy.GetUser, name)
}

// ownOrNamed finds a user by name, or without one the caller, and asks for a permission on it.
func (s *Service) ownOrNamed(ctx context.Context, caller identity.Caller, action policy.Action, name string) (Principal, []Tag, error) {
	if name != "" {
		return s.onPrincipal(ctx, caller, action, User, name)
	}
	q := s.store.Read()
	if caller.Root && caller.Account == s.account {
		root, err := s.rootPrincipal(ctx, q)
		if err != nil {
			return Principal{}, nil, err
		}
		return root, nil, s.authorize(ctx, caller, action, root.ARN, nil)
	}
	own, err := q.PrincipalByID(ctx, caller.PrincipalID())
	switch {
	case errors.Is(err, ErrNoRow), err == nil && own.Kind != User:
		if err := s.authorize(ctx, caller, action, s.arn("user", "/", "*"), nil); err != nil {
			return Principal{}, nil, err
		}
		return Principal{}, nil, invalid("Must specify userName when calling with non-User credentials")
	case err != nil:
		return Principal{}, nil, fmt.Errorf("reading the caller's own user: %w", err)
	}
	tags, err := q.Tags(ctx, own.ID)
	if err != nil {
		return Principal{}, nil, fmt.Errorf("reading the tags of user %s: %w", own.Name, err)
	}
	return own, tags, s.authorize(ctx, caller, action, own.ARN, tagContext(tags, nil))
}

// rootPrincipal is the account's root in the shape of a user. Its keys are kept under the account's number.
func (s *Service) rootPrincipal(ctx context.Context, q KeyQueries) (Principal, error) {
	root := Principal{ID: s.account, ARN: "arn:aws:iam::" + s.account + ":root"}
	keys, err := q.UserKeys(ctx, s.account)
	if err != nil {
		return Principal{}, fmt.Errorf("reading the root principal's keys: %w", err)
	}
	if len(keys) > 0 {
		root.CreatedAt = keys[0].CreatedAt
	}
	return root, nil
}

// Users lists users whose path begins so (empty: all), in order of name.
func (s *Service) Users(ctx context.Context, caller identity.Caller, pathPrefix string, page Page) (users []Principal, marker string, err error) {
	return s.listPrincipals(ctx, caller, policy.ListUsers, User, pathPrefix, page)
}

func (s *Service) listPrincipals(ctx context.Context, caller identity.Caller, action policy.Action, kind Kind, pathPrefix string, page Page) ([]Principal, string, error) {
	if err := s.authorize(ctx, caller, action, s.arn(string(kind), "/", "*"), nil); err != nil {
		return nil, "", err
	}
	if pathPrefix != "" && (pathPrefix[0] != '/' || len(pathPrefix) > 512) {
		return nil, "", invalid("The specified value for pathPrefix is invalid. It must begin with / and have at most 512 characters.")
	}
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	all, err := s.store.Read().Principals(ctx, kind, pathPrefix, after, limit+1)
	if err != nil {
		return nil, "", fmt.Errorf("listing %ss: %w", kind, err)
	}
	all, marker := pageOf(all, limit, nameOf)
	return all, marker, nil
}

// UpdateUser gives a user a new name, path or both; what is empty stays. Its unique id, keys, sessions, policies and groups stay
// its own, its ARN changes. The permission is asked on both ARNs.
func (s *Service) UpdateUser(ctx context.Context, caller identity.Caller, name, newName, newPath string) error {
	return s.rename(ctx, caller, policy.UpdateUser, User, name, newName, newPath)
}

func (s *Service) rename(ctx context.Context, caller identity.Caller, action policy.Action, kind Kind, name, newName, newPath string) error {
	p, tags, err := s.onPrincipal(ctx, caller, action, kind, name)
	if err != nil {
		return err
	}
	changed := p
	if newName != "" {
		if err := checkName("new"+title(kind)+"Name", newName, maxName(kind)); err != nil {
			return err
		}
		changed.Name = newName
	}
	if newPath != "" {
		if changed.Path, err = checkPath(newPath); err != nil {
			return err
		}
	}
	changed.ARN = s.arn(string(kind), changed.Path, changed.Name)
	if err := s.authorize(ctx, caller, action, changed.ARN, tagContext(tags, nil)); err != nil {
		return err
	}
	return s.updatePrincipal(ctx, p, func(tx Tx, p Principal) error {
		p.Name, p.Path, p.ARN = changed.Name, changed.Path, changed.ARN
		err := tx.UpdatePrincipal(ctx, p)
		if errors.Is(err, ErrConflict) {
			return taken(p)
		}
		return err
	})
}

// updatePrincipal runs a transaction about a principal that a permission was asked on. One that was deleted or renamed
// meanwhile is not found: nobody was asked about what it is now.
func (s *Service) updatePrincipal(ctx context.Context, asked Principal, f func(tx Tx, p Principal) error) error {
	return s.update(ctx, func(tx Tx) error {
		p, err := sameAs(ctx, tx, asked)
		if err != nil {
			return err
		}
		return f(tx, p)
	})
}

// sameAs reads a principal anew.
func sameAs(ctx context.Context, q PrincipalQueries, asked Principal) (Principal, error) {
	p, err := q.PrincipalByID(ctx, asked.ID)
	if errors.Is(err, ErrNoRow) || err == nil && p.ARN != asked.ARN {
		return Principal{}, notFound(string(asked.Kind), asked.Name)
	}
	return p, err
}

// DeleteUser removes a user on whom nothing hangs any more: fault.EntityInUse says what does.
func (s *Service) DeleteUser(ctx context.Context, caller identity.Caller, name string) error {
	p, _, err := s.onPrincipal(ctx, caller, policy.DeleteUser, User, name)
	if err != nil {
		return err
	}
	return s.updatePrincipal(ctx, p, func(tx Tx, p Principal) error {
		keys, err := tx.UserKeys(ctx, p.ID)
		if err != nil {
			return err
		}
		if len(keys) > 0 {
			return inUse("delete access keys")
		}
		groups, err := tx.GroupsOf(ctx, p.ID)
		if err != nil {
			return err
		}
		if len(groups) > 0 {
			return inUse("remove users from group")
		}
		return deleteWithoutPolicies(ctx, tx, p)
	})
}

// inUse is the fault for what must be done before something can be deleted, in IAM's words.
func inUse(first string) error {
	return fault.New(fault.EntityInUse, "Cannot delete entity, must %s first.", first)
}

// deleteWithoutPolicies removes a principal that has no policies.
func deleteWithoutPolicies(ctx context.Context, tx Tx, p Principal) error {
	attached, err := tx.Attachments(ctx, p.ID)
	if err != nil {
		return err
	}
	if len(attached) > 0 {
		return inUse("detach all policies")
	}
	inline, err := tx.InlinePolicies(ctx, p.ID)
	if err != nil {
		return err
	}
	if len(inline) > 0 {
		return inUse("delete policies")
	}
	return tx.DeletePrincipal(ctx, p.ID)
}

// pathless takes a principal's path out of what somebody who may not is told: it would give away that there is such a
// principal. Of themselves people may know.
func pathless(err error, caller identity.Caller, p Principal) error {
	f, ok := fault.Of(err)
	if !ok || f.Code != fault.AccessDenied || p.ID == caller.PrincipalID() {
		return err
	}
	hidden := *f
	hidden.Message = strings.ReplaceAll(f.Message, p.ARN, strings.Replace(p.ARN, p.Path+p.Name, "/"+p.Name, 1))
	return &hidden
}
