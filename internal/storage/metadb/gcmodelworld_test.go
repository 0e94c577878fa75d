package metadb_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// world is one run of the simulation.
type world struct {
	*sim
	t      testing.TB
	db     *metadb.DB
	blobs  *simBlobs
	u      *universe
	expect *expect

	grace, trash, ttl time.Duration

	replicas []*simReplica
	born     int
	clients  int
	known    facts           // since the last commit
	hurt     map[string]bool // digests whose bytes were
	checks   int
	slow     bool // the blob store is: it is not asked each time
	damages  bool // bytes are lost now and then
	counts   map[string]int

	once    sync.Once
	failure string // the first
	story   string // the trace, up to there
}

type simReplica struct {
	*process
	registry *registry.Registry
	gc       *gc.Service
}

// size is how large a run is.
type size struct{ clients, atOnce, replicas int }

func newWorld(t testing.TB, seed uint64, db *metadb.DB, m medium, n size) *world {
	t.Helper()
	s := newSim(seed)
	u := newUniverse()
	w := &world{
		sim: s, t: t, db: db, blobs: newSimBlobs(s, m), u: u, expect: newExpect(u), counts: map[string]int{}, hurt: map[string]bool{},
		grace: []time.Duration{30 * time.Minute, 4 * time.Hour, 24 * time.Hour}[s.rng.IntN(3)],
		trash: []time.Duration{0, 3 * time.Hour, 7 * 24 * time.Hour}[s.rng.IntN(3)],
		ttl:   []time.Duration{2 * time.Hour, 7 * 24 * time.Hour}[s.rng.IntN(2)],
	}
	_, disk := m.(*diskblob.Store)
	w.slow = !disk
	w.damages = s.rng.IntN(3) == 0
	for range n.replicas {
		w.replicas = append(w.replicas, w.replica())
	}
	w.logf("grace %v, trash %v, uploads' ttl %v, %d replicas", w.grace, w.trash, w.ttl, n.replicas)
	for _, r := range u.repos {
		if _, err := w.replicas[0].registry.CreateRepository(t.Context(), simRoot, registry.NewRepository{Name: r}); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) replica() *simReplica {
	w.born++
	return &simReplica{
		process: &process{name: fmt.Sprintf("r%d", w.born)},
		registry: registry.New(registry.Config{
			Store: w.db, Blobs: w.blobs, Account: simAccount, Region: "us-east-1", Now: w.clock, Grace: w.grace, TrashWindow: w.trash,
		}),
		gc: gc.New(gc.Config{Rows: w.db.Garbage(), Blobs: w.blobs, Walker: w.blobs, Now: w.clock, Grace: w.grace, UploadTTL: w.ttl}),
	}
}

// fail notes what is wrong; the first time counts.
func (w *world) fail(format string, args ...any) {
	w.once.Do(func() {
		w.failure = fmt.Sprintf(format, args...)
		w.logf("WRONG: %s", w.failure)
		w.mu.Lock()
		defer w.mu.Unlock()
		w.story = strings.Join(w.trace, "\n")
	})
}

func (w *world) count(what string, r result) {
	w.mu.Lock()
	defer w.mu.Unlock()
	verb, _, _ := strings.Cut(what, " ")
	outcome := "ok"
	if r.unknown {
		outcome = "crash"
	} else if r.err != nil {
		outcome = "fault"
	}
	w.counts[verb+" "+outcome]++
}

func (w *world) blobName(d oci.Digest) string {
	if b, ok := w.u.blobs[d]; ok {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(`{}" `, r) {
				return '_'
			}
			return r
		}, string(b))
	}
	return string(d)
}

// run plays clients, replicas' own work, crashes and the clock against each other until all clients are done.
func (w *world) run(seed uint64, n size) {
	switching := []float64{0.03, 0.1, 0.3, 0.7}[w.rng.IntN(4)]
	jumping := []float64{0.003, 0.01, 0.03}[w.rng.IntN(3)]
	crashing := []float64{0, 0.002, 0.01}[w.rng.IntN(3)]
	begun := 0
	for w.failure == "" {
		if err := w.settle(); err != nil {
			w.fail("%v", err)
			return
		}
		if w.hasNews() {
			w.check()
		}
		live := w.live()
		switch {
		case begun == n.clients && live == 0:
			return
		case begun < n.clients && live < n.atOnce && (live == 0 || w.rng.IntN(6) == 0):
			begun++
			w.client(seed, begun)
		case begun > 0 && live < n.atOnce+3 && w.rng.IntN(25) == 0 && begun < n.clients:
			w.sweeper()
		case (w.slept && w.rng.IntN(3) == 0 || w.rng.Float64() < jumping) && (!w.sweeping() || w.rng.IntN(200) == 0):
			w.slept = false
			w.jump(w.span())
			if w.rng.IntN(2) == 0 {
				w.sweeper()
			}
		case w.rng.Float64() < crashing:
			at := w.rng.IntN(len(w.replicas))
			if err := w.crash(w.replicas[at].process); err != nil {
				w.fail("%v", err)
			}
			w.replicas[at] = w.replica()
		default:
			w.slept = false
			w.advance(switching)
		}
	}
}

// span is by how much the clock moves: often to one side or the other of what matters.
func (w *world) span() time.Duration {
	near := []time.Duration{w.grace / 2, w.grace, min(w.grace, time.Hour), min(w.grace, time.Hour) / 2, min(w.grace, time.Hour) / 4, w.trash, w.ttl, 24 * time.Hour, 48 * time.Hour}
	if w.rng.IntN(2) == 0 {
		return w.grace * time.Duration(1+w.rng.IntN(6)) / 12
	}
	d := near[w.rng.IntN(len(near))]
	switch w.rng.IntN(5) {
	case 0:
		return time.Second + d/10
	case 1:
		return time.Second + d/2
	case 2:
		return max(time.Second, d-time.Second)
	case 3:
		return d + time.Second
	default:
		return []time.Duration{time.Second, time.Minute, 10 * time.Minute, time.Hour}[w.rng.IntN(4)]
	}
}

// sweeping tells whether a transaction of the sweep is under way. It rests in proportion to how long that took.
func (w *world) sweeping() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.ContainsFunc(w.waiting, func(x *waiter) bool {
		return x.process != nil && strings.HasPrefix(x.actor.name, "gc") && !strings.HasPrefix(x.where, "blobs.")
	})
}

func (w *world) client(seed uint64, number int) {
	w.start(fmt.Sprintf("c%d", number), func(a *actor) {
		c := &client{world: w, actor: a, rng: rand.New(rand.NewPCG(seed, uint64(1000+number))), told: map[place]promise{}} //nolint:gosec // a schedule
		c.work()
	})
}

// sweeper has one replica do some of its own work.
func (w *world) sweeper() {
	rep := w.replicas[w.rng.IntN(len(w.replicas))]
	rounds, walks := 1+w.rng.IntN(4), w.rng.IntN(3) == 0
	w.clients++
	w.start(fmt.Sprintf("gc%d", w.clients), func(a *actor) {
		ctx := w.in(context.Background(), a, rep.process)
		for range rounds {
			w.logf("%s on %s sweeps …", a.name, rep.name)
			more, err := rep.gc.SweepOnce(ctx)
			w.logf("%s on %s has swept: more %v, %v", a.name, rep.name, more, err)
			if rep.dead {
				return
			}
			if err != nil {
				w.fail("%s: SweepOnce: %v", a.name, err)
			}
			w.counts["sweep"]++
			if !more {
				break
			}
		}
		if walks {
			w.walk(ctx, a, rep)
		}
	})
}

func (w *world) walk(ctx context.Context, a *actor, rep *simReplica) {
	w.logf("%s on %s walks …", a.name, rep.name)
	var err error
	for more := true; more && err == nil; {
		more, err = rep.gc.WalkOnce(ctx)
	}
	w.logf("%s on %s has walked: %v", a.name, rep.name, err)
	if err != nil && !rep.dead {
		w.fail("%s: WalkOnce: %v", a.name, err)
	}
	w.counts["walk"]++
}

// rest lets all windows pass and has everything done that is due.
func (w *world) rest() {
	ctx := w.t.Context()
	rep := w.replicas[0]
	for range 6 { // trash, layers, blobs, bytes; strays, their bytes
		w.jump(15 * 24 * time.Hour)
		for _, once := range []func(context.Context) (bool, error){rep.gc.SweepOnce, rep.gc.WalkOnce} {
			for more := true; more; {
				var err error
				if more, err = once(ctx); err != nil {
					w.fail("at the end: %v", err)
					return
				}
			}
		}
	}
	w.commits, w.slow = true, false
	w.check()
	w.checkAtRest(ctx)
}

// damage takes a blob's bytes away, as a bad disk does, and sends them again.
func (c *client) damage() {
	_ = c.wait(request{c.sim, c.actor, nil}, "thinks")
	f := c.facts()
	if len(f.blobs) == 0 || !c.damages {
		return
	}
	b := f.blobs[c.rng.IntN(len(f.blobs))]
	c.expect.damaged[b.key] = true
	c.logf("%s takes away the bytes of %s", c.actor.name, c.blobName(oci.Digest(b.digest)))
	if err := c.blobs.medium.Delete(context.Background(), blob.Key(b.key)); err != nil {
		c.fail("%v", err)
	}
	c.hurt[b.digest] = true
	for range 1 + c.rng.IntN(2) {
		c.putLayer(c.repo(), oci.Digest(b.digest))
	}
}

// damagedBlob tells whether a blob may have been damaged ever.
func (w *world) damagedBlob(d oci.Digest) bool { return w.hurt[string(d)] }

func (w *world) whole(ctx context.Context, key blob.Key, d oci.Digest) error {
	rc, err := w.blobs.medium.Open(ctx, key, 0, -1)
	if err != nil {
		return err
	}
	defer rc.Close()
	b, err := io.ReadAll(rc)
	if err == nil && !d.Matches(b) {
		err = fmt.Errorf("%d other bytes", len(b))
	}
	return err
}
