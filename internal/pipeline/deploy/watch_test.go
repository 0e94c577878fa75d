package deploy_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
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
		w := deploy.Watching{Environment: "staging", Apps: []string{"web"}, Once: true}
		err := f.as("watch").Watch(t.Context(), w, func(app string) *progress.Task {
			return &progress.Task{Project: app, Step: progress.Deploy, Sink: silent{}, Now: func() time.Time { return at }}
		}, func(r *deploy.Result, err error) {
			said = string(r.Outcome)
			if (err != nil) != (r.Outcome != deploy.OutcomeDeployed) {
				t.Errorf("%s: %v", r.Outcome, err)
			}
		})
		if err != nil || said != want {
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

	// Rolled back by hand, it stays so: the tag names what was tried already.
	f.must(deploy.Request{Environment: "staging", Action: deployment.Rollback})
	look("nothing")
	f.runs("staging", one)
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
