package deploy_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// TestWaitingIsNotDeploying: neither somebody who was at work nor a scan that took its time has taken any of the deployment's own.
func TestWaitingIsNotDeploying(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	before := f.ship(1)
	f.must(deploy.Request{Environment: "staging"})
	work := f.atWork(before) // and done when it is seen that somebody waits
	after := f.ship(2)

	var waited bool
	var scanned time.Time
	f.scan.at = func(ctx context.Context) {
		if at, ok := ctx.Deadline(); ok {
			t.Errorf("the scan has to be done by %s: it has the gate's own time", at)
		}
		f.pass(14 * time.Minute)
		scanned = time.Now()
	}
	sink := sinkFunc(func(e progress.Event) {
		if !strings.HasPrefix(e.Text, "waiting for") {
			return
		}
		waited = true
		f.pass(8 * time.Minute)
		end := work.Record
		end.Outcome, end.At, end.Previous = deployment.Succeeded, end.At.Add(time.Minute), work.Digest
		if _, err := f.records().Write(t.Context(), end, time.Time{}); err != nil {
			t.Error(err)
		}
	})
	const timeout = 10 * time.Minute
	r, err := f.as("ada").Run(t.Context(), deploy.Request{Action: deployment.Deploy, App: "web", Environment: "staging", Wait: true, Timeout: timeout},
		&progress.Task{Project: "web", Step: progress.Deploy, Sink: sink, Now: func() time.Time { return at }})
	if err != nil || r.Outcome != deploy.OutcomeDeployed || !waited {
		t.Fatalf("%s, after waiting: %t, %v", r.Outcome, waited, err)
	}
	f.runs("staging", after)
	if left := f.place.deadline.Sub(scanned); left < timeout {
		t.Errorf("after the scan the switch has %s left of %s", left, timeout)
	}
	var claim deploy.Entry
	if err := f.records().Walk(t.Context(), "staging", "web", func(e deploy.Entry) bool {
		claim = e
		return e.Outcome != deployment.Started
	}); err != nil {
		t.Fatal(err)
	}
	if got := claim.Until.Sub(claim.At); got < timeout+deploy.Undoing-time.Second {
		t.Errorf("the claim of %s is until %s, which is %s", claim.At, claim.Until, got)
	}
}

// TestPatience: one who waits does so for as long as a deployment with the same timeout may take, unless it says otherwise.
func TestPatience(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	f.atWork(f.ship(1))
	r, err := f.run("ada", deploy.Request{Environment: "staging", Wait: true, Patience: time.Millisecond, Timeout: time.Minute})
	if r.Outcome != deploy.OutcomeRefused || err == nil || !strings.Contains(err.Error(), "still at work") || strings.Contains(err.Error(), "the deployment is over") {
		t.Errorf("%s: %v", r.Outcome, err)
	}
	if r.Request.Patience != time.Millisecond {
		t.Errorf("it waited for %s", r.Request.Patience)
	}
	r, err = f.run("ada", deploy.Request{Environment: "staging", Timeout: time.Minute}) // does not wait at all
	if err == nil || r.Request.Patience != time.Minute+deploy.Undoing {
		t.Errorf("it would wait for %s, %v", r.Request.Patience, err)
	}
	f.runs("staging", oci.Descriptor{})
}

// atWork writes that somebody has just begun to deploy an image in staging.
func (f *fixture) atWork(of oci.Descriptor) deploy.Entry {
	f.t.Helper()
	newest, _, err := f.records().Newest(f.t.Context(), "staging", "web")
	if err != nil {
		f.t.Fatal(err)
	}
	r := record("at-work-", of, deployment.Started, newest.Digest)
	r.Environment, r.At = "staging", at.Add(time.Duration(f.clock.Load()))
	e, err := f.records().Write(f.t.Context(), r, r.At.Add(time.Hour))
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

type sinkFunc func(progress.Event)

func (f sinkFunc) Event(e progress.Event) { f(e) }
