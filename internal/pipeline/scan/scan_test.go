package scan_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func pkg(name, version, fixed string) scan.Package {
	return scan.Package{Type: "deb", Name: name, Version: version, FixedIn: fixed}
}

func based(p scan.Package) scan.Package {
	p.FromBase = true
	return p
}

func TestSort(t *testing.T) {
	t.Parallel()
	all := []scan.Finding{
		{ID: "excepted", Severity: workspace.Critical, KEV: &scan.KEV{}, Exception: &scan.Exception{}},
		{ID: "unrated", Severity: scan.Unrated},
		{ID: "critical", Severity: workspace.Critical},
		{ID: "b", Severity: workspace.High, Packages: []scan.Package{pkg("x", "1", "2")}, EPSS: 0.1},
		{ID: "a", Severity: workspace.High, Packages: []scan.Package{pkg("x", "1", "2")}, EPSS: 0.1},
		{ID: "likely", Severity: workspace.High, Packages: []scan.Package{pkg("x", "1", "2")}, EPSS: 0.9},
		{ID: "exploited", Severity: workspace.Low, KEV: &scan.KEV{}},
		{ID: "exploit there", Severity: workspace.Informational, Exploit: true},
	}
	want := []string{"exploited", "exploit there", "likely", "a", "b", "critical", "unrated", "excepted"}
	for range 5 {
		slices.Reverse(all)
		scan.Sort(all)
		var got []string
		for _, f := range all {
			got = append(got, f.ID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("order (-want +got):\n%s", diff)
		}
	}
}

func TestFilter(t *testing.T) {
	t.Parallel()
	report := scan.Report{Fixes: true, Places: true, Findings: []scan.Finding{
		{ID: "fixed", Packages: []scan.Package{pkg("a", "1", "2"), based(pkg("b", "1", ""))}},
		{ID: "base", Packages: []scan.Package{based(pkg("a", "1", "2"))}},
		{ID: "none", Packages: []scan.Package{pkg("c", "1", "")}},
	}}
	for _, c := range []struct {
		filter scan.Filter
		want   []string
	}{
		{scan.Filter{}, []string{"fixed a b", "base a", "none c"}},
		{scan.Filter{OnlyFixable: true}, []string{"fixed a", "base a"}},
		{scan.Filter{IgnoreBase: true}, []string{"fixed a", "none c"}},
		{scan.Filter{OnlyFixable: true, IgnoreBase: true}, []string{"fixed a"}},
	} {
		kept, err := c.filter.Keep(report)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range kept.Findings {
			text := f.ID
			for _, p := range f.Packages {
				text += " " + p.Name
			}
			got = append(got, text)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%+v (-want +got):\n%s", c.filter, diff)
		}
	}
	if n := len(report.Findings[0].Packages); n != 2 {
		t.Errorf("filtering changed what was filtered: %d packages", n)
	}

	// What is not told is not gone by.
	untold := scan.Report{Findings: report.Findings}
	for filter, want := range map[scan.Filter]error{{OnlyFixable: true}: scan.ErrNoFixes, {IgnoreBase: true}: scan.ErrNoPlaces} {
		if _, err := filter.Keep(untold); !errors.Is(err, want) {
			t.Errorf("%+v: %v, want %v", filter, err, want)
		}
		if _, err := filter.Keep(scan.Report{}); err != nil {
			t.Errorf("%+v of nothing: %v", filter, err)
		}
	}
}

func TestUpgrades(t *testing.T) {
	t.Parallel()
	of := func(id string, severity workspace.Severity, packages ...scan.Package) scan.Finding {
		return scan.Finding{ID: id, Severity: severity, Ecosystem: "Debian:12", Source: "openssl", Packages: packages}
	}
	first := scan.Report{Findings: []scan.Finding{
		of("1", workspace.Low, pkg("libssl3", "3.0.9", "3.0.10"), pkg("openssl", "3.0.9", "3.0.10")),
		of("2", workspace.Critical, pkg("libssl3", "3.0.9", "3.0.9-2")),
		of("no fix of one", workspace.Critical, pkg("libssl3", "3.0.9", "3.0.99"), pkg("openssl", "3.0.9", "")),
		{ID: "3", Severity: workspace.High, Ecosystem: "npm", Source: "lodash", KEV: &scan.KEV{}, Packages: []scan.Package{based(pkg("lodash", "4.17.1", "4.17.21"))}},
		{ID: "4", Severity: workspace.High, Ecosystem: "npm", Source: "lodash", Exception: &scan.Exception{}, Packages: []scan.Package{pkg("lodash", "4.17.1", "4.18")}},
	}}
	second := scan.Report{Findings: []scan.Finding{of("1", workspace.Low, pkg("libssl3", "3.0.8", "3.0.10"))}}
	want := []scan.Upgrade{
		{
			Package: "openssl", Ecosystem: "Debian:12", From: []string{"3.0.8", "3.0.9"}, To: "3.0.10", Findings: 2,
			Counts: map[workspace.Severity]int{workspace.Low: 1, workspace.Critical: 1}, Images: 2,
		},
		{
			Package: "lodash", Ecosystem: "npm", From: []string{"4.17.1"}, To: "4.17.21", Findings: 1, Counts: map[workspace.Severity]int{workspace.High: 1},
			Exploited: 1, Images: 1, FromBase: true,
		},
	}
	if diff := cmp.Diff(want, scan.Upgrades(first, second)); diff != "" {
		t.Errorf("upgrades (-want +got):\n%s", diff)
	}
}

func TestCompareVersions(t *testing.T) {
	t.Parallel()
	rising := []string{
		"0.1~rc1", "0.1", "0.1-1", "0.1-1+b1", "0.1.1", "0.9", "0.10", "1.0~~", "1.0~", "1.0", "1.0a", "1.0+dfsg", "v1.2.3", "1:0.1", "2:0",
	}
	for i, a := range rising {
		for j, b := range rising {
			got, want := scan.CompareVersions(a, b), 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if a[0] == 'v' || b[0] == 'v' {
				continue // orders among its like alone
			}
			if got != want {
				t.Errorf("CompareVersions(%q, %q) is %d, want %d", a, b, got, want)
			}
		}
	}
	if scan.CompareVersions("1.00", "1.0") != 0 || scan.CompareVersions("0:1", "1") != 0 {
		t.Error("zeros in front make a difference")
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1.0~rc1", "1:1.0-2")
	f.Add("\xff", "~")
	f.Fuzz(func(t *testing.T, a, b string) {
		if x, y := scan.CompareVersions(a, b), scan.CompareVersions(b, a); x != -y {
			t.Errorf("%q and %q: %d, the other way round %d", a, b, x, y)
		}
		if scan.CompareVersions(a, a) != 0 {
			t.Errorf("%q is not what it is", a)
		}
	})
}

func TestPagesOfBothKinds(t *testing.T) {
	t.Parallel()
	var basic scan.Pages
	basic.Add(&types.ImageScanFindings{
		ImageScanCompletedAt: aws.Time(time.Unix(1795600000, 0).UTC()), FindingSeverityCounts: map[string]int32{"HIGH": 3},
		Findings: []types.ImageScanFinding{{
			Name: aws.String("CVE-1"), Severity: "UNDEFINED", Attributes: []types.Attribute{
				{Key: aws.String("package_name"), Value: aws.String("zlib1g")},
				{Key: aws.String("CVSS3_SCORE"), Value: aws.String("7.5")},
				{Key: aws.String("berth:exception"), Value: aws.String("web@example.com: not reached")},
			},
		}},
	})
	got := basic.Report()
	f := got.Findings[0]
	if f.Severity != workspace.High || f.Exception == nil || !strings.Contains(f.Exception.Reason, "not reached") || got.Fixes || got.Places {
		t.Errorf("a finding of basic scanning is %+v of %+v", f, got)
	}
	if len(got.Unlisted) != 1 || got.Unlisted[0].Count != 3 || got.Counts()[workspace.High] != 3 {
		t.Errorf("what is counted and not listed: %+v, %v", got.Unlisted, got.Counts())
	}

	var enhanced scan.Pages
	enhanced.Add(&types.ImageScanFindings{EnhancedFindings: []types.EnhancedImageScanFinding{
		{Status: aws.String("CLOSED"), Title: aws.String("gone")},
		{
			Severity: aws.String("CRITICAL"), ExploitAvailable: aws.String("YES"), Status: aws.String("SUPPRESSED"),
			PackageVulnerabilityDetails: &types.PackageVulnerabilityDetails{
				VulnerabilityId: aws.String("CVE-2"), RelatedVulnerabilities: []string{"GHSA-x"}, VulnerablePackages: []types.VulnerablePackage{
					{Name: aws.String("a"), Version: aws.String("1"), FixedInVersion: aws.String("NotAvailable"), SourceLayerHash: aws.String("sha256:ab")},
				},
			},
		},
	}})
	got = enhanced.Report()
	if len(got.Findings) != 1 || !got.Fixes {
		t.Fatalf("enhanced findings: %+v", got)
	}
	if f := got.Findings[0]; f.Fixable() || !f.Exploited() || f.Exception != nil || !f.Is("ghsa-X") || f.Packages[0].LayerDigest != "sha256:ab" {
		t.Errorf("an enhanced finding is %+v", f)
	}
}

func TestDoubtsAndAges(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	source := func(name string, age time.Duration) scan.Source {
		return scan.Source{Name: name, ImportedAt: now.Add(-age)}
	}
	asked := source("npm", 100*time.Hour)
	asked.CheckedAt = now.Add(-10 * time.Minute)
	reports := []scan.Report{
		{Sources: []scan.Source{source("Debian", 73*time.Hour), asked, {Name: "odd"}}, Missing: []string{"Maven"}, Unevaluated: 2},
		{Platform: "linux/arm64", Sources: []scan.Source{source("Debian", 73*time.Hour), source("Go", 25*time.Hour)}, Missing: []string{"Maven"}, Problems: []string{"a layer\x1b is too large"}},
	}
	if got, want := scan.Ages(now, reports...), "Debian 3 days old, Go 25 h old, npm 10 min old, odd of unknown age"; got != want {
		t.Errorf("Ages: %q, want %q", got, want)
	}
	want := []string{
		"the advisories of Debian are 3 days old: what became known since is not found",
		`not all of linux/arm64 was read: "a layer\x1b is too large"`,
		"there are packages of Maven, and the registry has no advisories about those",
		"the versions of 2 packages cannot be compared with what advisories say",
	}
	if diff := cmp.Diff(want, scan.Doubts(now, reports...)); diff != "" {
		t.Errorf("Doubts (-want +got):\n%s", diff)
	}
}

// TestHeadingOfAnErratum: it names what it mends.
func TestHeadingOfAnErratum(t *testing.T) {
	t.Parallel()
	f := scan.Finding{ID: "ALSA-1", Title: "Important: x", Mends: []string{"CVE-1", "CVE-2", "CVE-3", "CVE-4", "CVE-5"}}
	if got, want := f.Heading(), "CVE-1, CVE-2, CVE-3 and 2 more: Important: x"; got != want || !f.Is("cve-4") || f.Is("CVE-6") {
		t.Errorf("%q, want %q", got, want)
	}
}
