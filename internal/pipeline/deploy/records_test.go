package deploy_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestRecords writes a chain to a real Berth and reads it back.
func TestRecords(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	records := b.records()
	ctx := t.Context()
	if _, there, err := records.Newest(ctx, "prod", "web"); there || err != nil {
		t.Fatalf("there is a record before any: %v", err)
	}
	one, two := b.ship(1), b.ship(2)
	write := func(r deployment.Record, until time.Time) oci.Digest {
		t.Helper()
		e, err := records.Write(ctx, r, until)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := records.Write(ctx, r, until); err != nil || again.Digest != e.Digest {
			t.Errorf("the same again: %v", err) // its answer may have been lost
		}
		return e.Digest
	}
	last := write(record("1", one, deployment.Started, ""), at.Add(time.Minute))
	last = write(record("1", one, deployment.Succeeded, last), time.Time{})
	last = write(record("2", two, deployment.Succeeded, last), time.Time{})
	last = write(record("3", one, deployment.Started, last), time.Time{})
	last = write(record("3", one, deployment.Broken, last), time.Time{})
	last = write(record("4", one, deployment.Started, last), at.Add(time.Hour))
	var ids []string
	err := records.Walk(ctx, "prod", "web", func(e deploy.Entry) bool {
		ids = append(ids, strings.TrimPrefix(e.ID, "deployment-")+" "+string(e.Outcome))
		return len(ids) < 5
	})
	if got := strings.Join(ids, ", "); err != nil || got != "4 started, 3 broken, 3 started, 2 succeeded, 1 succeeded" {
		t.Errorf("the chain is %s: %v", got, err)
	}
	s, err := records.State(ctx, "prod", "web")
	if err != nil || s.Newest.Digest != last || s.Pending == nil || s.Broken == nil || s.Runs == nil || s.Runs.Image.Digest != two.Digest {
		t.Errorf("the state is %+v: %v", s, err)
	}
	if !s.Pending.Until.Equal(at.Add(time.Hour)) {
		t.Errorf("its deployer gives up at %s", s.Pending.Until)
	}
	all, err := records.All(ctx)
	if err != nil || len(all) != 1 || all[0].Digest != last {
		t.Errorf("all there are: %+v: %v", all, err)
	}
}

// TestTwoWriters: of those that saw the same one wins, and the others are told who.
func TestTwoWriters(t *testing.T) {
	t.Parallel()
	b := newBerth(t)
	one := b.ship(1)
	const writers = 6
	results := make([]error, writers)
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			r := record("writer-"+string(rune('a'+i)), one, deployment.Started, "")
			r.Actor = "writer " + string(rune('a'+i))
			_, results[i] = b.records().Write(t.Context(), r, time.Time{})
		})
	}
	group.Wait()
	won := 0
	for _, err := range results {
		conflict, ok := errors.AsType[*deploy.Conflict](err)
		switch {
		case err == nil:
			won++
		case !ok || conflict.Newest == nil || !strings.Contains(err.Error(), "by writer "):
			t.Errorf("a writer that lost was told %v", err)
		}
	}
	if won != 1 {
		t.Errorf("%d writers won, want one", won)
	}
}
