package artifact_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/artifact"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
)

func TestPasses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want bool
	}{
		{&registry.BusyError{Status: 429, After: time.Second}, true},
		{fmt.Errorf("sending: %w", syscall.ECONNRESET), true},
		{io.ErrUnexpectedEOF, true},
		{context.DeadlineExceeded, true},
		{errors.New("x509: certificate signed by unknown authority"), false},
		{registry.ErrNoLayers, false},
	} {
		if got := artifact.Passes(c.err); got != c.want {
			t.Errorf("%v passes: %v", c.err, got)
		}
	}
	for n := 1; n <= 4; n++ {
		if d := artifact.Wait(n, io.EOF); d < 250*time.Millisecond<<(n-1) || d > 500*time.Millisecond<<(n-1) {
			t.Errorf("after failure %d: %s", n, d)
		}
	}
	for said, least := range map[time.Duration]time.Duration{3 * time.Second: 3 * time.Second, time.Hour: 30 * time.Second} {
		if d := artifact.Wait(1, &registry.BusyError{After: said}); d < least || d > least+500*time.Millisecond {
			t.Errorf("when told %s: %s", said, d)
		}
	}
}
