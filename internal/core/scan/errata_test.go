package scan_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

var alma = &inventory.OS{ID: "almalinux", VersionID: "8.6", PrettyName: "AlmaLinux 8.6"}

// rpm is an RPM database with packages, as name and version by turns.
func rpm(packages ...string) inventory.File {
	f := inventory.File{Path: "var/lib/rpm/rpmdb.sqlite", Format: "rpm"}
	for i := 0; i < len(packages); i += 2 {
		f.Packages = append(f.Packages, inventory.Package{
			Type: inventory.RPM, Name: packages[i], Version: packages[i+1], Source: packages[i], SourceVersion: packages[i+1], Arch: "x86_64",
		})
	}
	return f
}

// erratum is a distribution's advisory, with a word, about what it mends.
func erratum(id, word, name, fixed string, mends ...string) advisory.Advisory {
	a := below(id, "AlmaLinux", "8", name, fixed, "")
	a.Word, a.Related = word, mends
	return a
}

func vector(t *testing.T, text string) advisory.Vector {
	t.Helper()
	v, ok := advisory.ParseVector(text)
	if !ok {
		t.Fatalf("%s is no vector", text)
	}
	return v
}

// TestErrata: what an erratum mends tells how bad it is and how exploited, whoever comes to speak of that, and whenever.
func TestErrata(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		b := newBench(t, db)
		b.scanning(registry.Enhanced, registry.ScanContinuous)
		b.image("1", b.layer(content{OS: alma, Files: []inventory.File{rpm("web", "1-1.el8", "kernel", "4-1.el8", "libs", "2-1.el8")}}))
		b.work()
		b.advise("AlmaLinux",
			erratum("ALSA-2022:1", "moderate", "web", "2-1.el8", "CVE-2022-0001", "CVE-2022-0002"),
			erratum("ALSA-2022:2", "important", "kernel", "5-1.el8", "CVE-2022-0003"),
			erratum("ALSA-2022:3", "low", "libs", "3-1.el8"))
		finding := func(id string) scan.Finding {
			t.Helper()
			for _, f := range b.report("1", scan.Query{}).Findings {
				if f.Vulnerability == id {
					return f
				}
			}
			t.Fatalf("there is no finding %s", id)
			return scan.Finding{}
		}
		if f := finding("ALSA-2022:1"); f.Severity != advisory.Medium || f.KEV != nil || !slices.Equal(f.Mends, []string{"CVE-2022-0001", "CVE-2022-0002"}) {
			t.Errorf("before anybody speaks of what it mends it is %+v", f)
		}
		b.advise("cvss",
			advisory.Advisory{ID: "CVE-2022-0001", Vectors: []advisory.Vector{vector(t, "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:N/VI:N/VA:L/SC:N/SI:N/SA:N")}},
			advisory.Advisory{ID: "CVE-2022-0002", Vectors: []advisory.Vector{vector(t, "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H")}},
			advisory.Advisory{ID: "CVE-2022-0003", Vectors: []advisory.Vector{vector(t, "CVSS:3.1/AV:L/AC:H/PR:H/UI:R/S:U/C:L/I:N/A:N")}})
		if f := finding("ALSA-2022:1"); f.Severity != advisory.Critical || f.Score != 9.8 {
			t.Errorf("with a critical CVE it is %s, %v", f.Severity, f.Score)
		}
		if f := finding("ALSA-2022:2"); f.Severity != advisory.High {
			t.Errorf("a low CVE makes what its publisher calls important %s", f.Severity)
		}
		b.advise("kev", advisory.Advisory{ID: "CVE-2022-0001", KEV: &advisory.KEV{Added: "2026-01-01"}})
		b.advise("epss", advisory.Advisory{ID: "CVE-2022-0001", EPSS: 0.1, Percentile: 0.5}, advisory.Advisory{ID: "CVE-2022-0002", EPSS: 0.7, Percentile: 0.9})
		r := b.report("1", scan.Query{})
		if f := finding("ALSA-2022:1"); f.KEV == nil || f.EPSS != 0.7 || f.Percentile != 0.9 || r.Counts.Exploited != 1 || r.Findings[0].Vulnerability != "ALSA-2022:1" {
			t.Errorf("of the exploited %d are counted; it is %+v, and first stands %s", r.Counts.Exploited, f, r.Findings[0].Vulnerability)
		}
		hits, _, err := b.service.Hits(t.Context(), root, "CVE-2022-0002", "", 10)
		if err != nil || len(hits) != 1 || hits[0].Packages[0].Name != "web" || hits[0].Severity != advisory.Critical {
			t.Errorf("of a CVE that an erratum mends: %+v, %v", hits, err)
		}
		b.advise("kev")
		if r := b.report("1", scan.Query{}); r.Counts.Exploited != 0 {
			t.Errorf("what is retracted counts: %+v", r.Counts)
		}
	})
}

// sampleDir finds the directory with real advisories beside the checkout.
func sampleDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "shared", "advisories")
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	t.Skip("the sample of advisories is not beside the checkout")
	return ""
}

// TestErrataOfTheSample: an erratum of the sample that mends what CISA lists.
func TestErrataOfTheSample(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	b := newBench(t, db)
	b.scanning(registry.Enhanced, registry.ScanContinuous)
	b.image("1", b.layer(content{OS: &inventory.OS{ID: "almalinux", VersionID: "9.0"}, Files: []inventory.File{rpm("webkit2gtk3", "2.36.6-1.el9")}}))
	b.work()
	origin := advisory.Dir{FS: os.DirFS(sampleDir(t)), Name: "sample", Ecosystems: []string{"AlmaLinux"}}
	if _, err := advisory.Import(t.Context(), db.Advisories(), origin, advisory.Options{Now: b.clock}); err != nil {
		t.Fatal(err)
	}
	b.judge()
	r := b.report("1", scan.Query{Limit: scan.MaxFindings})
	i := slices.IndexFunc(r.Findings, func(f scan.Finding) bool { return f.Vulnerability == "ALSA-2022:6634" })
	if i < 0 || r.Findings[i].KEV == nil || !slices.Contains(r.Findings[i].Mends, "CVE-2022-32893") || r.Counts.Exploited == 0 {
		t.Fatalf("at %d of %d; %+v", i, len(r.Findings), r.Counts)
	}
	hits, _, err := b.service.Hits(t.Context(), root, "CVE-2022-32893", "", 10)
	if err != nil || len(hits) != 1 {
		t.Errorf("%+v, %v", hits, err)
	}
}

// TestAnErratumIsExceptedWhole: by its own name, or by all that it mends.
func TestAnErratumIsExceptedWhole(t *testing.T) {
	t.Parallel()
	f := scan.Finding{Vulnerability: "ALSA-1", Mends: []string{"CVE-2022-0001", "CVE-2022-0002"}}
	for _, tt := range []struct {
		names []string
		want  bool
	}{
		{[]string{"ALSA-1"}, true}, {[]string{"CVE-2022-0001"}, false}, {[]string{"CVE-2022-0002", "CVE-2022-0001"}, true}, {[]string{"CVE-2022-0003"}, false},
	} {
		now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		e := scan.Exception{Vulnerability: tt.names[0], Aliases: tt.names[1:], Status: "not_affected", ExpiresAt: now.AddDate(1, 0, 0)}
		if got := scan.Cover([]scan.Exception{e}, f, now) != nil; got != tt.want {
			t.Errorf("%v: %v, want %v", tt.names, got, tt.want)
		}
	}
}
