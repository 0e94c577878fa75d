package scan

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

const (
	// lease is how long somebody judges after the last sign of life, and so how long a crash delays a judgement.
	lease = time.Minute
	// signOfLife is how often one is given where there is nothing to write.
	signOfLife = 10 * time.Second
	// mostNames is how many names news may be about before all packages are looked at, which reads each table once and in order.
	mostNames = 20000
	// vulnerabilitiesBatch, packagesBatch and setsBatch are how many are read at once.
	vulnerabilitiesBatch = 2000
	packagesBatch        = 5000
	setsBatch            = 4000
	// matchesBatch is how many packages are written in a transaction.
	matchesBatch = 2000
)

// JudgeOnce judges all images by what advisories say now, if that is not what they are judged by, and goes on with a judgement that
// somebody has not ended. It reads no blob. One replica at a time does so; others have nothing to do meanwhile.
func (j *Judge) JudgeOnce(ctx context.Context) (more bool, err error) {
	behind, err := j.behind(ctx)
	if err != nil || !behind {
		return false, err
	}
	now := j.now()
	w := &judging{Judge: j, holder: rand.Text(), last: now}
	if ok, err := j.store.Claim(ctx, w.holder, now, now.Add(lease)); err != nil || !ok {
		return false, err
	}
	defer func() {
		// The context may have ended; without this the next one waits for the end of the lease.
		err = errors.Join(err, j.store.Release(context.WithoutCancel(ctx), w.holder))
	}()
	if err := w.run(ctx); err != nil {
		if errors.Is(err, ErrNotHolder) {
			return false, nil // somebody else goes on
		}
		return false, err
	}
	j.notify()
	return true, nil
}

// behind tells whether there is anything to judge.
func (j *Judge) behind(ctx context.Context) (bool, error) {
	at, err := j.store.Judgement(ctx)
	if err != nil || at.Phase != Idle {
		return true, err
	}
	revisions, err := j.store.Revisions(ctx)
	for _, r := range revisions {
		if r.Current > r.Judged {
			return true, err
		}
	}
	return false, err
}

// judging is one judgement.
type judging struct {
	*Judge
	holder string
	last   time.Time // sign of life
	at     Judgement
	judged map[string]int64 // by source
	wrote  []MatchChange
}

func (w *judging) run(ctx context.Context) (err error) {
	if w.at, err = w.store.Begin(ctx, w.holder); err != nil || w.at.Phase == Idle {
		return err
	}
	revisions, err := w.store.Revisions(ctx)
	if err != nil {
		return err
	}
	w.judged = map[string]int64{}
	for source, r := range revisions {
		w.judged[source] = r.Judged
	}
	if w.at.Phase == Matching {
		if err := w.rematch(ctx); err != nil {
			return err
		}
		if w.at, err = w.store.BeginCounting(ctx, w.holder); err != nil {
			return err
		}
	}
	if err := w.recount(ctx); err != nil {
		return err
	}
	return w.store.End(ctx, w.holder, w.now())
}

// rematch matches the packages of names that there are news about.
func (w *judging) rematch(ctx context.Context) error {
	names, all, err := w.changedNames(ctx)
	if err != nil {
		return err
	}
	if all {
		err = match.Join(w.allPackages(ctx), w.allEntries(ctx, w.at.Targets), day(w.now()), w.matched(ctx))
	} else {
		err = w.rematchNamed(ctx, names)
	}
	if err != nil {
		return err
	}
	return w.flush(ctx)
}

func (w *judging) rematchNamed(ctx context.Context, names []match.Name) error {
	for batch := range slices.Chunk(names, namesBatch) {
		packages, err := w.store.PackagesNamed(ctx, batch)
		if err != nil {
			return err
		}
		if err := w.matchNamed(ctx, packages, w.at.Targets, w.matched(ctx)); err != nil {
			return err
		}
	}
	return nil
}

// changedNames lists, in order, the names of which advisories may say something else than they did. An advisory that has come or gone
// may change how bad others of the same vulnerability are, in whatever source.
func (w *judging) changedNames(ctx context.Context) (names []match.Name, all bool, err error) {
	found := map[match.Name]bool{}
	for source, to := range w.at.Targets {
		if source == advisory.SourceEPSS { // no count goes by it
			continue
		}
		after := ""
		for w.judged[source] < to {
			vulnerabilities, err := w.store.Changed(ctx, source, w.judged[source], to, after, vulnerabilitiesBatch)
			if err != nil {
				return nil, false, err
			}
			if len(vulnerabilities) == 0 {
				break
			}
			after = vulnerabilities[len(vulnerabilities)-1]
			some, err := w.store.NamesOf(ctx, vulnerabilities)
			if err != nil {
				return nil, false, err
			}
			for _, n := range some {
				found[n] = true
			}
			if len(found) > mostNames {
				return nil, true, nil
			}
		}
	}
	return slices.SortedFunc(maps.Keys(found), match.Name.Compare), false, nil
}

func (w *judging) allPackages(ctx context.Context) iter.Seq2[match.Package, error] {
	return func(yield func(match.Package, error) bool) {
		var after Package
		for {
			page, err := w.store.PackagesAfter(ctx, after, packagesBatch)
			if err != nil {
				yield(match.Package{}, err)
				return
			}
			if len(page) == 0 {
				return
			}
			for _, p := range page {
				if !yield(p.asMatch(), nil) {
					return
				}
			}
			after = page[len(page)-1]
		}
	}
}

// matched takes what Join hands over.
func (w *judging) matched(ctx context.Context) func(match.Package, []byte) error {
	return func(p match.Package, packed []byte) error {
		if !bytes.Equal(p.Packed, packed) {
			w.wrote = append(w.wrote, MatchChange{Package: p.ID, Before: p.Packed, After: packed})
		}
		if len(w.wrote) >= matchesBatch || w.now().Sub(w.last) > signOfLife {
			return w.flush(ctx)
		}
		return nil
	}
}

func (w *judging) flush(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := w.now()
	err := w.store.WriteMatches(ctx, w.holder, now.Add(lease), w.wrote)
	w.wrote, w.last = w.wrote[:0], now
	return err
}
