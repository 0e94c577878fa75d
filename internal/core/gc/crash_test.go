package gc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/gc"
)

var errCrashed = errors.New("crashed")

// crashes is a database that goes away at one of its updates, before or after that is committed.
type crashes struct {
	gc.Store
	in    int // updates until then
	after bool
}

func (c *crashes) Update(ctx context.Context, f func(gc.Tx) error) error {
	c.in--
	if c.in < 0 || c.in == 0 && !c.after {
		return errCrashed
	}
	err := c.Store.Update(ctx, f)
	if c.in == 0 && err == nil {
		err = errCrashed
	}
	return err
}

// TestACrashBetweenAnyTwoSteps leaves nothing behind and takes nothing that is needed. Each round crashes a step later.
func TestACrashBetweenAnyTwoSteps(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.image(repo, "config that stays", "layer that stays", "v1")
		for _, after := range []bool{false, true} {
			for at := 1; at <= 8; at++ {
				c := b.config
				c.Rows = &crashes{Store: b.config.Rows, in: at, after: after}
				dying := gc.New(c)
				b.remove(repo, b.image(repo, fmt.Sprint("config ", after, at), "layer"))
				crashed := false
				for range 3 { // the layers, the blobs, the bytes
					b.pass(day)
					for range 3 {
						if _, err := dying.SweepOnce(t.Context()); errors.Is(err, errCrashed) {
							crashed = true
						} else if err != nil {
							t.Fatal(err)
						}
					}
				}
				if !crashed && at < 5 {
					t.Errorf("no crash at update %d: this test tests nothing", at)
				}
				for range 3 {
					b.pass(day)
					b.sweep()
				}
				b.wantFiles(fmt.Sprintf("after a crash at update %d (committed: %v)", at, after), 2)
			}
		}
		if !b.has(repo, "config that stays") || !b.has(repo, "layer that stays") {
			t.Error("an image lost its layers")
		}
	})
}

// TestTheBytesOfAClaimAreNotTakenBack holds the constants of two packages together: what is being removed may not come to use.
func TestTheBytesOfAClaimAreNotTakenBack(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		store := &fails{Store: b.blobs}
		sick := errors.New("sick")
		store.broken.Store(&sick)
		c := b.config
		c.Blobs = store
		s := gc.New(c)
		b.layer(repo, "layer")
		b.layer(repo, "layer") // its second copy is garbage
		b.pass(time.Hour)
		if _, err := s.SweepOnce(t.Context()); !errors.Is(err, sick) {
			t.Fatalf("SweepOnce: %v, want it to claim and to fail", err)
		}
		st, err := b.gc.Status(t.Context(), root)
		if err != nil || st.Stages[gc.Bytes].Later.Things != 1 {
			t.Fatalf("Status: %+v, %v", st.Stages[gc.Bytes], err)
		}
		// registry.keepOne takes back what has more than half an hour left.
		if left := st.Stages[gc.Bytes].NextAt.Sub(b.now()); left > 15*time.Minute {
			t.Errorf("a claim lasts %v, so that the registry would take it back", left)
		}
	})
}
