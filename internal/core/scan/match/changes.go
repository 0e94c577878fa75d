package match

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// Change is a finding that a set of packages has got, or has no more.
type Change struct {
	Name
	Vulnerability string
	Severity      advisory.Severity
}

// diff is what has changed in packages of one name.
type diff struct{ got, lost []Change }

// Advisories lists those, in order of id, that speak or spoke of packages of which something has changed, without those of names of
// which nothing is to be told.
func (t *Table) Advisories(quiet func(Name) bool) []int64 {
	groups := map[int32]bool{}
	for p := range t.profiles() {
		if p.changed && !quiet(t.names[p.group]) {
			groups[p.group] = true
		}
	}
	ids, done := map[int64]bool{}, map[int32]bool{}
	for p := range t.profiles() {
		if !groups[p.group] {
			continue
		}
		for _, i := range []int32{p.result, p.before} {
			if done[i] {
				continue
			}
			done[i] = true
			if r, err := Unpack(t.results[i].bytes); err == nil { // it was unpacked when it came in
				for _, h := range r.Hits {
					ids[h.Advisory] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

func (t *Table) profiles() iter.Seq[*profile] {
	return func(yield func(*profile) bool) {
		for _, at := range t.pages {
			if at == nil {
				continue
			}
			for i := range at {
				if at[i].group != 0 && !yield(&at[i]) {
					return
				}
			}
		}
	}
}

// Changes tells what has changed in the set that was counted last, the worst first. vulnerability names that of an advisory; quiet
// tells of which names nothing is to be told.
func (c *Counter) Changes(vulnerability func(advisory int64) string, quiet func(Name) bool) (got, lost []Change) {
	for _, g := range c.touched {
		name := c.table.names[g]
		if quiet(name) {
			continue
		}
		s := c.seen[g]
		if s.mixed {
			d := c.difference(name, c.findings(g, true), c.findings(g, false), vulnerability)
			got, lost = append(got, d.got...), append(lost, d.lost...)
			continue
		}
		at := pair{g, s.result, s.before}
		d, known := c.diffs[at]
		if !known {
			d = c.difference(name, c.findings(g, true), c.findings(g, false), vulnerability)
			c.diffs[at] = d
		}
		got, lost = append(got, d.got...), append(lost, d.lost...)
	}
	worst := func(a, b Change) int {
		return cmp.Or(cmp.Compare(number(a.Severity), number(b.Severity)), cmp.Compare(a.Vulnerability, b.Vulnerability), a.Compare(b.Name))
	}
	slices.SortFunc(got, worst)
	slices.SortFunc(lost, worst)
	return got, lost
}

// difference compares by the names of vulnerabilities: the ids of advisories change with every word of them.
func (c *Counter) difference(name Name, before, after []finding, vulnerability func(int64) string) diff {
	var d diff
	named := func(list []finding) map[string]int {
		m := make(map[string]int, len(list))
		for _, f := range list {
			if v := vulnerability(f.advisory); v != "" {
				if severity, ok := m[v]; !ok || f.severity < severity {
					m[v] = f.severity
				}
			}
		}
		return m
	}
	was, is := named(before), named(after)
	for v, severity := range is {
		if _, ok := was[v]; !ok {
			d.got = append(d.got, Change{name, v, severities[severity]})
		}
	}
	for v, severity := range was {
		if _, ok := is[v]; !ok {
			d.lost = append(d.lost, Change{name, v, severities[severity]})
		}
	}
	return d
}
