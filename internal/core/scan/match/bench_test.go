package match_test

import (
	"cmp"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// sample finds the directory with real advisories beside the checkout.
func sample(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		tb.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		found := filepath.Join(dir, "shared", "advisories")
		if _, err := os.Stat(found); err == nil {
			return found
		}
	}
	tb.Skip("the sample of advisories is not beside the checkout")
	return ""
}

// said gives the entries of the sample, of some ecosystems or all, and versions of packages that they speak of.
func said(tb testing.TB, ecosystems ...string) (entries []match.Entry, packages []match.Package) {
	tb.Helper()
	id := int64(0)
	err := advisory.Dir{FS: os.DirFS(sample(tb)), Name: "sample", Ecosystems: ecosystems}.Read(tb.Context(), nil, func(feed advisory.Feed) error {
		for a, err := range feed.Entries {
			if err != nil {
				continue // counted where they are imported
			}
			id++
			body, err := advisory.Encode(a)
			if err != nil {
				return err
			}
			for _, f := range a.Affected {
				affected, err := json.Marshal(f)
				if err != nil {
					return err
				}
				n := match.Name{Ecosystem: f.Ecosystem, Source: f.Name}
				entries = append(entries, match.Entry{
					Name: n, Release: f.Release, Advisory: id, Affected: affected, Counts: true, Vulnerability: a.Vulnerability(), Body: body,
				})
				for _, r := range f.Ranges {
					for _, e := range r.Events {
						if v := cmp.Or(e.Fixed, e.LastAffected, e.Introduced); v != "0" && v != "" {
							packages = append(packages, match.Package{Name: n, Release: f.Release, Version: v}, match.Package{Name: n, Release: f.Release, Version: v + ".1"})
						}
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	slices.SortStableFunc(entries, func(a, b match.Entry) int { return a.Compare(b.Name) })
	order := func(a, b match.Package) int {
		return cmp.Or(a.Compare(b.Name), cmp.Compare(a.Release, b.Release), cmp.Compare(a.Version, b.Version))
	}
	slices.SortFunc(packages, order)
	packages = slices.CompactFunc(packages, func(a, b match.Package) bool { return order(a, b) == 0 })
	for i := range packages {
		packages[i].ID = int64(i + 1)
	}
	return entries, packages
}

func each[T any](all []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for _, v := range all {
			if !yield(v, nil) {
				return
			}
		}
	}
}

// BenchmarkMatch matches versions of packages with the real sample. Of three one is of a name that advisories speak of, and a version
// next to one that they name, as in a fleet (docs/design/scanning.md).
func BenchmarkMatch(b *testing.B) {
	entries, spoken := said(b)
	var packages []match.Package
	for _, p := range spoken {
		packages = append(packages, p)
		for range 2 {
			p.Source += "~"
			packages = append(packages, p)
		}
	}
	slices.SortStableFunc(packages, func(a, b match.Package) int { return a.Compare(b.Name) })
	hits := 0
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		hits = 0
		err := match.Join(each(packages), each(entries), 20000, func(_ match.Package, packed []byte) error {
			if len(packed) > 0 {
				hits++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		b.Fatal(err)
	}
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(float64(len(packages)*b.N)/cpu.Seconds(), "packages/cpu-s") // the machine may be shared
	b.ReportMetric(float64(len(packages)*b.N)/b.Elapsed().Seconds(), "packages/s")
	b.ReportMetric(float64(len(packages)), "packages")
	b.ReportMetric(float64(hits), "hit")
}

// TestJoin compares the merge with asking each advisory about each package of the same name, on a part of the sample.
func TestJoin(t *testing.T) {
	t.Parallel()
	entries, packages := said(t, "npm", "Debian")
	by := map[match.Name][]match.Entry{}
	for _, e := range entries {
		by[e.Name] = append(by[e.Name], e)
	}
	n := 0
	err := match.Join(each(packages), each(entries), 20000, func(p match.Package, packed []byte) error {
		if n++; n%97 != 0 {
			return nil
		}
		want := map[int64]bool{}
		for _, e := range by[p.Name] {
			var f advisory.Affected
			a, err := advisory.Decode(e.Body)
			if err := cmp.Or(err, json.Unmarshal(e.Affected, &f)); err != nil {
				return err
			}
			if e.Release != "" && e.Release != p.Release || a.Withdrawn {
				continue
			}
			if hit, _ := f.Covers(p.Ecosystem, p.Version); hit {
				want[e.Advisory] = f.FixedFor(p.Ecosystem, p.Version) != "" || want[e.Advisory]
			}
		}
		got, err := match.Unpack(packed)
		if err != nil {
			return err
		}
		for _, h := range got.Hits {
			if fixable, hit := want[h.Advisory]; !hit || fixable != h.Fixable || h.Day != 20000 {
				t.Errorf("%+v has %+v; want hit %v, fixable %v", p, h, hit, fixable)
			}
		}
		if len(got.Hits) != len(want) {
			t.Errorf("%+v has %d hits, want %d", p, len(got.Hits), len(want))
		}
		return nil
	})
	if err != nil || n != len(packages) {
		t.Errorf("matched %d of %d: %v", n, len(packages), err)
	}
}
