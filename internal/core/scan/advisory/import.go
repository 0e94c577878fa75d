package advisory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"maps"
	"slices"
	"time"
)

// Origin is where advisories come from.
type Origin interface {
	// Read hands over its feeds, one after the other, each to be read before each returns. known is how far each source has come
	// here, by name. It goes on with the next feed when each fails, unless that is ctx's end or a Fatal; its own errors come after
	// those of each, joined.
	Read(ctx context.Context, known map[string]Source, each func(Feed) error) error
	// String is where that is, for people.
	String() string
}

// Feed is the advisories of one source.
type Feed struct {
	Source    string    // an ecosystem of OSV, or kev, epss, cvss
	AsOf      time.Time // when it was as it is here; zero: now
	Validator string    // what to ask by next time
	Unchanged bool      // nothing has changed since Source.Validator: there are no entries
	// Partial: the entries are those that have changed. What is not Listed is no more; where nothing is listed all stays. Otherwise
	// what is not among the entries is no more. A partial feed without a Validator adds to a source, and says nothing of how new that is.
	Partial bool
	Listed  iter.Seq[string] // ids
	// Entries gives the advisories. An ErrMalformed is about one of them, whose id it comes with where that is known: what there is of
	// that id stays. Any other error ends the import.
	Entries iter.Seq2[Advisory, error]
}

// From gives sources without what is asked by, where that is another origin's.
func From(known map[string]Source, o Origin) map[string]Source {
	own := maps.Clone(known)
	for name, s := range own {
		if s.Origin != o.String() {
			s.Validator = ""
			own[name] = s
		}
	}
	return own
}

// Options say how an import goes.
type Options struct {
	Force bool // also when much is gone, or the new is older than what there is
	// Recent: sources that somebody has looked at since then are left alone, as other replicas look too.
	Recent time.Time
	Now    func() time.Time
	// Ring is called when something has changed.
	Ring func()
}

// Outcome is what an import did to one source.
type Outcome struct {
	Source                             Source
	Added, Changed, Removed, Untouched int
	Rejected                           int    // entries that could not be read
	Rejection                          string // why the first of them
	Skipped                            bool   // another import is at it, or has just been
	Err                                error  // why nothing has changed
}

// The rules of imports.
const (
	batchRows    = 500             // of one transaction, so that no push waits long for it
	batchEntries = 4_000           // packages of them
	claimFor     = 2 * time.Minute // between two batches
	keepShare    = 0.7             // a source that would have less of what it has is not believed
	small        = 20              // with so few, the share says nothing
	rejectShare  = 100             // one of so many entries may be malformed
)

// Refusals of an import; Options.Force overrides the first two.
var (
	ErrShrunk   = errors.New("much less than there is")
	ErrOlder    = errors.New("older than what there is")
	ErrTooWrong = errors.New("too many entries cannot be read")
)

// Import imports all that an origin has, source by source. A source whose import fails stays as it was, and the others go on: the
// error joins what failed.
func Import(ctx context.Context, store Store, origin Origin, o Options) ([]Outcome, error) {
	sources, err := store.AdvisorySources(ctx)
	if err != nil {
		return nil, err
	}
	known := map[string]Source{}
	for _, s := range sources {
		if o.Force {
			s.Validator = ""
		}
		known[s.Name] = s
	}
	var outcomes []Outcome
	err = origin.Read(ctx, known, func(f Feed) error {
		out := importFeed(ctx, store, origin, f, o)
		outcomes = append(outcomes, out)
		if out.Err != nil {
			return fmt.Errorf("%s: %w", f.Source, out.Err)
		}
		return nil
	})
	return outcomes, err
}

// importFeed imports one source.
func importFeed(ctx context.Context, store Store, origin Origin, f Feed, o Options) Outcome {
	now := o.Now()
	claim, err := store.BeginAdvisories(ctx, f.Source, now, now.Add(claimFor))
	if errors.Is(err, ErrBusy) {
		return Outcome{Source: Source{Name: f.Source}, Skipped: true}
	}
	if err != nil {
		return Outcome{Source: Source{Name: f.Source}, Err: err}
	}
	if !o.Force && !o.Recent.IsZero() && claim.Source.CheckedAt.After(o.Recent) {
		err := store.EndAdvisories(ctx, claim, claim.Source)
		return Outcome{Source: claim.Source, Skipped: true, Err: err}
	}
	im := importing{store: store, claim: claim, feed: f, force: o.Force, now: o.Now, seed: maphash.MakeSeed(), seen: map[uint64]struct{}{}, unread: map[uint64]struct{}{}}
	im.out.Source = claim.Source
	if err = im.clear(ctx); err == nil {
		err = im.run(ctx)
	}
	if err != nil {
		// What was written does not count, and the next import clears it away. The claim ends even where ctx has.
		free, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		im.out.Err = errors.Join(err, ignoreLost(store.EndAdvisories(free, claim, claim.Source)))
		return im.out
	}
	im.settle(ctx, cmp.Or(origin.String(), claim.Source.Origin), now, o)
	return im.out
}

func ignoreLost(err error) error {
	if errors.Is(err, ErrLost) {
		return nil
	}
	return err
}

// importing is an import of one source under way.
type importing struct {
	store Store
	claim Claim
	feed  Feed
	force bool
	now   func() time.Time
	out   Outcome

	seed    maphash.Seed
	seen    map[uint64]struct{} // hashes of ids, of which there may be hundreds of thousands
	unread  map[uint64]struct{} // hashes of ids that are there and could not be read: that is no retraction
	total   int                 // entries that count
	newest  time.Time
	batch   []Row
	entries int // packages in the batch
}

// clear takes away what imports left that ended in the middle.
func (im *importing) clear(ctx context.Context) error {
	for {
		n, err := im.store.PruneAdvisories(ctx, im.feed.Source, batchRows)
		if err != nil || n == 0 {
			return err
		}
		if err := im.put(ctx, Batch{}); err != nil {
			return err
		}
	}
}

func (im *importing) run(ctx context.Context) error {
	if im.feed.Unchanged {
		return nil
	}
	for a, err := range im.feed.Entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch {
		case errors.Is(err, ErrMalformed):
			im.reject(err)
			im.unread[maphash.String(im.seed, a.ID)] = struct{}{}
			continue
		case err != nil:
			return err
		}
		if err := im.take(ctx, a); err != nil {
			return err
		}
	}
	if err := im.flush(ctx); err != nil {
		return err
	}
	if im.out.Rejected > 3 && im.out.Rejected*rejectShare > im.total {
		return fmt.Errorf("%w: %d of %d, the first: %s", ErrTooWrong, im.out.Rejected, im.out.Rejected+im.total, im.out.Rejection)
	}
	return im.remove(ctx)
}

func (im *importing) reject(err error) {
	if im.out.Rejected++; im.out.Rejected == 1 {
		im.out.Rejection = err.Error()
	}
}

// take adds one advisory to the batch.
func (im *importing) take(ctx context.Context, a Advisory) error {
	key := maphash.String(im.seed, a.ID)
	if _, twice := im.seen[key]; twice {
		im.reject(malformed("%s is there twice", a.ID))
		return nil
	}
	im.seen[key] = struct{}{}
	im.total++
	if a.Modified.After(im.newest) {
		im.newest = a.Modified
	}
	hash, err := Hash(a)
	if err != nil {
		return err
	}
	im.batch = append(im.batch, Row{Advisory: a, Hash: hash})
	if im.entries += a.weight(); len(im.batch) >= batchRows || im.entries >= batchEntries {
		return im.flush(ctx)
	}
	return nil
}

// weight is about how many rows, or as much memory, an advisory takes.
func (a Advisory) weight() int {
	n := len(a.Affected)
	for _, f := range a.Affected {
		n += len(f.Versions) / 32
	}
	return n
}

// flush writes those of the batch that say something else than what there is.
func (im *importing) flush(ctx context.Context) error {
	if len(im.batch) == 0 {
		return nil
	}
	ids := make([]string, len(im.batch))
	for i, r := range im.batch {
		ids[i] = r.Advisory.ID
	}
	there, err := im.store.AdvisoryHashes(ctx, im.feed.Source, ids, "", 0)
	if err != nil {
		return err
	}
	var b Batch
	for _, r := range im.batch {
		hash, known := there[r.Advisory.ID]
		switch {
		case known && hash == r.Hash:
			im.out.Untouched++
			continue
		case known:
			im.out.Changed++
		default:
			im.out.Added++
		}
		if r.Body, err = Encode(r.Advisory); err != nil {
			return err
		}
		r.Rating = r.Advisory.worst()
		b.Rows = append(b.Rows, r)
	}
	im.batch, im.entries = im.batch[:0], 0
	if len(b.Rows) == 0 {
		return nil
	}
	return im.put(ctx, b)
}

// worst is how bad it is for that of its packages that it is worst for.
func (a Advisory) worst() Rating {
	r := a.Rate(Affected{}, nil)
	for _, f := range a.Affected {
		if len(f.Vectors) == 0 && r.Severity != Undefined {
			continue
		}
		if other := a.Rate(f, nil); r.Severity == Undefined || other.Score > r.Score {
			r = other
		}
	}
	return r
}

func (im *importing) put(ctx context.Context, b Batch) error {
	return im.store.PutAdvisories(ctx, im.claim, b, im.now().Add(claimFor))
}

// remove ends the advisories that are no more.
func (im *importing) remove(ctx context.Context) error {
	listed := im.total
	if im.feed.Partial {
		if im.feed.Listed == nil {
			return nil
		}
		listed = 0
		for id := range im.feed.Listed {
			im.seen[maphash.String(im.seed, id)] = struct{}{}
			listed++
		}
	}
	if err := im.judge(listed); err != nil {
		return err
	}
	for after := ""; ; {
		there, err := im.store.AdvisoryHashes(ctx, im.feed.Source, nil, after, batchRows)
		if err != nil || len(there) == 0 {
			return err
		}
		ids := slices.Sorted(maps.Keys(there))
		after = ids[len(ids)-1]
		gone := slices.DeleteFunc(ids, func(id string) bool {
			key := maphash.String(im.seed, id)
			_, still := im.seen[key]
			_, unread := im.unread[key]
			return still || unread
		})
		if err := im.end(ctx, gone); err != nil {
			return err
		}
	}
}

func (im *importing) end(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	im.out.Removed += len(ids)
	return im.put(ctx, Batch{Ends: ids})
}

// judge refuses what is hardly meant: an export that was cut off, a mirror that has stood still.
func (im *importing) judge(will int) error {
	had := im.claim.Source.Advisories
	switch {
	case im.force:
		return nil
	case had > small && float64(will) < keepShare*float64(had), had > 0 && will == 0:
		return fmt.Errorf("%w: %d advisories, and there are %d: force the import if that is right", ErrShrunk, will, had)
	case !im.feed.Partial && earlier(im.newest, im.now()).Before(im.claim.Source.ModifiedAt):
		return fmt.Errorf("%w: the newest is of %s, and there is one of %s: force the import if that is right",
			ErrOlder, day(im.newest), day(im.claim.Source.ModifiedAt))
	}
	return nil
}

// claimedNew tells whether the source has never been imported.
func claimedNew(c Claim) bool { return c.Source.Revision == 0 }

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func day(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") }

// settle makes what was written count.
func (im *importing) settle(ctx context.Context, origin string, now time.Time, o Options) {
	s := im.claim.Source
	changed := im.out.Added+im.out.Changed+im.out.Removed > 0
	if changed {
		s.Revision, s.ImportedAt = im.claim.Revision, now
	}
	// Single advisories that somebody adds must not make the next export an old one, nor may a publisher's clock that is ahead.
	if adds := im.feed.Partial && im.feed.Validator == ""; !adds || claimedNew(im.claim) {
		asOf := now
		if !im.feed.AsOf.IsZero() {
			asOf = earlier(now, im.feed.AsOf)
		}
		if changed || asOf.After(s.CheckedAt) { // the same, from an older copy, is no older for that
			s.CheckedAt = asOf
		}
		s.Origin = origin
		if !im.feed.Unchanged {
			s.Validator = im.feed.Validator
		}
		if newest := earlier(im.newest, now); !adds && (newest.After(s.ModifiedAt) || o.Force && !im.feed.Partial && !im.feed.Unchanged) {
			s.ModifiedAt = newest
		}
	}
	if err := im.store.EndAdvisories(ctx, im.claim, s); err != nil {
		im.out.Err = err
		return
	}
	im.out.Source = s
	if changed && o.Ring != nil {
		o.Ring()
	}
}
