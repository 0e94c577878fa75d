package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
)

// The model: runs of the real protocol over a registry whose operations are atomic, in every order of their operations, each
// run ending for good before any of its operations too. A run is a function of the answers that it gets, so it is run anew from its
// first answer to find its next operation, and two orders that lead to the same registry and the same answers are one.

// world is a registry with one tag.
type world struct {
	tag     oci.Digest
	records map[oci.Digest][]shipped.Record
	claims  []shipped.Claim
	gone    map[oci.Digest]bool
}

func (w *world) clone() *world {
	c := &world{w.tag, map[oci.Digest][]shipped.Record{}, slices.Clone(w.claims), w.gone}
	for d, all := range w.records {
		c.records[d] = slices.Clone(all)
	}
	return c
}

func (w *world) key() string {
	key := string(w.tag)
	for _, d := range slices.Sorted(maps.Keys(w.records)) {
		key += "|" + string(d) + brief(w.records[d])
	}
	return key + "#" + brief(w.claims)
}

// operation is one, with what it does to a registry and what it answers.
type operation struct {
	name   string
	writes bool
	do     func(w *world) (answer any)
}

// player plays a run: it answers from what was answered before, and stops at the first operation that was not.
type player struct {
	answers []any
	next    operation
	blind   bool // claims are not kept: the protocol of before
}

var errNext = errors.New("the next operation is known")

func play[T any](p *player, name string, do func(w *world) any) (T, error) {
	if len(p.answers) == 0 {
		p.next = operation{name, name == "record" || name == "claim" || name == "move", do}
		var none T
		return none, errNext
	}
	answer := p.answers[0]
	p.answers = p.answers[1:]
	if err, ok := answer.(error); ok {
		var none T
		return none, err
	}
	return answer.(T), nil //nolint:forcetypeassert // of a test
}

func (p *player) Tag(context.Context, string) (oci.Digest, error) {
	return play[oci.Digest](p, "tag", func(w *world) any { return w.tag })
}

func (p *player) Records(_ context.Context, d oci.Digest) ([]shipped.Record, error) {
	return play[[]shipped.Record](p, "records", func(w *world) any { return slices.Clone(w.records[d]) })
}

func (p *player) Claims(_ context.Context, _ string, of time.Time) ([]shipped.Claim, error) {
	return play[[]shipped.Claim](p, "claims", func(w *world) any {
		return slices.DeleteFunc(slices.Clone(w.claims), func(c shipped.Claim) bool { return !day(c.Written).Equal(of) })
	})
}

func (p *player) Record(_ context.Context, d oci.Digest, r shipped.Record) error {
	_, err := play[bool](p, "record", func(w *world) any {
		w.records[d] = append(w.records[d], r)
		slices.SortFunc(w.records[d], func(a, b shipped.Record) int { return cmp.Compare(b.Commit, a.Commit) })
		return true
	})
	return err
}

func (p *player) Claim(_ context.Context, c shipped.Claim) error {
	_, err := play[bool](p, "claim", func(w *world) any {
		if !p.blind {
			w.claims = append(w.claims, c)
			slices.SortFunc(w.claims, func(a, b shipped.Claim) int {
				return cmp.Or(cmp.Compare(a.Commit, b.Commit), cmp.Compare(a.Image, b.Image))
			})
		}
		return true
	})
	return err
}

func (p *player) Move(_ context.Context, _ string, d oci.Digest) error {
	_, err := play[bool](p, "move", func(w *world) any {
		if w.gone[d] {
			return ErrNoImage
		}
		w.tag = d
		return true
	})
	return err
}

// history is a line of commits 0, 1, 2 …, of which a clone has those up to some.
type history struct{ last int }

func (h history) IsAncestor(_ context.Context, older, newer string) (bool, error) {
	a, b := age(older), age(newer)
	if a > h.last || b > h.last {
		return false, fmt.Errorf("%s: %w", newer, ErrUnknown)
	}
	return a <= b, nil
}

func hash(age int) string { return fmt.Sprintf("%040x", 9-age) } // so that hashes are in another order

func age(hash string) int { return 9 - int(hash[39]-'0') }

func recordOf(age int) shipped.Record {
	at := time.Date(2026, 11, 26, 12, age, 0, 0, time.UTC)
	return shipped.Record{App: "web", Commit: hash(age), Committed: at, Branch: "main", Written: at}
}

// modelRun is one run: of which commit, with which image, and how much its clone has.
type modelRun struct {
	age   int
	image oci.Digest
	knows int
}

// model explores.
type model struct {
	t     *testing.T
	runs  []modelRun
	blind bool

	steps  map[string]step // of a run and its answers
	seen   map[string]bool
	states int
	bad    []string
}

type step struct {
	next operation
	done bool
	res  Release
}

// state is where all are.
type state struct {
	w       *world
	answers [][]any
	keys    []string // of the answers
	crashed []bool
	moved   []bool // its last operation but looks was a move
	trace   *trail
}

// trail is what was done, the last first.
type trail struct {
	said   string
	before *trail
}

func (t *trail) String() string {
	if t == nil {
		return ""
	}
	return t.before.String() + "\n  " + t.said
}

var modelNow = time.Date(2026, 11, 26, 13, 0, 0, 0, time.UTC)

func (m *model) step(i int, run modelRun, answers []any, key string) step {
	if key == "done" {
		return step{done: true}
	}
	key = strconv.Itoa(i) + "/" + key
	if s, ok := m.steps[key]; ok {
		return s
	}
	p := &player{answers: answers, blind: m.blind}
	r := releasing{board: p, git: history{run.knows}, now: func() time.Time { return modelNow }}
	done, err := r.release(context.Background(), ReleaseInput{Image: run.image, Record: recordOf(run.age), Tags: []string{"latest"}})
	var s step
	switch {
	case errors.Is(err, errNext):
		s.next = p.next
	case err != nil:
		m.t.Fatalf("run %d: %v after %s", i, err, key)
	default:
		s = step{done: true, res: done.Tags[0]}
	}
	m.steps[key] = s
	return s
}

func (m *model) explore(s state) {
	for i, run := range m.runs {
		switch {
		case s.crashed[i]: // what it knew is lost, but for whether it had looked
			s.keys[i] = fmt.Sprint("ended", s.moved[i])
		case m.step(i, run, s.answers[i], s.keys[i]).done:
			s.keys[i] = "done"
		}
	}
	key := s.w.key() + strings.Join(s.keys, "\n")
	if m.seen[key] || len(m.bad) > 0 {
		return
	}
	m.seen[key] = true
	m.states++
	busy := false
	for i, run := range m.runs {
		if s.crashed[i] {
			continue
		}
		st := m.step(i, run, s.answers[i], s.keys[i])
		if st.done {
			continue
		}
		busy = true
		n := s.fork()
		answer := st.next.do(n.w)
		n.answers[i] = append(slices.Clone(n.answers[i]), answer)
		n.keys[i] = next(n.keys[i], st.next, answer)
		n.moved[i] = st.next.name == "move" || n.moved[i] && st.next.name != "claim"
		n.trace = &trail{"run " + strconv.Itoa(i) + ": " + st.next.name + " gives " + brief(answer), s.trace}
		m.explore(n)
		if !strings.HasSuffix(s.keys[i], nothing) {
			continue // to end for good after having looked is to end before
		}
		c := s.fork()
		c.crashed[i] = true
		c.trace = &trail{"run " + strconv.Itoa(i) + " ends for good", s.trace}
		m.explore(c)
	}
	if !busy {
		m.check(s)
	}
}

// nothing is what a run knows that has not begun.
const nothing = "!"

// next is what a run knows after an operation: before the mark what it wrote, after it what it saw since. A run that wrote begins to look
// anew, and has forgotten what it saw before.
func next(key string, done operation, answer any) string {
	wrote, saw, _ := strings.Cut(key, nothing)
	said := done.name + brief(answer) + ";"
	if done.writes {
		return wrote + said + nothing
	}
	return wrote + nothing + saw + said
}

func (s state) fork() state {
	return state{s.w.clone(), slices.Clone(s.answers), slices.Clone(s.keys), slices.Clone(s.crashed), slices.Clone(s.moved), s.trace}
}

func brief(answer any) string {
	switch a := answer.(type) {
	case []shipped.Record:
		said := "["
		for _, r := range a {
			said += strconv.Itoa(age(r.Commit)) + " "
		}
		return said + "]"
	case []shipped.Claim:
		said := "["
		for _, c := range a {
			said += strconv.Itoa(age(c.Commit)) + string(c.Image) + " "
		}
		return said + "]"
	case oci.Digest:
		return string(a)
	default:
		return fmt.Sprint(answer)
	}
}

// named is the newest commit that what the tag names was shipped for.
func named(w *world) int {
	newest := -1
	for _, r := range w.records[w.tag] {
		newest = max(newest, age(r.Commit))
	}
	return newest
}

// check holds an end to what is promised: the tag names an image of the newest commit whose run is done, or of a newer one. Where it does not,
// a run has ended for good between a move and the look after it, which no registry without a conditional move can undo; then the next run
// to release, even an older commit's, does.
func (m *model) check(s state) {
	newest, excused := -1, false
	for i, run := range m.runs {
		if s.crashed[i] {
			excused = excused || s.moved[i]
			continue
		}
		newest = max(newest, run.age)
	}
	if named(s.w) >= newest {
		return
	}
	if !excused {
		m.fail(s, newest)
		return
	}
	w := s.w.clone()
	run := modelRun{age: 1, image: "late", knows: 1}
	var answers []any
	key := nothing
	for {
		st := m.step(-1, run, answers, key)
		if st.done {
			break
		}
		answer := st.next.do(w)
		answers = append(answers, answer)
		key = next(key, st.next, answer)
	}
	if named(w) < newest {
		s.w = w
		m.fail(s, newest)
	}
}

func (m *model) fail(s state, newest int) {
	m.bad = append(m.bad, fmt.Sprintf("the tag names commit %d, and the run of %d is done:%s", named(s.w), newest, s.trace))
}

func (m *model) run(w *world) {
	n := len(m.runs)
	m.steps, m.seen = map[string]step{}, map[string]bool{}
	m.explore(state{w, make([][]any, n), slices.Repeat([]string{nothing}, n), make([]bool, n), make([]bool, n), nil})
}

func start(tag oci.Digest) *world {
	w := &world{tag: tag, records: map[oci.Digest][]shipped.Record{}}
	if tag != "" {
		r := recordOf(0)
		r.Written = modelNow.Add(-30 * 24 * time.Hour)
		w.records[tag] = []shipped.Record{r}
	}
	return w
}

// TestModel explores two and three runs.
func TestModel(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tag  oci.Digest
		runs []modelRun
	}{
		"two, the first images":        {"", []modelRun{{1, "a", 1}, {2, "b", 2}}},
		"two":                          {"x", []modelRun{{1, "a", 1}, {2, "b", 2}}},
		"two that know both":           {"x", []modelRun{{1, "a", 2}, {2, "b", 2}}},
		"two that know none":           {"x", []modelRun{{1, "a", -1}, {2, "b", -1}}},
		"the second reverts the first": {"x", []modelRun{{1, "a", 1}, {2, "x", 2}}},
		"the first is as before":       {"x", []modelRun{{1, "x", 1}, {2, "b", 2}}},
		"two with one image":           {"x", []modelRun{{1, "a", 1}, {2, "a", 2}}},
		"one commit twice":             {"x", []modelRun{{1, "a", 1}, {1, "b", 1}}},
		"three":                        {"x", []modelRun{{1, "a", 1}, {2, "b", 2}, {3, "c", 3}}},
		"three, the last reverts":      {"x", []modelRun{{1, "a", 1}, {2, "b", 2}, {3, "a", 3}}},
		"three, two with one commit":   {"x", []modelRun{{1, "a", 1}, {2, "b", 2}, {2, "c", 2}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(c.runs) > 2 && testing.Short() {
				t.Skip("takes seconds")
			}
			m := &model{t: t, runs: c.runs}
			m.run(start(c.tag))
			for _, bad := range m.bad {
				t.Error(bad)
			}
			t.Logf("%d states", m.states)
		})
	}
}

// TestModelNotices: without claims, two runs are enough to lose the newer image.
func TestModelNotices(t *testing.T) {
	t.Parallel()
	m := &model{t: t, blind: true, runs: []modelRun{{1, "a", 1}, {2, "b", 2}}}
	m.run(start("x"))
	if len(m.bad) == 0 {
		t.Errorf("nothing was found in %d states", m.states)
	}
}
