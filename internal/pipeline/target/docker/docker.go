// Package docker has a Docker engine run an app, as a container: a deploy.Target.
//
// What an app's container is, is told by its name and its labels, so that whoever comes after a deployer that was killed sees how far
// it got. With NAME for the name that the options give:
//
//	NAME         what runs
//	NAME.next    what a switch that has not ended wants to run
//	NAME.trial   the same without published ports, started to see whether it gets healthy
//	NAME.before  what ran before, stopped, and kept until the next switch
//
// docs/operate/targets.md says what happens in which order, and for how long nobody answers.
package docker

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/engine"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what the target goes by.
type Config struct {
	Options workspace.Options
	Dir     string   // that files of the options are named from: the workspace's root
	Environ []string // DOCKER_HOST, DOCKER_TLS_VERIFY, DOCKER_CERT_PATH, HOME, and what env_file takes from it
	Now     func() time.Time
}

// Options are what berth.yaml says of the target.
type Options struct {
	Host    string                        `berth:"host" doc:"the engine, such as ssh://deployer@host, tcp://host:2376 or unix:///run/docker.sock; DOCKER_HOST if not given, or the machine's own"`
	Name    string                        `berth:"name" doc:"the container's name, in which {app} and {environment} are replaced; {app}-{environment} if not given"`
	Publish []string                      `berth:"publish" doc:"ports of the host that lead to the container, as [address:]port:port[/udp], such as 8080:80"`
	Port    workspace.ArgValue            `berth:"port" doc:"the container's port that health is asked at; the published one, or the image's, if there is one alone"`
	Env     map[string]workspace.ArgValue `berth:"env" doc:"environment variables"`
	EnvFile []string                      `berth:"env_file" doc:"files of environment variables, a NAME=value in each line"`
	Volumes []string                      `berth:"volumes" doc:"what is mounted, as volume:path or /directory:path, with :ro to read alone"`
	Network string                        `berth:"network" doc:"the network; the engine's own if not given"`
	Restart string                        `berth:"restart" doc:"when the engine starts it again: no, on-failure, always or unless-stopped, which it is if not given"`
	Labels  map[string]string             `berth:"labels" doc:"labels of the container, such as those that a proxy looks for"`
	Command []string                      `berth:"command" doc:"arguments in place of the image's own"`
}

// The labels of a container. Those of its own the target goes by.
const (
	labelApp         = "vnd.berth.deployment.app"
	labelEnvironment = "vnd.berth.deployment.environment"
	labelDigest      = "vnd.berth.deployment.digest"
	labelID          = "vnd.berth.deployment.id"
	labelCommit      = "vnd.berth.deployment.commit"
	labelSettings    = "vnd.berth.deployment.settings" // a hash of what the options gave it
)

type target struct {
	Config
	options Options
	engine  *engine.Engine
	ports   ports
}

// Open reads the options and gets ready to talk to the engine, which it does not yet.
func Open(_ context.Context, c Config) (deploy.Target, error) {
	t := &target{Config: c}
	if err := c.Options.Decode(&t.options); err != nil {
		return nil, err //nolint:wrapcheck // says file, line and column
	}
	o := &t.options
	if o.Name == "" {
		o.Name = "{app}-{environment}"
	}
	if o.Restart == "" {
		o.Restart = string(container.RestartPolicyUnlessStopped)
	}
	if !slices.Contains([]string{"no", "on-failure", "always", "unless-stopped"}, o.Restart) {
		return nil, fmt.Errorf("restart: %q is none of no, on-failure, always, unless-stopped", o.Restart)
	}
	var err error
	if t.ports, err = readPorts(o.Publish, string(o.Port)); err != nil {
		return nil, err
	}
	if t.engine, err = engine.Open(o.Host, c.Environ); err != nil {
		return nil, err //nolint:wrapcheck // says which
	}
	return t, nil
}

var _ deploy.Platformed = (*target)(nil)

// Platform is what the engine runs: deploy.Platformed.
func (t *target) Platform(ctx context.Context, _, _ string) (string, error) {
	return t.engine.Platform(ctx) //nolint:wrapcheck // says enough
}

// Close ends the connections.
func (t *target) Close() error { return t.engine.Close() } //nolint:wrapcheck // says enough

// names are those of an app's containers.
type names struct{ current, next, trial, before string }

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

func (t *target) names(app, environment string) (names, error) {
	name := strings.NewReplacer("{app}", app, "{environment}", environment).Replace(t.options.Name)
	if !containerName.MatchString(name) {
		return names{}, fmt.Errorf("name: %q is no name for a container: it has letters, digits and _.- alone", name)
	}
	return names{name, name + ".next", name + ".trial", name + ".before"}, nil
}

// found is what there is of an app, nil where there is none.
type found struct{ current, next, trial, before *container.InspectResponse }

// errForeign is that a container has the name, and not the labels.
var errForeign = errors.New("was not started by berth for this app and environment")

// look asks for an app's containers.
func (t *target) look(ctx context.Context, n names, app, environment string) (found, error) {
	var f found
	for _, one := range []struct {
		name string
		into **container.InspectResponse
	}{{n.current, &f.current}, {n.next, &f.next}, {n.trial, &f.trial}, {n.before, &f.before}} {
		c, err := t.engine.API.ContainerInspect(ctx, one.name, client.ContainerInspectOptions{})
		switch {
		case errdefs.IsNotFound(err):
			continue
		case err != nil:
			return found{}, t.engine.Failed("looking for the container "+one.name, err)
		}
		if labels := c.Container.Config.Labels; labels[labelApp] != app || labels[labelEnvironment] != environment {
			return found{}, fmt.Errorf("the container %s %w: remove or rename it, or give another name", one.name, errForeign)
		}
		*one.into = &c.Container
	}
	return f, nil
}

func digestOf(c *container.InspectResponse) oci.Digest {
	if c == nil {
		return ""
	}
	return oci.Digest(c.Config.Labels[labelDigest])
}

func running(c *container.InspectResponse) bool {
	return c != nil && c.State.Running && !c.State.Restarting
}

// Running tells what runs now.
func (t *target) Running(ctx context.Context, app, environment string) (deploy.Running, error) {
	n, err := t.names(app, environment)
	if err != nil {
		return deploy.Running{}, err
	}
	f, err := t.look(ctx, n, app, environment)
	if errors.Is(err, errForeign) {
		return deploy.Running{Detail: err.Error()}, nil
	}
	if err != nil {
		return deploy.Running{}, err
	}
	c, r := f.current, deploy.Running{}
	switch {
	case f.next != nil:
		r.Begun = digestOf(f.next)
	case f.trial != nil:
		r.Begun = digestOf(f.trial)
	case running(f.before):
		r.Begun = digestOf(f.current)
	}
	if c == nil { // killed between the two names
		c = f.before
	}
	if c == nil || c.State.Status == container.StateCreated {
		return r, nil
	}
	r.Digest = digestOf(c)
	r.Healthy, r.Detail = t.condition(c)
	if _, hash, err := t.settings(); err == nil { // else the switch says what is wrong with them
		r.Stale = c.Config.Labels[labelSettings] != hash
	}
	return r, nil
}

// condition tells how a container is, for people too.
func (t *target) condition(c *container.InspectResponse) (healthy *bool, detail string) {
	since := func(at string) string {
		when, err := time.Parse(time.RFC3339Nano, at)
		if err != nil {
			return ""
		}
		return " for " + t.Now().Sub(when).Round(time.Second).String()
	}
	no, yes := false, true
	name := strings.TrimPrefix(c.Name, "/")
	switch s := c.State; {
	case s.Restarting:
		return &no, fmt.Sprintf("%s is started again and again, %d times; it ended with %d", name, c.RestartCount, s.ExitCode)
	case !s.Running:
		return &no, fmt.Sprintf("%s ended with %d, has not run%s", name, s.ExitCode, since(s.FinishedAt))
	case s.Health != nil && s.Health.Status == container.Healthy:
		return &yes, name + " runs" + since(s.StartedAt)
	case s.Health != nil && s.Health.Status == container.Unhealthy:
		return &no, name + " is unhealthy, runs" + since(s.StartedAt)
	default:
		return nil, name + " runs" + since(s.StartedAt)
	}
}
