package scan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Upgrade is a package whose newer version removes findings.
type Upgrade struct {
	Package   string                     `json:"package"`
	Ecosystem string                     `json:"ecosystem,omitempty"`
	From      []string                   `json:"from"` // versions that are installed
	To        string                     `json:"to"`   // the first version that mends all of these findings
	Findings  int                        `json:"findings"`
	Counts    map[workspace.Severity]int `json:"counts"`
	Exploited int                        `json:"exploited"`
	Images    int                        `json:"images"`   // in which that is
	FromBase  bool                       `json:"fromBase"` // the base image has it: a newer one of that may do
}

// Upgrades gives what upgrades would remove, the one that removes most first. A finding counts if each of its packages has a version
// that mends it, once for all reports that have it; one that an exception holds for does not.
func Upgrades(reports ...Report) []Upgrade {
	at := map[[2]string]int{}
	seen, last := map[string]bool{}, map[int]int{} // which report was the last with a finding of an upgrade, from 1
	var all []Upgrade
	for n, r := range reports {
		for _, f := range r.Findings {
			if f.Exception != nil || len(f.Packages) == 0 || slices.ContainsFunc(f.Packages, func(p Package) bool { return p.FixedIn == "" }) {
				continue
			}
			key := [2]string{cmp.Or(f.Ecosystem, f.Packages[0].Type), f.PackageName()}
			i, ok := at[key]
			if !ok {
				i, at[key] = len(all), len(all)
				all = append(all, Upgrade{Package: key[1], Ecosystem: f.Ecosystem, Counts: map[workspace.Severity]int{}, FromBase: true})
			}
			u := &all[i]
			for _, p := range f.Packages {
				u.From = append(u.From, p.Version)
				if CompareVersions(p.FixedIn, u.To) > 0 {
					u.To = p.FixedIn
				}
			}
			if last[i] != n+1 {
				last[i] = n + 1
				u.Images++
			}
			u.FromBase = u.FromBase && f.FromBase()
			if id := fmt.Sprintf("%q %q", f.ID, key); !seen[id] {
				seen[id] = true
				u.Findings++
				u.Counts[f.Severity]++
				if f.Exploited() {
					u.Exploited++
				}
			}
		}
	}
	for i := range all {
		slices.SortFunc(all[i].From, CompareVersions)
		all[i].From = slices.Compact(all[i].From)
	}
	slices.SortFunc(all, func(a, b Upgrade) int {
		worse := cmp.Compare(b.Findings, a.Findings)
		for _, s := range Severities() {
			worse = cmp.Or(worse, cmp.Compare(b.Counts[s], a.Counts[s]))
		}
		return cmp.Or(worse, cmp.Compare(a.Package, b.Package), cmp.Compare(a.Ecosystem, b.Ecosystem))
	})
	return all
}

// CompareVersions orders two versions of one package as dpkg does, which is how most kinds of packages order what advisories name as
// fixed: runs of digits by number, other characters one by one with letters first, and a tilde before everything, even the end. It is
// good for naming the higher of two, and decides nothing: whether a version is vulnerable is the registry's to say.
func CompareVersions(a, b string) int {
	epochA, a := epoch(a)
	epochB, b := epoch(b)
	if c := compareDigits(epochA, epochB); c != 0 {
		return c
	}
	for a != "" || b != "" {
		var wordA, wordB, digitsA, digitsB string
		wordA, a = cut(a, false)
		wordB, b = cut(b, false)
		if c := compareWords(wordA, wordB); c != 0 {
			return c
		}
		digitsA, a = cut(a, true)
		digitsB, b = cut(b, true)
		if c := compareDigits(digitsA, digitsB); c != 0 {
			return c
		}
	}
	return 0
}

func epoch(v string) (before, rest string) {
	if before, rest, ok := strings.Cut(v, ":"); ok && before != "" && strings.Trim(before, "0123456789") == "" {
		return before, rest
	}
	return "", v
}

// cut gives the run of digits, or of what is none, that a version begins with, and the rest.
func cut(v string, digits bool) (run, rest string) {
	i := strings.IndexFunc(v, func(r rune) bool { return (r >= '0' && r <= '9') != digits })
	if i < 0 {
		i = len(v)
	}
	return v[:i], v[i:]
}

func compareDigits(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}

func compareWords(a, b string) int {
	for a != "" || b != "" {
		r, n := utf8.DecodeRuneInString(a)
		s, m := utf8.DecodeRuneInString(b)
		if c := cmp.Compare(weight(r, n), weight(s, m)); c != 0 {
			return c
		}
		a, b = a[n:], b[m:]
	}
	return 0
}

// weight orders characters: a tilde, the end, letters, all else.
func weight(r rune, size int) int {
	switch {
	case size == 0:
		return 0
	case r == '~':
		return -1
	case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
		return int(r)
	default:
		return int(r) + utf8.MaxRune
	}
}
