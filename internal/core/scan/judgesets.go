package scan

import (
	"bytes"
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
	return w.writeSets(ctx, func(ctx context.Context, out func(countedSets) bool) error {
		return w.countSets(ctx, table.NewCounter(), names, out)
	})
}

// countedSets are those of one batch that have to be written.
type countedSets struct {
	upto int64
	sets []SetChange
}

// countSets counts all sets, batch by batch, until out says that it is enough.
func (w *judging) countSets(ctx context.Context, counter *match.Counter, names map[int64]string, out func(countedSets) bool) error {
	for after := w.at.Counted; ; {
		sets, err := w.store.SetsAfter(ctx, after, w.at.Upto, setsBatch)
		if err != nil || len(sets) == 0 {
			return err
		}
		after = sets[len(sets)-1].ID
		batch := countedSets{upto: after}
		for _, s := range sets {
			c, changed, err := w.recountSet(counter, s, names)
			if err != nil {
				return err
			}
			if changed {
				batch.sets = append(batch.sets, c)
			}
		}
		if !out(batch) {
			return nil
		}
	}
}

// writeSets writes what count hands over, while that counts the next.
func (w *judging) writeSets(ctx context.Context, count func(context.Context, func(countedSets) bool) error) error {
	counting, stop := context.WithCancel(ctx)
	batches, ended := make(chan countedSets), make(chan error, 1)
	go func() {
		defer close(batches)
		ended <- count(counting, func(b countedSets) bool {
			select {
			case batches <- b:
				return true
			case <-counting.Done():
				return false
			}
		})
	}()
	defer func() {
		stop()
		for range batches { // until it has ended
		}
	}()
	for b := range batches {
		if len(b.sets) == 0 && w.now().Sub(w.last) < signOfLife {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		w.last = w.now()
		if err := w.store.WriteSets(ctx, w.holder, w.last.Add(lease), w.last, b.upto, b.sets); err != nil {
			return err
		}
	}
	if err := <-ended; err != nil {
		return err
	}
	return ctx.Err()
}

// recountSet counts a set if there is a package in it of which something has changed, and tells whether that comes to something else
// than what is stored. Most news of advisories are words.
func (w *judging) recountSet(counter *match.Counter, s Set, names map[int64]string) (SetChange, bool, error) {
	touched, err := counter.Load(s.Members)
	if err != nil || !touched {
		return SetChange{}, false, err
	}
	vulnerable, tally := counter.Count()
	c := SetChange{ID: s.ID, Vulnerable: vulnerable, Counts: countsOf(tally).Encode()}
	c.Changes = changesOf(counter.Changes(func(id int64) string { return names[id] }, w.quiet))
	same := c.Changes == nil && bytes.Equal(c.Vulnerable, s.Vulnerable) && c.Counts == s.Encoded
	return c, !same, nil
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
