package access

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

var pathPrefixRule = regexp.MustCompile(`^/[\x21-\x7e]*$`)

// still reads a principal anew in a transaction: it may be gone since it was found.
func (s *Service) still(ctx context.Context, tx Tx, p Principal) (Principal, error) {
	now, err := tx.PrincipalByID(ctx, p.ID)
	switch {
	case errors.Is(err, ErrNoRow):
		return Principal{}, notFound(string(p.Kind), p.Name)
	case err != nil:
		return Principal{}, fmt.Errorf("reading %s %s: %w", p.Kind, p.Name, err)
	}
	return now, nil
}

// change changes a principal in a transaction.
func (s *Service) change(ctx context.Context, p Principal, f func(tx Tx, p *Principal) error) error {
	return s.update(ctx, func(tx Tx) error {
		now, err := s.still(ctx, tx, p)
		if err != nil {
			return err
		}
		if err := f(tx, &now); err != nil {
			return err
		}
		if err := tx.UpdatePrincipal(ctx, now); err != nil {
			return fmt.Errorf("changing %s %s: %w", p.Kind, p.Name, err)
		}
		return nil
	})
}

// retag changes a principal's tags. Those that the request puts are held to their rules by themselves, and all together to
// how many there may be.
func (s *Service) retag(ctx context.Context, p Principal, merge func(have []Tag) []Tag, put []Tag) error {
	if err := checkTags(put); err != nil {
		return err
	}
	return s.update(ctx, func(tx Tx) error {
		if _, err := s.still(ctx, tx, p); err != nil {
			return err
		}
		return setMerged(ctx, tx, p.ID, merge)
	})
}

// setMerged changes an owner's tags.
func setMerged(ctx context.Context, tx Tx, owner string, merge func(have []Tag) []Tag) error {
	have, err := tx.Tags(ctx, owner)
	if err != nil {
		return fmt.Errorf("reading the tags of %s: %w", owner, err)
	}
	merged := merge(have)
	if err := checkTags(merged); err != nil {
		return err
	}
	return tx.SetTags(ctx, owner, merged)
}

// dropTags leaves out the tags with those keys.
func dropTags(have []Tag, keys []string) []Tag {
	return withoutTags(have, func(key string) bool {
		return slices.ContainsFunc(keys, func(k string) bool { return fold(k) == fold(key) })
	})
}

// keysContext gives aws:TagKeys where a request names tags by their keys alone.
func keysContext(keys []string) policy.Context {
	return func(key string) ([]string, bool) { return keys, key == "aws:tagkeys" && len(keys) > 0 }
}

// pageTags cuts a page out of tags that are in order of key.
func pageTags(tags []Tag, page Page) ([]Tag, string, error) {
	return pageAfter(tags, page, func(t Tag) string { return t.Key })
}

// pageAfter cuts a page out of a whole list that is in order of name, in lower case.
func pageAfter[T any](all []T, page Page, name func(T) string) ([]T, string, error) {
	after, limit, err := page.start()
	if err != nil {
		return nil, "", err
	}
	rest := slices.DeleteFunc(slices.Clone(all), func(v T) bool { return page.Marker != "" && fold(name(v)) <= after })
	cut, marker := pageOf(rest, limit, name)
	return cut, marker, nil
}

// malformedPolicy gives a document's error IAM's name for it.
func malformedPolicy(err error) error {
	f, ok := fault.Of(err)
	if !ok || f.Code != fault.InvalidParameter {
		return err
	}
	return fault.New(fault.PolicyMalformed, "%s", f.Message)
}

// checkIdentityPolicy holds a document to being a policy that says what its holder may do.
func checkIdentityPolicy(text string) error {
	if err := checkLength(text); err != nil {
		return err
	}
	d, err := policy.ParseDocument(text)
	if err == nil {
		err = d.OfIdentity()
	}
	return malformedPolicy(err)
}

// maxDocument is how many characters a document may have with its white space, which the quotas leave out.
const maxDocument = 131072

func checkLength(document string) error {
	if utf8.RuneCountInString(document) > maxDocument {
		return invalid("1 validation error detected: Value at 'policyDocument' failed to satisfy constraint: Member must have length less than or equal to %d", maxDocument)
	}
	return nil
}

// size counts a document's characters as IAM's quotas do: white space is free.
func size(document string) int {
	n := 0
	for _, r := range document {
		switch r {
		case ' ', '\t', '\n', '\r':
		default:
			n++
		}
	}
	return n
}
