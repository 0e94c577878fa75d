package advisory_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/osv-scalibr/semantic"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestParse(t *testing.T) {
	t.Parallel()
	got := parse(t, `{
		"id": "DEBIAN-CVE-2024-0001", "modified": "2024-05-01T10:00:00.5Z", "published": "2024-04-01T00:00:00Z",
		"upstream": ["CVE-2024-0001"], "related": ["CVE-2024-0002", "DSA-1-1"], "summary": "a\u0000b\u001b[31m", "details": "line\nline",
		"severity": [{"type": "CVSS_V2", "score": "AV:N/AC:L/Au:N/C:P/I:P/A:P"}, {"type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}, {"type": "CVSS_V3", "score": "nonsense"}],
		"affected": [
			{"package": {"ecosystem": "Debian:12", "name": "openssl"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"fixed": "3.0.1"}, {"introduced": "0"}]}], "ecosystem_specific": {"urgency": "unimportant"}},
			{"package": {"ecosystem": "PyPI", "name": "My.Odd__Name"}, "versions": ["1.0"]},
			{"package": {"ecosystem": "Ubuntu:22.04:LTS", "name": "x"}, "versions": ["1"]},
			{"package": {"ecosystem": "Maven:https://repo.example.com", "name": "a:B"}, "versions": ["1"]},
			{"ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]},
			{"package": {"ecosystem": "npm", "name": "UPPER"}, "ranges": [{"type": "GIT", "events": [{"introduced": "0"}]}]}
		],
		"references": [{"type": "WEB", "url": "javascript:alert(1)"}, {"type": "WEB", "url": "https://example.com/1"}, {"type": "ADVISORY", "url": "https://example.com/2"}]
	}`)
	want := advisory.Advisory{
		ID: "DEBIAN-CVE-2024-0001", Aliases: []string{"CVE-2024-0001"}, Related: []string{"CVE-2024-0002"}, Summary: "ab[31m", Details: "line\nline",
		Published: time.Date(2024, 4, 1, 0, 0, 0, 0, time.UTC), Modified: time.Date(2024, 5, 1, 10, 0, 0, 5e8, time.UTC),
		URL: "https://example.com/2", References: []string{"https://example.com/1", "https://example.com/2"},
		Vectors: []advisory.Vector{
			{Version: "3.1", Vector: "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H", Score: 9.8}, {Version: "2.0", Vector: "AV:N/AC:L/Au:N/C:P/I:P/A:P", Score: 7.5},
		},
		Affected: []advisory.Affected{
			{Ecosystem: "Debian", Release: "12", Name: "openssl", Word: "unimportant", Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "3.0.1"}}}}},
			{Ecosystem: "PyPI", Name: "my-odd-name", Versions: []string{"1.0"}},
			{Ecosystem: "Ubuntu", Release: "22.04:LTS", Name: "x", Versions: []string{"1"}},
			{Ecosystem: "Maven", Name: "a:B", Versions: []string{"1"}},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
	if name := got.Vulnerability(); name != "CVE-2024-0001" {
		t.Errorf("Vulnerability: %s", name)
	}
	body, err := advisory.Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	back, err := advisory.Decode(body)
	if err != nil {
		t.Fatal(err)
	}
	want.Affected = nil
	if diff := cmp.Diff(want, back); diff != "" {
		t.Errorf("Decode(Encode) (-want +got):\n%s", diff)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	many := func(n int, s string) string { return strings.TrimSuffix(strings.Repeat(s+",", n), ",") }
	for name, text := range map[string]string{
		"nothing":                  ``,
		"no object":                `[]`,
		"no id":                    `{}`,
		"an id with a path":        `{"id":"../../etc/passwd"}`,
		"an id with a line":        `{"id":"A\nB"}`,
		"no UTF-8":                 "{\"id\":\"A\",\"summary\":\"\xff\"}",
		"too long":                 `{"id":"A","details":"` + strings.Repeat("x", advisory.MaxEntry) + `"}`,
		"too deep":                 `{"id":"A","x":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`,
		"a name with an escape":    entry("npm", "a\x1b[2Jb", `"versions":["1"]`),
		"a version with an escape": entry("npm", "a", `"versions":["1\u001b[2J"]`),
		"an endless name":          entry("npm", strings.Repeat("a", 600), `"versions":["1"]`),
		"too many packages":        `{"id":"A","affected":[` + many(20_001, `{}`) + `]}`,
		"too many versions":        entry("npm", "a", `"versions":[`+many(200_001, `"1"`)+`]`),
		"too many events":          entry("npm", "a", `"ranges":[{"type":"SEMVER","events":[`+many(50_001, `{"limit":"*"}`)+`]}]`),
	} {
		if a, err := advisory.Parse([]byte(text)); !errors.Is(err, advisory.ErrMalformed) {
			t.Errorf("%s: %.80v, %v", name, a, err)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	v2, v31, v4 := "AV:N/AC:L/Au:N/C:C/I:C/A:C", "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N", "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"
	vector := func(s string) string {
		return fmt.Sprintf(`"severity":[{"type":"CVSS_V%s","score":%q}]`, map[byte]string{'A': "2", '3': "3", '4': "4"}[strings.TrimPrefix(s, "CVSS:")[0]], s)
	}
	with := func(id, advisory, affected string) string {
		return fmt.Sprintf(`{"id":%q,%s"affected":[{"package":{"ecosystem":"Debian:12","name":"p"},"versions":["1"]%s}]}`, id, advisory, affected)
	}
	other, ok := advisory.ParseVector("CVSS:3.0/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")
	if !ok {
		t.Fatal("not a vector")
	}
	for name, tt := range map[string]struct {
		text   string
		others []advisory.Vector
		want   advisory.Severity
		score  float64
	}{
		"the score":                      {with("A", vector(v31)+",", ""), nil, advisory.Medium, 5.3},
		"4.0 is new":                     {with("A", vector(v4)+",", ""), nil, advisory.Critical, 9.3},
		"2.0 ends at high":               {with("A", vector(v2)+",", ""), nil, advisory.High, 10},
		"the package's first":            {with("A", vector(v31)+",", ","+vector(v4)), nil, advisory.Critical, 9.3},
		"others, where nobody here says": {with("A", "", ""), []advisory.Vector{other}, advisory.Critical, 9.8},
		"not others, where it says":      {with("A", vector(v31)+",", ""), []advisory.Vector{other}, advisory.Medium, 5.3},
		"unimportant, whatever others":   {with("A", "", `,"ecosystem_specific":{"urgency":"unimportant"}`), []advisory.Vector{other}, advisory.Informational, 9.8},
		"urgency":                        {with("A", "", `,"ecosystem_specific":{"urgency":"high**"}`), nil, advisory.High, 0},
		"a word raises no score":         {with("A", vector(v31)+",", `,"ecosystem_specific":{"urgency":"high"}`), nil, advisory.Medium, 5.3},
		"not yet assigned":               {with("A", "", `,"ecosystem_specific":{"urgency":"not yet assigned"}`), nil, advisory.Undefined, 0},
		"GHSA's word":                    {with("GHSA-x", `"database_specific":{"severity":"MODERATE"},`, ""), nil, advisory.Medium, 0},
		"Ubuntu's word":                  {with("UBUNTU-CVE-2024-1111", `"severity":[{"type":"Ubuntu","score":"negligible"}],`, ""), nil, advisory.Informational, 0},
		"an erratum's title":             {with("ALSA-2024:1", `"summary":"Important: x security update",`, ""), nil, advisory.High, 0},
		"an erratum of bugs":             {with("ALBA-2024:1", `"summary":"x bug fix update",`, ""), nil, advisory.Informational, 0},
		"an erratum of bugs with a CVE":  {with("ALBA-2024:1", `"related":["CVE-2024-1111"],`, ""), nil, advisory.Undefined, 0},
		"RustSec's information":          {with("RUSTSEC-2024-1", "", `,"database_specific":{"informational":"unmaintained"}`), nil, advisory.Informational, 0},
		"malware":                        {with("MAL-2024-1", "", ""), nil, advisory.Critical, 0},
		"nothing":                        {with("A", `"database_specific":{"severity":["x"]},`, ""), nil, advisory.Undefined, 0},
	} {
		a := parse(t, tt.text)
		if got := a.Rate(a.Affected[0], tt.others); got.Severity != tt.want || got.Score != tt.score {
			t.Errorf("%s: %+v, want %s %v", name, got, tt.want, tt.score)
		}
	}
	if s := (advisory.Vector{}).Severity(); s != advisory.Informational {
		t.Errorf("a score of 0 is %s", s)
	}
}

func TestVulnerability(t *testing.T) {
	t.Parallel()
	for want, a := range map[string]advisory.Advisory{
		"CVE-2024-1111":       {ID: "GO-2024-1", Aliases: []string{"GHSA-a", "CVE-2024-2222", "CVE-2024-1111"}},
		"CVE-2024-3333":       {ID: "CVE-2024-3333", Aliases: []string{"GHSA-a"}},
		"GHSA-a":              {ID: "PYSEC-1", Aliases: []string{"GHSA-b", "GHSA-a", "CVE-none"}},
		"ALSA-2024:1":         {ID: "ALSA-2024:1", Related: []string{"CVE-2024-1111"}},
		"RUSTSEC-2024-0001":   {ID: "RUSTSEC-2024-0001"},
		"GHSA-aaaa-bbbb-cccc": {ID: "GHSA-aaaa-bbbb-cccc"},
	} {
		if got := a.Vulnerability(); got != want {
			t.Errorf("%+v: %s, want %s", a, got, want)
		}
	}
}

// debianVersions are real and odd ones.
func debianVersions() []string {
	return []string{
		"0", "1", "1.0", "1.0-1", "1.0-0", "1.0-1~deb12u1", "1.0-1+deb12u1", "1.0-1+b1", "1.0~rc1-1", "1.0~~", "1.0~", "1.0+dfsg-1", "1:0.1", "0:1.0-1",
		"2:8.2.3-1", "10", "9", "1.10", "1.9", "1.00009", "1.9a", "1.9-a", "1.a9", "1.~9", "1.2.3-4.5", "1.2-3-4", "3.0.11-1~deb12u2", "20230311", "1.0.0a", "1..0",
		"1.0-1ubuntu1.1", "1.0-1ubuntu1", "1.0-1build1", "1.0A", "1.0a", "1.0+", "00001", "1.0-01", "12345678901234567890123", "12345678901234567890124",
	}
}

func TestCompareDebian(t *testing.T) {
	t.Parallel()
	sign := func(n int) int {
		switch {
		case n < 0:
			return -1
		case n > 0:
			return 1
		}
		return 0
	}
	dpkg, err := exec.LookPath("dpkg")
	for _, a := range debianVersions() {
		for _, b := range debianVersions() {
			got, compareErr := advisory.Compare("Debian", a, b)
			if compareErr != nil {
				t.Errorf("%s and %s: %v", a, b, compareErr)
				continue
			}
			parsed, parseErr := semantic.Parse(a, "Debian")
			if parseErr != nil {
				t.Fatal(parseErr)
			}
			if want, err := parsed.CompareStr(b); err != nil || sign(want) != sign(got) {
				t.Errorf("%s and %s: %d, semantic says %d, %v", a, b, got, want, err)
			}
			if err != nil || len(a) > 6 || len(b) > 6 { // a process each
				continue
			}
			relation := map[int]string{-1: "lt", 0: "eq", 1: "gt"}[sign(got)]
			if err := exec.CommandContext(t.Context(), dpkg, "--compare-versions", a, relation, b).Run(); err != nil {
				t.Errorf("dpkg does not say %s %s %s: %v", a, relation, b, err)
			}
		}
	}
}

// TestPlainVersionsAreComparedAsTheirParsersDo holds the short way against the long one.
func TestPlainVersionsAreComparedAsTheirParsersDo(t *testing.T) {
	t.Parallel()
	versions := []string{"0", "1", "2", "10", "1.0", "1.9", "1.10", "0.0.1", "1.0.0", "1.2.3", "1.2.10", "2.0.0", "10.0.0", "v1.2.3", "v1.10", "1.0.0-rc1", "1.2.3.4", "01.2.3", "99999999999999999999.1.1"}
	for _, ecosystem := range []string{"npm", "Go", "crates.io", "PyPI", "RubyGems", "NuGet", "Packagist", "Maven"} {
		for _, a := range versions {
			for _, b := range versions {
				got, err := advisory.Compare(ecosystem, a, b)
				parsed, parseErr := semantic.Parse(a, ecosystem)
				if err != nil || parseErr != nil {
					t.Fatal(ecosystem, a, b, err, parseErr)
				}
				if want, err := parsed.CompareStr(b); err != nil || want < 0 != (got < 0) || want > 0 != (got > 0) {
					t.Errorf("%s: %s and %s: %d, semantic says %d, %v", ecosystem, a, b, got, want, err)
				}
			}
		}
	}
}

// sample finds the directory with real advisories beside the checkout.
func sample(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		tb.Fatal(err)
	}
	for {
		found := filepath.Join(dir, "shared", "advisories")
		if info, err := os.Stat(found); err == nil && info.IsDir() {
			return found
		}
		if dir == filepath.Dir(dir) {
			tb.Skip("the sample of advisories is not beside the checkout")
		}
		dir = filepath.Dir(dir)
	}
}

// TestTheSampleCanBeCompared compares each version of the sample with the ranges around it.
func TestTheSampleCanBeCompared(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	compared, failed := map[string]int{}, map[string]int{}
	origin := advisory.Dir{FS: os.DirFS(dir), Name: dir}
	err := origin.Read(t.Context(), nil, func(feed advisory.Feed) error {
		for a, err := range feed.Entries {
			if errors.Is(err, advisory.ErrMalformed) && feed.Source == advisory.SourceCVSS {
				continue
			}
			if err != nil {
				return err
			}
			for _, f := range a.Affected {
				for _, r := range f.Ranges {
					for _, e := range r.Events {
						if e.Fixed == "" {
							continue
						}
						compared[f.Ecosystem]++
						switch covered, err := f.Covers(f.Ecosystem, e.Fixed); {
						case err != nil:
							failed[f.Ecosystem]++
						case covered && len(f.Versions) == 0 && len(f.Ranges) == 1:
							t.Errorf("%s: %s of %s is affected by what it mends: %+v", a.ID, e.Fixed, f.Name, f.Ranges)
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Log(compared, failed)
	for e, n := range compared {
		if failed[e]*100 > n {
			t.Errorf("%s: %d of %d cannot be compared", e, failed[e], n)
		}
	}
	if len(compared) < 7 {
		t.Errorf("compared only %v", compared)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(entry("Debian:12", "p", events("ECOSYSTEM", "introduced 0", "fixed 1"))))
	f.Add([]byte(entry("PyPI", "p", `"versions":["1"]`)))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := advisory.Parse(text)
		if err != nil {
			if !errors.Is(err, advisory.ErrMalformed) {
				t.Fatal(err)
			}
			return
		}
		if _, err := advisory.Hash(a); err != nil {
			t.Fatal(err)
		}
		body, err := advisory.Encode(a)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := advisory.Decode(body); err != nil {
			t.Fatal(err)
		}
		for _, affected := range a.Affected {
			a.Rate(affected, nil)
			_, _ = affected.Covers(affected.Ecosystem, "1.0")
		}
	})
}

func FuzzCovers(f *testing.F) {
	for _, e := range []string{"Debian", "Alpine", "npm", "PyPI", "Go", "Maven", "AlmaLinux", "RubyGems", "NuGet", "Packagist", "crates.io", "CRAN", "Hackage", "Pub"} {
		f.Add(e, "1.0", "0", "2.0-1~x")
	}
	f.Fuzz(func(t *testing.T, ecosystem, version, introduced, fixed string) {
		a := advisory.Affected{Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: introduced}, {Fixed: fixed}}}}}
		covered, err := a.Covers(ecosystem, version)
		if err != nil && !errors.Is(err, advisory.ErrIncomparable) {
			t.Fatal(err)
		}
		if covered && err != nil {
			t.Errorf("covered, and %v", err)
		}
		a.FixedFor(ecosystem, version)
	})
}

func BenchmarkCovers(b *testing.B) {
	for _, e := range []struct{ ecosystem, introduced, fixed, version string }{
		{"Debian", "0", "3.0.11-1~deb12u2", "3.0.9-1"},
		{"npm", "1.0.0", "4.17.21", "4.17.20"},
		{"PyPI", "0", "2.31.0", "2.28.1"},
		{"Go", "0", "0.17.0", "v0.16.0"},
		{"Alpine", "0", "1.2.3-r4", "1.2.3-r1"},
		{"AlmaLinux", "0", "3.0.7-18.el9_2", "3.0.7-16.el9"},
		{"Maven", "2.0", "2.15.0", "2.14.1"},
	} {
		f := advisory.Affected{Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: e.introduced}, {Fixed: e.fixed}}}}}
		b.Run(e.ecosystem, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if in, err := f.Covers(e.ecosystem, e.version); !in || err != nil {
					b.Fatal(in, err)
				}
			}
		})
	}
}

// TestReleasesAreThoseOfImages: publishers write products where images have a release, and what is not written alike is never compared.
func TestReleasesAreThoseOfImages(t *testing.T) {
	t.Parallel()
	for written, os := range map[string]inventory.OS{
		"Red Hat:enterprise_linux:9::baseos":                 {ID: "rhel", VersionID: "9.4"},
		"Red Hat:enterprise_linux:8::appstream":              {ID: "rhel", VersionID: "8.10"},
		"SUSE:Linux Enterprise Server 15 SP5":                {ID: "sles", VersionID: "15.5"},
		"SUSE:Linux Enterprise Module for Basesystem 15 SP6": {ID: "sles", VersionID: "15.6"},
		"openSUSE:Leap 15.6":                                 {ID: "opensuse-leap", VersionID: "15.6"},
		"AlmaLinux:9":                                        {ID: "almalinux", VersionID: "9.5"},
	} {
		a, err := advisory.Parse([]byte(fmt.Sprintf(`{"id":"X-1","modified":"2026-01-02T00:00:00Z","affected":[{"package":{"ecosystem":%q,"name":"openssl"},
			"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:3.0.7-28.el9"}]}]}]}`, written)))
		if err != nil || len(a.Affected) != 1 {
			t.Fatalf("%s: %+v, %v", written, a, err)
		}
		ecosystem, release := inventory.Ecosystem(inventory.RPM, os)
		if f := a.Affected[0]; f.Ecosystem != ecosystem || f.Release != release {
			t.Errorf("%s is read as %s:%s, and images of it have %s:%s", written, f.Ecosystem, f.Release, ecosystem, release)
		}
	}
}

// TestVersionsOfAllEcosystemsAreCompared: of those that images have packages of, whatever the parsers know by name.
func TestVersionsOfAllEcosystemsAreCompared(t *testing.T) {
	t.Parallel()
	for _, ecosystem := range inventory.Ecosystems() {
		f := advisory.Affected{Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: "1.10.0-r1"}}}}}
		for version, want := range map[string]bool{"1.9.0-r2": true, "1.10.0-r1": false, "1.10.1-r0": false} {
			if hit, err := f.Covers(ecosystem, version); hit != want || err != nil {
				t.Errorf("%s: %s is hit: %v, %v", ecosystem, version, hit, err)
			}
			if hit, err := f.Ready(ecosystem).Covers(advisory.NewVersion(ecosystem, version)); hit != want || err != nil {
				t.Errorf("%s, made ready: %s is hit: %v, %v", ecosystem, version, hit, err)
			}
		}
	}
}
