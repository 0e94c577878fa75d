package docker_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/enginetest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// TestBeside switches between containers that run side by side. They have no network: users and checks
// come by a socket in a directory that all of them have.
func TestBeside(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place { return onSockets(t) })
}

// TestPublishedWithoutNetwork is the same of containers with ports of the host, which nobody comes by.
func TestPublishedWithoutNetwork(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		p := onSockets(t, fmt.Sprintf("publish: [%q]", "127.0.0.1:1:"+targettest.Port))
		p.Gap = true
		return p
	})
}

func onSockets(t *testing.T, options ...string) *targettest.Place {
	t.Helper()
	_, s := onSocketsOf(t, enginetest.New(t), options...)
	return s
}

func onSocketsOf(t *testing.T, e *enginetest.Engine, options ...string) (*place, *targettest.Place) {
	t.Helper()
	sockets := e.NewSockets(t)
	p := newPlaceOn(t, e, nil, append(options, "network: none", fmt.Sprintf("volumes: [%q]", sockets.Dir+":/sockets"))...)
	p.ask = func(ctx context.Context, name string) (string, error) {
		behaviour, _, err := sockets.Ask(ctx, name)
		if err != nil {
			return "", nil //nolint:nilerr // nobody answers
		}
		return behaviour, nil
	}
	s := p.suite()
	s.Check = func(to deploy.Image) deploy.Check {
		return func(ctx context.Context, at deploy.Endpoint) error {
			if at.Host != "" {
				return fmt.Errorf("a container without a network has the address %s", at.Host)
			}
			return enginetest.Until(ctx, p.Registry, to, func(ctx context.Context) (string, bool, error) { return sockets.Ask(ctx, at.Container) })
		}
	}
	return p, s
}

// overHTTP has users and checks come over the network: the checks to where the target says, the users to where users go.
func overHTTP(p *place, users func(ctx context.Context, name string) string) *targettest.Place {
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	p.ask = func(ctx context.Context, name string) (string, error) {
		base := users(ctx, name)
		if base == "" {
			return "", nil
		}
		behaviour, _, err := targettest.Ask(ctx, c, base)
		if err != nil {
			return "", nil //nolint:nilerr // nobody answers
		}
		return behaviour, nil
	}
	s := p.suite()
	s.Check = func(to deploy.Image) deploy.Check {
		return func(ctx context.Context, at deploy.Endpoint) error {
			if at.Host == "" || at.Port == 0 {
				return deploy.ErrNoAddress
			}
			return enginetest.Until(ctx, p.Registry, to, func(ctx context.Context) (string, bool, error) {
				return targettest.Ask(ctx, c, httpBase(at.Host, at.Port))
			})
		}
	}
	return s
}

// newNetwork makes a network of the test's own.
func newNetwork(t *testing.T) string {
	t.Helper()
	e, name := enginetest.New(t), "berth-test-"+strings.ToLower(rand.Text()[:8])
	if _, err := e.API.NetworkCreate(t.Context(), name, client.NetworkCreateOptions{Driver: "bridge"}); err != nil {
		if errdefs.IsInvalidArgument(err) {
			t.Fatal(err)
		}
		t.Skipf("the engine cannot make a network here: %v", err)
	}
	t.Cleanup(func() {
		if _, err := e.API.NetworkRemove(context.Background(), name, client.NetworkRemoveOptions{}); err != nil {
			t.Error(err)
		}
	})
	return name
}

// TestNetwork switches between containers in a network.
func TestNetwork(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		network := newNetwork(t)
		p := newPlace(t, "network: "+network)
		s := overHTTP(p, func(ctx context.Context, name string) string {
			c, err := p.inspect(ctx, name)
			if err != nil || !c.Container.State.Running {
				return ""
			}
			return "http://" + c.Container.NetworkSettings.Networks[network].IPAddress.String() + ":" + targettest.Port
		})
		s.Changes = false // those are tried without a network
		return s
	})
}

// TestPublished switches between containers with a port of the host.
func TestPublished(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		port := freePort(t)
		p := newPlace(t, "network: "+newNetwork(t), fmt.Sprintf("publish: [\"127.0.0.1:%s:%s\"]", port, targettest.Port))
		s := overHTTP(p, func(context.Context, string) string { return "http://127.0.0.1:" + port })
		s.Gap, s.Changes = true, false // those are tried without a network
		return s
	})
}

// TestHostNetwork switches between containers that have the host's network for their own.
func TestHostNetwork(t *testing.T) {
	t.Parallel()
	targettest.Run(t, func(t *testing.T) *targettest.Place {
		port := freePort(t)
		p := newPlace(t, "network: host", "port: "+port, "env: {PORT: "+port+"}")
		s := overHTTP(p, func(context.Context, string) string { return "http://127.0.0.1:" + port })
		s.Gap, s.Replaces, s.Changes = true, true, false
		return s
	})
}

// freePort is a port that nobody has, nor is given for a connection of its own.
func freePort(t *testing.T) string {
	t.Helper()
	return strconv.Itoa(berthproc.FreePort(t))
}
