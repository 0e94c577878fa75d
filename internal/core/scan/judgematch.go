package scan

import (
	"context"
	"iter"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// namesBatch is of how many names advisories are read at once.
const namesBatch = 500

// day is a day as hits have it.
func day(t time.Time) int { return int(t.Unix() / (24 * 60 * 60)) }

// asMatch is a package as package match has it.
func (p Package) asMatch() match.Package {
	return match.Package{ID: p.ID, Name: p.name(), Release: p.Release, Version: p.SourceVersion, Packed: p.Packed}
}

// matchNamed matches packages, which are in order of name, release and version, with what advisories say at the revisions.
func (j *Judge) matchNamed(ctx context.Context, packages []Package, revisions map[string]int64, out func(match.Package, []byte) error) error {
	given := func(yield func(match.Package, error) bool) {
		for _, p := range packages {
			if !yield(p.asMatch(), nil) {
				return
			}
		}
	}
	return match.Join(given, j.entriesOf(ctx, namesOf(packages), revisions), day(j.now()), out)
}

// namesOf lists the names of packages that are in order of name.
func namesOf(packages []Package) []match.Name {
	var names []match.Name
	for _, p := range packages {
		if n := p.name(); p.Ecosystem != "" && (len(names) == 0 || names[len(names)-1] != n) {
			names = append(names, n)
		}
	}
	return names
}

// entriesOf reads what advisories say of names, which are in order.
func (j *Judge) entriesOf(ctx context.Context, names []match.Name, revisions map[string]int64) iter.Seq2[match.Entry, error] {
	return func(yield func(match.Entry, error) bool) {
		for batch := range slices.Chunk(names, namesBatch) {
			stored, err := j.store.Entries(ctx, batch)
			if err != nil {
				yield(match.Entry{}, err)
				return
			}
			if !j.yieldEntries(ctx, stored, revisions, yield) {
				return
			}
		}
	}
}

// allEntries reads what advisories say of all names.
func (j *Judge) allEntries(ctx context.Context, revisions map[string]int64) iter.Seq2[match.Entry, error] {
	return func(yield func(match.Entry, error) bool) {
		var after EntryKey
		for {
			stored, err := j.store.EntriesAfter(ctx, after, entriesBatch)
			if err != nil {
				yield(match.Entry{}, err)
				return
			}
			if len(stored) == 0 || !j.yieldEntries(ctx, stored, revisions, yield) {
				return
			}
			last := stored[len(stored)-1]
			after = EntryKey{last.Name, last.Advisory, last.Seq}
		}
	}
}

const entriesBatch = 5000

// yieldEntries completes entries with what other advisories say of the same vulnerabilities.
func (j *Judge) yieldEntries(
	ctx context.Context, stored []StoredEntry, revisions map[string]int64, yield func(match.Entry, error) bool,
) bool {
	elsewhere, err := j.scores(ctx, stored, revisions)
	if err != nil {
		yield(match.Entry{}, err)
		return false
	}
	mended, err := j.mended(ctx, stored, revisions)
	if err != nil {
		yield(match.Entry{}, err)
		return false
	}
	for _, s := range stored {
		e := s.Entry
		if e.Counts = s.counts(revisions); e.Counts {
			others := elsewhere[e.Vulnerability]
			mends := mended[e.Advisory]
			e.Others, e.Mended, e.Exploited = others.vectors, mends.vectors, others.exploited || mends.exploited
		}
		if !yield(e, nil) {
			return false
		}
	}
	return true
}

// counts tells whether an advisory counts at the revisions.
func counts(source string, from, to int64, revisions map[string]int64) bool {
	r := revisions[source]
	return from <= r && r < to
}

func (e StoredEntry) counts(revisions map[string]int64) bool {
	return counts(e.Source, e.From, e.To, revisions)
}

// joined is what all advisories say of a vulnerability.
type joined struct {
	vectors   []advisory.Vector
	exploited bool
}

// add adds what one says.
func (v *joined) add(s Score) {
	if s.Source == advisory.SourceKEV {
		v.exploited = true
	} else if a, err := advisory.DecodeRated(s.Body); err == nil && !a.Withdrawn {
		v.vectors = append(v.vectors, a.Vectors...)
	}
}

// mended gathers what advisories say of the vulnerabilities that errata mend, by erratum: of each vulnerability the vector that counts.
func (j *Judge) mended(ctx context.Context, stored []StoredEntry, revisions map[string]int64) (map[int64]joined, error) {
	var errata []int64
	for _, e := range stored {
		if e.counts(revisions) {
			errata = append(errata, e.Advisory)
		}
	}
	scores, err := j.store.MendedScores(ctx, once(errata))
	if err != nil {
		return nil, err
	}
	all := map[int64]joined{}
	for len(scores) > 0 {
		of, one := scores[0], joined{} // of one vulnerability
		for len(scores) > 0 && scores[0].Advisory == of.Advisory && scores[0].Vulnerability == of.Vulnerability {
			if s := scores[0].Score; counts(s.Source, s.From, s.To, revisions) {
				one.add(s)
			}
			scores = scores[1:]
		}
		v := all[of.Advisory]
		v.exploited = v.exploited || one.exploited
		if len(one.vectors) > 0 {
			v.vectors = append(v.vectors, advisory.Newest(one.vectors))
		}
		all[of.Advisory] = v
	}
	return all, nil
}

func (j *Judge) scores(ctx context.Context, stored []StoredEntry, revisions map[string]int64) (map[string]joined, error) {
	var vulnerabilities []string
	for _, e := range stored {
		if e.counts(revisions) {
			vulnerabilities = append(vulnerabilities, e.Vulnerability)
		}
	}
	slices.Sort(vulnerabilities)
	all := map[string]joined{}
	for batch := range slices.Chunk(slices.Compact(vulnerabilities), entriesBatch) {
		scores, err := j.store.Scores(ctx, batch)
		if err != nil {
			return nil, err
		}
		for _, s := range scores {
			if !counts(s.Source, s.From, s.To, revisions) {
				continue
			}
			v := all[s.Vulnerability]
			v.add(s)
			all[s.Vulnerability] = v
		}
	}
	return all, nil
}
