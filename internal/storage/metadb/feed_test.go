package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/feed"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func record(t *testing.T, db *metadb.DB, events ...event.Event) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx registry.Tx) error { return tx.RecordEvents(t.Context(), events) }); err != nil {
		t.Error(err)
	}
}

// TestAReaderWithACursorMissesNothing has writers that write to repositories of their own, in transactions of different lengths, others that
// hand events on and sometimes fail or stop halfway, and readers that follow while all that goes on.
func TestAReaderWithACursorMissesNothing(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const writers, each, readers = 8, 60, 3
		now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		ctx, stop := context.WithCancel(t.Context())
		var writing, handing, reading sync.WaitGroup
		for w := range writers {
			writing.Go(func() { writeSome(t, db, w, each, now) })
		}
		for range 2 {
			handing.Go(func() { handOn(ctx, t, db, now) })
		}
		for range readers {
			reading.Go(func() { follow(t, db, writers*each) })
		}
		writing.Wait()
		reading.Wait()
		stop()
		handing.Wait()
	})
}

// writeSome counts in its repository, with kinds between that go nowhere.
func writeSome(t *testing.T, db *metadb.DB, w, each int, now time.Time) {
	for i := range each {
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			events := []event.Event{{Kind: event.ImagePushed, At: now, Repository: fmt.Sprint("r", w), Count: int64(i)}}
			if i%3 == 0 {
				events = append(events, event.Event{Kind: event.Served, At: now}, event.Event{Kind: event.Noticed, At: now})
			}
			if err := tx.RecordEvents(t.Context(), events); err != nil {
				return err
			}
			if i%5 == w%5 { // longer than others, which come after it and are done before
				_, err := tx.Repository(t.Context(), "none")
				if !errors.Is(err, registry.ErrNoRow) {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Error(err)
			return
		}
	}
}

// handOn takes events, and leaves some of them as a process does that is killed.
func handOn(ctx context.Context, t *testing.T, db *metadb.DB, now time.Time) {
	for n := 0; ctx.Err() == nil; n++ {
		// Some of those who hand on are stopped at any moment.
		claiming, stop := context.WithCancel(context.WithoutCancel(ctx))
		if n%3 == 0 {
			stopper := time.AfterFunc(time.Duration(n%7)*500*time.Microsecond, stop)
			defer stopper.Stop()
		}
		got, err := db.Outbox().Claim(claiming, now.Add(time.Duration(n)*time.Minute), now.Add(time.Duration(n+1)*time.Minute), 20)
		stopped := claiming.Err() != nil
		stop()
		if err != nil && stopped {
			continue
		}
		if err != nil {
			t.Error(err)
			return
		}
		var ids []int64
		for i, e := range got {
			if i%4 != n%4 {
				ids = append(ids, e.ID)
			}
		}
		if err := db.Outbox().Done(context.WithoutCancel(ctx), ids); err != nil {
			t.Error(err)
			return
		}
	}
}

// follow reads to the end, and checks numbers and order.
func follow(t *testing.T, db *metadb.DB, all int) {
	next := map[string]int64{}
	var cursor int64
	for seen := 0; seen < all; {
		entries, err := db.Feed().After(t.Context(), cursor, 7)
		if err != nil {
			t.Error(err)
			return
		}
		for _, e := range entries {
			if e.Number != cursor+1 || e.Kind != event.ImagePushed {
				t.Errorf("after %d comes %d, %s", cursor, e.Number, e.Kind)
			}
			if e.Count != next[e.Repository] {
				t.Errorf("%s: event %d came where %d was next", e.Repository, e.Count, next[e.Repository])
				return
			}
			next[e.Repository]++
			cursor = e.Number
			seen++
		}
	}
}

func TestAnEventIsInTheFeedBeforeAnybodyHasIt(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		record(t, db, event.Event{Kind: event.ImagePushed, At: now.Add(time.Hour), Repository: "later"}, event.Event{Kind: event.ImageDeleted, At: now, Repository: "a"})
		for i := range 3 { // the same event, claimed again and again
			got, err := db.Outbox().Claim(t.Context(), now.Add(time.Duration(i)*time.Minute), now.Add(time.Duration(i+1)*time.Minute), 10)
			if err != nil || len(got) != 1 {
				t.Fatalf("the outbox gives %+v, %v", got, err)
			}
			entries, err := db.Feed().After(t.Context(), 0, 10)
			if err != nil || len(entries) != 2 || entries[0].Repository != "later" || entries[1].ID != got[0].ID {
				t.Fatalf("the feed has %+v, %v", entries, err)
			}
		}
	})
}

func TestForget(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		for _, age := range []int{9, 8, 1, 7, 1, 1, 1} { // days: one is older than one before it, since clocks differ
			record(t, db, event.Event{Kind: event.ImagePushed, At: now.AddDate(0, 0, -age), Repository: "a"})
		}
		if _, err := db.Outbox().Claim(t.Context(), now, now, 100); err != nil {
			t.Fatal(err)
		}
		steps := []struct {
			before      time.Time
			keep        int64
			limit       int
			gone, first int64
		}{
			{now.AddDate(0, 0, -10), 100, 10, 0, 1},
			{now.AddDate(0, 0, -5), 100, 1, 1, 2},
			{now.AddDate(0, 0, -5), 100, 10, 1, 3}, // up to the first that stays
			{now.AddDate(0, 0, -5), 100, 10, 0, 3},
			{now.AddDate(0, 0, -5), 2, 2, 2, 5},
			{now.AddDate(0, 0, -5), 2, 2, 1, 6},
			{now, 100, 10, 2, 0},
			{now.Add(time.Hour), 0, 10, 0, 0},
		}
		for i, s := range steps {
			gone, err := db.Feed().Forget(t.Context(), s.before, s.keep, s.limit)
			if err != nil || gone != s.gone {
				t.Errorf("step %d: %d went, %v, want %d", i, gone, err, s.gone)
			}
			entries, err := db.Feed().After(t.Context(), 0, 100)
			if err != nil {
				t.Fatal(err)
			}
			h, err := db.Feed().Head(t.Context())
			if err != nil || h.Number != 7 || len(entries) != int(7-h.Forgotten) {
				t.Errorf("step %d: head %+v, %v, with %d entries", i, h, err, len(entries))
			}
			if s.first > 0 && entries[0].Number != s.first {
				t.Errorf("step %d: the first is %d, want %d", i, entries[0].Number, s.first)
			}
		}
		record(t, db, event.Event{Kind: event.ImagePushed, At: now, Repository: "a"})
		if _, err := db.Outbox().Claim(t.Context(), now, now, 100); err != nil {
			t.Fatal(err)
		}
		if entries, err := db.Feed().After(t.Context(), 0, 10); err != nil || len(entries) != 1 || entries[0].Number != 8 {
			t.Errorf("after all went, the feed has %+v, %v", entries, err)
		}
	})
}

func TestReceivers(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 27, 7, 0, 0, 0, time.UTC)
		f := db.Feed()
		push := func() {
			record(t, db, event.Event{Kind: event.ImagePushed, At: now, Repository: "a"})
			if _, err := db.Outbox().Claim(t.Context(), now, now, 100); err != nil {
				t.Fatal(err)
			}
		}
		claim := func(holder string, want bool) feed.State {
			t.Helper()
			s, taken, err := f.Claim(t.Context(), "hook", holder, now, now.Add(time.Minute))
			if err != nil || taken != want {
				t.Fatalf("%s's claim: %+v, %v, %v", holder, s, taken, err)
			}
			return s
		}
		push()
		claim("one", false) // it begins after what there was
		push()
		if s := claim("one", true); s.Number != 1 {
			t.Errorf("the receiver is at %d", s.Number)
		}
		claim("two", false)
		claim("one", true)
		save := func(holder string, p feed.Progress) error {
			p.At = now
			return f.Save(t.Context(), "hook", holder, p)
		}
		if err := save("two", feed.Progress{Number: 2}); !errors.Is(err, feed.ErrLost) {
			t.Errorf("two saves: %v", err)
		}
		err := save("one", feed.Progress{
			Number: 2, Sent: 1, Failure: "no", HeldUntil: now,
			Late:     []feed.Late{{Repository: "b", Number: 1, Attempts: 1, DueAt: now.Add(time.Minute), Failure: "no"}, {Repository: "c", DueAt: now}},
			SetAside: []feed.Aside{{Number: 2, Repository: "a", At: now, Reason: "never"}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if s := claim("two", true); s.Number != 2 || s.Sent != 1 || s.Failure != "no" || !s.FailedAt.Equal(now) {
			t.Errorf("the receiver is %+v", s)
		}
		late, err := f.Late(t.Context(), "hook", now, 10)
		if err != nil || len(late) != 1 || late[0].Repository != "c" {
			t.Errorf("late are %+v, %v", late, err)
		}
		among, err := f.LateAmong(t.Context(), "hook", []string{"a", "b", "c"})
		slices.Sort(among)
		if err != nil || !slices.Equal(among, []string{"b", "c"}) {
			t.Errorf("of those late are %v, %v", among, err)
		}
		if err := save("two", feed.Progress{Caught: []string{"c"}, HeldUntil: now}); err != nil {
			t.Fatal(err)
		}
		claim("one", false) // nothing is due
		states, err := f.States(t.Context(), 10)
		if err != nil || len(states) != 1 || states[0].LateCount != 1 || states[0].Aside != 1 || states[0].SetAside[0].Reason != "never" ||
			!states[0].Due.Equal(now.Add(time.Minute)) {
			t.Errorf("the states are %+v, %v", states, err)
		}
		now = now.Add(time.Minute)
		claim("one", true)
		if err := save("one", feed.Progress{PausedUntil: now.Add(time.Hour), HeldUntil: now}); err != nil {
			t.Fatal(err)
		}
		claim("one", false)
		for range 3 {
			push()
		}
		drop := func(since time.Time, want int) {
			t.Helper()
			if err := f.DropReceivers(t.Context(), since); err != nil {
				t.Fatal(err)
			}
			if states, err := f.States(t.Context(), 1); err != nil || len(states) != want {
				t.Errorf("after those went that nobody claimed since %s there are %+v, %v", since, states, err)
			}
		}
		drop(now.Add(time.Hour), 1) // what it needs is there
		if _, err := f.Forget(t.Context(), time.Time{}, 1, 100); err != nil {
			t.Fatal(err)
		}
		drop(now, 1) // it was claimed then
		drop(now.Add(time.Second), 0)
	})
}
