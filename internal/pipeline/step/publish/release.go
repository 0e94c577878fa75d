package publish

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// Outcome is what became of a tag that moves.
type Outcome string

// The outcomes.
const (
	Moved  Outcome = "moved"  // from the image before to ours
	There  Outcome = "there"  // it named our image already
	Stayed Outcome = "stayed" // a newer commit has it
	Healed Outcome = "healed" // we had moved it, found that a newer commit was about to have it or had it, and moved it on to that one's image
)

// Release is one tag's.
type Release struct {
	Tag     string
	Outcome Outcome
	From    oci.Digest     // that the tag named when we looked first, empty if it was not there
	To      oci.Digest     // that it named in the end
	By      shipped.Record // of Stayed and Healed: what To was shipped for
}

// String words it.
func (r Release) String() string {
	by := "commit " + r.By.Commit
	if r.By.Run != "" {
		by += ", run " + plan.Printable(r.By.Run)
	}
	switch {
	case r.Outcome == There:
		return fmt.Sprintf("%s names the image already", r.Tag)
	case r.Outcome == Stayed:
		return fmt.Sprintf("%s stays with %s: it is of a newer commit (%s)", r.Tag, r.To, by)
	case r.Outcome == Healed:
		return fmt.Sprintf("%s went on to %s: another run is of a newer commit (%s)", r.Tag, r.To, by)
	case r.From == "":
		return fmt.Sprintf("%s names %s", r.Tag, r.To)
	default:
		return fmt.Sprintf("%s moved from %s to %s", r.Tag, r.From, r.To)
	}
}

// ReleaseInput says what is released.
type ReleaseInput struct {
	Image  oci.Digest
	Record shipped.Record // what is to be written about it; Written is set here
	Stay   []string       // tags that stay, set before: nothing moves unless they name the image still
	Tags   []string       // that move
	// Vouch gives the tags that stay which a run of that record's commit has set. What others wrote counts only if they name the image that it is
	// about: who may push some image, but not those tags, has no say in where the tags go that move. What it gives no tags for, such as a
	// branch's name that makes none, does not count. All does if Vouch is nil.
	Vouch func(of shipped.Record) []string
}

// Released is what came of it.
type Released struct{ Tags []Release }

// Release writes that the image was shipped, and then has each tag that moves name it, unless it names the image of a newer commit,
// or another run is about to have it name one.
func (p *Publisher) Release(ctx context.Context, in ReleaseInput, task *progress.Task) (Released, error) {
	if err := p.check(ctx, in.Image, in.Stay); err != nil {
		return Released{}, err
	}
	r := releasing{board: &realBoard{publisher: p}, git: p.Ancestry, now: p.Now, vouch: in.Vouch}
	done, err := r.release(ctx, in)
	for _, one := range done.Tags {
		task.Note(one.String())
	}
	return done, err
}

// check looks whether the tags that stay still do.
func (p *Publisher) check(ctx context.Context, want oci.Digest, tags []string) error {
	found, err := p.known.ByTags(ctx, tags)
	if err != nil {
		return err //nolint:wrapcheck // explained
	}
	for _, tag := range tags {
		has, there := found[tag]
		switch {
		case !there:
			return fmt.Errorf("tag %s is not there any more", tag)
		case has.Digest != want:
			return &TagTaken{tag, has.Digest, want, true}
		}
	}
	return nil
}

// board is what the protocol asks of a registry: operations that are each atomic, and nothing that joins two of them.
type board interface {
	// Tag gives what a tag names, empty if it is not there.
	Tag(ctx context.Context, tag string) (oci.Digest, error)
	Records(ctx context.Context, image oci.Digest) ([]shipped.Record, error)
	// Record attaches one to an image.
	Record(ctx context.Context, image oci.Digest, r shipped.Record) error
	Claims(ctx context.Context, tag string, day time.Time) ([]shipped.Claim, error)
	// Claim puts one on the board of the day on which it was written.
	Claim(ctx context.Context, c shipped.Claim) error
	// Move has a tag name an image, whatever it named before. The error wraps ErrNoImage if the image is not there.
	Move(ctx context.Context, tag string, image oci.Digest) error
}

const (
	// slack is how far apart clocks of runs may be, and how long a run may take from its claim to its move.
	slack = 2 * time.Hour
	// mostMoves is after how many moves of one tag a run gives up: as many others must have moved it back.
	mostMoves = 10
	// lastRecords is how many of an image's records tell which boards to read, besides today's.
	lastRecords = 3
)

type releasing struct {
	board board
	git   Ancestry
	now   func() time.Time
	vouch func(of shipped.Record) []string
}

func (r *releasing) release(ctx context.Context, in ReleaseInput) (Released, error) {
	ours := candidate{in.Record, in.Image}
	ours.Written = r.now().UTC().Truncate(time.Second)
	if err := r.record(ctx, ours); err != nil {
		return Released{}, err
	}
	var done Released
	for _, tag := range in.Tags {
		one, err := r.tag(ctx, tag, ours)
		if err != nil {
			return done, err
		}
		done.Tags = append(done.Tags, one)
	}
	return done, nil
}

// record writes ours, unless the same was written today.
func (r *releasing) record(ctx context.Context, ours candidate) error {
	there, err := r.board.Records(ctx, ours.image)
	if err != nil {
		return err //nolint:wrapcheck // explained
	}
	same := func(other shipped.Record) bool {
		return other.App == ours.App && other.Commit == ours.Commit && other.Branch == ours.Branch && day(other.Written) == day(ours.Written)
	}
	if slices.ContainsFunc(there, same) {
		return nil
	}
	return r.board.Record(ctx, ours.image, ours.Record) //nolint:wrapcheck // explained
}

// tag releases one. Ours is on the board before the tag is looked at for what counts, and after each move it is looked at again: of two
// runs, the one whose move is the last to arrive finds the other's claim, or the other finds the move.
func (r *releasing) tag(ctx context.Context, tag string, ours candidate) (Release, error) {
	done := Release{Tag: tag}
	first, moves, gone := true, 0, map[oci.Digest]bool{}
	var claimed time.Time
	for moves < mostMoves {
		l, err := r.look(ctx, tag, ours, gone)
		if err != nil {
			return done, err
		}
		if first {
			done.From, claimed, first = l.at, l.claimed, false
		}
		mine := l.best.Commit == ours.Commit
		if now := r.now(); mine && now.Sub(claimed) > slack/2 {
			claim := shipped.Claim{Tag: tag, Image: ours.image, Record: ours.Record}
			claim.Written = now.UTC().Truncate(time.Second)
			if err := r.board.Claim(ctx, claim); err != nil {
				return done, err //nolint:wrapcheck // explained
			}
			claimed = now
			continue // and look again
		}
		// Two images of one commit are as good as each other: the later move stays.
		if l.at == l.best.image || l.settled && (moves > 0 || !mine) {
			return done.end(l, mine, moves), nil
		}
		err = r.board.Move(ctx, tag, l.best.image)
		switch {
		case err == nil:
			moves++
		case errors.Is(err, ErrNoImage) && l.best.image != ours.image:
			gone[l.best.image] = true // it was deleted: nobody can have it
		default:
			return done, err //nolint:wrapcheck // explained
		}
	}
	return done, fmt.Errorf("tag %s was moved away %d times: do other runs order the commits in another way?", tag, mostMoves)
}

// sight is what a look at a tag shows.
type sight struct {
	at      oci.Digest // what the tag names, empty if it is not there
	best    candidate  // the newest of all that it may name
	settled bool       // what it names was shipped for best's commit
	claimed time.Time  // when ours was put on a board that was read
}

// look finds out what a tag names, and what it should name.
func (r *releasing) look(ctx context.Context, tag string, ours candidate, gone map[oci.Digest]bool) (sight, error) {
	at, err := r.board.Tag(ctx, tag)
	if err != nil {
		return sight{}, err //nolint:wrapcheck // explained
	}
	l := sight{at: at}
	has, err := r.shippedFor(ctx, at, ours.App)
	if err != nil {
		return sight{}, err
	}
	// Who had the tag name this image may have moved it away from a newer one, and stopped before he looked again. What was said then is on
	// the board of that day.
	moments := []time.Time{r.now()}
	for _, c := range has[max(0, len(has)-lastRecords):] {
		moments = append(moments, c.Written)
	}
	others := slices.Clone(has)
	for _, day := range days(moments) {
		claims, err := r.board.Claims(ctx, tag, day)
		if err != nil {
			return sight{}, err //nolint:wrapcheck // explained
		}
		for _, c := range claims {
			if c.App != ours.App || gone[c.Image] {
				continue
			}
			if c.Commit == ours.Commit && c.Image == ours.image && c.Written.After(l.claimed) {
				l.claimed = c.Written
			}
			others = append(others, candidate{c.Record, c.Image})
		}
	}
	if l.best, err = newest(ctx, r.git, ours, others, r.counts); err != nil {
		return sight{}, err
	}
	l.settled = slices.ContainsFunc(has, func(c candidate) bool { return c.Commit == l.best.Commit })
	return l, nil
}

// counts tells whether what another run wrote about an image is vouched for.
func (r *releasing) counts(ctx context.Context, c candidate) (bool, error) {
	if r.vouch == nil {
		return true, nil
	}
	tags := r.vouch(c.Record)
	for _, tag := range tags {
		at, err := r.board.Tag(ctx, tag)
		if at != c.image || err != nil {
			return false, err //nolint:wrapcheck // explained
		}
	}
	return len(tags) > 0, nil
}

// shippedFor lists what an image was shipped for as this app.
func (r *releasing) shippedFor(ctx context.Context, image oci.Digest, app string) ([]candidate, error) {
	if image == "" {
		return nil, nil
	}
	records, err := r.board.Records(ctx, image)
	if err != nil {
		return nil, err //nolint:wrapcheck // explained
	}
	var all []candidate
	for _, record := range records {
		if record.App == app {
			all = append(all, candidate{record, image})
		}
	}
	return all, nil
}

// end words what was done.
func (r Release) end(l sight, mine bool, moves int) Release {
	r.To = l.at
	switch {
	case mine && moves > 0:
		r.Outcome = Moved
	case mine:
		r.Outcome = There
	case moves > 0:
		r.Outcome, r.By = Healed, l.best.Record
	default:
		r.Outcome, r.By = Stayed, l.best.Record
	}
	return r
}

// days are those of the boards to read: the ones on which a claim can be that was written around some moments.
func days(moments []time.Time) []time.Time {
	var all []time.Time
	for _, at := range moments {
		for _, edge := range []time.Time{at.Add(-slack), at.Add(slack)} {
			if d := day(edge); !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return all
}

func day(at time.Time) time.Time { return at.UTC().Truncate(24 * time.Hour) }
