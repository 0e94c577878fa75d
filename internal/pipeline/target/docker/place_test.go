package docker_test

import (
	"context"
	"crypto/rand"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/docker"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/enginetest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

func TestMain(m *testing.M) { os.Exit(enginetest.Main(m)) }

const environment = "staging"

// place is an app on the engine. Its users know its container's name.
type place struct {
	*targettest.Registry
	engine  *enginetest.Engine
	app     string
	options []string
	environ []string                                                    // of deployers, beside that of the test
	ask     func(ctx context.Context, container string) (string, error) // what the container of a name answers, "" if nobody does
}

func newPlace(t *testing.T, options ...string) *place {
	t.Helper()
	return newPlaceOf(t, nil, options...)
}

// newPlaceOf is one with images whose configuration is changed.
func newPlaceOf(t *testing.T, change func(*v1.Config), options ...string) *place {
	t.Helper()
	return newPlaceOn(t, enginetest.New(t), change, options...)
}

func newPlaceOn(t *testing.T, e *enginetest.Engine, change func(*v1.Config), options ...string) *place {
	t.Helper()
	p := &place{engine: e, app: "web-" + strings.ToLower(rand.Text()[:8]), options: options}
	p.Registry = targettest.NewRegistry(t, change)
	t.Cleanup(func() {
		for _, suffix := range []string{"", ".next", ".trial", ".before"} {
			_, _ = p.engine.API.ContainerRemove(context.Background(), p.name()+suffix, client.ContainerRemoveOptions{Force: true})
		}
		for _, b := range []targettest.Behaviour{targettest.First, targettest.Second, targettest.Third, targettest.Sick, targettest.Ending} {
			_, _ = p.engine.API.ImageRemove(context.Background(), p.Image(p.app, environment, b).Reference(), client.ImageRemoveOptions{})
		}
	})
	return p
}

func (p *place) name() string { return p.app + "-" + environment }

func (p *place) open(t testing.TB, host string, more ...string) deploy.Target {
	t.Helper()
	options := slices.Concat(p.options, more, []string{"host: " + host})
	target, err := docker.Open(t.Context(), docker.Config{Options: enginetest.Options(t, "docker", options...), Dir: t.TempDir(), Environ: append(os.Environ(), p.environ...), Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func (p *place) inspect(ctx context.Context, name string) (client.ContainerInspectResult, error) {
	return p.engine.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
}

// left are containers of the app that run beside it, or that are there and not the one before.
func (p *place) left(t testing.TB) []string {
	t.Helper()
	var left []string
	for _, suffix := range []string{".next", ".trial", ".before"} {
		c, err := p.inspect(t.Context(), p.name()+suffix)
		if err == nil && (suffix != ".before" || c.Container.State.Running || c.Container.HostConfig.RestartPolicy.Name != "no") {
			left = append(left, c.Container.Name)
		}
	}
	if c, err := p.inspect(t.Context(), p.name()); err == nil && c.Container.HostConfig.RestartPolicy.Name != "unless-stopped" {
		left = append(left, c.Container.Name+", which nobody starts again")
	}
	return left
}

// suite is the place for the suite.
func (p *place) suite() *targettest.Place {
	return &targettest.Place{
		Open: func(t testing.TB, during func() bool) deploy.Target {
			if during == nil {
				return p.open(t, p.engine.Host)
			}
			return p.open(t, p.engine.Front(t, during))
		},
		Gone: func(t testing.TB) (deploy.Target, error) {
			return p.open(t, "unix://"+filepath.Join(t.TempDir(), "nobody")), nil
		},
		Image: func(_ testing.TB, b targettest.Behaviour) deploy.Image { return p.Image(p.app, environment, b) },
		Serves: func(ctx context.Context) (oci.Digest, error) {
			for range 20 { // whoever finds nobody asks again if the name is nobody's or another's by then
				before, _ := p.inspect(ctx, p.name())
				behaviour, err := p.ask(ctx, p.name())
				if behaviour != "" || err != nil {
					return p.Digest(behaviour), err
				}
				if after, err := p.inspect(ctx, p.name()); err == nil && after.Container.ID == before.Container.ID {
					break
				}
			}
			return "", nil
		},
		Instance: func(t testing.TB) string {
			c, err := p.inspect(t.Context(), p.name())
			if err != nil {
				t.Fatal(err)
			}
			return c.Container.ID + " since " + c.Container.State.StartedAt
		},
		Left:    p.left,
		Changes: true,
	}
}

func httpBase(host string, port int) string {
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}
