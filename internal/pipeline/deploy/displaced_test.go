package deploy_test

import (
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// TestStale: the same image with other settings is deployed.
func TestStale(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.place.stale = true
	f.must(deploy.Request{Environment: "staging"})
	if len(f.place.switches) != 2 {
		t.Errorf("switched %d times, want 2", len(f.place.switches))
	}
}

// TestNothingToPromote: that there is nothing to promote cannot be ignored.
func TestNothingToPromote(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.ship(1)
	r, err := f.run("ada", deploy.Request{Environment: "prod", Action: deployment.Promote, Ignore: []string{"after"}, Reason: "why not", DryRun: true})
	if refusal, ok := errors.AsType[*deploy.Refusal](err); !ok || r.Outcome != deploy.OutcomeRefused || refusal.Problems[0].Check != deploy.CheckAfter {
		t.Errorf("promoting nothing: %s, %v", r.Outcome, err)
	}
}

// TestDisplaced: who wakes after somebody took over does not switch.
func TestDisplaced(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	f.ship(2)
	slept := false
	f.place.at = func(string, deploy.Image) {
		if slept {
			return
		}
		slept = true
		f.pass(time.Hour)
		e, _, err := f.records().Newest(t.Context(), "staging", "web")
		if err != nil {
			t.Fatal(err)
		}
		end := e.Record
		end.Outcome, end.Reason, end.Previous, end.Actor = deployment.Failed, "the deployer did not come back", e.Digest, "bob"
		if _, err := f.records().Write(t.Context(), end, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	r, err := f.run("ada", deploy.Request{Environment: "staging", Timeout: 100 * time.Hour})
	if _, ok := errors.AsType[*deploy.Conflict](err); !ok || r.Outcome == deploy.OutcomeDeployed {
		t.Errorf("%s: %v", r.Outcome, err)
	}
	f.runs("staging", one)
}
