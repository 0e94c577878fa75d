package gc_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// TestManyStraysStay until somebody says that they may go: that is what a database looks like that was put back from an older backup.
func TestManyStraysStay(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		b.image(repo, "config", "layer", "v1")
		for i := range 30 {
			b.stray(blob.Key(fmt.Sprintf("%032x", i)), "pushed since")
		}
		b.pass(3 * day)
		warned := b.heldWalk()
		if len(warned) != 1 || !strings.Contains(warned[0], "30 of the 32 things") || !strings.Contains(warned[0], "berth gc resume --strays") {
			t.Errorf("the warnings are %q", warned)
		}
		b.pass(2 * time.Hour)
		b.sweep()
		b.wantFiles("when nobody said that they may go", 32)
		st, err := b.gc.Status(t.Context(), root)
		if err != nil || !st.Walk.Held || st.Walk.Found.Things != 30 || st.Walk.Strays.Things != 0 {
			t.Errorf("Status: %+v, %v", st.Walk, err)
		}

		if _, err := b.gc.AllowStrays(t.Context(), identity.Caller{Account: account}); err == nil {
			t.Error("anybody may let them go")
		}
		a, err := b.gc.AllowStrays(t.Context(), root)
		if err != nil || a.By != root.ARN || !a.At.Equal(b.now()) {
			t.Errorf("AllowStrays: %+v, %v", a, err)
		}
		b.walk()
		if st, err = b.gc.Status(t.Context(), root); err != nil || st.Walk.Held || st.Walk.AllowedBy != root.ARN || st.Walk.Strays.Things != 30 {
			t.Errorf("Status: %+v, %v", st.Walk, err)
		}
		b.pass(2 * time.Hour)
		b.sweep()
		b.wantFiles("when somebody did", 2)

		for i := range 30 {
			b.stray(blob.Key(fmt.Sprintf("%032x", i)), "pushed since")
		}
		b.pass(3 * day)
		if len(b.heldWalk()) == 0 {
			t.Error("the permission holds for more than one walk")
		}
	})
}

// TestYoungStraysCount for how many there are, so that what was pushed in a week does not go a day at a time.
func TestYoungStraysCount(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		for i := range 30 {
			b.stray(blob.Key(fmt.Sprintf("%032x", i)), "pushed since")
		}
		if warned := b.heldWalk(); len(warned) != 0 {
			t.Errorf("layers that are arriving are warned of: %q", warned)
		}
		b.pass(day)
		if len(b.heldWalk()) == 0 {
			t.Error("no warning of young strays")
		}
	})
}

// TestAClockThatWentBack does not keep the walk away until it has caught up.
func TestAClockThatWentBack(t *testing.T) {
	t.Parallel()
	each(t, settings{}, func(t *testing.T, b *bench) {
		const years = 10 * 365 * day
		b.pass(years)
		if _, err := gc.New(b.config).WalkOnce(t.Context()); err != nil { // a page: another replica claims it
			t.Fatal(err)
		}
		b.pass(-years)
		for _, which := range []string{"in the middle", "at its end"} {
			b.walk()
			st, err := b.gc.Status(t.Context(), root)
			if err != nil || st.Walk.Part != "" || st.Walk.Ended.Sub(b.now()) > time.Minute {
				t.Errorf("%s: the walk stands at %+v, %v", which, st.Walk, err)
			}
		}
	})
}

// heldWalk walks to the end, and gives the warnings.
func (b *bench) heldWalk() (warnings []string) {
	b.t.Helper()
	for range 1000 {
		more, err := b.gc.WalkOnce(b.t.Context())
		if err != nil {
			warnings = append(warnings, err.Error())
		}
		if !more {
			return warnings
		}
	}
	b.t.Fatal("the walk does not come to an end")
	return nil
}
