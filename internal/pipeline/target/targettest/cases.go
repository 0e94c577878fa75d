package targettest

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

func nothing(t *testing.T, p *Place) {
	p.runs(t, p.open(t, nil), none(p.Image(t, First)))
}

// none is the app of an image, with nothing running.
func none(of deploy.Image) deploy.Image {
	of.Digest = ""
	return of
}

func first(t *testing.T, p *Place) {
	target, image := p.begin(t)
	p.runs(t, target, image)
	p.runs(t, p.open(t, nil), image)
}

func firstSick(t *testing.T, p *Place) {
	target, image := p.open(t, nil), p.Image(t, Sick)
	undone(t, p.switchTo(t, target, image, nil))
	p.runs(t, target, none(image))
}

// second looks that what runs answers until the new one is healthy, and the new one when Switch comes back.
func second(t *testing.T, p *Place) {
	target, old := p.begin(t)
	image, checked := p.Image(t, Second), false
	watch := p.watch(t, old, image)
	err := p.switchTo(t, target, image, func(ctx context.Context, at deploy.Endpoint) error {
		checked = true
		return p.passes(image)(ctx, at)
	})
	watch()
	if err != nil || !checked {
		t.Fatalf("Switch gives %v, and has checked it: %t", err, checked)
	}
	p.runs(t, target, image)
}

func back(t *testing.T, p *Place) {
	target, old := p.begin(t)
	for _, to := range []deploy.Image{p.Image(t, Second), old, p.Image(t, Third), old} {
		if err := p.switchTo(t, target, to, nil); err != nil {
			t.Fatalf("Switch: %v", err)
		}
		p.runs(t, target, to)
	}
}

func again(t *testing.T, p *Place) {
	target, image := p.begin(t)
	before, checked := p.instance(t), false
	err := p.switchTo(t, target, image, func(ctx context.Context, at deploy.Endpoint) error {
		checked = true
		return p.passes(image)(ctx, at)
	})
	if err != nil || !checked {
		t.Fatalf("Switch to what runs gives %v, and has checked it: %t", err, checked)
	}
	if after := p.instance(t); after != before {
		t.Errorf("%q runs after a switch to what ran, want %q still", after, before)
	}
	p.runs(t, target, image)
}

var errSick = errors.New("it coughs")

func againSick(t *testing.T, p *Place) {
	target, image := p.begin(t)
	before := p.instance(t)
	err := p.switchTo(t, target, image, func(context.Context, deploy.Endpoint) error { return errSick })
	undone(t, err)
	if !errors.Is(err, errSick) {
		t.Errorf("Switch gives %v, want what the check said", err)
	}
	if after := p.instance(t); after != before {
		t.Errorf("%q runs after a switch to what ran, want %q still", after, before)
	}
	p.runs(t, target, image)
}

// sick looks that what runs never stops answering for the sake of a version that never gets healthy.
func sick(t *testing.T, p *Place) {
	target, old := p.begin(t)
	before, image := p.instance(t), p.Image(t, Sick)
	watch := p.watch(t, old, old)
	err := p.switchTo(t, target, image, func(ctx context.Context, at deploy.Endpoint) error {
		if !p.Replaces {
			p.serves(t, old.Digest)
		}
		return p.passes(image)(ctx, at)
	})
	watch()
	undone(t, err)
	if after := p.instance(t); after != before && !p.Replaces {
		t.Errorf("%q runs in the end, want %q still", after, before)
	}
	p.runs(t, target, old)
}

// ending looks that nobody waits for the health of what has ended: the check never comes back by itself.
func ending(t *testing.T, p *Place) {
	target, old := p.begin(t)
	image := p.Image(t, Ending)
	watch := p.watch(t, old, old)
	err := p.switchTo(t, target, image, func(ctx context.Context, _ deploy.Endpoint) error {
		<-ctx.Done()
		return context.Cause(ctx)
	})
	watch()
	undone(t, err)
	if errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Switch gives %v, want that it was noticed before the time was over", err)
	}
	p.runs(t, target, old)
}

func missing(t *testing.T, p *Place) {
	target, old := p.begin(t)
	before := p.instance(t)
	err := p.switchTo(t, target, p.Image(t, Missing), nil)
	if _, broken := errors.AsType[*deploy.Broken](err); err == nil || broken || errors.Is(err, deploy.ErrUnreachable) {
		t.Errorf("Switch to an image that is not there gives %v", err)
	}
	if after := p.instance(t); after != before && !p.Replaces {
		t.Errorf("%q runs in the end, want %q still", after, before)
	}
	p.runs(t, target, old)
}

func gone(t *testing.T, p *Place) {
	target, err := p.Gone(t)
	if err != nil {
		if !errors.Is(err, deploy.ErrUnreachable) {
			t.Errorf("opening it gives %v, want ErrUnreachable", err)
		}
		return
	}
	defer func() { _ = target.Close() }()
	image := p.Image(t, First)
	if got, err := target.Running(t.Context(), image.App, image.Environment); !errors.Is(err, deploy.ErrUnreachable) {
		t.Errorf("Running gives %+v, %v, want ErrUnreachable", got, err)
	}
	err = p.switchTo(t, target, image, nil)
	_, isUndone := errors.AsType[*deploy.Undone](err)
	_, isBroken := errors.AsType[*deploy.Broken](err)
	if !errors.Is(err, deploy.ErrUnreachable) || isUndone || isBroken {
		t.Errorf("Switch gives %T: %v, want ErrUnreachable, from before anything was touched", err, err)
	}
}

// ended has the context end while the new one is checked.
func ended(t *testing.T, p *Place) {
	target, old := p.begin(t)
	before := p.instance(t)
	ctx, cancel := context.WithCancel(t.Context())
	watch := p.watch(t, old, old)
	err := p.switchIn(ctx, t, target, p.Image(t, Second), func(ctx context.Context, _ deploy.Endpoint) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	})
	watch()
	undone(t, err)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("Switch gives %v, want that it was stopped", err)
	}
	if after := p.instance(t); after != before && !p.Replaces {
		t.Errorf("%q runs in the end, want %q still", after, before)
	}
	p.runs(t, target, old)
}

// endedAnywhere has the context end after each change in turn. Switch may have been as good as done.
func endedAnywhere(t *testing.T, p *Place) {
	if !p.Changes {
		t.Skip("nobody tells the changes apart here")
	}
	_, old := p.begin(t)
	for n := 1; ; n++ {
		ctx, cancel := context.WithCancel(t.Context())
		done := counter(n, func() bool { cancel(); return true })
		target := p.open(t, done.count)
		to := p.Image(t, Second)
		err := p.switchIn(ctx, t, target, to, nil)
		cancel()
		_, broken := errors.AsType[*deploy.Broken](err)
		switch {
		case err == nil:
			p.runs(t, p.open(t, nil), to)
		case broken:
			t.Errorf("the context ended after change %d, and that broke it: %v", n, err)
		default:
			p.runs(t, p.open(t, nil), old)
		}
		if !done.reached() {
			return
		}
		if err := p.switchTo(t, p.open(t, nil), old, nil); err != nil {
			t.Fatalf("Switch back, after the context ended after change %d: %v", n, err)
		}
	}
}

// killed kills a deployer after each of its changes in turn, and looks what the next one finds, and that it gets what it wants.
func killed(wanted Behaviour) func(t *testing.T, p *Place) {
	return func(t *testing.T, p *Place) {
		if !p.Changes {
			t.Skip("nobody tells the changes apart here")
		}
		_, old := p.begin(t)
		begun := false
		for n := 1; ; n++ {
			done := counter(n, func() bool { return false })
			dead, half := p.open(t, done.count), p.Image(t, Second)
			err := p.switchTo(t, dead, half, nil)
			if err != nil && !done.reached() {
				t.Fatalf("Switch gives %v", err)
			}
			next := p.open(t, nil)
			found, err := next.Running(t.Context(), half.App, half.Environment)
			t.Logf("killed after change %d: %+v", n, found)
			nobody := found.Digest == "" && p.Replaces
			if err != nil || (found.Digest != old.Digest && found.Digest != half.Digest && !nobody) || (found.Begun != "" && found.Begun != half.Digest) {
				t.Fatalf("Running gives %+v, %v, after a deployer was killed after change %d from %s to %s", found, err, n, old.Digest, half.Digest)
			}
			begun = begun || found.Begun != ""
			want := p.Image(t, wanted)
			if err := p.switchTo(t, next, want, nil); err != nil {
				t.Fatalf("Switch after a deployer was killed after change %d: %v", n, err)
			}
			p.runs(t, next, want)
			if !done.reached() {
				break
			}
			if err := p.switchTo(t, next, old, nil); err != nil {
				t.Fatalf("Switch back: %v", err)
			}
			p.runs(t, next, old)
		}
		if !begun {
			t.Error("a deployer was killed after each change, and no switch was ever seen as begun")
		}
	}
}

// counting acts at a change.
type counting struct {
	at   int64
	act  func() bool
	seen atomic.Int64
}

func counter(at int, act func() bool) *counting { return &counting{at: int64(at), act: act} }

func (c *counting) count() bool { return c.seen.Add(1) < c.at || c.act() }

func (c *counting) reached() bool { return c.seen.Load() >= c.at }

// pace is how often users come.
const pace = 10 * time.Millisecond

// watch asks all the time who answers, until what it gives is called. One of these two must. Where what runs is replaced nobody
// looks.
func (p *Place) watch(t testing.TB, before, after deploy.Image) (stop func()) {
	t.Helper()
	if p.Replaces {
		return func() {}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done, users := make(chan struct{}), time.NewTicker(pace)
	go func() {
		defer close(done)
		for {
			got, err := p.Serves(ctx)
			if ctx.Err() != nil {
				return
			}
			gap := p.Gap && got == "" && after.Digest != before.Digest
			if err != nil || (got != before.Digest && got != after.Digest && !gap) {
				t.Errorf("%q answers during the switch, %v", got, err)
				return
			}
			select {
			case <-ctx.Done():
			case <-users.C:
			}
		}
	}()
	return func() { cancel(); <-done; users.Stop() }
}
