package feed_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// world is a feed, a clock, and a receiver that does as it is told.
type world struct {
	t   *testing.T
	db  *metadb.DB
	ctx context.Context //nolint:containedctx // of the test

	mu       sync.Mutex
	now      time.Time                // guarded by mu
	answer   func(e feed.Entry) error // guarded by mu; nil: it takes everything
	asked    int                      // guarded by mu
	got      []feed.Entry             // guarded by mu
	messages []int                    // guarded by mu: how many events each had
}

func newWorld(t *testing.T, db *metadb.DB) *world {
	t.Helper()
	return &world{t: t, db: db, ctx: t.Context(), now: time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)}
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) advance(by time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(by)
}

func (w *world) say(answer func(e feed.Entry) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.answer = answer
}

// Send implements feed.Target: a message is taken if all of its events are.
func (w *world) Send(_ context.Context, entries []feed.Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked++
	for _, e := range entries {
		if w.answer != nil {
			if err := w.answer(e); err != nil {
				return err
			}
		}
	}
	w.got = append(w.got, entries...)
	w.messages = append(w.messages, len(entries))
	return nil
}

// push records an event for each repository, and puts it into the feed.
func (w *world) push(repositories ...string) {
	w.t.Helper()
	var events []event.Event
	for _, r := range repositories {
		events = append(events, event.Event{Kind: event.ImagePushed, At: w.clock(), Repository: r})
	}
	if err := w.db.Update(w.ctx, func(tx registry.Tx) error { return tx.RecordEvents(w.ctx, events) }); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.db.Outbox().Claim(w.ctx, w.clock(), w.clock(), 1000); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) deliverer(holder string) feed.Deliverer {
	return feed.Deliverer{Store: w.db.Feed(), Deliveries: w.db.Feed(), Holder: holder, Now: w.clock, Logger: slog.New(slog.DiscardHandler)}
}

// run delivers until there is nothing more to do now.
func (w *world) run(r feed.Receiver) {
	w.t.Helper()
	r.Target = w
	if r.Name == "" {
		r.Name = "hook"
	}
	for range 50 {
		more, err := w.deliverer("me").Once(w.ctx, r)
		if err != nil {
			w.t.Fatal(err)
		}
		if !more {
			return
		}
	}
	w.t.Fatal("there is always more to do")
}

// took tells which numbers came, by repository.
func (w *world) took() map[string][]int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	by := map[string][]int64{}
	for _, e := range w.got {
		by[e.Repository] = append(by[e.Repository], e.Number)
	}
	return by
}

func (w *world) want(want string) {
	w.t.Helper()
	if got := fmt.Sprint(w.took()); got != want {
		w.t.Errorf("the receiver has %s, want %s", got, want)
	}
}

func (w *world) state() feed.State {
	w.t.Helper()
	states, err := w.db.Feed().States(w.ctx, 10)
	if err != nil || len(states) != 1 {
		w.t.Fatalf("the states are %+v, %v", states, err)
	}
	return states[0]
}

var errNotNow = errors.New("not now")

// notFor refuses events of some repositories for now.
func notFor(repositories ...string) func(feed.Entry) error {
	return func(e feed.Entry) error {
		if slices.Contains(repositories, e.Repository) {
			return errNotNow
		}
		return nil
	}
}

func TestARepositoryThatFailsDelaysOnlyItself(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		for _, batch := range []int{1, 3} {
			w := newWorld(t, metadbtest.New(t))
			if batch == 1 {
				w = newWorld(t, db)
			}
			hook := feed.Receiver{Batch: batch}
			w.run(hook) // it is known from now on
			w.push("a", "b", "c", "b", "a")
			w.say(notFor("b"))
			w.run(hook)
			w.push("b", "c")
			w.run(hook)
			if batch == 1 {
				w.want("map[a:[1 5] c:[3 7]]")
			}
			if s := w.state(); s.LateCount == 0 || s.Number != 7 {
				t.Errorf("the state is %+v", s)
			}
			for range 5 {
				w.advance(time.Minute)
				w.run(hook)
			}
			w.want("map[a:[1 5] c:[3 7]]")
			w.say(nil)
			w.advance(10 * time.Minute)
			w.run(hook)
			w.want("map[a:[1 5] b:[2 4 6] c:[3 7]]")
			w.push("b", "a")
			w.run(hook)
			w.want("map[a:[1 5 9] b:[2 4 6 8] c:[3 7]]")
			if s := w.state(); s.LateCount != 0 || s.Number != 9 || s.Sent != 9 || s.Failure != "not now" {
				t.Errorf("the state is %+v", s)
			}
		}
	})
}

func TestADeadReceiverIsNotAskedForEverything(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		w.run(feed.Receiver{})
		var names []string
		for i := range 100 {
			names = append(names, fmt.Sprintf("r%02d", i))
		}
		w.push(names...)
		w.push(names...)
		w.say(func(feed.Entry) error { return errNotNow })
		w.run(feed.Receiver{})
		if w.asked < 8 || w.asked > 16 {
			t.Errorf("it was asked %d times", w.asked)
		}
		before := w.asked
		for range 12 {
			w.advance(time.Second)
			w.run(feed.Receiver{})
		}
		if n := w.asked - before; n == 0 || n > 12*20 {
			t.Errorf("it was asked %d times more", n)
		}
		w.say(nil)
		w.advance(10 * time.Minute)
		w.run(feed.Receiver{})
		got := w.took()
		for i, name := range names {
			if want := []int64{int64(i + 1), int64(i + 101)}; !slices.Equal(got[name], want) {
				t.Errorf("%s: %v, want %v", name, got[name], want)
			}
		}
		if s := w.state(); s.LateCount != 0 || s.Sent != 200 {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestWhatIsRefusedForGoodIsSetAside(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		hook := feed.Receiver{Batch: 10}
		w.run(hook)
		w.push("a", "b", "a", "b")
		w.say(func(e feed.Entry) error {
			if e.Number == 1 {
				return event.Refused{Reason: "what is this?" + strings.Repeat("€", 1000)}
			}
			return nil
		})
		for range 20 {
			w.run(hook)
			w.advance(time.Minute)
		}
		w.want("map[a:[3] b:[2 4]]")
		s := w.state()
		if s.LateCount != 0 || s.Aside != 1 || s.SetAside[0].Number != 1 || s.SetAside[0].Repository != "a" || !strings.HasPrefix(s.SetAside[0].Reason, "what is this?") {
			t.Errorf("the state is %+v", s)
		}
	})
}

func TestAReceiverThatAsksToBeLeftAloneIs(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		w.run(feed.Receiver{})
		w.push("a", "b", "c")
		w.say(func(feed.Entry) error { return event.Later{After: time.Minute, Reason: "busy"} })
		w.run(feed.Receiver{})
		asked := w.asked
		if asked > 3 {
			t.Errorf("it was asked %d times", asked)
		}
		w.say(nil)
		w.advance(59 * time.Second)
		w.push("d")
		w.run(feed.Receiver{})
		if w.asked != asked {
			t.Error("it was not left alone")
		}
		w.advance(10 * time.Second)
		w.run(feed.Receiver{})
		w.want("map[a:[1] b:[2] c:[3] d:[4]]")
	})
}

func TestAReceiverIsToldWhatItMissed(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newWorld(t, db)
		w.run(feed.Receiver{})
		w.push("a", "b")
		w.say(notFor("b"))
		w.run(feed.Receiver{}) // b is late
		w.push("a", "b", "a", "b", "a", "c")
		if n, err := db.Feed().Forget(t.Context(), time.Time{}, 3, 100); n != 5 || err != nil { // 6 7 8 stay
			t.Fatalf("%d went, %v", n, err)
		}
		w.say(nil)
		w.advance(10 * time.Minute)
		w.run(feed.Receiver{})
		var told []string
		for _, e := range w.got {
			told = append(told, fmt.Sprintf("%d%s %d", e.Number, e.Repository, e.Count))
		}
		slices.Sort(told)
		if got, want := strings.Join(told, ", "), "1a 0, 5 3, 5b 4, 6b 0, 7a 0, 8c 0"; got != want {
			t.Errorf("it was told %s, want %s", got, want)
		}
		if s := w.state(); s.Missed == 0 || s.LateCount != 0 || s.Number != 8 {
			t.Errorf("the state is %+v", s)
		}
	})
}

// TestAtLeastOnceAndInOrder has receivers that fail now and then, and processes that are killed while they deliver, at the same receiver.
func TestAtLeastOnceAndInOrder(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		for seed := range uint64(4) {
			random := rand.New(rand.NewPCG(seed, 9))
			batch := 1 + int(seed%2)*6
			w := newWorld(t, db)
			hook := feed.Receiver{Name: fmt.Sprint("hook", seed), Batch: batch, Target: w, Filter: feed.Filter{Repositories: []string{"x*"}}}
			w.say(func(feed.Entry) error {
				switch random.IntN(10) {
				case 0:
					return errNotNow
				case 1:
					return event.Later{Reason: "later"}
				case 2:
					if random.IntN(20) == 0 {
						return event.Later{After: time.Second, Reason: "later"}
					}
				}
				return nil
			})
			step := func() {
				// A process that is killed has sent, and recorded nothing.
				d := w.deliverer(fmt.Sprint("p", random.IntN(2)))
				if random.IntN(6) == 0 {
					d.Deliveries = forgetful{db.Feed()}
				}
				if _, err := d.Once(t.Context(), hook); err != nil && !errors.Is(err, errKilled) {
					t.Fatal(err)
				}
				w.advance(time.Duration(random.IntN(20)) * time.Second)
			}
			step()
			sent := map[string]int{}
			for range 60 {
				var names []string
				for range random.IntN(6) {
					name := fmt.Sprint([]string{"x", "y"}[random.IntN(2)], random.IntN(4))
					names = append(names, name)
					sent[name]++
				}
				w.push(names...)
				step()
			}
			w.say(nil)
			for range 40 {
				w.advance(time.Minute)
				step()
			}
			inOrder(t, w.took(), sent)
		}
	})
}

// inOrder checks that each event of x came, and that none came first after a later one of its repository.
func inOrder(t *testing.T, took map[string][]int64, sent map[string]int) {
	t.Helper()
	for name, n := range sent {
		numbers := took[name]
		seen := map[int64]bool{}
		var last int64
		for _, number := range numbers {
			if !seen[number] && number < last {
				t.Errorf("%s: %d came first after %d", name, number, last)
			}
			seen[number] = true
			last = max(last, number)
		}
		if want := map[bool]int{true: n, false: 0}[name[0] == 'x']; len(seen) != want {
			t.Errorf("%s: %d events came, want %d", name, len(seen), want)
		}
	}
}

var errKilled = errors.New("killed")

// forgetful records nothing.
type forgetful struct{ feed.Deliveries }

// Save implements feed.Deliveries.
func (forgetful) Save(context.Context, string, string, feed.Progress) error { return errKilled }
