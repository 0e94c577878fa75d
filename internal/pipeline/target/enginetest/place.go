package enginetest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Sockets is a directory that containers mount as /sockets, where those without a network answer.
type Sockets struct {
	Dir    string
	Engine *Engine
}

// NewSockets makes one for the length of the test.
func (e *Engine) NewSockets(t testing.TB) *Sockets {
	t.Helper()
	dir, err := os.MkdirTemp("", "bs") //nolint:usetesting // short, for the sockets' paths
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return &Sockets{dir, e}
}

// Ask asks the container of a name or an id for its behaviour, and whether it is healthy.
func (s *Sockets) Ask(ctx context.Context, name string) (string, bool, error) {
	c, err := s.Engine.API.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err != nil {
		return "", false, err
	}
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.Dir, c.Container.ID[:12]))
	}}
	return targettest.Ask(ctx, &http.Client{Transport: transport}, "http://app/")
}

// Options are those of a target as berth.yaml has them, a line for each.
func Options(t testing.TB, kind string, lines ...string) workspace.Options {
	t.Helper()
	var text strings.Builder
	text.WriteString("repository: shop\napps: [apps/*]\nenvironments:\n  - name: staging\n    target:\n      type: " + kind + "\n")
	for _, line := range lines {
		text.WriteString("      " + line + "\n")
	}
	f, err := workspace.Parse("berth.yaml", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return f.Environments[0].Target.Options
}

// patience is how long an image that answers may take to become healthy.
const patience = 300 * time.Millisecond

// Until is a check that asks until the image answers as healthy. Who does not answer yet has a minute, for a machine that is busy.
func Until(ctx context.Context, images *targettest.Registry, to deploy.Image, ask func(ctx context.Context) (string, bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	var since time.Time
	for {
		behaviour, healthy, err := ask(ctx)
		if err == nil && healthy && images.Digest(behaviour) == to.Digest {
			return nil
		}
		if err == nil && images.Digest(behaviour) != to.Digest {
			return errors.New(behaviour + " answers")
		}
		if err == nil && since.IsZero() {
			since = time.Now()
		}
		if !since.IsZero() && time.Since(since) > patience {
			return errors.New("it is not healthy")
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
