package gate

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// findings are what a report says, as a gate judges it: one for a vulnerability in a package as advisories know it, or, where the
// registry does not tell which that is, in each that it names.
func findings(r scan.Report) []Finding {
	var all []Finding
	for _, f := range r.Findings {
		one := Finding{
			ID: f.ID, Package: f.Source, Severity: f.Severity, Said: f.Said, Title: f.Heading(), URI: f.URI, Exploited: f.Exploited(), EPSS: f.EPSS,
			Held: held(f),
		}
		if r.Platform != "" {
			one.Platforms = []string{r.Platform}
		}
		if f.Source != "" || len(f.Packages) == 0 {
			all = append(all, one.of(f.Packages...))
			continue
		}
		for _, p := range f.Packages {
			all = append(all, one.of(p))
		}
	}
	for _, u := range r.Unlisted {
		one := Finding{Severity: u.Severity, Said: u.Said, Unlisted: u.Count}
		if r.Platform != "" {
			one.Platforms = []string{r.Platform}
		}
		all = append(all, one)
	}
	return all
}

// of is the finding in these packages.
func (f Finding) of(packages ...scan.Package) Finding {
	var names, versions, fixes []string
	f.FromBase = len(packages) > 0
	for _, p := range packages {
		names = append(names, p.Name)
		versions = append(versions, p.Version)
		if p.FixedIn != "" {
			fixes = append(fixes, p.FixedIn)
		}
		f.FromBase = f.FromBase && p.FromBase
		f.Where = cmp.Or(f.Where, p.Path)
	}
	sorted := func(all []string, by func(a, b string) int) []string {
		slices.SortFunc(all, by)
		return slices.Compact(all)
	}
	names = sorted(names, strings.Compare)
	f.Version, f.FixedIn = strings.Join(sorted(versions, scan.CompareVersions), ", "), strings.Join(sorted(fixes, scan.CompareVersions), ", ")
	switch {
	case f.Package != "":
		f.Names = names
	case len(names) > 0:
		f.Package = names[0]
	}
	return f
}

// held is the registry's own exception, in berth.yaml's words.
func held(f scan.Finding) *workspace.Exception {
	e := f.Exception
	if e == nil {
		return nil
	}
	x := &workspace.Exception{ID: f.ID, Owner: e.Owner, Reason: e.Reason}
	if e.Status != "" {
		x.Reason = strings.TrimSuffix(e.Status+": "+e.Reason, ": ")
	}
	if !e.Expires.IsZero() {
		x.Expires = workspace.Date(e.Expires.UTC().Format(time.DateOnly))
	}
	return x
}

// merge makes one list of those of several images: what several have is in it once, at its worst.
func merge(gate workspace.Gate, images [][]Finding) []Finding {
	type key struct {
		id, name, version string
		unlisted          workspace.Severity
	}
	at := map[key]int{}
	var all []Finding
	for _, findings := range images {
		for _, f := range findings {
			k := key{id: f.ID, name: f.Package, version: f.Version}
			if f.Unlisted > 0 {
				k.unlisted = f.Severity
			}
			i, known := at[k]
			if !known {
				at[k] = len(all)
				all = append(all, f)
				continue
			}
			all[i] = worse(gate, all[i], f)
		}
	}
	return all
}

// worse makes one of two findings of the same.
func worse(gate workspace.Gate, a, b Finding) Finding {
	if compare(gate, b, a) < 0 {
		a, b = b, a
	}
	a.Unlisted = max(a.Unlisted, b.Unlisted)
	if b.FixedIn != "" && !slices.Contains(strings.Split(a.FixedIn, ", "), b.FixedIn) {
		a.FixedIn = strings.TrimPrefix(a.FixedIn+", "+b.FixedIn, ", ")
	}
	if b.Held == nil { // one that an exception holds for on one platform alone stops on the others
		a.Held = nil
	}
	a.Document = sooner(a.Document, b.Document)
	a.Exploited, a.EPSS, a.FromBase = a.Exploited || b.Exploited, max(a.EPSS, b.EPSS), a.FromBase && b.FromBase
	a.Names = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Names, b.Names))))
	a.Platforms = slices.Compact(slices.Sorted(slices.Values(slices.Concat(a.Platforms, b.Platforms))))
	return a
}
