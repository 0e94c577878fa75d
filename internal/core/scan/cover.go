package scan

import (
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/vex"
)

// Holds tells whether the exception holds at a time.
func (e Exception) Holds(at time.Time) bool { return at.Before(e.ExpiresAt) }

// Cover gives the exception by which a finding stops nothing at a time, or nil. The exceptions are those of the image and its
// repository, in any order, expired ones among them. A finding is about all packages that it names: one that an exception does not
// cover keeps it open. Where several exceptions cover it together, it is the one that expires first; of several for one package the
// one that expires last counts.
func Cover(exceptions []Exception, f Finding, at time.Time) *Exception {
	var holding []Exception
	for _, e := range exceptions {
		if e.Holds(at) && vex.Status(e.Status).Excepts() && e.names(f) {
			holding = append(holding, e)
		}
	}
	if len(holding) == 0 {
		return nil
	}
	packages := f.Packages
	if len(packages) == 0 {
		packages = make([]Affected, 1) // then the source's name is all that is known
	}
	var first *Exception
	for _, a := range packages {
		var last *Exception
		for i := range holding {
			if e := &holding[i]; e.covers(f, a) && (last == nil || e.ExpiresAt.After(last.ExpiresAt)) {
				last = e
			}
		}
		if last == nil {
			return nil
		}
		if first == nil || last.ExpiresAt.Before(first.ExpiresAt) {
			first = last
		}
	}
	return new(*first)
}

// names tells whether the exception is about the finding's vulnerability, under any of its names.
func (e Exception) names(f Finding) bool {
	all := append([]string{e.Vulnerability}, e.Aliases...)
	// Whoever speaks of all that an erratum mends speaks of the erratum, and whoever speaks of some does not.
	if len(f.Mends) > 0 && !slices.ContainsFunc(f.Mends, func(cve string) bool {
		return !slices.ContainsFunc(all, func(own string) bool { return vex.SameVulnerability(own, cve) })
	}) {
		return true
	}
	return slices.ContainsFunc(all, func(own string) bool {
		return vex.SameVulnerability(own, f.Vulnerability) ||
			slices.ContainsFunc(f.Advisories, func(id string) bool { return vex.SameVulnerability(own, id) })
	})
}

// covers tells whether the exception is about an installed package. Its version may be the package's own or its source's.
func (e Exception) covers(f Finding, a Affected) bool {
	own := vex.Package{Type: e.PackageType, Name: e.Package, Version: e.Version}
	return own.Covers(vex.Package{Type: string(a.Type), Name: a.Name, Version: a.Version}, f.Source) ||
		e.Version != "" && own.Covers(vex.Package{Type: string(a.Type), Name: a.Name, Version: a.SourceVersion}, f.Source)
}
