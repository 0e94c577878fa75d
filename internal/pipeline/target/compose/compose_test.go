package compose_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/compose"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/enginetest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m)) }

const theApp, theEnvironment = "web", "staging"

// place is a project on the engine, with a service web.
type place struct {
	*targettest.Registry
	engine  *enginetest.Engine
	sockets *enginetest.Sockets
	environ []string
	project string
	dir     string

	saved []byte // the target's file when a deployer was killed, nil if there was none
	dead  bool
}

// environ is an environment in which docker has compose of version 2 as its plugin: the one of this machine, or else the program docker-compose.
// Without either the test ends.
func environ(t *testing.T) []string {
	t.Helper()
	if _, err := exec.LookPath("docker"); err != nil {
		berthproc.Missing(t, "docker is not on PATH")
	}
	alone, err := exec.LookPath("docker-compose")
	if err != nil {
		if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() != nil {
			berthproc.Missing(t, "there is neither docker's plugin compose nor docker-compose on PATH: tools/install.sh docker-compose")
		}
		return os.Environ()
	}
	config := t.TempDir()
	if err := os.Mkdir(filepath.Join(config, "cli-plugins"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(alone, filepath.Join(config, "cli-plugins", "docker-compose")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "DOCKER_CONFIG="+config)
}

func newPlace(t *testing.T, more ...string) *place {
	t.Helper()
	p := &place{engine: enginetest.New(t), environ: environ(t), project: "shop-" + strings.ToLower(rand.Text()[:8]), dir: t.TempDir()}
	p.sockets, p.Registry = p.engine.NewSockets(t), targettest.NewRegistry(t, nil)
	text := "services:\n  web:\n    image: nobody.example/none\n    network_mode: none\n    restart: unless-stopped\n    volumes: [\"" + p.sockets.Dir + ":/sockets\"]\n" + strings.Join(more, "")
	if err := os.WriteFile(filepath.Join(p.dir, "compose.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, id := range p.containers(context.Background(), t) {
			_, _ = p.engine.API.ContainerRemove(context.Background(), id, client.ContainerRemoveOptions{Force: true})
		}
		for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending} {
			_, _ = p.engine.API.ImageRemove(context.Background(), p.Image(theApp, theEnvironment, b).Reference(), client.ImageRemoveOptions{})
		}
	})
	return p
}

func (p *place) containers(ctx context.Context, t testing.TB) []string {
	t.Helper()
	list, err := p.engine.API.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("label", "com.docker.compose.project="+p.project)})
	if err != nil {
		t.Error(err)
	}
	var ids []string
	for _, c := range list.Items {
		ids = append(ids, c.ID)
	}
	return ids
}

func (p *place) open(t testing.TB, host string, more ...string) deploy.Target {
	t.Helper()
	options := enginetest.Options(t, "compose", append(more, "host: "+host, "project: "+p.project)...)
	target, err := compose.Open(t.Context(), compose.Config{Options: options, Dir: p.dir, Environ: p.environ, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (p *place) file() string {
	return filepath.Join(p.dir, ".berth", "compose-"+p.project+"-web.yaml")
}

// suite is the place for the suite. A deployer that is killed writes no file any more: what it does write is taken back.
func (p *place) suite(t testing.TB) *targettest.Place {
	t.Helper()
	return &targettest.Place{
		Open: func(t testing.TB, during func() bool) deploy.Target {
			if during == nil {
				if p.dead {
					p.restore(t)
				}
				return p.open(t, p.engine.Host)
			}
			return p.open(t, p.engine.Front(t, func() bool {
				alive := during()
				if !alive && !p.dead {
					p.dead = true
					p.saved, _ = os.ReadFile(p.file())
				}
				return alive
			}))
		},
		Gone: func(t testing.TB) (deploy.Target, error) {
			return p.open(t, "unix://"+filepath.Join(t.TempDir(), "nobody")), nil
		},
		Image: func(_ testing.TB, b targettest.Behaviour) deploy.Image { return p.Image(theApp, theEnvironment, b) },
		Serves: func(ctx context.Context) (oci.Digest, error) {
			for _, id := range p.containers(ctx, t) { // by the service's labels, as the network's names go: their own may be odd after a kill
				if behaviour, _, err := p.sockets.Ask(ctx, id); err == nil {
					return p.Digest(behaviour), nil
				}
			}
			return "", nil
		},
		Instance: func(t testing.TB) string {
			c, err := p.engine.API.ContainerInspect(t.Context(), p.containers(t.Context(), t)[0], client.ContainerInspectOptions{})
			if err != nil {
				t.Fatal(err)
			}
			return c.Container.ID + " since " + c.Container.State.StartedAt
		},
		Check: func(to deploy.Image) deploy.Check {
			return func(ctx context.Context, at deploy.Endpoint) error {
				return enginetest.Until(ctx, p.Registry, to, func(ctx context.Context) (string, bool, error) { return p.sockets.Ask(ctx, at.Container) })
			}
		},
		Left: func(t testing.TB) []string {
			ids := p.containers(t.Context(), t)
			if len(ids) > 1 {
				return ids
			}
			return nil
		},
		Replaces: true,
		Gap:      true,
		Changes:  true,
	}
}

func (p *place) restore(t testing.TB) {
	t.Helper()
	p.dead = false
	err := os.Remove(p.file())
	if p.saved != nil {
		err = os.WriteFile(p.file(), p.saved, 0o600)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSuite(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place { return newPlace(t).suite(t) })
}

// TestNothingOfBerths goes back to what the project's own files say.
func TestNothingOfBerths(t *testing.T) {
	t.Parallel()
	p := newPlace(t)
	own := p.Image(theApp, theEnvironment, targettest.First)
	tag := "berth-test/" + p.project + ":1"
	target := p.open(t, p.engine.Host)
	say := &progress.Task{Project: theApp, Step: progress.Deploy, Sink: sink{t}, Now: time.Now}
	healthy := func(context.Context, deploy.Endpoint) error { return nil }
	if err := target.Switch(t.Context(), own, healthy, say); err != nil { // to have the image
		t.Fatal(err)
	}
	for _, id := range p.containers(t.Context(), t) {
		if _, err := p.engine.API.ContainerRemove(t.Context(), id, client.ContainerRemoveOptions{Force: true}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.RemoveAll(filepath.Dir(p.file())); err != nil {
		t.Fatal(err)
	}
	if _, err := p.engine.API.ImageTag(t.Context(), client.ImageTagOptions{Source: own.Reference(), Target: tag}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = p.engine.API.ImageRemove(context.Background(), tag, client.ImageRemoveOptions{}) })
	base, err := os.ReadFile(filepath.Join(p.dir, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(p.dir, "compose.yaml"), []byte(strings.Replace(string(base), "nobody.example/none", tag, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	up := exec.CommandContext(t.Context(), "docker", "compose", "-p", p.project, "up", "-d")
	up.Dir, up.Env = p.dir, append(slices.Clip(p.environ), "DOCKER_HOST="+p.engine.Host)
	if out, err := up.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}

	err = target.Switch(t.Context(), p.Image(theApp, theEnvironment, targettest.Sick), func(context.Context, deploy.Endpoint) error { return errors.New("it coughs") }, say)
	if _, ok := errors.AsType[*deploy.Undone](err); !ok {
		t.Fatalf("Switch gives %v", err)
	}
	ids := p.containers(t.Context(), t)
	c, err := p.engine.API.ContainerInspect(t.Context(), ids[0], client.ContainerInspectOptions{})
	if err != nil || len(ids) != 1 || c.Container.Config.Image != tag || !c.Container.State.Running {
		t.Errorf("in the end there are %q, %v, of %s, want one of %s", ids, err, c.Container.Config.Image, tag)
	}
	if _, err := os.Stat(p.file()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the target's file is there still: %v", err)
	}
}

// TestAlone is of compose as a program of its own, where docker's program is not, and has neither the plugin.
func TestAlone(t *testing.T) {
	p := newPlace(t)
	alone, err := exec.LookPath("docker-compose")
	if err != nil {
		t.Skip("docker-compose is not on PATH: tools/install.sh docker-compose")
	}
	bin := t.TempDir()
	if err := os.Symlink(alone, filepath.Join(bin, "docker-compose")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin)
	target := p.open(t, p.engine.Host)
	say := &progress.Task{Project: theApp, Step: progress.Deploy, Sink: sink{t}, Now: time.Now}
	healthy := func(context.Context, deploy.Endpoint) error { return nil }
	for _, b := range []targettest.Behaviour{targettest.First, targettest.Second} {
		if err := target.Switch(t.Context(), p.Image(theApp, theEnvironment, b), healthy, say); err != nil {
			t.Fatal(err)
		}
		if r, err := target.Running(t.Context(), theApp, theEnvironment); err != nil || r.Digest != p.Image(theApp, theEnvironment, b).Digest {
			t.Errorf("after a switch to %s there runs %+v, %v", b, r, err)
		}
	}
	t.Setenv("PATH", t.TempDir())
	_, err = compose.Open(t.Context(), compose.Config{Options: enginetest.Options(t, "compose"), Dir: p.dir, Environ: p.environ, Now: time.Now})
	if err == nil || !strings.Contains(err.Error(), "there is no compose of version 2 or newer on this machine") {
		t.Errorf("without compose it opens with %v", err)
	}
}

type sink struct{ t testing.TB }

func (s sink) Event(e progress.Event) { s.t.Logf("%s: %s", e.Kind, e.Text) }

// TestOpen opens what cannot be.
func TestOpen(t *testing.T) {
	t.Parallel()
	environ := environ(t)
	for _, line := range []string{"port: many", "address: web", "host: web", "servis: web"} {
		_, err := compose.Open(t.Context(), compose.Config{Options: enginetest.Options(t, "compose", line), Environ: environ})
		if key, _, _ := strings.Cut(line, ":"); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s opens with %v", line, err)
		}
	}
}

// TestProject is of projects that are not as they should be. No engine is asked.
func TestProject(t *testing.T) {
	t.Parallel()
	dir, environ := t.TempDir(), environ(t)
	open := func(lines ...string) error {
		options := enginetest.Options(t, "compose", append(lines, "host: unix:///nobody")...)
		target, err := compose.Open(t.Context(), compose.Config{Options: options, Dir: dir, Environ: environ, Now: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		_, err = target.Running(t.Context(), theApp, theEnvironment)
		return err
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "there is no compose.yaml") {
		t.Errorf("without a file: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-compose.yml"), []byte("services:\n  web-staging:\n    image: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), `no service "web"`) {
		t.Errorf("without the service: %v", err)
	}
	if err := open(`service: "{app}-{environment}"`); !errors.Is(err, deploy.ErrUnreachable) {
		t.Errorf("with it: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker-compose.yml"), []byte("services: ["), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(); err == nil || !strings.Contains(err.Error(), "reading the project") {
		t.Errorf("with a broken file: %v", err)
	}
}

func TestDocs(t *testing.T) {
	t.Parallel()
	targettest.Documented(t, "compose", compose.Options{})
}
