package scan

import (
	"context"
	"maps"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// recount counts the sets anew that have a package of which something else is known than before.
func (w *judging) recount(ctx context.Context) error {
	table := match.NewTable()
	changed, err := w.journal(ctx, table)
	if err != nil || !changed {
		return err
	}
	if err := w.matchedPackages(ctx, table); err != nil {
		return err
	}
	names, err := w.vulnerabilities(ctx, table.Advisories(w.quiet))
	if err != nil {
		return err
	}
	counter := table.NewCounter()
	for after := w.at.Counted; ; {
		sets, err := w.store.SetsAfter(ctx, after, w.at.Upto, setsBatch)
		if err != nil || len(sets) == 0 {
			return err
		}
		after = sets[len(sets)-1].ID
		var counted []SetChange
		for _, s := range sets {
			c, touched, err := w.recountSet(counter, s, names)
			if err != nil {
				return err
			}
			if touched {
				counted = append(counted, c)
			}
		}
		if len(counted) == 0 && w.now().Sub(w.last) < signOfLife {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		w.last = w.now()
		if err := w.store.WriteSets(ctx, w.holder, w.last.Add(lease), w.last, after, counted); err != nil {
			return err
		}
	}
}

// recountSet counts a set if there is a package in it of which something has changed.
func (w *judging) recountSet(counter *match.Counter, s Set, names map[int64]string) (SetChange, bool, error) {
	touched, err := counter.Touches(s.Members)
	if err != nil || !touched {
		return SetChange{}, false, err
	}
	vulnerable, tally, err := counter.Count(s.Members)
	if err != nil {
		return SetChange{}, false, err
	}
	changes := changesOf(counter.Changes(func(id int64) string { return names[id] }, w.quiet))
	return SetChange{ID: s.ID, Vulnerable: vulnerable, Counts: countsOf(tally), Changes: changes}, true, nil
}

// quiet tells of which names nothing is told: those that images have not been judged by at all until now. Whoever imports advisories
// for the first time does not want to hear of each image what it has had all along.
func (w *judging) quiet(n match.Name) bool { return w.judged[n.Ecosystem] == 0 }

// changesOf bounds what is told; nil where there is nothing.
func changesOf(got, lost []match.Change) *Changes {
	if len(got) == 0 && len(lost) == 0 {
		return nil
	}
	var c Changes
	c.New, c.MoreNew = boundedChanges(got)
	c.Fixed, c.MoreFixed = boundedChanges(lost)
	return &c
}

func boundedChanges(all []match.Change) (list []Change, more int) {
	if len(all) > MaxChanges {
		all, more = all[:MaxChanges], len(all)-MaxChanges
	}
	for _, c := range all {
		list = append(list, Change{Vulnerability: c.Vulnerability, Package: c.Source, Severity: c.Severity})
	}
	return list, more
}

// journal adds what was known of packages to the table, and tells whether there are any.
func (w *judging) journal(ctx context.Context, table *match.Table) (changed bool, err error) {
	for after := int64(0); ; {
		page, err := w.store.Journal(ctx, after, packagesBatch)
		if err != nil || len(page) == 0 {
			return changed, err
		}
		changed = true
		for _, p := range page {
			if err := table.Changed(p.ID, p.name(), p.Type.System(), p.Packed); err != nil {
				return false, err
			}
		}
		after = page[len(page)-1].ID
	}
}

// matchedPackages adds what is known of packages to the table.
func (w *judging) matchedPackages(ctx context.Context, table *match.Table) error {
	for after := int64(0); ; {
		page, err := w.store.Matched(ctx, after, packagesBatch)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, p := range page {
			if err := table.Add(p.ID, p.name(), p.Type.System(), p.Packed); err != nil {
				return err
			}
		}
		after = page[len(page)-1].ID
	}
}

// vulnerabilities tells the names of what advisories speak of.
func (w *judging) vulnerabilities(ctx context.Context, advisories []int64) (map[int64]string, error) {
	names := make(map[int64]string, len(advisories))
	for batch := range slices.Chunk(advisories, packagesBatch) {
		some, err := w.store.VulnerabilitiesOf(ctx, batch)
		if err != nil {
			return nil, err
		}
		maps.Copy(names, some)
	}
	return names, nil
}
