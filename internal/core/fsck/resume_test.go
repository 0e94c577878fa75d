package fsck_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
)

func TestCrashAndResume(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		for i := range 12 {
			b.push(strings.Repeat("y", i+1))
		}
		lost := b.layer("lost").Digest
		b.remove(b.key(lost))
		c, err := b.Start(t.Context(), b.root, fsck.Order{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = b.Start(t.Context(), b.root, fsck.Order{})
		wantFault(t, "a second one", err, fault.CheckInProgress)

		// Each process dies after some blobs: its context ends, or it is killed and cannot even say so.
		reads := 0
		b.blobs.open = func(context.Context, blob.Key) error {
			reads++
			b.now = b.now.Add(4 * time.Second)
			return nil
		}
		for round := range 4 {
			ctx, stop := context.WithCancel(t.Context())
			left, killed := 6, round%2 == 1
			other := b.service(&store{Walker: b.blobs, Store: b.blobs, open: func(context.Context, blob.Key) error {
				if left--; left == 0 {
					stop()
				}
				return ctx.Err()
			}})
			other.Checks = mute{other.Checks, func() bool { return killed && left <= 0 }}
			if _, err := other.Once(ctx); err == nil {
				t.Errorf("round %d: it did not die", round)
			}
			stop()
			if _, claimed, err := b.db.Checks().ClaimCheck(t.Context(), false, b.now, b.now); err != nil || claimed == killed {
				t.Errorf("round %d: to be taken up at once: %v, %v", round, claimed, err)
			}
			b.now = b.now.Add(2 * time.Minute)
		}
		b.now = b.now.Add(2 * time.Minute)
		b.work()
		r := b.report(c.ID)
		b.wantFindings("after crashes", r, words(fsck.Lost, lost.String(), fsck.Nothing, repo))
		if r.State != fsck.Complete || r.Progress.Blobs != 25 {
			t.Errorf("after crashes: %+v", r.Check)
		}
		if reads > 40 {
			t.Errorf("%d reads of 25 blobs: what was done was done again", reads)
		}
	})
}

// mute is checks to which somebody who was killed says nothing any more.
type mute struct {
	fsck.Checks
	killed func() bool
}

func (m mute) SaveCheck(ctx context.Context, c fsck.Check, due time.Time, found []fsck.Finding) error {
	if m.killed() {
		return errors.New("killed")
	}
	return m.Checks.SaveCheck(ctx, c, due, found)
}

func TestTakenOverAndStopped(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.push("one")
		b.push("two")
		c, err := b.Start(t.Context(), b.root, fsck.Order{})
		if err != nil {
			t.Fatal(err)
		}
		// While somebody works on it nobody else does; who is away too long loses it.
		first := true
		b.blobs.open = func(ctx context.Context, _ blob.Key) error {
			if !first {
				return nil
			}
			first = false
			if more, err := b.Once(ctx); more || err != nil {
				t.Errorf("another process while it is worked on: %v, %v, want nothing to do", more, err)
			}
			b.now = b.now.Add(2 * time.Minute)
			if _, err := b.service(b.blobs).Once(ctx); err != nil {
				t.Errorf("another process later: %v", err)
			}
			return nil
		}
		if _, err := b.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := b.report(c.ID); r.State != fsck.Complete || r.Progress.Blobs != 4 {
			t.Errorf("after it was taken over: %+v", r.Check)
		}

		c, err = b.Start(t.Context(), b.root, fsck.Order{})
		if err != nil {
			t.Fatal(err)
		}
		b.blobs.open = func(ctx context.Context, _ blob.Key) error {
			b.now = b.now.Add(10 * time.Second)
			if _, err := b.Stop(ctx, b.root, c.ID); err != nil && !errors.Is(err, fault.CheckEnded) {
				t.Errorf("Stop: %v", err)
			}
			return nil
		}
		if _, err := b.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r := b.report(c.ID); r.State != fsck.Stopped || r.EndedAt.IsZero() || r.Progress.Blobs != 0 {
			t.Errorf("after it was stopped: %+v", r.Check)
		}
		_, err = b.Stop(t.Context(), b.root, c.ID)
		wantFault(t, "Stop again", err, fault.CheckEnded)
		_, err = b.Stop(t.Context(), b.root, 4711)
		wantFault(t, "Stop of none", err, fault.CheckNotFound)
	})
}
