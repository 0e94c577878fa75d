package scan_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

const (
	criticalVector = "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" // 9.8
	mediumVector   = "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N" // 6.1
)

// packageJSON is a file of an npm package.
func packageJSON(name, version string) inventory.File {
	return inventory.File{Path: "app/node_modules/" + name + "/package.json", Format: "node", Packages: []inventory.Package{
		{Type: inventory.NPM, Name: name, Version: version, Source: name, SourceVersion: version},
	}}
}

func TestReport(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.advise("Debian",
			below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", mediumVector, "CVE-2026-0001"),
			below("DEBIAN-CVE-2026-0002", "Debian", "12", "openssl", "", criticalVector, "CVE-2026-0002"),
			below("DEBIAN-CVE-2026-0003", "Debian", "11", "curl", "9", criticalVector, "CVE-2026-0003"), // another release
			below("DEBIAN-CVE-2026-0004", "Debian", "12", "curl", "8.0", "", "CVE-2026-0004"),
		)
		base := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1", "curl", "7.88.1-10+deb12u1")}})
		b.image("base", base)
		b.image("one", base, b.layer(content{Files: []inventory.File{packageJSON("left-pad", "1.0.0")}}))
		if r := b.report("one", scan.Query{}); r.Status.Status != registry.ScanPending || r.Read || len(r.Findings) > 0 {
			t.Errorf("before the scan: %+v", r)
		}
		b.work()
		opens := b.opens
		r := b.report("one", scan.Query{OfKind: true})
		var got []string
		for _, f := range r.Findings {
			p := f.Packages[0]
			got = append(got, fmt.Sprint(f.Vulnerability, f.Severity, f.Score, p.Name, p.Version, p.Fixed, f.Fixable, p.Instruction, p.FromBase, p.LayerDigest == base.Digest))
		}
		want := []string{
			fmt.Sprint("CVE-2026-0001", "MEDIUM", 6.1, "openssl", "3.0.1", "3.0.2", "YES", "RUN step 1", true, true),
			fmt.Sprint("CVE-2026-0004", "UNDEFINED", 0.0, "curl", "7.88.1-10+deb12u1", "8.0", "YES", "RUN step 1", true, true),
			fmt.Sprint("CVE-2026-0002", "CRITICAL", 9.8, "openssl", "3.0.1", "", "NO", "RUN step 1", true, true),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
		counts := scan.Counts{
			System:  scan.Count{advisory.Critical: 1, advisory.Medium: 1, advisory.Undefined: 1},
			All:     scan.Count{advisory.Critical: 1, advisory.Medium: 1, advisory.Undefined: 1},
			Fixable: 2,
		}
		if diff := cmp.Diff(counts, r.Counts); diff != "" || r.Status.Status != registry.ScanComplete || len(r.Missing) > 0 || len(r.Sources) != 1 {
			t.Errorf("the report is %s, misses %v; counts (-want +got):\n%s", r.Status.Status, r.Missing, diff)
		}
		if r.Base == nil || r.Base.Layers != 1 || r.Base.Tags[0] != "base" {
			t.Errorf("the base is %+v", r.Base)
		}
		images, err := b.registry.Images(t.Context(), root, repo, registry.ImageFilter{}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		sums, err := b.service.Summaries(t.Context(), root, repo, images.Items)
		if err != nil || len(sums) != 2 {
			t.Fatalf("Summaries: %+v, %v", sums, err)
		}
		for _, s := range sums {
			if diff := cmp.Diff(counts, s.Counts); diff != "" || s.Status.Status != registry.ScanComplete || s.Updated.IsZero() {
				t.Errorf("a summary is %+v (-want +got):\n%s", s, diff)
			}
		}
		c, err := b.service.Contents(t.Context(), root, repo, registry.ImageID{Tag: "one"})
		if err != nil || len(c.Inventory.Packages) != 3 || c.Inventory.OS != *debian || len(c.Layers) != 2 || c.Layers[1].Instruction != "RUN step 2" || c.Revision != 1 {
			t.Errorf("Contents: %+v, %v", c, err)
		}
		if b.opens != opens {
			t.Error("telling of an image read a blob")
		}
	})
}

func TestPagesOfFindings(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		var all []advisory.Advisory
		for i := range 57 {
			all = append(all, below(fmt.Sprintf("DEBIAN-CVE-2026-%d", 1000+i), "Debian", "12", "openssl", []string{"", "4"}[i%2], []string{criticalVector, mediumVector, ""}[i%3]))
		}
		b.advise("Debian", all...)
		b.image("one", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}}))
		b.work()
		whole := b.report("one", scan.Query{})
		if len(whole.Findings) != 57 || whole.Next != "" {
			t.Fatalf("%d findings, next %q", len(whole.Findings), whole.Next)
		}
		var paged []scan.Finding
		for q := (scan.Query{Limit: 10}); ; {
			r := b.report("one", q)
			paged = append(paged, r.Findings...)
			if q.After = r.Next; q.After == "" {
				break
			}
			if len(q.After) > 500 || len(r.Findings) != 10 {
				t.Errorf("a page of %d findings, token of %d bytes", len(r.Findings), len(q.After))
			}
		}
		if diff := cmp.Diff(whole.Findings, paged); diff != "" {
			t.Errorf("pages differ from the whole (-whole +pages):\n%s", diff)
		}
		for _, token := range []string{"x", "bm8", strings.Repeat("A", 1<<20), "eyJzIjowLCJ2IjoiIiwicCI6IiJ9eA"} {
			_, err := b.service.Report(t.Context(), root, repo, registry.ImageID{Tag: "one"}, scan.Query{After: token})
			if !errors.Is(err, fault.PageTokenInvalid) {
				t.Errorf("the token %.20q: %v", token, err)
			}
		}
	})
}

func TestStatuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		alien := &inventory.OS{ID: "plan9", VersionID: "4"}
		b.image("debian", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1"), packageJSON("left-pad", "1.0.0")}}))
		b.image("alien", b.layer(content{OS: alien, Files: []inventory.File{packageJSON("left-pad", "1.0.0")}}))
		b.image("empty")
		b.image("bomb", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}, Problem: "more than 20 GiB"}))
		b.scanning(registry.Enhanced, registry.ScanContinuous)
		for more := true; more; {
			var err error
			if more, err = b.service.RequestOnce(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		b.work()
		want := func(kind registry.ScanKind, tag string, status registry.ScanStatus, words string) {
			t.Helper()
			b.scanning(kind, map[registry.ScanKind]registry.ScanFrequency{registry.Basic: registry.ScanOnPush, registry.Enhanced: registry.ScanContinuous}[kind])
			r := b.report(tag, scan.Query{OfKind: true})
			if r.Status.Status != status || !strings.Contains(r.Status.Description, words) {
				t.Errorf("%s, %s: %s %q, want %s and words about %q", kind, tag, r.Status.Status, r.Status.Description, status, words)
			}
		}
		want(registry.Basic, "debian", registry.ScanFailed, "No advisories of Debian have been imported")
		want(registry.Enhanced, "debian", registry.ScanFailed, "No advisories of Debian, npm have been imported")
		want(registry.Basic, "alien", registry.ScanUnsupported, "plan9 4")
		want(registry.Basic, "empty", registry.ScanUnsupported, "has none")
		want(registry.Enhanced, "empty", registry.ScanUnsupported, "Nothing that is known")
		b.advise("Debian", below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", "", "CVE-2026-0001"))
		want(registry.Basic, "debian", registry.ScanComplete, "successfully")
		want(registry.Enhanced, "debian", registry.ScanActive, "No advisories of npm have been imported")
		want(registry.Enhanced, "alien", registry.ScanFailed, "npm")
		want(registry.Basic, "bomb", registry.ScanFailed, "20 GiB")
		b.wait(15 * 24 * time.Hour)
		want(registry.Basic, "debian", registry.ScanComplete, "15 days old")
		if _, err := b.registry.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Tag: "debian"}}, registry.Archive); err != nil {
			t.Fatal(err)
		}
		want(registry.Basic, "debian", registry.ScanArchived, "archived")
	})
}

// TestHitsAndExposure looks for the images that have a vulnerability, and asks before a pull.
func TestHitsAndExposure(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.advise("Debian", below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", criticalVector, "CVE-2026-0001"))
		base := b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}})
		for i := range 5 {
			b.image(fmt.Sprint("has", i), base, b.layer(content{Seed: fmt.Sprint(i)}))
		}
		good := b.image("good", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.2")}}))
		b.work()
		for _, name := range []string{"CVE-2026-0001", "DEBIAN-CVE-2026-0001"} {
			var tags []string
			for after := ""; ; {
				hits, next, err := b.service.Hits(t.Context(), root, name, after, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range hits {
					tags = append(tags, h.Tags...)
					if h.Severity != advisory.Critical || len(h.Packages) != 1 || h.Packages[0].Fixed != "3.0.2" || h.Repository != repo {
						t.Errorf("a hit is %+v", h)
					}
				}
				if after = next; after == "" {
					break
				}
			}
			if diff := cmp.Diff([]string{"has0", "has1", "has2", "has3", "has4"}, tags); diff != "" {
				t.Errorf("images that have %s (-want +got):\n%s", name, diff)
			}
		}
		nobody := root
		nobody.Root, nobody.ARN = false, "arn:aws:iam::123456789012:user/nobody"
		if hits, _, err := b.service.Hits(t.Context(), nobody, "CVE-2026-0001", "", 10); err != nil || len(hits) > 0 {
			t.Errorf("somebody who may see nothing sees %v, %v", hits, err)
		}
		repository, err := b.db.Read().Repository(t.Context(), repo)
		if err != nil {
			t.Fatal(err)
		}
		bad := b.report("has0", scan.Query{}).Image
		for _, tt := range []struct {
			img  registry.Image
			want registry.Exposure
		}{
			{bad, registry.Exposure{Worst: "CRITICAL", Findings: 1}},
			{good, registry.Exposure{}},
			{b.image("new", base), registry.Exposure{Unscanned: "its scan has not ended"}},
		} {
			got, err := b.service.Exposure(t.Context(), repository, tt.img)
			if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
				t.Errorf("%v: %v (-want +got):\n%s", tt.img.Tags, err, diff)
			}
		}
	})
}

// TestCompleteIsNotSaidTooSoon: an image that was there when advisories were imported for the first time, and one of a release that none
// speak of, have no findings, and are not complete.
func TestCompleteIsNotSaidTooSoon(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.image("twelve", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1")}}))
		b.image("new", b.layer(content{OS: &inventory.OS{ID: "debian", VersionID: "99"}, Files: []inventory.File{dpkg("openssl", "3.0.1"), packageJSON("left-pad", "1.0.0")}}))
		b.work()
		want := func(tag string, status registry.ScanStatus, words string, findings int, missing ...string) {
			t.Helper()
			r := b.report(tag, scan.Query{})
			if r.Status.Status != status || !strings.Contains(r.Status.Description, words) || len(r.Findings) != findings || strings.Join(r.Missing, " ") != strings.Join(missing, " ") {
				t.Errorf("%s: %s %q, %d findings, misses %v", tag, r.Status.Status, r.Status.Description, len(r.Findings), r.Missing)
			}
			sums, err := b.service.Summaries(t.Context(), root, repo, []registry.Image{r.Image})
			if err != nil || sums[r.Image.ID].Status != r.Status {
				t.Errorf("%s: a summary says %+v, %v; the report %+v", tag, sums[r.Image.ID].Status, err, r.Status)
			}
		}
		all := feed{"Debian", []advisory.Advisory{below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", criticalVector, "CVE-2026-0001")}, b.clock()}
		if _, err := advisory.Import(t.Context(), b.db.Advisories(), all, advisory.Options{Now: b.clock}); err != nil {
			t.Fatal(err)
		}
		want("twelve", registry.ScanInProgress, "no image is judged by them yet", 0, "Debian")
		b.judge()
		want("twelve", registry.ScanComplete, "successfully", 1)
		want("new", registry.ScanFailed, "No advisories of Debian:99 have been imported", 0, "Debian:99", "npm")
		b.advise("Debian", all.advisories[0], below("DEBIAN-CVE-2026-0002", "Debian", "99", "curl", "9", criticalVector, "CVE-2026-0002"))
		want("new", registry.ScanComplete, "successfully", 0, "npm")
	})
}

// TestCompleteIsWhatWasReadLast: the scans of both kinds share what was read, so that one which has read less is no longer complete by
// the other; and what could not be compared is said.
func TestCompleteIsWhatWasReadLast(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.advise("Debian", below("DEBIAN-CVE-2026-0001", "Debian", "12", "openssl", "3.0.2", criticalVector, "CVE-2026-0001"))
		img := b.image("one", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "no_version")}}))
		b.work()
		want := func(status registry.ScanStatus, words string) {
			t.Helper()
			r := b.report("one", scan.Query{})
			sums, err := b.service.Summaries(t.Context(), root, repo, []registry.Image{img})
			if err != nil || sums[img.ID].Status != r.Status || r.Status.Status != status || !strings.Contains(r.Status.Description, words) {
				t.Errorf("%+v, a summary %+v, %v; want %s and %q", r.Status, sums[img.ID].Status, err, status, words)
			}
		}
		want(registry.ScanComplete, "The versions of 1 packages could not be compared")
		other := scan.NewJudge(scan.JudgeConfig{Store: b.db.Judging(), Now: b.clock})
		if err := other.Save(t.Context(), scan.Saved{ImageID: img.ID, Image: inventory.Image{OS: *debian}, Problem: "layer 1: its bytes are lost"}); err != nil {
			t.Fatal(err)
		}
		want(registry.ScanFailed, "not read as a whole: layer 1")
	})
}
