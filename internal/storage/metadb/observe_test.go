package metadb_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// watching notes what it is told.
type watching struct {
	mu    sync.Mutex
	heard []string
}

type watchingKey struct{}

func (w *watching) say(what string, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil {
		what += ": " + err.Error()
	}
	w.heard = append(w.heard, what)
}

func (w *watching) Read(context.Context) func(error) {
	return func(err error) { w.say("read", err) }
}

func (w *watching) Update(ctx context.Context) (context.Context, func(), func(error)) {
	return context.WithValue(ctx, watchingKey{}, true), func() { w.say("began", nil) }, func(err error) { w.say("updated", err) }
}

func TestAnObserverHearsOfEverything(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := &watching{}
		db.Observe(w)
		ctx := t.Context()
		if err := db.Ping(ctx); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(ctx, func(registry.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := db.Update(ctx, func(registry.Tx) error { return errors.New("no") }); err == nil {
			t.Error("the function's error is lost")
		}
		if _, err := db.Outbox().Claim(ctx, time.Now(), time.Now(), 1); err != nil {
			t.Fatal(err)
		}
		ended, cancel := context.WithCancel(ctx)
		cancel()
		_ = db.Update(ended, func(registry.Tx) error { return nil })
		want := []string{"read", "began", "updated", "began", "updated: no", "read", "updated: context canceled"}
		if diff := cmp.Diff(want, w.heard); diff != "" {
			t.Errorf("the observer heard (-want +got):\n%s", diff)
		}
	})
}

func TestWhatIsToldOfADatabase(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		ctx := t.Context()
		if size, err := db.Size(ctx); err != nil || size < 1<<16 {
			t.Errorf("Size gives %d, %v", size, err)
		}
		if h, err := db.Holding(ctx); err != nil || h != (metadb.Holding{}) {
			t.Errorf("Holding of an empty database gives %+v, %v", h, err)
		}
		if s, err := db.ScanStates(ctx); err != nil || len(s) != 0 {
			t.Errorf("ScanStates of an empty database gives %v, %v", s, err)
		}
		if l := db.Load(); l.Most < 1 || l.Busy != 0 {
			t.Errorf("Load gives %+v", l)
		}
		at := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		err := db.Update(ctx, func(tx registry.Tx) error {
			return tx.RecordEvents(ctx, []event.Event{{Kind: event.ImageDeleted, At: at}, {Kind: event.ImageDeleted, At: at.Add(time.Hour)}})
		})
		if err != nil {
			t.Fatal(err)
		}
		// Attempts move when an event is due, and not how long it has waited.
		if _, err := db.Outbox().Claim(ctx, at.Add(time.Minute), at.Add(2*time.Hour), 10); err != nil {
			t.Fatal(err)
		}
		all, err := db.Queues(ctx)
		if err != nil {
			t.Fatal(err)
		}
		depths := map[string]int64{}
		for _, q := range all {
			depths[q.Name] = q.Depth
			if (q.Name == "outbox") != q.Oldest.Equal(at) || q.Name != "outbox" && !q.Oldest.IsZero() {
				t.Errorf("what waits longest in %s does since %v", q.Name, q.Oldest)
			}
		}
		want := map[string]int64{"outbox": 2, "replication": 0, "signing": 0, "scans": 0, "lifecycle previews": 0, "advisories": 0}
		if diff := cmp.Diff(want, depths); diff != "" {
			t.Errorf("queues (-want +got):\n%s", diff)
		}
	})
}
