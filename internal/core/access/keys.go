package access

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// MaxKeys is how many access keys a user, or the root principal, has at most.
const MaxKeys = 2

// CreateAccessKey makes a key for a user, or without a name for the caller; the root principal may so make itself
// another. Its secret is in the answer and nowhere else. A third key is fault.LimitExceeded.
func (s *Service) CreateAccessKey(ctx context.Context, caller identity.Caller, userName string) (KeyInfo, identity.AccessKey, error) {
	owner, _, err := s.ownOrNamed(ctx, caller, policy.CreateAccessKey, userName)
	if err != nil {
		return KeyInfo{}, identity.AccessKey{}, err
	}
	key, sealed, err := s.directory.NewKey(identity.Caller{Account: s.account, ARN: owner.ARN, UserID: owner.ID, Root: s.isRoot(owner)})
	if err != nil {
		return KeyInfo{}, identity.AccessKey{}, err
	}
	err = s.updateOwner(ctx, owner, func(tx Tx) error {
		keys, err := tx.UserKeys(ctx, owner.ID)
		if err != nil {
			return err
		}
		if len(keys) >= MaxKeys {
			return fault.New(fault.LimitExceeded, "Cannot exceed quota for AccessKeysPerUser: %d", MaxKeys)
		}
		return tx.InsertKey(ctx, sealed)
	})
	if err != nil {
		return KeyInfo{}, identity.AccessKey{}, err
	}
	return KeyInfo{
		ID: key.ID, UserID: owner.ID, UserName: owner.Name, Root: s.isRoot(owner), Active: true, CreatedAt: key.CreatedAt,
	}, key, nil
}

func (s *Service) isRoot(p Principal) bool { return p.ID == s.account }

// updateOwner is updatePrincipal for whoever has keys: a user or the root principal.
func (s *Service) updateOwner(ctx context.Context, asked Principal, f func(tx Tx) error) error {
	if s.isRoot(asked) {
		return s.update(ctx, f)
	}
	return s.updatePrincipal(ctx, asked, func(tx Tx, _ Principal) error { return f(tx) })
}

// AccessKeys lists a user's keys, or without a name the caller's, in order of id.
func (s *Service) AccessKeys(ctx context.Context, caller identity.Caller, userName string, page Page) (owner Principal, keys []KeyInfo, marker string, err error) {
	if owner, _, err = s.ownOrNamed(ctx, caller, policy.ListAccessKeys, userName); err != nil {
		return Principal{}, nil, "", err
	}
	if keys, err = s.store.Read().UserKeys(ctx, owner.ID); err != nil {
		return Principal{}, nil, "", fmt.Errorf("reading the access keys of %s: %w", owner.ARN, err)
	}
	// By id and not by age: that is how pages go on.
	slices.SortFunc(keys, func(a, b KeyInfo) int { return strings.Compare(a.ID, b.ID) })
	keys, marker, err = pageFrom(keys, page, func(k KeyInfo) string { return k.ID })
	return owner, keys, marker, err
}

// SetAccessKeyActive switches a key of a user's, or without a name of the caller's, on or off. The last active key of
// the root principal stays on: fault.EntityUnmodifiable.
func (s *Service) SetAccessKeyActive(ctx context.Context, caller identity.Caller, userName, id string, active bool) error {
	return s.changeKey(ctx, caller, policy.UpdateAccessKey, userName, id, func(tx Tx) error {
		if !active {
			if err := s.keepsRootKey(ctx, tx, id, fault.EntityUnmodifiable); err != nil {
				return err
			}
		}
		return tx.SetKeyActive(ctx, id, active)
	})
}

// DeleteAccessKey removes a key of a user's, or without a name of the caller's, and with it the tokens that were issued
// to it. The last active key of the root principal stays: fault.EntityInUse.
func (s *Service) DeleteAccessKey(ctx context.Context, caller identity.Caller, userName, id string) error {
	return s.changeKey(ctx, caller, policy.DeleteAccessKey, userName, id, func(tx Tx) error {
		if err := s.keepsRootKey(ctx, tx, id, fault.EntityInUse); err != nil {
			return err
		}
		return tx.DeleteKey(ctx, id)
	})
}

// changeKey finds a key of its owner's and changes it.
func (s *Service) changeKey(ctx context.Context, caller identity.Caller, action policy.Action, userName, id string, f func(tx Tx) error) error {
	owner, _, err := s.ownOrNamed(ctx, caller, action, userName)
	if err != nil {
		return err
	}
	return s.updateOwner(ctx, owner, func(tx Tx) error {
		key, err := tx.KeyInfo(ctx, id)
		if errors.Is(err, ErrNoRow) || err == nil && key.UserID != owner.ID {
			return keyNotFound(id)
		}
		if err != nil {
			return err
		}
		return f(tx)
	})
}

func keyNotFound(id string) error {
	return fault.New(fault.EntityNotFound, "The Access Key with id %s cannot be found.", id)
}

// keepsRootKey refuses to take away the key that is the root principal's last active one. AWS lets people do that, who
// then have a password left. Here it would lock everybody out: the server does not start without such a key.
func (s *Service) keepsRootKey(ctx context.Context, q KeyQueries, id string, code fault.Code) error {
	keys, err := q.UserKeys(ctx, s.account)
	if err != nil {
		return err
	}
	active := slices.DeleteFunc(keys, func(k KeyInfo) bool { return !k.Active })
	if len(active) == 1 && active[0].ID == id {
		return fault.New(code, "%s is the last active access key of the root principal, without which nobody could get in: make another first.", id)
	}
	return nil
}

// AccessKeyLastUsed tells whose a key is, and when and for what it was last used: as of what is written, which happens
// every few seconds. The permission is asked on the key's user. Who has it not learns neither whose the key is nor
// whether there is such a key.
func (s *Service) AccessKeyLastUsed(ctx context.Context, caller identity.Caller, id string) (KeyInfo, error) {
	key, err := s.store.Read().KeyInfo(ctx, id)
	if err != nil && !errors.Is(err, ErrNoRow) {
		return KeyInfo{}, fmt.Errorf("reading access key %s: %w", id, err)
	}
	const action = policy.GetAccessKeyLastUsed
	anybody := func() error { return s.authorize(ctx, caller, action, s.arn("user", "/", "*"), nil) }
	switch {
	case err != nil:
		if err = anybody(); err == nil {
			err = keyNotFound(id)
		}
	case key.Root:
		err = s.authorize(ctx, caller, action, "arn:aws:iam::"+s.account+":root", nil)
	default:
		_, _, err = s.onPrincipal(ctx, caller, action, User, key.UserName)
	}
	if errors.Is(err, fault.AccessDenied) {
		if denied := anybody(); denied != nil {
			err = denied
		}
	}
	if err != nil {
		return KeyInfo{}, err
	}
	return key, nil
}

// NoOtherCredentials is what is asked about the kinds of credentials that IAM has and Berth has not, of which every user therefore
// has none: it finds the user, or without a name the caller, and asks for the permission.
func (s *Service) NoOtherCredentials(ctx context.Context, caller identity.Caller, action policy.Action, userName string) (Principal, error) {
	p, _, err := s.ownOrNamed(ctx, caller, action, userName)
	return p, err
}

// NoneInAccount is NoOtherCredentials for what belongs to the account as a whole.
func (s *Service) NoneInAccount(ctx context.Context, caller identity.Caller, action policy.Action) error {
	return s.authorize(ctx, caller, action, policy.AnyResource, nil)
}

// Summary counts what an account has.
type Summary struct {
	Users, Groups, Roles, Policies, Providers int
	RootKeys                                  int
}

// AccountSummary counts what the account has.
func (s *Service) AccountSummary(ctx context.Context, caller identity.Caller) (Summary, error) {
	if err := s.authorize(ctx, caller, policy.GetAccountSummary, policy.AnyResource, nil); err != nil {
		return Summary{}, err
	}
	q := s.store.Read()
	var sum Summary
	for kind, n := range map[Kind]*int{User: &sum.Users, Group: &sum.Groups, Role: &sum.Roles} {
		var err error
		if *n, err = q.CountPrincipals(ctx, kind); err != nil {
			return Summary{}, fmt.Errorf("counting %ss: %w", kind, err)
		}
	}
	policies, err := q.ManagedPolicies(ctx, "", "", 1<<20)
	if err != nil {
		return Summary{}, fmt.Errorf("counting policies: %w", err)
	}
	providers, err := q.Providers(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("counting OIDC providers: %w", err)
	}
	keys, err := q.UserKeys(ctx, s.account)
	if err != nil {
		return Summary{}, fmt.Errorf("counting root keys: %w", err)
	}
	sum.Policies, sum.Providers, sum.RootKeys = len(policies), len(providers), len(keys)
	return sum, nil
}
