package gc_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/gc"
)

// TestWhatWentIsLogged: an operator reads in the log what was removed for good, and nothing of sweeps that removed nothing.
func TestWhatWentIsLogged(t *testing.T) {
	t.Parallel()
	each(t, settings{trash: 7 * day}, func(t *testing.T, b *bench) {
		var log bytes.Buffer
		lines := func() int { return strings.Count(log.String(), "\n") }
		b.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
		b.gc = gc.New(b.config)
		d := b.image(repo, "config", "layer")
		b.pass(2 * day)
		b.sweep() // finds all layers in use
		b.sweep()
		if lines() != 0 {
			t.Errorf("a sweep that removed nothing is in the log:\n%s", &log)
		}
		b.remove(repo, d)
		b.pass(7 * day)
		b.sweep()
		if want := "trashed_images=1 uploads=0 objects=0 bytes=0"; lines() != 1 || !strings.Contains(log.String(), want) {
			t.Errorf("the log after the trash does not say %q:\n%s", want, &log)
		}
		b.pass(time.Hour)
		b.sweep()
		if want := "trashed_images=0 uploads=0 objects=2 bytes=11"; lines() != 2 || !strings.Contains(log.String(), want) {
			t.Errorf("the log after the bytes does not say %q:\n%s", want, &log)
		}

		// What follows within a minute is told together, also when nothing more happens.
		e := b.image(repo, "config2", "layer2")
		f := b.image(repo, "config3", "layer3")
		b.remove(repo, e)
		b.pass(time.Second)
		b.remove(repo, f)
		b.pass(7*day - time.Second)
		b.sweep()
		b.pass(time.Second)
		b.sweep()
		if lines() != 3 {
			t.Errorf("the log has %d lines, want one a minute:\n%s", lines(), &log)
		}
		b.pass(time.Minute)
		b.sweep()
		b.sweep()
		if lines() != 4 {
			t.Errorf("the log has %d lines, want 4:\n%s", lines(), &log)
		}
	})
}
