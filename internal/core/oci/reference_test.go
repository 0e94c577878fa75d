package oci_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

func TestParseRepositoryName(t *testing.T) {
	t.Parallel()
	for _, s := range []string{
		"ab", "a0", "00", "hoopstat-haus/prod", "a/b", "a/b/c/d/e/f", "a.b", "a_b", "a__b", "a-b", "a--b", "a-----b",
		"library/ubuntu", "blobs/uploads", "manifests/latest", "tags/list", "a.b_c-d__e/f", strings.Repeat("a", 256),
	} {
		if got, err := oci.ParseRepositoryName(s); err != nil || got != s {
			t.Errorf("ParseRepositoryName(%q) = %q, %v; want it as it came", s, got, err)
		}
	}
	const pattern = "must satisfy regular expression '(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*'"
	for s, constraint := range map[string]string{
		"":                       "Member must have length greater than or equal to 2",
		"a":                      "Member must have length greater than or equal to 2",
		strings.Repeat("a", 257): "Member must have length less than or equal to 256",
		"Ab":                     pattern,
		"hoopstat-haus/Prod":     pattern,
		"/a":                     pattern,
		"a/":                     pattern,
		"a//b":                   pattern,
		"..":                     pattern,
		"../a":                   pattern,
		"a/../b":                 pattern,
		"a/./b":                  pattern,
		"a..b":                   pattern,
		"a___b":                  pattern,
		"a._b":                   pattern,
		"-a":                     pattern,
		"a-":                     pattern,
		"a b":                    pattern,
		"a\nb":                   pattern,
		"ab\n":                   pattern,
		"a\x00b":                 pattern,
		"a%2fb":                  pattern,
		"a:b":                    pattern,
		"a@b":                    pattern,
		"ä/b":                    pattern,
		"_catalog":               pattern,
	} {
		_, err := oci.ParseRepositoryName(s)
		if !errors.Is(err, fault.RepositoryNameInvalid) {
			t.Errorf("ParseRepositoryName(%q): %v; want fault.RepositoryNameInvalid", s, err)
			continue
		}
		want := "Invalid parameter at 'repositoryName' failed to satisfy constraint: '" + constraint + "'"
		if err.Error() != want {
			t.Errorf("ParseRepositoryName(%q)\n says %s\n want %s", s, err, want)
		}
	}
}

func TestParseReference(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]oci.Reference{
		"latest":                 {Tag: "latest"},
		"v1.2.3-rc.1_x":          {Tag: "v1.2.3-rc.1_x"},
		"_":                      {Tag: "_"},
		"Example-App-LATEST":     {Tag: "Example-App-LATEST"},
		"sha256-0123.sig":        {Tag: "sha256-0123.sig"},
		strings.Repeat("t", 128): {Tag: strings.Repeat("t", 128)},
		emptySHA256:              {Digest: emptySHA256},
		emptySHA512:              {Digest: emptySHA512},
	} {
		got, err := oci.ParseReference(s)
		if err != nil || got != want || got.String() != s {
			t.Errorf("ParseReference(%q) = %+v, %v; want %+v", s, got, err, want)
		}
	}
	for s, code := range map[string]fault.Code{
		"":                       fault.TagInvalid,
		".hidden":                fault.TagInvalid,
		"-x":                     fault.TagInvalid,
		"a/b":                    fault.TagInvalid,
		"..":                     fault.TagInvalid,
		"a b":                    fault.TagInvalid,
		"a\n":                    fault.TagInvalid,
		"a\x00":                  fault.TagInvalid,
		"ü":                      fault.TagInvalid,
		strings.Repeat("t", 129): fault.TagInvalid,
		"sha256:baddigeststring": fault.DigestInvalid,
		"v1:v2":                  fault.DigestInvalid,
		":":                      fault.DigestInvalid,
	} {
		got, err := oci.ParseReference(s)
		if !errors.Is(err, code) || got != (oci.Reference{}) {
			t.Errorf("ParseReference(%q) = %+v, %v; want %q", s, got, err, code)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"latest", "v1.0", "_", emptySHA256, emptySHA512, "sha256:baddigeststring", "a/b", "..", strings.Repeat("t", 129)} {
		f.Add(s)
	}
	tag := regexp.MustCompile(`\A[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}\z`)
	f.Fuzz(func(t *testing.T, s string) {
		r, err := oci.ParseReference(s)
		if (err == nil) == (r == oci.Reference{}) {
			t.Fatalf("ParseReference(%q) = %+v, %v", s, r, err)
		}
		if err != nil {
			if !errors.Is(err, fault.TagInvalid) && !errors.Is(err, fault.DigestInvalid) {
				t.Fatalf("ParseReference(%q): %v is neither of the two faults", s, err)
			}
			return
		}
		if r.String() != s || (r.Tag != "") == (r.Digest != "") || (r.Tag != "" && !tag.MatchString(s)) {
			t.Fatalf("ParseReference(%q) = %+v", s, r)
		}
	})
}

func FuzzParseRepositoryName(f *testing.F) {
	for _, s := range []string{"hoopstat-haus/prod", "a/b/c", "a__b", "a---b", "library/hello.world", "..", "a//b", "A", "a\x00b"} {
		f.Add(s)
	}
	// The grammar again, in ECR's model's own shape.
	grammar := regexp.MustCompile(`\A[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*\z`)
	f.Fuzz(func(t *testing.T, s string) {
		name, err := oci.ParseRepositoryName(s)
		fits := grammar.MatchString(s) && len(s) >= oci.MinRepositoryName && len(s) <= oci.MaxRepositoryName
		if (err == nil) != fits || (err == nil && name != s) {
			t.Fatalf("ParseRepositoryName(%q) = %q, %v; fits the grammar: %v", s, name, err, fits)
		}
	})
}
