package event_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// hearing records the repositories of the events it got, and fails for those in bad.
type hearing struct {
	got []string
	bad map[string]bool
}

func (h *hearing) Handle(_ context.Context, e event.Event) error {
	h.got = append(h.got, e.Repository)
	if h.bad[e.Repository] {
		return errors.New("not now")
	}
	return nil
}

func TestEventsAreHandedOnUntilAllHaveThem(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		h, other := &hearing{bad: map[string]bool{"b": true}}, &hearing{}
		d := event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"h": h, "other": other}, Now: func() time.Time { return now }}
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			var events []event.Event
			for _, name := range []string{"a", "b", "c"} {
				events = append(events, event.Event{Kind: event.ImagePushed, At: now, Repository: name, Tags: []string{"v1"}})
			}
			return tx.RecordEvents(t.Context(), events)
		})
		if err != nil {
			t.Fatal(err)
		}
		steps := []struct {
			wait time.Duration
			fail bool
			want []string
		}{
			{0, true, []string{"a", "b", "c"}},
			{0, false, nil},                    // b rests
			{time.Second, true, []string{"b"}}, // and fails again
			{time.Second, false, nil},          // and rests longer
			{time.Second, true, []string{"b"}},
		}
		for i, s := range steps {
			now = now.Add(s.wait)
			h.got, other.got = nil, nil
			more, err := d.Once(t.Context())
			if more || (err != nil) != s.fail {
				t.Errorf("step %d: Once gives %v, %v", i, more, err)
			}
			if diff := cmp.Diff(s.want, h.got); diff != "" {
				t.Errorf("step %d: the handler got (-want +got):\n%s", i, diff)
			}
			if diff := cmp.Diff(s.want, other.got); diff != "" {
				t.Errorf("step %d: the other handler got (-want +got):\n%s", i, diff)
			}
		}
		h.bad = nil
		now = now.Add(time.Hour)
		for range 2 {
			if _, err := d.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if left, err := db.Outbox().Claim(t.Context(), now.Add(time.Hour), now, 10); err != nil || len(left) != 0 {
			t.Errorf("the outbox still has %+v, %v", left, err)
		}
	})
}

// TestAClaimLapses is what a crash between claim and done comes to.
func TestAClaimLapses(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			return tx.RecordEvents(t.Context(), []event.Event{{Kind: event.ImageDeleted, At: now, Repository: "a"}})
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, want := range []int{1, 0, 1} {
			got, err := db.Outbox().Claim(t.Context(), now, now.Add(time.Minute), 10)
			if err != nil || len(got) != want {
				t.Errorf("claim %d takes %+v, %v, want %d events", i, got, err, want)
			}
			now = now.Add(40 * time.Second)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	for attempts, want := range []time.Duration{1, 2, 4, 8, 10, 10} {
		if got := event.Backoff(attempts, 1, 10); got != want {
			t.Errorf("Backoff(%d) = %d, want %d", attempts, got, want)
		}
	}
	if got := event.Backoff(1_000_000, time.Second, time.Hour); got != time.Hour {
		t.Errorf("Backoff(1000000) = %v", got)
	}
}
