package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// errCrash is what everything answers that a replica asks for from the moment on that it is gone.
var errCrash = errors.New("the replica has crashed")

// sim runs actors one at a time. Each stops at every gate (each call to the database and to the blob store), and the
// scheduler says who goes on next, by its own random numbers: on SQLite the same seed gives the same schedule.
type sim struct {
	rng *rand.Rand
	// blocked tells how many transactions wait for a lock in the database; nil where none ever does.
	blocked func() (int, error)

	mu      sync.Mutex
	now     time.Time
	seq     int // counts beginnings and ends of requests
	actors  []*actor
	waiting []*waiter
	last    *actor // who went on last
	trace   []string
	steps   int
	commits bool          // and in the database
	slept   bool          // somebody was just put to sleep for long
	over    bool          // everybody stops
	news    bool          // something may have changed since the last check
	changed chan struct{} // something has arrived at a gate, or ended
}

// actor is one line of work: a client with its requests, or a replica's own work.
type actor struct {
	name  string
	one   sync.Mutex // of its goroutines, where it has several, stands at a gate
	busy  bool       // between two gates
	rests int        // until this step, unless everybody does
	done  bool
}

// process is a replica, as far as crashing goes.
type process struct {
	name string
	dead bool
}

// request is what an actor does in a process; without one it thinks.
type request struct {
	sim     *sim
	actor   *actor
	process *process
}

type waiter struct {
	request
	where  string
	resume chan error
}

type requestKey struct{}

func newSim(seed uint64) *sim {
	return &sim{
		rng: rand.New(rand.NewPCG(seed, 1)), changed: make(chan struct{}, 1), //nolint:gosec // a schedule, no secret
		now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC),
	}
}

// clock is everybody's.
func (s *sim) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *sim) tick() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seq++
	return s.seq
}

func (s *sim) logf(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trace = append(s.trace, fmt.Sprintf("%4d %s ", s.steps, s.now.Format("02 15:04:05"))+fmt.Sprintf(format, args...))
}

// in gives the context of a request.
func (s *sim) in(ctx context.Context, a *actor, p *process) context.Context {
	return context.WithValue(ctx, requestKey{}, request{s, a, p})
}

// gate stops whoever acts until it is its turn. What is not part of the simulation (a check) goes through.
func gate(ctx context.Context, where string) error {
	r, ok := ctx.Value(requestKey{}).(request)
	if !ok {
		return nil
	}
	return r.sim.wait(r, where)
}

func (s *sim) wait(r request, where string) error {
	s.mu.Lock()
	if s.over || r.process != nil && r.process.dead {
		s.mu.Unlock()
		return errCrash
	}
	w := &waiter{r, where, make(chan error, 1)}
	s.waiting = append(s.waiting, w)
	s.commits = s.commits || where == metadb.GateCommitted
	s.news = s.news || where == metadb.GateCommitted || strings.HasSuffix(where, "is done") || r.process == nil
	r.actor.busy = false
	s.signal()
	s.mu.Unlock()
	return <-w.resume
}

func (s *sim) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// start begins an actor, which stops before its first step.
func (s *sim) start(name string, f func(a *actor)) {
	a := &actor{name: name, busy: true}
	s.mu.Lock()
	s.actors = append(s.actors, a)
	s.mu.Unlock()
	go func() {
		defer func() {
			s.mu.Lock()
			a.busy, a.done, s.news = false, true, true
			s.signal()
			s.mu.Unlock()
		}()
		if s.wait(request{s, a, nil}, "begins") == nil {
			f(a)
		}
	}()
}

// settle waits until everybody stands at a gate, has ended, or waits for a lock.
func (s *sim) settle() error {
	patience := time.NewTimer(20 * time.Second)
	defer patience.Stop()
	for same := 0; s.busy() > 0; {
		poll := make(<-chan time.Time)
		if s.blocked != nil {
			poll = time.After(time.Millisecond)
		}
		select {
		case <-s.changed:
		case <-poll:
			n, err := s.blocked()
			if err != nil {
				return err
			}
			if same++; n == 0 || n != s.busy() {
				same = 0
			}
			if same == 2 { // what was let go a moment ago may look as if it waited
				return nil
			}
		case <-patience.C:
			return fmt.Errorf("somebody neither goes on nor waits for a lock: %s", s.who())
		}
	}
	return nil
}

func (s *sim) busy() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.actors {
		if a.busy {
			n++
		}
	}
	return n
}

func (s *sim) who() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, a := range s.actors {
		if a.busy {
			names = append(names, a.name)
		}
	}
	return strings.Join(names, ", ")
}

func (s *sim) live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, a := range s.actors {
		if !a.done {
			n++
		}
	}
	return n
}

// advance lets one of those who wait go on: the one who did last, unless chance or its waiting says otherwise.
// It tells false when nobody waits.
func (s *sim) advance(switching float64) bool {
	s.mu.Lock()
	if len(s.waiting) == 0 {
		s.mu.Unlock()
		return false
	}
	s.steps++
	var awake []int
	last := -1
	for i, w := range s.waiting {
		if w.actor.rests > s.steps {
			continue
		}
		awake = append(awake, i)
		if w.actor == s.last {
			last = i
		}
	}
	at := s.rng.IntN(len(s.waiting))
	if len(awake) > 0 {
		at = awake[s.rng.IntN(len(awake))]
	}
	if s.rng.Float64() >= switching && last >= 0 {
		at = last
	}
	often := 60
	if strings.HasPrefix(s.waiting[at].where, "blobs.") {
		often = 10
	}
	if len(awake) > 1 && s.rng.IntN(often) == 0 { // a replica that swaps, a disk that hangs
		s.slept = true
		s.waiting[at].actor.rests = s.steps + s.rng.IntN(400)
		s.mu.Unlock()
		return true
	}
	w := s.waiting[at]
	s.waiting = slices.Delete(s.waiting, at, at+1)
	s.last, w.actor.busy = w.actor, true
	s.mu.Unlock()
	if w.process != nil {
		s.logf("  %s: %s", w.actor.name, brief(w.where))
	}
	w.resume <- nil
	return true
}

// crash ends a process: what it does stops where it is.
func (s *sim) crash(p *process) error {
	s.logf("CRASH of %s", p.name)
	s.mu.Lock()
	p.dead = true
	s.mu.Unlock()
	return s.stop(func(w *waiter) bool { return w.process == p })
}

// abandon ends everything.
func (s *sim) abandon() {
	s.mu.Lock()
	s.over = true
	s.mu.Unlock()
	_ = s.stop(func(*waiter) bool { return true })
}

// stop sends some of those who wait on with an error, one after the other.
func (s *sim) stop(which func(w *waiter) bool) error {
	for {
		if err := s.settle(); err != nil {
			return err
		}
		s.mu.Lock()
		at := slices.IndexFunc(s.waiting, which)
		if at < 0 {
			s.mu.Unlock()
			return nil
		}
		w := s.waiting[at]
		s.waiting = slices.Delete(s.waiting, at, at+1)
		w.actor.busy = true
		s.mu.Unlock()
		w.resume <- errCrash
	}
}

// hasNews tells whether something may have changed since it was asked last.
func (s *sim) hasNews() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	news := s.news
	s.news = false
	return news
}

func (s *sim) committed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	yes := s.commits
	s.commits = false
	return yes
}

func (s *sim) jump(d time.Duration) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	s.mu.Unlock()
	s.logf("CLOCK moves by %v", d)
}

// brief is a statement on one line.
func brief(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > 150 {
		text = text[:150] + "…"
	}
	return text
}
