package registry_test

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestTagMovable(t *testing.T) {
	t.Parallel()
	tests := []struct {
		mutability registry.Mutability
		filters    []string
		tag        string
		want       bool
	}{
		{registry.Mutable, nil, "app-latest", true},
		{registry.Immutable, nil, "app-latest", false},
		// The guide's rule: {app}-{sha} stays, {app}-latest moves.
		{registry.ImmutableWithExclusion, []string{"*-latest"}, "example-calculator-app-latest", true},
		{registry.ImmutableWithExclusion, []string{"*-latest"}, "example-calculator-app-a1b2c3d4", false},
		{registry.ImmutableWithExclusion, []string{"*-latest"}, "-latest", true},
		{registry.ImmutableWithExclusion, []string{"*-latest"}, "latest", false},
		{registry.ImmutableWithExclusion, []string{"*-latest"}, "app-latest-2", false},
		{registry.ImmutableWithExclusion, []string{"dev*", "*test*"}, "a-test-b", true},
		{registry.ImmutableWithExclusion, []string{"a*a"}, "a", false},
		{registry.ImmutableWithExclusion, []string{"a*a"}, "aa", true},
		{registry.ImmutableWithExclusion, []string{"Dev*"}, "dev1", false},
		{registry.ImmutableWithExclusion, []string{"latest"}, "latest", true},
		{registry.MutableWithExclusion, []string{"v*"}, "v1", false},
		{registry.MutableWithExclusion, []string{"v*"}, "main", true},
	}
	for _, tt := range tests {
		repo := registry.Repository{Mutability: tt.mutability, Exclusions: tt.filters}
		if got := repo.TagMovable(tt.tag); got != tt.want {
			t.Errorf("%s %v: TagMovable(%q) = %v, want %v", tt.mutability, tt.filters, tt.tag, got, tt.want)
		}
	}
}

// An independent matcher, by way of a regular expression, must agree on every pattern and tag.
func TestWildcardsAgreeWithRegexp(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		filter := rapid.StringMatching(`[ab*.]{1,6}`).Draw(t, "filter")
		tag := rapid.StringMatching(`[ab.]{0,8}`).Draw(t, "tag")
		re := regexp.MustCompile(`\A` + strings.ReplaceAll(regexp.QuoteMeta(filter), `\*`, `.*`) + `\z`)
		repo := registry.Repository{Mutability: registry.ImmutableWithExclusion, Exclusions: []string{filter}}
		if got, want := repo.TagMovable(tag), re.MatchString(tag); got != want {
			t.Fatalf("filter %q, tag %q: TagMovable = %v, want %v", filter, tag, got, want)
		}
	})
}
