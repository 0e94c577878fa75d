package advisory_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// entry is an OSV entry about one package.
func entry(ecosystem, name, rest string) string {
	return fmt.Sprintf(`{"id":"X-1","modified":"2026-01-01T00:00:00Z","affected":[{"package":{"ecosystem":%q,"name":%q},%s}]}`, ecosystem, name, rest)
}

func events(kind string, all ...string) string {
	var words []string
	for _, e := range all {
		member, version, _ := strings.Cut(e, " ")
		words = append(words, fmt.Sprintf("{%q:%q}", member, version))
	}
	return fmt.Sprintf(`"ranges":[{"type":%q,"events":[%s]}]`, kind, strings.Join(words, ","))
}

func parse(t *testing.T, text string) advisory.Advisory {
	t.Helper()
	a, err := advisory.Parse([]byte(text))
	if err != nil {
		t.Fatalf("Parse(%s): %v", text, err)
	}
	return a
}

func TestCovers(t *testing.T) {
	t.Parallel()
	const unknown = "unknown"
	tests := map[string]struct {
		ecosystem string
		rest      string
		versions  map[string]string // version: yes, no or unknown; then what fixes it
	}{
		"from the beginning to a fix": {"Debian:12", events("ECOSYSTEM", "introduced 0", "fixed 3.0.11-1~deb12u2"), map[string]string{
			"3.0.11-1~deb12u1": "yes 3.0.11-1~deb12u2", "3.0.11-1~deb12u2": "no", "3.0.11-1~deb12u2+b1": "no", "3.0.11-1": "no", "1:1": "no", "0": "yes 3.0.11-1~deb12u2",
			"1.0-": unknown, "a:1": unknown, "": unknown, ":1": unknown, "1_2": unknown, strings.Repeat("9", 300): unknown,
		}},
		"no end": {"Debian:12", events("ECOSYSTEM", "introduced 0"), map[string]string{"1": "yes", "a:1": "yes"}},
		"the last that is affected": {"npm", events("SEMVER", "introduced 1.2.0", "last_affected 1.4.0"), map[string]string{
			"1.1.9": "no", "1.2.0-beta.1": "no", "1.2.0": "yes", "1.4.0": "yes", "1.4.0+build": "yes", "1.4.1-0": "no", "latest": unknown,
		}},
		"events in any order": {"npm", events("SEMVER", "fixed 2.5.0", "introduced 2.0.0", "fixed 1.5.0", "introduced 1.0.0"), map[string]string{
			"0.9.0": "no", "1.0.0": "yes 1.5.0", "1.5.0": "no", "1.9.9": "no", "2.0.0": "yes 2.5.0", "2.5.0": "no", "2.4.10": "yes 2.5.0",
		}},
		"a limit": {"npm", events("SEMVER", "introduced 1.0.0", "limit 2.0.0"), map[string]string{
			"1.9.9": "yes", "2.0.0": "no", "0.1.0": "no",
		}},
		"no limit at all": {"npm", events("SEMVER", "introduced 0", "fixed 2.0.0", "limit *"), map[string]string{"1.0.0": "yes 2.0.0", "2.0.0": "no"}},
		"listed, or in a range": {"PyPI", `"versions":["0.1","0.2.post1"],` + events("ECOSYSTEM", "introduced 1.0rc1", "fixed 1.0"), map[string]string{
			"0.1": "yes 1.0", "0.2.post1": "yes 1.0", "0.2": "no", "1.0rc1": "yes 1.0", "1.0rc2": "yes 1.0", "1.0": "no", "1.0.dev1": "no", "1.0.post1": "no",
		}},
		"listed only": {"PyPI", `"versions":["0.1"]`, map[string]string{"0.1": "yes", "0.2": "no", "nonsense": "no"}},
		"commits are no versions": {"npm", `"versions":["1.0.0"],"ranges":[{"type":"GIT","repo":"x","events":[{"introduced":"0"}]}]`, map[string]string{
			"1.0.0": "yes", "2.0.0": "no",
		}},
		"two ranges, the first fix is still hit by the second": {
			"npm", `"ranges":[{"type":"SEMVER","events":[{"introduced":"1.0.0"},{"fixed":"1.5.0"}]},{"type":"SEMVER","events":[{"introduced":"1.4.0"},{"fixed":"1.6.0"}]}]`,
			map[string]string{"1.0.0": "yes 1.6.0", "1.5.0": "yes 1.6.0", "1.6.0": "no"},
		},
		"both in one event, as entries of old have it": {"npm", `"ranges":[{"type":"SEMVER","events":[{"introduced":"0","fixed":"2.0.0"}]}]`, map[string]string{"1.0.0": "yes 2.0.0", "2.0.0": "no"}},
		"Alpine":                       {"Alpine:v3.20", events("ECOSYSTEM", "introduced 0", "fixed 1.2.3-r10"), map[string]string{"1.2.3-r9": "yes 1.2.3-r10", "1.2.3_rc1-r11": "yes 1.2.3-r10", "1.2.3-r10": "no", "1.2.3a-r0": "no"}},
		"RPM":                          {"AlmaLinux:9", events("ECOSYSTEM", "introduced 0", "fixed 1:3.0.7-18.el9_2"), map[string]string{"3.0.7-99.el9": "yes 1:3.0.7-18.el9_2", "1:3.0.7-16.el9": "yes 1:3.0.7-18.el9_2", "1:3.0.7-18.el9_2": "no", "1:3.0.8~rc1-1.el9": "no"}},
		"Go, pseudo-versions":          {"Go", events("SEMVER", "introduced 0", "fixed 0.17.0"), map[string]string{"v0.16.9": "yes 0.17.0", "v0.17.0": "no", "v0.0.0-20230101000000-abcdefabcdef": "yes 0.17.0", "v0.17.0-rc.1": "yes 0.17.0", "(devel)": unknown, "v0.17.0+incompatible": "no"}},
		"Go, listed":                   {"Go", `"versions":["1.0.0"]`, map[string]string{"v1.0.0": "yes", "1.0.0": "yes", "v1.0.1": "no"}},
		"Maven":                        {"Maven", events("ECOSYSTEM", "introduced 2.0-beta9", "fixed 2.15.0"), map[string]string{"2.0-beta9": "yes 2.15.0", "2.0-alpha1": "no", "2.14.1": "yes 2.15.0", "2.15.0-rc1": "yes 2.15.0", "2.15.0": "no", "2.15": "no"}},
		"RubyGems":                     {"RubyGems", events("ECOSYSTEM", "introduced 0", "fixed 7.0.4.1"), map[string]string{"7.0.4": "yes 7.0.4.1", "7.0.4.1": "no", "7.0.5.rc1": "no"}},
		"NuGet":                        {"NuGet", events("ECOSYSTEM", "introduced 0", "fixed 13.0.1"), map[string]string{"12.0.3": "yes 13.0.1", "13.0.1-beta2": "yes 13.0.1", "13.0.1.0": "no"}},
		"Packagist":                    {"Packagist", events("ECOSYSTEM", "introduced 0", "fixed 4.4.50"), map[string]string{"v4.4.49": "yes 4.4.50", "4.4.50": "no", "dev-main": unknown}},
		"crates.io":                    {"crates.io", events("SEMVER", "introduced 0.0.0-0", "fixed 0.1.43"), map[string]string{"0.1.42": "yes 0.1.43", "0.1.43": "no", "0.2.0-alpha": "no"}},
		"an ecosystem without rules":   {"Nobody's", events("ECOSYSTEM", "introduced 1", "fixed 2"), map[string]string{"1": unknown}},
		"an event that cannot be read": {"Debian:12", events("ECOSYSTEM", "introduced 0", "fixed <unfixed>"), map[string]string{"1": unknown}},
		"PyPI, an epoch":               {"PyPI", events("ECOSYSTEM", "introduced 0", "fixed 1!1.0"), map[string]string{"2024.1": "yes 1!1.0", "1!1.0": "no"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := parse(t, entry(tt.ecosystem, "p", tt.rest)).Affected[0]
			for version, want := range tt.versions {
				got := "no"
				covered, err := f.Covers(f.Ecosystem, version)
				switch {
				case errors.Is(err, advisory.ErrIncomparable):
					got = unknown
				case err != nil:
					got = err.Error()
				case covered:
					got = strings.TrimSpace("yes " + f.FixedFor(f.Ecosystem, version))
				}
				if got != want {
					t.Errorf("%s %q: %s, want %s", tt.ecosystem, version, got, want)
				}
			}
		})
	}
}
