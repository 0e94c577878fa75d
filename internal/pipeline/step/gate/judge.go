package gate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Unrated is the severity of a finding that nobody has rated. What it counts as is the gate's to say.
const Unrated = scan.Unrated

// Severities are those that findings have, worst first, with Unrated at the end.
func Severities() []workspace.Severity { return scan.Severities() }

// Finding is a known vulnerability of a package in the image.
type Finding struct {
	ID        string   // such as CVE-2026-12345; empty of those that are not listed
	Package   string   // as advisories know it, or as it is installed where that is not said; empty where neither is
	Names     []string // as it is installed, where Package is as advisories know it
	Version   string   // that is installed, or those that are
	FixedIn   string   // empty where nobody has fixed it, or it is not said
	Severity  workspace.Severity
	Said      string // the registry's word for the severity
	Title     string
	URI       string
	Platforms []string // of an index, those whose images have it, in order
	Unlisted  int      // how many the registry counts and does not list; 0 of a finding that is listed
	Where     string   // a file that says that the package is there; empty where it is not said
	Exploited bool     // it is known to be, or how to do that is
	EPSS      float64
	FromBase  bool                 // the base image brings all of it
	Held      *workspace.Exception // that the registry holds to; its day is empty where it has none
	Document  *workspace.Exception // what an OpenVEX document of the workspace says, expired or not

	// What Judge adds.

	Stops    bool
	Excepted *workspace.Exception // the exception that holds for it: berth.yaml's, Document or Held
	Expired  *workspace.Exception // the one that did until it expired, where none holds
}

// count is for how many it stands.
func (f Finding) count() int { return max(1, f.Unlisted) }

// String names it in a sentence.
func (f Finding) String() string {
	if f.Unlisted > 0 {
		return fmt.Sprintf("%d of severity %s that the registry counts and does not list", f.Unlisted, f.Severity)
	}
	text := printable(f.ID) + " (" + string(f.Severity)
	if f.Package != "" {
		text += " in " + printable(f.Package)
	}
	if f.FixedIn != "" {
		text += ", fixed in " + printable(f.FixedIn)
	}
	return text + ")"
}

// Judgment is what a gate says to findings.
type Judgment struct {
	Findings []Finding // worst first
	Counts   map[workspace.Severity]int
	Stopping int                   // how many stop the image
	Expiring []workspace.Exception // that hold for a finding, and expire within a week
	Expired  []workspace.Exception // that would hold for a finding that stops
	Matched  []int                 // which of the gate's exceptions are for any of the findings, expired or not
}

// soon is how long before its expiry an exception is spoken of.
const soon = 7 * 24 * time.Hour

// Judge decides which findings stop an app's image on a day. It neither asks nor changes anything.
func Judge(gate workspace.Gate, app string, today time.Time, findings []Finding) Judgment {
	day, week := workspace.Date(today.UTC().Format(time.DateOnly)), workspace.Date(today.UTC().Add(soon).Format(time.DateOnly))
	j := Judgment{Findings: slices.Clone(findings), Counts: count(findings)}
	matched := map[int]bool{}
	var spoken []workspace.Exception
	for i := range j.Findings {
		f := &j.Findings[i]
		f.Stops, f.Excepted, f.Expired = reaches(gate, f.Severity), nil, nil
		best := f.Document
		for n, e := range gate.Exceptions {
			if isFor(e, app, *f) {
				matched[n] = true
				if best == nil || better(e, *best) {
					best = &e
				}
			}
		}
		if f.Held != nil {
			f.Excepted, f.Stops = f.Held, false
			continue
		}
		switch {
		case best == nil:
		case best.Expires >= day:
			f.Excepted, f.Stops = best, false
			if best.Expires <= week {
				spoken = append(spoken, *best)
			}
		case f.Stops:
			f.Expired = best
			spoken = append(spoken, *best)
		}
	}
	j.Matched = slices.Sorted(maps.Keys(matched))
	slices.SortFunc(spoken, compareExceptions)
	for _, e := range slices.CompactFunc(spoken, func(a, b workspace.Exception) bool { return compareExceptions(a, b) == 0 }) {
		if e.Expires < day {
			j.Expired = append(j.Expired, e)
		} else {
			j.Expiring = append(j.Expiring, e)
		}
	}
	for _, f := range j.Findings {
		if f.Stops {
			j.Stopping += f.count()
		}
	}
	slices.SortFunc(j.Findings, func(a, b Finding) int { return compare(gate, a, b) })
	return j
}

// isFor tells whether an exception is about a finding, on whatever day. None is about findings that nobody lists.
func isFor(e workspace.Exception, app string, f Finding) bool {
	return f.Unlisted == 0 && f.ID != "" && strings.EqualFold(e.ID, f.ID) &&
		(e.Package == "" || e.Package == f.Package || slices.Contains(f.Names, e.Package)) && (len(e.Apps) == 0 || slices.Contains(e.Apps, app))
}

// better prefers of two exceptions for one finding the one that counts for longer, whichever is first in the file.
func better(a, b workspace.Exception) bool {
	if a.Expires != b.Expires {
		return a.Expires > b.Expires
	}
	return compareExceptions(a, b) < 0
}

func compareExceptions(a, b workspace.Exception) int {
	return cmp.Or(cmp.Compare(a.Expires, b.Expires), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.Owner, b.Owner), cmp.Compare(a.Reason, b.Reason), slices.Compare(a.Apps, b.Apps))
}

// reaches tells whether findings of a severity stop an image.
func reaches(gate workspace.Gate, s workspace.Severity) bool {
	threshold := cmp.Or(gate.Severity, workspace.Critical)
	return threshold != workspace.None && rank(gate, s) <= rank(gate, threshold)
}

// rank is lower for what is worse.
func rank(gate workspace.Gate, s workspace.Severity) int {
	rated := Severities()[:len(Severities())-1]
	if s == workspace.None {
		return len(rated)
	}
	if i := slices.Index(rated, s); i >= 0 {
		return i
	}
	if i := slices.Index(rated, cmp.Or(gate.Unrated, workspace.Critical)); i >= 0 {
		return i
	}
	return len(rated) // unrated: none
}

// compare sorts the worst first, and of those of one severity the ones that stop.
func compare(gate workspace.Gate, a, b Finding) int {
	return cmp.Or(
		cmp.Compare(rank(gate, a.Severity), rank(gate, b.Severity)), cmp.Compare(slices.Index(Severities(), a.Severity), slices.Index(Severities(), b.Severity)),
		cmp.Compare(no(a.Stops), no(b.Stops)), cmp.Compare(a.Unlisted, b.Unlisted), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Package, b.Package),
		cmp.Compare(a.Version, b.Version), cmp.Compare(a.FixedIn, b.FixedIn), cmp.Compare(a.Said, b.Said), cmp.Compare(a.Title, b.Title),
		cmp.Compare(a.URI, b.URI), slices.Compare(a.Platforms, b.Platforms),
	)
}

func no(is bool) int {
	if is {
		return 0
	}
	return 1
}

// count counts findings by severity.
func count(findings []Finding) map[workspace.Severity]int {
	counts := map[workspace.Severity]int{}
	for _, f := range findings {
		counts[f.Severity] += f.count()
	}
	return counts
}

// Unmatched gives the exceptions of a gate that are about nothing in what was scanned: a run's results, made by that gate. One
// for apps that were not scanned is none of them, since nobody has looked.
func Unmatched(gate workspace.Gate, results []Result) []workspace.Exception {
	scanned, matched, whole := map[string]bool{}, map[int]bool{}, len(results) > 0
	for _, r := range results {
		scanned[r.App] = r.Unscanned() == ""
		whole = whole && scanned[r.App]
		for _, n := range r.Matched {
			matched[n] = true
		}
	}
	var all []workspace.Exception
	for n, e := range gate.Exceptions {
		looked := whole
		if len(e.Apps) > 0 {
			looked = !slices.ContainsFunc(e.Apps, func(app string) bool { return !scanned[app] })
		}
		if looked && !matched[n] {
			all = append(all, e)
		}
	}
	return all
}
