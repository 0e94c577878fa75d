package kubernetes_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// TestNoAnswerForAWhile: a control plane that is replaced says nothing of a rollout, one that stays away does.
func TestNoAnswerForAWhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		silent int32 // questions without answer after the patch
		fails  bool
	}{"a moment": {5, false}, "for good": {1 << 20, true}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fresh(t, "Deployment")
			var patched atomic.Bool
			var silent atomic.Int32
			silent.Store(c.silent)
			cluster := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if patched.Load() && silent.Add(-1) >= 0 {
					refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "apiserver is shutting down")
					return
				}
				s.ServeHTTP(w, r)
				patched.CompareAndSwap(false, r.Method == http.MethodPatch)
			})
			said, err := switchTo(t, open(t, cluster, nil, "container: app"), image(targettest.First))
			if _, broken := errors.AsType[*deploy.Broken](err); broken != c.fails || (err != nil) != c.fails {
				t.Errorf("Switch gives %v", err)
			}
			if !strings.Contains(said, "asking again: the cluster answers: apiserver is shutting down") {
				t.Errorf("it said:\n%s", said)
			}
		})
	}
}

// TestSomebodyElseMeanwhile: what another hand gave the workload during a switch stays when the switch fails.
func TestSomebodyElseMeanwhile(t *testing.T) {
	t.Parallel()
	s := fresh(t, "Deployment")
	target := open(t, s, nil, "container: app")
	const theirs = repository + ":theirs"
	err := target.Switch(t.Context(), image(targettest.First), func(context.Context, deploy.Endpoint) error {
		s.mu.Lock()
		s.image = theirs
		s.mu.Unlock()
		return errors.New("it coughs")
	}, &progress.Task{Sink: &notes{}, Now: time.Now})
	if _, broken := errors.AsType[*deploy.Broken](err); !broken || !strings.Contains(err.Error(), "by somebody else, and is left as it is") || s.image != theirs {
		t.Errorf("Switch gives %v, and %s runs", err, s.image)
	}
}
