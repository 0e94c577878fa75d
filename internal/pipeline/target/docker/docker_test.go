package docker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/docker"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/enginetest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

type sink struct{ t testing.TB }

func (s sink) Event(e progress.Event) { s.t.Logf("%s: %s", e.Kind, e.Text) }

func (p *place) switchTo(t testing.TB, target deploy.Target, b targettest.Behaviour) error {
	t.Helper()
	return p.switchWith(t, target, b, func(context.Context, deploy.Endpoint) error { return nil })
}

func (p *place) switchWith(t testing.TB, target deploy.Target, b targettest.Behaviour, check deploy.Check) error {
	t.Helper()
	return target.Switch(t.Context(), p.Image(p.app, environment, b), check, &progress.Task{Project: p.app, Step: progress.Deploy, Sink: sink{t}, Now: time.Now})
}

// TestHealthcheck has an image's own HEALTHCHECK count.
func TestHealthcheck(t *testing.T) {
	t.Parallel()
	p := newPlaceOf(t, func(c *v1.Config) {
		c.Healthcheck = &v1.HealthConfig{Test: []string{"CMD", "/app", "healthcheck"}, Interval: time.Second, Timeout: 20 * time.Second, Retries: 1}
	}, "network: none")
	target := p.open(t, p.engine.Host)
	if err := p.switchTo(t, target, targettest.First); err != nil {
		t.Fatal(err)
	}
	r, err := target.Running(t.Context(), p.app, environment)
	if err != nil || r.Healthy == nil || !*r.Healthy {
		t.Errorf("Running gives %+v, %v, want it healthy", r, err)
	}
	err = p.switchTo(t, target, targettest.Sick)
	if _, ok := errors.AsType[*deploy.Undone](err); !ok || !strings.Contains(err.Error(), "its HEALTHCHECK fails: it coughs") {
		t.Errorf("Switch gives %v", err)
	}
}

// TestEnded says with what a container ended, and its last words.
func TestEnded(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "network: none")
	err := p.switchTo(t, p.open(t, p.engine.Host), targettest.Ending)
	if err == nil || !strings.Contains(err.Error(), "ended with 3: no database") {
		t.Errorf("Switch gives %v", err)
	}
}

// TestForeign leaves a container alone that has the name, and is nobody's that berth knows.
func TestForeign(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "network: none")
	target := p.open(t, p.engine.Host)
	if err := p.switchTo(t, target, targettest.First); err != nil {
		t.Fatal(err)
	}
	other := p.open(t, p.engine.Host, "name: "+p.name())
	before, err := p.inspect(t.Context(), p.name())
	if err != nil {
		t.Fatal(err)
	}
	to := p.Image("other", environment, targettest.Second)
	r, err := other.Running(t.Context(), to.App, environment)
	if err != nil || r.Digest != "" || !strings.Contains(r.Detail, "was not started by berth") {
		t.Errorf("Running gives %+v, %v", r, err)
	}
	err = other.Switch(t.Context(), to, nil, &progress.Task{Sink: sink{t}, Now: time.Now})
	if _, isUndone := errors.AsType[*deploy.Undone](err); err == nil || isUndone || !strings.Contains(err.Error(), "remove or rename it") {
		t.Errorf("Switch gives %T: %v", err, err)
	}
	if after, err := p.inspect(t.Context(), p.name()); err != nil || after.Container.ID != before.Container.ID || !after.Container.State.Running {
		t.Errorf("there is %+v now, %v", after.Container.State, err)
	}
}

// TestSettings gives a container what the options say, and makes another one when they say something else.
func TestSettings(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "network: none", "env: {ONE: 1, TWO: two}", "env_file: [.env]", "labels: {traefik.enable: \"true\"}", "restart: on-failure")
	dir := t.TempDir()
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(dir, ".env"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	open := func() deploy.Target {
		target, err := docker.Open(t.Context(), docker.Config{
			Options: enginetest.Options(t, "docker", append(p.options, "host: "+p.engine.Host)...), Dir: dir, Environ: append(os.Environ(), "FROM_HERE=here"), Now: time.Now,
		})
		if err != nil {
			t.Fatal(err)
		}
		return target
	}
	write("# a comment\n\nTWO=2\nTHREE=a=b\nFROM_HERE\n")
	if err := p.switchTo(t, open(), targettest.First); err != nil {
		t.Fatal(err)
	}
	first, err := p.inspect(t.Context(), p.name())
	if err != nil {
		t.Fatal(err)
	}
	c := first.Container
	for _, want := range []string{"ONE=1", "TWO=two", "THREE=a=b", "FROM_HERE=here", "BEHAVIOUR=first"} {
		if !slices.Contains(c.Config.Env, want) {
			t.Errorf("the environment is %q, without %s", c.Config.Env, want)
		}
	}
	image := p.Image(p.app, environment, targettest.First)
	for key, want := range map[string]string{
		"traefik.enable": "true", "vnd.berth.deployment.app": p.app, "vnd.berth.deployment.environment": environment,
		"vnd.berth.deployment.digest": image.Digest.String(), "vnd.berth.deployment.id": image.Deployment, "vnd.berth.deployment.commit": image.Commit,
	} {
		if got := c.Config.Labels[key]; got != want {
			t.Errorf("the label %s is %q, want %q", key, got, want)
		}
	}
	if c.Config.Image != image.Reference() || c.HostConfig.RestartPolicy.Name != container.RestartPolicyOnFailure {
		t.Errorf("it runs %s, and is started again %s", c.Config.Image, c.HostConfig.RestartPolicy.Name)
	}
	write("TWO=2\nTHREE=other\n")
	if err := p.switchTo(t, open(), targettest.First); err != nil {
		t.Fatal(err)
	}
	second, err := p.inspect(t.Context(), p.name())
	if err != nil || second.Container.ID == c.ID || !slices.Contains(second.Container.Config.Env, "THREE=other") {
		t.Errorf("after a change of the settings %s runs with %q, %v", second.Container.ID, second.Container.Config.Env, err)
	}
}

// TestStopped starts what runs again if somebody has stopped it.
func TestStopped(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "network: none")
	target := p.open(t, p.engine.Host)
	if err := p.switchTo(t, target, targettest.First); err != nil {
		t.Fatal(err)
	}
	if _, err := p.engine.API.ContainerStop(t.Context(), p.name(), client.ContainerStopOptions{}); err != nil {
		t.Fatal(err)
	}
	r, err := target.Running(t.Context(), p.app, environment)
	if err != nil || r.Healthy == nil || *r.Healthy || !strings.Contains(r.Detail, "ended with 0") {
		t.Errorf("Running gives %+v, %v, want that it ended", r, err)
	}
	if err := p.switchTo(t, target, targettest.First); err != nil {
		t.Fatal(err)
	}
	if c, err := p.inspect(t.Context(), p.name()); err != nil || !c.Container.State.Running {
		t.Errorf("it does not run: %v", err)
	}
}

// TestPortTaken goes back to what ran if the new one cannot have a port of the host.
func TestPortTaken(t *testing.T) {
	t.Parallel()
	network := newNetwork(t)
	p := newPlace(t, "network: "+network)
	if err := p.switchTo(t, p.open(t, p.engine.Host), targettest.First); err != nil {
		t.Fatal(err)
	}
	other := newPlace(t, "network: "+network, "publish: [\"127.0.0.1:"+freePort(t)+":8080\"]")
	if err := other.switchTo(t, other.open(t, other.engine.Host), targettest.First); err != nil {
		t.Fatal(err)
	}
	before, err := p.inspect(t.Context(), p.name())
	if err != nil {
		t.Fatal(err)
	}
	taken := p.open(t, p.engine.Host, other.options[1])
	err = p.switchTo(t, taken, targettest.Second)
	if _, ok := errors.AsType[*deploy.Undone](err); !ok || !strings.Contains(err.Error(), "port is already allocated") {
		t.Errorf("Switch gives %T: %v", err, err)
	}
	after, err := p.inspect(t.Context(), p.name())
	if err != nil || after.Container.ID != before.Container.ID || !after.Container.State.Running {
		t.Errorf("in the end there is %+v, %v", after.Container.State, err)
	}
}

// TestSSH reaches an engine through a program that stands for ssh: it passes the connection on, as docker does on the other machine.
func TestSSH(t *testing.T) {
	e := enginetest.New(t)
	cli := berthproc.Tool(t, "docker")
	dir := t.TempDir()
	script := fmt.Sprintf("#!/bin/sh\necho \"$*\" >>%[1]s/asked\ncase \"$*\" in *nobody*) echo 'Permission denied (publickey).' >&2; exit 255;; esac\nDOCKER_HOST=%[2]s exec %[3]s system dial-stdio\n", dir, e.Host, cli)
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if _, err := exec.LookPath("ssh"); err != nil {
		t.Fatal(err)
	}
	p := newPlace(t, "network: none")
	target := p.open(t, "ssh://deployer@build.example:2222")
	if err := p.switchTo(t, target, targettest.First); err != nil {
		t.Fatal(err)
	}
	if r, err := target.Running(t.Context(), p.app, environment); err != nil || r.Digest == "" {
		t.Errorf("Running gives %+v, %v", r, err)
	}
	if err := target.Close(); err != nil {
		t.Error(err)
	}
	asked, err := os.ReadFile(filepath.Join(dir, "asked"))
	if want := "-o BatchMode=yes -o ConnectTimeout=30 -l deployer -p 2222 -- build.example docker system dial-stdio"; err != nil || !strings.HasPrefix(string(asked), want+"\n") {
		t.Errorf("ssh was asked %q, %v, want %q", asked, err, want)
	}
	_, err = p.open(t, "ssh://nobody@build.example").Running(t.Context(), p.app, environment)
	if !errors.Is(err, deploy.ErrUnreachable) || !strings.Contains(err.Error(), "Permission denied") {
		t.Errorf("who may not log in gets %v", err)
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"hots: unix:///a":              `no key of the name "hots"`,
		"host: build.example":          "names no engine",
		"restart: sometimes":           "restart",
		"port: many":                   "port",
		`publish: ["8080"]`:            "is no [address:]port:port",
		`publish: ["8080:http"]`:       "publish",
		`publish: ["http:8080"]`:       "publish",
		`publish: ["host:8080:8080"]`:  "publish",
		`publish: ["8080:8080/carp"]`:  "publish",
		`publish: ["[::1]:8080:8080"]`: "",
		"publish: [\"53:53/udp\"]":     "",
		"port: 8080":                   "",
	} {
		target, err := docker.Open(t.Context(), docker.Config{Options: enginetest.Options(t, "docker", line), Now: time.Now})
		if want == "" && err == nil {
			if err := target.Close(); err != nil {
				t.Error(err)
			}
		} else if want == "" || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s opens with %v, want %q", line, err, want)
		}
	}
}

// TestBeforeAnythingIsTouched is of what is wrong with the options and shows when they are used.
func TestBeforeAnythingIsTouched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "bad.env"), []byte("A=b\nsome secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"env_file: [none.env]":   "none.env",
		"env_file: [bad.env]":    "bad.env:2: this is no NAME=value",
		`name: "the {app}"`:      `"the web" is no name for a container`,
		`name: "-{environment}"`: "is no name",
	} {
		target, err := docker.Open(t.Context(), docker.Config{Options: enginetest.Options(t, "docker", line, "host: unix:///nobody"), Dir: dir, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		err = target.Switch(t.Context(), deploy.Image{App: "web", Environment: environment, Repository: "a/b", Digest: "sha256:" + "0"}, nil, &progress.Task{Sink: sink{t}, Now: time.Now})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "some secret") {
			t.Errorf("%s: Switch gives %v, want %q", line, err, want)
		}
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	targettest.Documented(t, "docker", docker.Options{})
}
