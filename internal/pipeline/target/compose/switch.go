package compose

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// now is what there is of a service.
type now struct {
	*project
	all    []*container.InspectResponse
	begun  oci.Digest // of a switch that has not ended
	before *service   // to go back to: what runs, or what ran before a switch that has not ended
	theirs bool       // or to what the project's own files say
}

func (n *now) digest() oci.Digest {
	if len(n.all) == 0 || n.all[0].State.Status == container.StateCreated {
		return ""
	}
	return serviceOf(n.all[0]).digest()
}

// whole tells whether all containers of the service run that image.
func (n *now) whole(digest oci.Digest) bool {
	for _, c := range n.all {
		if serviceOf(c).digest() != digest || !c.State.Running || c.State.Restarting {
			return false
		}
	}
	return len(n.all) > 0 && n.begun == ""
}

func (t *target) look(ctx context.Context, app, environment string) (*now, error) {
	p, err := t.project(ctx, app, environment)
	if err != nil {
		return nil, err
	}
	n := &now{project: p}
	if n.all, err = t.containers(ctx, p); err != nil {
		return nil, err
	}
	if len(n.all) > 0 {
		n.before = serviceOf(n.all[0])
		n.theirs = n.before == nil
	}
	s, err := p.read()
	if err != nil {
		return nil, err
	}
	// What another machine has deployed since then makes the file an old one.
	if s != nil && s.Berth.Begun != "" && (len(n.all) == 0 || n.before.digest() == s.Berth.Begun || n.before.digest() == s.Berth.Before.digest()) {
		n.begun, n.before, n.theirs = s.Berth.Begun, s.Berth.Before, s.Berth.Theirs
	}
	return n, nil
}

// Running tells what runs now.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	n, err := t.look(ctx, app, environment)
	if err != nil {
		return deploy.Running{}, err
	}
	r := deploy.Running{Digest: n.digest(), Begun: n.begun}
	no, yes, up := false, true, 0
	for _, c := range n.all {
		switch s := c.State; {
		case s.Status == container.StateCreated:
		case !s.Running, s.Restarting, s.Health != nil && s.Health.Status == container.Unhealthy:
			r.Healthy = &no
		case s.Health != nil && s.Health.Status == container.Healthy && r.Healthy == nil:
			r.Healthy = &yes
		}
		if c.State.Running && !c.State.Restarting {
			up++
		}
	}
	if len(n.all) > 0 {
		r.Detail = fmt.Sprintf("%d of %d containers of %s in %s", up, len(n.all), n.service, n.name)
		if since, err := time.Parse(time.RFC3339Nano, n.all[0].State.StartedAt); err == nil && up > 0 {
			r.Detail += ", for " + t.Now().Sub(since).Round(time.Second).String()
		}
	}
	return r, nil
}

// Switch has compose run an image as the service.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	n, err := t.look(ctx, to.App, to.Environment)
	if err != nil {
		return err
	}
	if t.options.Address != "" {
		at, err := address(t.options.Address, to.App, to.Environment)
		if err != nil {
			return err
		}
		inner := check
		check = func(ctx context.Context, own deploy.Endpoint) error {
			at.Container = own.Container
			return inner(ctx, at)
		}
	}
	if n.whole(to.Digest) {
		say.Note("the service " + n.service + " runs this image already")
		if err := t.prove(ctx, n.all, check, say); err != nil {
			return &deploy.Undone{Err: err}
		}
		return nil
	}
	if n.begun != "" {
		say.Note("a switch to " + n.begun.String() + " did not end")
	}
	if err := t.engine.Pull(ctx, to, say); err != nil {
		return err //nolint:wrapcheck // says enough
	}
	want := &service{Image: to.Reference(), Labels: map[string]string{
		labelApp: to.App, labelEnv: to.Environment, labelDigest: to.Digest.String(), labelID: to.Deployment, labelCommit: to.Commit,
	}}
	if err := n.write(want, begun{Begun: to.Digest, Before: n.before, Theirs: n.theirs}); err != nil {
		return err
	}
	if err := t.change(ctx, n, to, check, say); err != nil {
		return t.undo(ctx, n, err, say)
	}
	if err := n.write(want, begun{}); err != nil {
		return t.undo(ctx, n, err, say)
	}
	return nil
}

// change brings the service up as the file says, and waits until it is healthy.
func (t *target) change(ctx context.Context, n *now, to deploy.Image, check deploy.Check, say *progress.Task) error {
	if err := t.up(ctx, n, true, say); err != nil {
		return err
	}
	all, err := t.containers(ctx, n.project)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("compose has started nothing: is the service %s scaled to none?", n.service)
	}
	for _, c := range all {
		if got := serviceOf(c).digest(); got != to.Digest {
			return fmt.Errorf("%s runs %s, though compose was told otherwise", strings.TrimPrefix(c.Name, "/"), c.Config.Image)
		}
	}
	if err := t.prove(ctx, all, check, say); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	return nil
}

// up brings the service up. The image is there: compose neither pulls nor builds any.
func (t *target) up(ctx context.Context, n *now, own bool, say *progress.Task) error {
	out := say.Writer()
	defer func() { _ = out.Close() }()
	p := t.program(n.project, own, "up", "--detach", "--no-deps", "--no-build", "--pull", "never", n.service)
	p.Out = out
	return p.Run(ctx) //nolint:wrapcheck // says enough
}

// prove waits until each container is healthy.
func (t *target) prove(ctx context.Context, all []*container.InspectResponse, check deploy.Check, say *progress.Task) error {
	for _, c := range all {
		if err := t.engine.Prove(ctx, c.ID, t.port, check, say); err != nil {
			return err //nolint:wrapcheck // says enough
		}
	}
	return nil
}

// undo has what ran run again. What was nothing of Berth's is as the project's own files say.
func (t *target) undo(ctx context.Context, n *now, why error, say *progress.Task) error {
	say.Note("undoing it: " + plan.Printable(why.Error()))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
	defer cancel()
	if err := t.putBack(ctx, n, say); err != nil {
		return &deploy.Broken{Err: why, Undo: err}
	}
	return &deploy.Undone{Err: why}
}

func (t *target) putBack(ctx context.Context, n *now, say *progress.Task) error {
	if n.before == nil && !n.theirs {
		out := say.Writer()
		defer func() { _ = out.Close() }()
		p := t.program(n.project, false, "rm", "--stop", "--force", n.service)
		p.Out = out
		if err := p.Run(ctx); err != nil {
			return err //nolint:wrapcheck // says enough
		}
		return n.write(nil, begun{})
	}
	if n.before != nil {
		// Still begun, until it runs: whoever is killed here has not put it back.
		if err := n.write(n.before, begun{Begun: n.begunOr(), Before: n.before}); err != nil {
			return err
		}
	}
	if err := t.up(ctx, n, n.before != nil, say); err != nil {
		return err
	}
	all, err := t.containers(ctx, n.project)
	if err != nil {
		return err
	}
	for _, c := range all {
		if err := t.engine.Healthy(ctx, c.ID); err != nil {
			return err //nolint:wrapcheck // says enough
		}
	}
	return n.write(n.before, begun{})
}

// begunOr is what the file says was begun.
func (n *now) begunOr() oci.Digest {
	if s, err := n.read(); err == nil && s != nil {
		return s.Berth.Begun
	}
	return n.begun
}
