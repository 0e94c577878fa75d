package access

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// TagUser puts tags on a user, in the place of those with the same keys.
func (s *Service) TagUser(ctx context.Context, caller identity.Caller, name string, tags []Tag) error {
	p, err := s.onUserTags(ctx, caller, policy.TagUser, name, func(have []Tag) policy.Context { return tagContext(have, tags) })
	if err != nil {
		return err
	}
	if err := checkTags(tags); err != nil {
		return err
	}
	return s.updateTags(ctx, p, func(have []Tag) []Tag { return mergeTags(have, tags) })
}

// UntagUser takes the tags with these keys off a user. Keys that it lacks do not matter.
func (s *Service) UntagUser(ctx context.Context, caller identity.Caller, name string, keys []string) error {
	p, err := s.onUserTags(ctx, caller, policy.UntagUser, name, func(have []Tag) policy.Context { return untagContext(have, keys) })
	if err != nil {
		return err
	}
	return s.updateTags(ctx, p, func(have []Tag) []Tag {
		return withoutTags(have, func(key string) bool {
			return slices.ContainsFunc(keys, func(k string) bool { return fold(k) == fold(key) })
		})
	})
}

// untagContext gives the condition keys about tags of a request that takes some off: of those it knows the keys alone.
func untagContext(entity []Tag, keys []string) policy.Context {
	rest := tagContext(entity, nil)
	return func(key string) ([]string, bool) {
		if key == "aws:tagkeys" {
			return keys, len(keys) > 0
		}
		return rest(key)
	}
}

// onUserTags is onPrincipal for a request that changes a user's tags.
func (s *Service) onUserTags(ctx context.Context, caller identity.Caller, action policy.Action, name string, request func(have []Tag) policy.Context) (Principal, error) {
	if err := checkName("userName", name, maxName(User)); err != nil {
		return Principal{}, err
	}
	q := s.store.Read()
	p, err := s.principal(ctx, q, User, name)
	if errors.Is(err, fault.EntityNotFound) {
		if denied := s.authorize(ctx, caller, action, s.arn("user", "/", name), request(nil)); denied != nil {
			return Principal{}, denied
		}
		return Principal{}, err
	}
	if err != nil {
		return Principal{}, err
	}
	have, err := q.Tags(ctx, p.ID)
	if err != nil {
		return Principal{}, fmt.Errorf("reading the tags of user %s: %w", name, err)
	}
	return p, pathless(s.authorize(ctx, caller, action, p.ARN, request(have)), caller, p)
}

// updateTags changes a principal's tags, of which there may be so many after that.
func (s *Service) updateTags(ctx context.Context, asked Principal, change func(have []Tag) []Tag) error {
	return s.updatePrincipal(ctx, asked, func(tx Tx, p Principal) error {
		have, err := tx.Tags(ctx, p.ID)
		if err != nil {
			return err
		}
		changed := change(have)
		if len(changed) > maxTags {
			return checkTags(changed) // says so
		}
		return tx.SetTags(ctx, p.ID, changed)
	})
}

// UserTags lists a user's tags, in order of key.
func (s *Service) UserTags(ctx context.Context, caller identity.Caller, name string, page Page) (tags []Tag, marker string, err error) {
	_, tags, err = s.onPrincipal(ctx, caller, policy.ListUserTags, User, name)
	if err != nil {
		return nil, "", err
	}
	return pageFrom(tags, page, func(t Tag) string { return t.Key })
}

// pageFrom cuts a page out of a whole list that is in order of the names in lower case.
func pageFrom[T any](all []T, page Page, name func(T) string) ([]T, string, error) {
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(one T) bool { return fold(name(one)) <= after })
	if after == "" {
		rest = all
	}
	rest, marker := pageOf(rest, limit, name)
	return rest, marker, nil
}
