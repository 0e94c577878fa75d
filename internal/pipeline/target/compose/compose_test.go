package compose_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
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
	project string
	dir     string

	saved []byte // the target's file when a deployer was killed, nil if there was none
	dead  bool
}

// haveCompose ends the test if there is no compose of version 2.
func haveCompose(t *testing.T) {
	t.Helper()
	if exec.CommandContext(t.Context(), "docker", "compose", "version").Run() == nil {
		return
	}
	if out, err := exec.CommandContext(t.Context(), "docker-compose", "version").CombinedOutput(); err != nil || strings.Contains(string(out), "version 1.") {
		t.Skip("there is no docker compose of version 2 here")
	}
}

func newPlace(t *testing.T, more ...string) *place {
	t.Helper()
	haveCompose(t)
	p := &place{engine: enginetest.New(t), project: "shop-" + strings.ToLower(rand.Text()[:8]), dir: t.TempDir()}
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
	target, err := compose.Open(t.Context(), compose.Config{Options: options, Dir: p.dir, Environ: os.Environ(), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (p *place) file() string {
	return filepath.Join(p.dir, ".berth", "compose-"+p.project+"-web.yaml")
}

// suite is the place for the suite. A deployer that is killed writes no file any more: what it does write is taken back.
func (p *place) suite() *targettest.Place {
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
			behaviour, _, err := p.sockets.Ask(ctx, p.project+"-web-1")
			if err != nil {
				return "", nil //nolint:nilerr // nobody answers
			}
			return p.Digest(behaviour), nil
		},
		Instance: func(t testing.TB) string {
			c, err := p.engine.API.ContainerInspect(t.Context(), p.project+"-web-1", client.ContainerInspectOptions{})
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
	targettest.Run(t, func(t *testing.T) *targettest.Place { return newPlace(t).suite() })
}

// TestBesideNothingOfBerths goes back to what the project's own files say, and leaves other services alone.
func TestBesideNothingOfBerths(t *testing.T) {
	t.Parallel()
	p := newPlace(t, "  other:\n    image: ${OTHER}\n    network_mode: none\n")
	_ = fmt.Sprint(p)
}
