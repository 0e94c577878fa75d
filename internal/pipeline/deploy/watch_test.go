package deploy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// TestWatch: what the tag names is deployed once; what fails is not tried again, until the tag names another.
func TestWatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	look := func(want string) {
		t.Helper()
		said := "nothing"
		w := deploy.Watching{Environment: "staging", Apps: []string{"web"}, Once: true, Reason: deploy.ReasonWatch}
		err := f.as("watch").Watch(t.Context(), w, func(app string) *progress.Task {
			return &progress.Task{Project: app, Step: progress.Deploy, Sink: silent{}, Now: func() time.Time { return at }}
		}, func(r *deploy.Result, err error) {
			said = string(r.Outcome)
			if (err != nil) != (r.Outcome != deploy.OutcomeDeployed) {
				t.Errorf("%s: %v", r.Outcome, err)
			}
		})
		if (err != nil) != (want == "failed") || said != want {
			t.Errorf("a look did %s, %v, want %s", said, err, want)
		}
		f.pass(time.Minute)
	}
	look("nothing")
	one := f.ship(1)
	look("deployed")
	look("nothing")
	f.runs("staging", one)

	two := f.ship(2)
	f.place.sick[two.Digest] = true
	look("failed")
	look("nothing")
	f.runs("staging", one)
	three := f.ship(3)
	look("deployed")
	f.runs("staging", three)
	if want := "deploy succeeded watch, deploy started watch, deploy failed watch, deploy started watch, deploy succeeded watch, deploy started watch"; f.chain("staging") != want {
		t.Errorf("the records are %s", f.chain("staging"))
	}

	// Rolled back by hand, it stays so: the tag names what was tried already. What is deployed by hand stays as well.
	f.must(deploy.Request{Environment: "staging", Action: deployment.Rollback})
	look("nothing")
	f.runs("staging", one)
	hot := f.push(image(t, 7, nil), "web-hot")
	f.must(deploy.Request{Environment: "staging", Tag: "web-hot"})
	look("nothing")
	f.runs("staging", hot)

	// What was interrupted is tried again.
	four := f.ship(4)
	interrupted := f.begin(four)
	interrupted.Outcome, interrupted.Reason = deployment.Failed, "terminated"
	if _, err := f.records().Write(t.Context(), interrupted, at); err != nil {
		t.Fatal(err)
	}
	look("deployed")
	f.runs("staging", four)

	// The tag goes back, since a commit was taken back, to what a watch went from: that is deployed again.
	f.ship(5)
	look("deployed")
	f.ship(4)
	look("deployed")
	f.runs("staging", four)
}

// begin writes that somebody begins to deploy an image in staging, and gives the record that is to end it.
func (f *fixture) begin(of oci.Descriptor) deployment.Record {
	f.t.Helper()
	newest, _, err := f.records().Newest(f.t.Context(), "staging", "web")
	if err != nil {
		f.t.Fatal(err)
	}
	r := record("begun", of, deployment.Started, newest.Digest)
	r.Environment = "staging"
	begun, err := f.records().Write(f.t.Context(), r, at)
	if err != nil {
		f.t.Fatal(err)
	}
	r.Previous = begun.Digest
	return r
}

// TestWatchGoesOn: a refusal and a target that is away do not end it, and it ends with its context.
func TestWatchGoesOn(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	one := f.ship(1)
	f.place.gone = true
	f.scan.stops[one.Digest] = true
	ctx, stop := context.WithCancelCause(t.Context())
	looks := 0
	f.place.at = func(string, deploy.Image) {}
	w := deploy.Watching{Environment: "staging", Apps: []string{"web"}, Every: time.Millisecond}
	err := f.as("watch").Watch(ctx, w, func(app string) *progress.Task {
		if looks++; looks == 3 {
			f.place.mu.Lock()
			f.place.gone = false
			f.place.mu.Unlock()
			delete(f.scan.stops, one.Digest)
		}
		return &progress.Task{Project: app, Step: progress.Deploy, Sink: silent{}, Now: func() time.Time { return at }}
	}, func(r *deploy.Result, _ error) {
		if r.Outcome == deploy.OutcomeDeployed {
			stop(errors.New("enough"))
		}
	})
	if err != nil || looks < 3 {
		t.Errorf("after %d looks: %v", looks, err)
	}
	f.runs("staging", one)
}

func TestMayWatch(t *testing.T) {
	t.Parallel()
	f := newFixture(t)
	d := f.as("watch")
	for _, c := range []struct {
		w    deploy.Watching
		want error
	}{
		{deploy.Watching{Environment: "staging", Apps: []string{"web"}}, nil},
		{deploy.Watching{Environment: "prod", Apps: []string{"web"}}, deploy.ErrUsage},
		{deploy.Watching{Environment: "moon", Apps: []string{"web"}}, deploy.ErrNoEnvironment},
		{deploy.Watching{Environment: "staging", Apps: []string{"-"}}, deploy.ErrNoApp},
	} {
		if err := d.MayWatch(c.w); !errors.Is(err, c.want) {
			t.Errorf("MayWatch(%+v) is %v, want %v", c.w, err, c.want)
		}
	}
}
