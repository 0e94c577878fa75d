package jobs_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/jobs"
)

// TestGather rings a bell over and over: the job runs once for all that came within its time.
func TestGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		bell := jobs.NewBell()
		var at []time.Duration
		job := jobs.Job{Name: "work", Every: time.Hour, Wake: bell.C(), Gather: 1050 * time.Millisecond, Do: func(context.Context) (bool, error) {
			at = append(at, time.Since(began))
			return false, nil
		}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			jobs.Run(ctx, slog.New(slog.DiscardHandler), []jobs.Job{job})
		}()
		for range 24 {
			time.Sleep(100 * time.Millisecond) //nolint:forbidigo // the clock of the bubble
			bell.Ring()
		}
		time.Sleep(time.Minute) //nolint:forbidigo // the clock of the bubble
		stop()
		<-done
		want := []time.Duration{0, 1150 * time.Millisecond, 2250 * time.Millisecond, 3350 * time.Millisecond}
		if !slices.Equal(at, want) {
			t.Errorf("the job ran at %v, want %v", at, want)
		}
	})
}

func TestRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		began := time.Now()
		bell := jobs.NewBell()
		var at []time.Duration
		job := jobs.Job{Name: "work", Every: 10 * time.Second, Wake: bell.C(), Do: func(context.Context) (bool, error) {
			at = append(at, time.Since(began))
			switch len(at) {
			case 1:
				return true, nil // more at once
			case 3:
				return false, errors.New("broken")
			case 4:
				panic("worse")
			}
			return false, nil
		}}
		done := make(chan struct{})
		go func() {
			defer close(done)
			jobs.Run(ctx, slog.New(slog.DiscardHandler), []jobs.Job{job})
		}()
		time.Sleep(35 * time.Second) //nolint:forbidigo // the clock of the bubble
		bell.Ring()
		bell.Ring()
		synctest.Wait()
		stop()
		<-done
		want := []time.Duration{0, 0, 10 * time.Second, 20 * time.Second, 30 * time.Second, 35 * time.Second}
		if len(at) < len(want) {
			t.Fatalf("the job ran at %v, want %v", at, want)
		}
		for i, w := range want {
			if at[i] != w {
				t.Errorf("run %d at %v, want %v", i, at[i], w)
			}
		}
	})
}
