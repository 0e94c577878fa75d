package access

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
	// MaxPage is how many entities one page of a list has at most.
	MaxPage = 1000
	// DefaultPage is how many it has where nobody asks.
	DefaultPage = 100
)

var (
	nameRule = regexp.MustCompile(`^[\w+=,.@-]+$`)
	pathRule = regexp.MustCompile(`^/([\x21-\x7e]*/)?$`)
	tagRule  = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)
)

// prefixes are what unique ids begin with (IAM User Guide, "IAM identifiers").
var prefixes = map[Kind]string{User: "AIDA", Role: "AROA", Group: "AGPA"}

// newID makes a unique id: a prefix of four letters and 17 characters of base32.
func newID(prefix string) string {
	var random [11]byte
	_, _ = rand.Read(random[:]) // never fails: the program ends if the system has no randomness
	return prefix + base32.StdEncoding.EncodeToString(random[:])[:17]
}

// arn names one of the account's entities: arn:aws:iam::<account>:user/ci.
func (s *Service) arn(kind, path, name string) string {
	return "arn:aws:iam::" + s.account + ":" + kind + path + name
}

// maxName tells how long a name of a kind may be.
func maxName(k Kind) int {
	if k == Group {
		return 128
	}
	return 64
}

// checkName holds a name to its rule. The parameter is the protocol's word for it.
func checkName(parameter, name string, most int) error {
	switch {
	case name == "":
		return invalid("The specified value for %s is invalid. It must not be empty.", parameter)
	case utf8.RuneCountInString(name) > most:
		return invalid("1 validation error detected: Value at '%s' failed to satisfy constraint: Member must have length less than or equal to %d", parameter, most)
	case !nameRule.MatchString(name):
		return invalid("The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", parameter)
	}
	return nil
}

// checkPath holds a path to its rule, and makes of none the root.
func checkPath(path string) (string, error) {
	if path == "" {
		return "/", nil
	}
	if len(path) > 512 || !pathRule.MatchString(path) {
		return "", invalid("The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters and/or / characters.")
	}
	return path, nil
}

// checkTags holds tags to their rules.
func checkTags(tags []Tag) error {
	if len(tags) > maxTags {
		return fault.New(fault.LimitExceeded, "The number of tags has reached the maximum limit of %d.", maxTags)
	}
	seen := map[string]bool{}
	for _, t := range tags {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > maxTagKey || !tagRule.MatchString(t.Key):
			return invalid("The tag key %q is invalid: it has 1 to %d letters, digits, spaces and _ . : / = + - @.", t.Key, maxTagKey)
		case utf8.RuneCountInString(t.Value) > maxTagValue || !tagRule.MatchString(t.Value):
			return invalid("The value of the tag %s is invalid: it has at most %d letters, digits, spaces and _ . : / = + - @.", t.Key, maxTagValue)
		case strings.HasPrefix(fold(t.Key), "aws:"):
			return invalid("The tag key %q is invalid: those that begin with aws: are reserved.", t.Key)
		case seen[fold(t.Key)]:
			return invalid("Duplicate tag keys found. Please note that Tag keys are case insensitive.")
		}
		seen[fold(t.Key)] = true
	}
	return nil
}

// mergeTags puts tags in the place of those with their keys, and adds the others.
func mergeTags(have, put []Tag) []Tag {
	merged := withoutTags(have, func(key string) bool {
		return slices.ContainsFunc(put, func(t Tag) bool { return fold(t.Key) == fold(key) })
	})
	return append(merged, put...)
}

func withoutTags(have []Tag, gone func(key string) bool) []Tag {
	return slices.DeleteFunc(slices.Clone(have), func(t Tag) bool { return gone(t.Key) })
}

// tagContext gives the condition keys about tags: those of the entity and those that the request puts on it. Without
// one or the other its keys are missing. aws:TagKeys has the keys of the request's tags.
func tagContext(entity, request []Tag) policy.Context {
	find := func(tags []Tag, folded string) ([]string, bool) {
		for _, t := range tags {
			if fold(t.Key) == folded {
				return []string{t.Value}, true
			}
		}
		return nil, false
	}
	return func(key string) ([]string, bool) {
		for _, prefix := range []string{"aws:resourcetag/", "iam:resourcetag/"} {
			if tag, ok := strings.CutPrefix(key, prefix); ok {
				return find(entity, tag)
			}
		}
		if tag, ok := strings.CutPrefix(key, "aws:requesttag/"); ok {
			return find(request, tag)
		}
		if key == "aws:tagkeys" && len(request) > 0 {
			var keys []string
			for _, t := range request {
				keys = append(keys, t.Key)
			}
			return keys, true
		}
		return nil, false
	}
}

// The condition keys about policies, in lower case.
const (
	boundaryKey  = "iam:permissionsboundary" // the boundary that is set, or that is being set
	policyARNKey = "iam:policyarn"           // the managed policy that is attached or detached
)

// keyContext gives one key its value; an empty value is none.
func keyContext(key, value string) policy.Context {
	return func(asked string) ([]string, bool) {
		if asked != key || value == "" {
			return nil, false
		}
		return []string{value}, true
	}
}

// firstOf asks one after the other.
func firstOf(contexts ...policy.Context) policy.Context {
	return func(key string) ([]string, bool) {
		for _, c := range contexts {
			if values, ok := c(key); ok {
				return values, true
			}
		}
		return nil, false
	}
}

// invalid is the fault for a value that breaks a rule.
func invalid(format string, args ...any) error {
	return fault.New(fault.InvalidParameter, format, args...)
}

// notFound is the fault for what there is not, in IAM's words: The user with name ci cannot be found.
func notFound(kind, name string) error {
	return fault.New(fault.EntityNotFound, "The %s with name %s cannot be found.", kind, name)
}

// principal finds a principal by name, or answers fault.EntityNotFound.
func (s *Service) principal(ctx context.Context, q PrincipalQueries, kind Kind, name string) (Principal, error) {
	p, err := q.Principal(ctx, kind, name)
	switch {
	case errors.Is(err, ErrNoRow):
		return Principal{}, notFound(string(kind), name)
	case err != nil:
		return Principal{}, fmt.Errorf("reading %s %s: %w", kind, name, err)
	}
	return p, nil
}

// onPrincipal finds the principal of that name and asks for a permission on it. Who may not is told so whether it is
// there or not: the resource they are told of is what its ARN would be without a path. The condition keys are those that come
// along, then those about the principal: its tags and its permissions boundary.
func (s *Service) onPrincipal(ctx context.Context, caller identity.Caller, action policy.Action, kind Kind, name string, also ...policy.Context) (Principal, []Tag, error) {
	if err := checkName(string(kind)+"Name", name, maxName(kind)); err != nil {
		return Principal{}, nil, err
	}
	q := s.store.Read()
	p, err := s.principal(ctx, q, kind, name)
	if errors.Is(err, fault.EntityNotFound) {
		if denied := s.authorize(ctx, caller, action, s.arn(string(kind), "/", name), firstOf(also...)); denied != nil {
			return Principal{}, nil, denied
		}
		return Principal{}, nil, err
	}
	if err != nil {
		return Principal{}, nil, err
	}
	tags, err := q.Tags(ctx, p.ID)
	if err != nil {
		return Principal{}, nil, fmt.Errorf("reading the tags of %s %s: %w", kind, name, err)
	}
	also = append(slices.Clone(also), tagContext(tags, nil), keyContext(boundaryKey, p.Boundary))
	return p, tags, pathless(s.authorize(ctx, caller, action, p.ARN, firstOf(also...)), caller, p)
}

// Page is what a list was asked for: after which one, and how many.
type Page struct {
	Marker string // of the page before, or empty
	Limit  int    // 0: DefaultPage
}

// start reads the marker: the name, in lower case, that the page before ended with.
func (p Page) start() (after string, limit int, err error) {
	limit = p.Limit
	if limit == 0 {
		limit = DefaultPage
	}
	if limit < 1 || limit > MaxPage {
		return "", 0, invalid("1 validation error detected: Value at 'maxItems' failed to satisfy constraint: Member must have value between 1 and %d", MaxPage)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(p.Marker)
	if err != nil || !utf8.Valid(raw) || len(raw) > 512 {
		return "", 0, invalid("Invalid Marker.")
	}
	return string(raw), limit, nil
}

// pageOf cuts a list that has one more than asked for, and makes the marker for the rest; it is empty at the end.
func pageOf[T any](all []T, limit int, name func(T) string) (page []T, marker string) {
	if len(all) <= limit {
		return all, ""
	}
	page = all[:limit]
	return page, base64.RawURLEncoding.EncodeToString([]byte(fold(name(page[limit-1]))))
}
