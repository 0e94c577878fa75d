package docker

import (
	"context"
	"errors"
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

// switching is a switch at work.
type switching struct {
	*target
	names
	found
	to    deploy.Image
	want  recipe
	check deploy.Check
	say   *progress.Task
	made  []string // IDs of the containers that this switch has made
}

// Switch has the engine run an image instead of what it runs.
func (t *target) Switch(ctx context.Context, to deploy.Image, check deploy.Check, say *progress.Task) error {
	s := &switching{target: t, to: to, check: check, say: say}
	var err error
	if s.names, err = t.names(to.App, to.Environment); err != nil {
		return err
	}
	if s.want, err = t.recipe(to); err != nil {
		return err
	}
	if s.found, err = t.look(ctx, s.names, to.App, to.Environment); err != nil {
		return err
	}
	if err := s.tidy(ctx); err != nil {
		return err
	}
	if c := s.found.current; running(c) && digestOf(c) == to.Digest && c.Config.Labels[labelSettings] == s.want.hash {
		say.Note(s.names.current + " runs this image already")
		if err := s.engine.Prove(ctx, c.ID, s.ports.health, s.check, s.say); err != nil {
			return &deploy.Undone{Err: err}
		}
		return nil
	}
	if err := s.engine.Pull(ctx, to, say); err != nil {
		return err
	}
	if running(s.found.current) && s.takesPlace() {
		return s.replace(ctx)
	}
	return s.beside(ctx)
}

// takesPlace tells whether two cannot run at once, since they would have the same ports of the host.
func (s *switching) takesPlace() bool {
	return len(s.ports.bindings) > 0 || s.options.Network == "host"
}

// tidy ends what a deployer that was killed has begun: by undoing it, or, if what is new has its name already, by stopping what
// was before.
func (s *switching) tidy(ctx context.Context) error {
	f := &s.found
	begun := f.trial != nil || f.next != nil
	for _, c := range []**container.InspectResponse{&f.trial, &f.next} {
		if *c == nil {
			continue
		}
		s.say.Note("removing " + (*c).Name[1:] + ", which a switch that did not end has left")
		if err := s.remove(ctx, (*c).ID); err != nil {
			return err
		}
		*c = nil
	}
	switch {
	case f.current == nil && f.before != nil && begun:
		s.say.Note(s.names.before + " runs as " + s.names.current + " again")
		if err := s.rename(ctx, f.before.ID, s.names.current); err != nil {
			return err
		}
		f.current, f.before = f.before, nil
	case f.current != nil && running(f.before):
		s.say.Note("stopping " + s.names.before + ", which a switch that did not end has left")
		if err := s.retire(ctx, f.before.ID); err != nil {
			return err
		}
	}
	if begun && f.current != nil {
		if err := s.revive(ctx, f.current.ID); err != nil {
			return err
		}
		f.current.State.Running = true
	}
	return nil
}

// beside starts the new one while the old one runs, and gives it the name when it is healthy.
func (s *switching) beside(ctx context.Context) error {
	id, err := s.create(ctx, s.names.next, s.want.whole)
	if err == nil {
		err = s.start(ctx, id)
	}
	if err == nil {
		err = s.engine.Prove(ctx, id, s.ports.health, s.check, s.say)
	}
	if err == nil {
		err = s.handOver(ctx, id)
	}
	if err != nil {
		return s.undo(ctx, err)
	}
	return nil
}

// replace sees that the new one gets healthy without the ports, stops the old one, and starts the new one with the ports.
func (s *switching) replace(ctx context.Context) error {
	if s.options.Network != "host" {
		if err := s.try(ctx); err != nil {
			return s.undo(ctx, err)
		}
	}
	id, err := s.create(ctx, s.names.next, s.want.whole)
	if err == nil {
		err = s.retire(ctx, s.found.current.ID)
	}
	if err == nil {
		err = s.start(ctx, id)
	}
	if err == nil {
		err = s.engine.Prove(ctx, id, s.ports.health, s.check, s.say)
	}
	if err == nil {
		err = s.handOver(ctx, id)
	}
	if err != nil {
		return s.undo(ctx, err)
	}
	return nil
}

// try sees whether the new one gets healthy, without the ports of the host.
func (s *switching) try(ctx context.Context) error {
	id, err := s.create(ctx, s.names.trial, s.want.bare)
	if err != nil {
		return err
	}
	if err := s.start(ctx, id); err != nil {
		return err
	}
	err = s.engine.Prove(ctx, id, s.ports.health, s.check, s.say)
	if errors.Is(err, deploy.ErrNoAddress) {
		s.say.Note("the container on trial cannot be reached from here: it runs, and is asked when it has its ports")
	} else if err != nil {
		return err
	}
	return s.remove(ctx, id)
}

// handOver gives the new one the name. From here on it is not stopped by the end of the context.
func (s *switching) handOver(ctx context.Context, id string) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
	defer cancel()
	if err := s.restart(ctx, id, container.RestartPolicyMode(s.options.Restart)); err != nil {
		return err
	}
	if old := s.found.current; old != nil {
		if err := s.discard(ctx, s.found.before); err != nil {
			return err
		}
		if err := s.rename(ctx, old.ID, s.names.before); err != nil {
			return err
		}
	}
	if err := s.rename(ctx, id, s.names.current); err != nil {
		return err
	}
	if old := s.found.current; old != nil { // also one that is between two starts: it would come back
		if err := s.retire(ctx, old.ID); err != nil { // the next switch tries again
			s.say.Say(progress.Event{Kind: progress.Problem, Text: err.Error()})
		}
	}
	return nil
}

// undo has what ran run as before. It goes by what there is now.
func (s *switching) undo(ctx context.Context, why error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), deploy.Undoing)
	defer cancel()
	now, err := s.look(ctx, s.names, s.to.App, s.to.Environment)
	if err != nil {
		return &deploy.Broken{Err: why, Undo: err}
	}
	for _, c := range []*container.InspectResponse{now.trial, now.next} {
		if c == nil {
			continue
		}
		if err := s.remove(ctx, c.ID); err != nil {
			return &deploy.Broken{Err: why, Undo: err}
		}
	}
	old := s.found.current
	if c := now.current; c != nil && (old == nil || c.ID != old.ID) {
		if !slices.Contains(s.made, c.ID) {
			return &deploy.Broken{Err: why, Undo: errors.New("somebody else has switched to " + c.Config.Image + " meanwhile, which was left")}
		}
		// It got the name, and nobody heard of it.
		if err := s.remove(ctx, c.ID); err != nil {
			return &deploy.Broken{Err: why, Undo: err}
		}
		now.current = nil
	}
	if old == nil {
		return &deploy.Undone{Err: why}
	}
	if now.current == nil {
		if err := s.rename(ctx, old.ID, s.names.current); err != nil {
			return &deploy.Broken{Err: why, Undo: err}
		}
	}
	if running(old) {
		if err := s.revive(ctx, old.ID); err != nil {
			return &deploy.Broken{Err: why, Undo: err}
		}
	}
	return &deploy.Undone{Err: why}
}

// revive starts one that was retired, if it was, and looks that it still runs a moment later.
func (s *switching) revive(ctx context.Context, id string) error {
	c, err := s.engine.API.ContainerInspect(ctx, id, client.ContainerInspectOptions{})
	if err != nil {
		return s.engine.Failed("looking at what ran before", err)
	}
	if policy := container.RestartPolicyMode(s.options.Restart); c.Container.HostConfig.RestartPolicy.Name != policy {
		if err := s.restart(ctx, id, policy); err != nil {
			return err
		}
	}
	if c.Container.State.Running {
		return nil
	}
	if err := s.start(ctx, id); err != nil {
		return err
	}
	return s.engine.Healthy(ctx, id)
}

func (s *switching) start(ctx context.Context, id string) error {
	if _, err := s.engine.API.ContainerStart(ctx, id, client.ContainerStartOptions{}); err != nil {
		return s.engine.Failed("starting the container", err)
	}
	return nil
}

// retire stops one so that the engine does not start it again by itself.
func (s *switching) retire(ctx context.Context, id string) error {
	if err := s.restart(ctx, id, container.RestartPolicyDisabled); err != nil {
		return err
	}
	if _, err := s.engine.API.ContainerStop(ctx, id, client.ContainerStopOptions{}); err != nil {
		return s.engine.Failed("stopping the container before", err)
	}
	return nil
}

func (s *switching) restart(ctx context.Context, id string, policy container.RestartPolicyMode) error {
	_, err := s.engine.API.ContainerUpdate(ctx, id, client.ContainerUpdateOptions{RestartPolicy: &container.RestartPolicy{Name: policy}})
	if err != nil {
		return s.engine.Failed("setting when the container is started again", err)
	}
	return nil
}

func (s *switching) rename(ctx context.Context, id, name string) error {
	if _, err := s.engine.API.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: name}); err != nil {
		return s.engine.Failed("calling the container "+name, err)
	}
	return nil
}

// remove ends a container and what it alone had. One that is gone, or going, is removed.
func (s *switching) remove(ctx context.Context, id string) error {
	_, err := s.engine.API.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	return s.engine.Failed("removing the container", err)
}

// discard removes what ran before the one before, and its image if nothing else has it: it would fill the disk.
func (s *switching) discard(ctx context.Context, c *container.InspectResponse) error {
	if c == nil {
		return nil
	}
	if err := s.remove(ctx, c.ID); err != nil {
		return err
	}
	if c.Config.Image != s.to.Reference() && (s.found.current == nil || c.Config.Image != s.found.current.Config.Image) {
		_, _ = s.engine.API.ImageRemove(ctx, c.Config.Image, client.ImageRemoveOptions{}) // others may run it
	}
	return nil
}
