package gc_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/gc"
)

// TestAClockFarAhead empties no trash: not while another replica knows the time, and alone not before it was so for a while.
func TestAClockFarAhead(t *testing.T) {
	t.Parallel()
	guarded := settings{trash: 7 * day, change: func(c *gc.Config) { c.MaxJump = day }}
	each(t, guarded, func(t *testing.T, b *bench) {
		right := gc.New(b.config)
		ahead := b.config
		ahead.Now = func() time.Time { return b.now().Add(30 * day) }
		wrong := gc.New(ahead)
		sweep := func(s *gc.Service) (problem bool) {
			t.Helper()
			_, err := s.SweepOnce(t.Context())
			if _, walked := s.WalkOnce(t.Context()); err == nil && walked != nil {
				t.Errorf("WalkOnce: %v", walked)
			}
			return err != nil
		}
		trash := func() int {
			t.Helper()
			st, err := right.Status(t.Context(), root)
			if err != nil {
				t.Fatal(err)
			}
			return int(st.Stages[gc.Trash].Due.Things + st.Stages[gc.Trash].Later.Things)
		}
		b.remove(repo, b.image(repo, "config", "layer", "v1"))
		b.stray("00000000000000000000000000000001", "arriving")
		if sweep(right) {
			t.Fatal("there is a problem from the beginning")
		}
		for range 10 { // both at work
			b.pass(6 * time.Minute)
			if sweep(right) {
				t.Fatal("a right clock has a problem")
			}
			if !sweep(wrong) || sweep(wrong) {
				t.Fatal("a wrong clock is not told of once when somebody knew better")
			}
		}
		if n := trash(); n != 1 {
			t.Fatalf("the trash has %d images", n)
		}
		noted := b.now()
		b.pass(time.Minute)
		if sweep(right) {
			t.Fatal("a right clock has a problem")
		}
		b.wantProblems("with a wrong clock", gc.Problem{Stage: "clock", At: noted, Text: "nothing is removed before "})
		b.pass(13 * time.Minute) // alone
		if sweep(wrong); trash() != 1 {
			t.Fatal("the trash is empty at once")
		}
		b.pass(time.Minute)
		if sweep(wrong) {
			t.Error("the wait does not end")
		}
		if n := trash(); n != 0 {
			t.Errorf("the trash has %d images when nobody knew better for a while", n)
		}
		b.wantProblems("when nobody knew better")
		if sweep(right) { // which is behind now
			t.Error("a clock that went back has a problem")
		}
	})
}

// TestALongRest is no other than a clock that jumps, and ends by itself; one of a night holds nothing up.
func TestALongRest(t *testing.T) {
	t.Parallel()
	guarded := settings{trash: time.Hour, change: func(c *gc.Config) { c.MaxJump = day }}
	each(t, guarded, func(t *testing.T, b *bench) {
		b.sweep()
		b.remove(repo, b.image(repo, "config", "layer", "v1"))
		b.pass(14 * time.Hour)
		more, err := b.gc.SweepOnce(t.Context())
		if err != nil || !more {
			t.Errorf("after a night: %t, %v", more, err)
		}
		b.remove(repo, b.image(repo, "config2", "layer2", "v2"))
		b.pass(10 * day)
		b.gc = gc.New(b.config)
		if more, err := b.gc.SweepOnce(t.Context()); err == nil || more {
			t.Errorf("after ten days: %t, %v", more, err)
		}
		b.pass(15 * time.Minute)
		if more, err := b.gc.SweepOnce(t.Context()); err != nil || !more {
			t.Errorf("a quarter of an hour later: %t, %v", more, err)
		}
	})
}
