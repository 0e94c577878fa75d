package event_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// gathering is a handler that takes many events at once, unless one of them is bad.
type gathering struct{ hearing }

func (g *gathering) HandleAll(_ context.Context, events []event.Event) error {
	var names []string
	for _, e := range events {
		if names = append(names, e.Repository); g.bad[e.Repository] {
			return errors.New("not all of them")
		}
	}
	g.got = append(g.got, strings.Join(names, "+"))
	return nil
}

// TestEventsAreHandedOnTogether has a handler that takes all at once; when it cannot, one bad event holds up no other.
func TestEventsAreHandedOnTogether(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		together, alone := &gathering{}, &hearing{}
		d := event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"together": together, "alone": alone}, Now: func() time.Time { return now }}
		record := func() {
			t.Helper()
			err := db.Update(t.Context(), func(tx registry.Tx) error {
				return tx.RecordEvents(t.Context(), []event.Event{{At: now, Repository: "a"}, {At: now, Repository: "b"}, {At: now, Repository: "c"}})
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		once := func(fails bool, inTogether, inAlone []string) {
			t.Helper()
			together.got, alone.got = nil, nil
			if _, err := d.Once(t.Context()); (err != nil) != fails {
				t.Errorf("Once: %v", err)
			}
			if diff := cmp.Diff([][]string{inTogether, inAlone}, [][]string{together.got, alone.got}); diff != "" {
				t.Errorf("what each got (-want +got):\n%s", diff)
			}
		}
		record()
		once(false, []string{"a+b+c"}, []string{"a", "b", "c"})
		once(false, nil, nil)
		record()
		together.bad = map[string]bool{"b": true}
		once(true, []string{"a", "b", "c"}, []string{"a", "b", "c"})
		together.bad = nil
		now = now.Add(time.Hour)
		once(false, []string{"b"}, []string{"b"})
	})
}

// falling panics at one repository's events, as a handler does that did not think of something.
type falling struct{ hearing }

func (f *falling) Handle(ctx context.Context, e event.Event) error {
	if e.Repository == "b" {
		panic("nobody thought of b")
	}
	return f.hearing.Handle(ctx, e)
}

func (f *falling) HandleAll(context.Context, []event.Event) error { panic("nor here") }

// TestAnEventThatAHandlerPanicsAtHindersNoOther has the events that were taken with it done.
func TestAnEventThatAHandlerPanicsAtHindersNoOther(t *testing.T) {
	t.Parallel()
	db := metadbtest.New(t)
	now := time.Date(2026, 11, 27, 10, 0, 0, 0, time.UTC)
	err := db.Update(t.Context(), func(tx registry.Tx) error {
		var events []event.Event
		for _, name := range []string{"a", "b", "c"} {
			events = append(events, event.Event{Kind: event.ImagePushed, At: now, Repository: name})
		}
		return tx.RecordEvents(t.Context(), events)
	})
	if err != nil {
		t.Fatal(err)
	}
	h := &falling{}
	d := event.Dispatcher{Outbox: db.Outbox(), Handlers: map[string]event.Handler{"h": h}, Now: func() time.Time { return now }}
	if _, err := d.Once(t.Context()); err == nil || !strings.Contains(err.Error(), "nobody thought of b") {
		t.Errorf("Once says %v", err)
	}
	left, err := db.Outbox().Claim(t.Context(), now.Add(time.Hour), now.Add(2*time.Hour), 10)
	if err != nil || len(left) != 1 || left[0].Repository != "b" || left[0].Attempts != 1 {
		t.Errorf("the outbox still has %+v, %v", left, err)
	}
	if diff := cmp.Diff([]string{"a", "c"}, h.got); diff != "" {
		t.Errorf("handled (-want +got):\n%s", diff)
	}
}
