package deploy

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

var errCough = errors.New("it coughs")

// TestUntilHealthy: so often in a row, within the time, by a clock that waits for nobody.
func TestUntilHealthy(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		saw  string // at each look: + healthy, - not; the last one stays
		took time.Duration
		err  string
	}{
		{"at once", "+", 4 * time.Second, ""},
		{"after a while", "---+", 10 * time.Second, ""},
		{"not in a row", "++-++-+", 16 * time.Second, ""},
		{"never", "-", 61 * time.Second, "not healthy within 1m1s, after 31 looks: it coughs"},
		{"once at the end", "------------------------------+", 61 * time.Second, "after 31 looks: it was healthy 1 times in a row, and must be 3 times"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n, began := 0, time.Now()
				err := untilHealthy(t.Context(), workspace.Health{Successes: 3, Interval: workspace.Timeout(2 * time.Second), Timeout: workspace.Timeout(61 * time.Second)},
					[]func(context.Context) error{func(context.Context) error {
						n++
						if tt.saw[min(n, len(tt.saw))-1] == '+' {
							return nil
						}
						return errCough
					}})
				if took := time.Since(began); took != tt.took || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
					t.Errorf("it took %s, and gives %v", took, err)
				}
			})
		})
	}
}

// TestLookThatHangs ends with its own time, and the last look that said something is what is told.
func TestLookThatHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, n := workspace.Health{Successes: 1, Interval: workspace.Timeout(time.Second), Timeout: workspace.Timeout(15 * time.Second)}, 0
		hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
		err := untilHealthy(t.Context(), h, []func(context.Context) error{func(ctx context.Context) error {
			if n++; n == 1 {
				return errCough
			}
			return hang(ctx)
		}})
		unhealthy, ok := errors.AsType[*Unhealthy](err)
		if !ok || unhealthy.Looks != 3 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it gives %v", err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(5*time.Second, func() { cancel(errCough) })
		if err := untilHealthy(ctx, h, []func(context.Context) error{hang}); !errors.Is(err, errCough) {
			t.Errorf("when it is stopped it gives %v", err)
		}
	})
}
