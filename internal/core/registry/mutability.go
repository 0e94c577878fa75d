package registry

import (
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Mutability says whether tags of a repository may move once they are set.
type Mutability string

// The mutabilities. With an exclusion, the opposite holds for tags that match one of the filters.
const (
	Mutable                Mutability = "MUTABLE"
	Immutable              Mutability = "IMMUTABLE"
	MutableWithExclusion   Mutability = "MUTABLE_WITH_EXCLUSION"
	ImmutableWithExclusion Mutability = "IMMUTABLE_WITH_EXCLUSION"
)

const (
	maxExclusions = 5
	maxWildcards  = 2
)

var exclusionFilter = regexp.MustCompile(`^[0-9a-zA-Z._*-]{1,128}$`)

// checkMutability holds a setting to ECR's rules: filters exactly where there is an exclusion, 1 to 5 of
// them, each with at most two wildcards.
func checkMutability(m Mutability, exclusions []string) error {
	const filters = "imageTagMutabilityExclusionFilters"
	switch m {
	case Mutable, Immutable:
		if len(exclusions) > 0 {
			return fault.BadParameter(filters, "must be absent unless imageTagMutability is MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION")
		}
	case MutableWithExclusion, ImmutableWithExclusion:
		if len(exclusions) < 1 || len(exclusions) > maxExclusions {
			return fault.BadParameter(filters, "Member must have length between 1 and 5")
		}
	default:
		return fault.BadParameter("imageTagMutability",
			"Member must satisfy enum value set: [IMMUTABLE_WITH_EXCLUSION, MUTABLE_WITH_EXCLUSION, IMMUTABLE, MUTABLE]")
	}
	for i, f := range exclusions {
		switch {
		case !exclusionFilter.MatchString(f):
			return fault.BadParameter(filters, "Member must satisfy regular expression pattern: ^[0-9a-zA-Z._*-]{1,128}$")
		case strings.Count(f, "*") > maxWildcards:
			return fault.BadParameter(filters, "a filter must have at most 2 wildcards")
		case slices.Contains(exclusions[:i], f):
			return fault.BadParameter(filters, "filters must differ from each other")
		}
	}
	return nil
}

// TagMovable tells whether a tag that is set may be pointed to another image.
func (r Repository) TagMovable(tag string) bool {
	excluded := slices.ContainsFunc(r.Exclusions, func(filter string) bool { return MatchWildcard(filter, tag) })
	switch r.Mutability {
	case Immutable:
		return false
	case ImmutableWithExclusion:
		return excluded
	case MutableWithExclusion:
		return !excluded
	default:
		return true
	}
}

// MatchWildcard matches the whole of s, letter by letter but for *, which stands for any run of characters.
func MatchWildcard(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	first, last := parts[0], parts[len(parts)-1]
	if !strings.HasPrefix(s, first) || len(s) < len(first)+len(last) || !strings.HasSuffix(s, last) {
		return false
	}
	s = s[len(first) : len(s)-len(last)]
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return true
}
