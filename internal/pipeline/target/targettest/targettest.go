// Package targettest is what every kind of deploy.Target must do, as tests: docs/design/deploy.md, "Targets".
//
// A kind of target calls Run with a function that gives a fresh Place, which is a real one: an engine, a cluster, a stub of a service that
// speaks its wire. A case takes one Place, and opens the target on it as often as deployers come.
package targettest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// Behaviour is what an image does when it is run.
type Behaviour string

// The behaviours.
const (
	First   Behaviour = "first"   // gets healthy
	Second  Behaviour = "second"  // gets healthy, and is another image
	Third   Behaviour = "third"   // likewise
	Sick    Behaviour = "sick"    // runs, and never gets healthy
	Ending  Behaviour = "ending"  // ends as soon as it is started, with an error
	Missing Behaviour = "missing" // has a digest that the registry does not know
)

// Place is where a target is tried, with nothing running in it yet.
type Place struct {
	// Open opens the target, as a deployer does. If during is not nil it is called each time the place has done a change that the
	// target asked for, before the target hears of it: a request that is no mere question, a program that was run. Once during has
	// given false the deployer counts as killed: nothing that it asks for any more, changes or questions, reaches the place.
	// A proxy before the place can do both.
	Open func(t testing.TB, during func() (alive bool)) deploy.Target
	// Gone opens the target of a place that does not answer. It may give the error that opening gave.
	Gone func(t testing.TB) (deploy.Target, error)
	// Image gives an image of the app and environment of this place, the same for the same behaviour. It skips the test, with the
	// reason, if no image can behave so here.
	Image func(t testing.TB, b Behaviour) deploy.Image
	// Serves tells what answers the users of the app: the digest of the image, "" if nobody does.
	Serves func(ctx context.Context) (oci.Digest, error)
	// Instance names what runs, so that a restart gives another name: a container's id and start. nil if there is no such thing.
	Instance func(t testing.TB) string
	// Check gives what comes back when that image answers at an endpoint as healthy, and gives up after a while. Nil if the target's own
	// notion of health is all there is, and the images are sick by that.
	Check func(to deploy.Image) deploy.Check
	// Left names what is in the place beside what runs and what the target keeps of the image before: nil if nobody can tell.
	Left func(t testing.TB) []string
	// Replaces is that what ran before is replaced before the new one is checked, as a function's code is, so
	// that it may not answer while a switch is at work.
	Replaces bool
	// Gap is that nobody answers for a moment when a healthy image takes over. Nothing else may have one.
	Gap bool
	// Changes is whether Open calls during. Without it no deployer can be killed half way.
	Changes bool
}

// Run tries a kind of target.
func Run(t *testing.T, fresh func(t *testing.T) *Place) {
	t.Helper()
	for _, c := range []struct {
		name string
		run  func(t *testing.T, p *Place)
	}{
		{"nothing runs", nothing},
		{"the first image", first},
		{"the first image is sick", firstSick},
		{"a second image", second},
		{"and back again", back},
		{"the same again", again},
		{"the same again and it is sick", againSick},
		{"never healthy", sick},
		{"ends at once", ending},
		{"not in the registry", missing},
		{"not reachable", gone},
		{"the context ends", ended},
		{"the context ends at each change", endedAnywhere},
		{"the deployer is killed and the image before is wanted", killed(First)},
		{"the deployer is killed and the same image is wanted", killed(Second)},
		{"the deployer is killed and another image is wanted", killed(Third)},
	} {
		t.Run(c.name, func(t *testing.T) { c.run(t, fresh(t)) })
	}
}

// notebook keeps what a target says.
type notebook struct {
	t      testing.TB
	events []progress.Event
}

func (n *notebook) Event(e progress.Event) {
	n.events = append(n.events, e)
	n.t.Logf("%s: %s", e.Kind, e.Text)
}

// passes is the place's check, of the new image.
func (p *Place) passes(to deploy.Image) deploy.Check {
	if p.Check == nil {
		return func(context.Context, deploy.Endpoint) error { return nil }
	}
	return p.Check(to)
}

// limit is how long anything may take here before it counts as hung.
const limit = 2 * time.Minute

// switchTo has a target switch, and looks that it does not tell the login's secret.
func (p *Place) switchTo(t testing.TB, target deploy.Target, to deploy.Image, check deploy.Check) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	return p.switchIn(ctx, t, target, to, check)
}

func (p *Place) switchIn(ctx context.Context, t testing.TB, target deploy.Target, to deploy.Image, check deploy.Check) error {
	t.Helper()
	if check == nil {
		check = p.passes(to)
	}
	n := &locked{to: &notebook{t: t}}
	err := target.Switch(ctx, to, check, &progress.Task{Project: to.App, Step: progress.Deploy, Sink: n, Now: time.Now})
	n.secret(t, to, err)
	return err //nolint:wrapcheck // the caller looks at it
}

// runs looks that an image runs, answers, and that nothing else is there. "" is none.
func (p *Place) runs(t testing.TB, target deploy.Target, of deploy.Image) {
	t.Helper()
	got, err := target.Running(t.Context(), of.App, of.Environment)
	if err != nil || got.Digest != of.Digest || got.Begun != "" {
		t.Fatalf("Running gives %+v, %v, want %q, and no switch that was begun", got, err, of.Digest)
	}
	if of.Digest != "" && got.Healthy != nil && !*got.Healthy {
		t.Errorf("Running gives %+v, want it healthy", got)
	}
	p.serves(t, of.Digest)
	if p.Left != nil {
		if left := p.Left(t); len(left) > 0 {
			t.Errorf("%q are left there", left)
		}
	}
}

func (p *Place) serves(t testing.TB, want oci.Digest) {
	t.Helper()
	if got, err := p.Serves(t.Context()); err != nil || got != want {
		t.Errorf("%q answers, %v, want %q", got, err, want)
	}
}

func (p *Place) instance(t testing.TB) string {
	t.Helper()
	if p.Instance == nil {
		return ""
	}
	return p.Instance(t)
}

// open opens the target for the length of the test.
func (p *Place) open(t testing.TB, during func() bool) deploy.Target {
	t.Helper()
	target := p.Open(t, during)
	t.Cleanup(func() {
		if err := target.Close(); err != nil && during == nil {
			t.Errorf("Close: %v", err)
		}
	})
	return target
}

// begin gives a target that runs the first image already.
func (p *Place) begin(t testing.TB) (deploy.Target, deploy.Image) {
	t.Helper()
	target, image := p.open(t, nil), p.Image(t, First)
	if err := p.switchTo(t, target, image, nil); err != nil {
		t.Fatalf("Switch to the first image: %v", err)
	}
	p.serves(t, image.Digest)
	return target, image
}

// undone looks that an error is Undone.
func undone(t testing.TB, err error) {
	t.Helper()
	if _, ok := errors.AsType[*deploy.Undone](err); !ok {
		t.Fatalf("Switch gives %T: %v, want it Undone", err, err)
	}
}
