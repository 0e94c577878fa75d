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
