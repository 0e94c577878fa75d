package oci_test

import (
	"regexp"
	"testing"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// The grammars are written by hand for speed; the patterns that they stand for must agree.
func TestGrammarsAgreeWithTheirPatterns(t *testing.T) {
	t.Parallel()
	name := regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)
	tag := regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching(`[a0./_-]{2,9}|[a-cA/._\-é0 ]{2,6}`).Draw(t, "text")
		if _, err := oci.ParseRepositoryName(s); (err == nil) != name.MatchString(s) {
			t.Fatalf("ParseRepositoryName(%q): %v, and the pattern says %v", s, err, name.MatchString(s))
		}
		if _, err := oci.ParseTag(s); (err == nil) != tag.MatchString(s) {
			t.Fatalf("ParseTag(%q): %v, and the pattern says %v", s, err, tag.MatchString(s))
		}
	})
}
