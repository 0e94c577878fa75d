package docker_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/enginetest"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
)

// TestThroughSSH deploys with OpenSSH's client and server between, loses the connection in the middle, and goes on. The suite through ssh would take
// several hundred sessions.
func TestThroughSSH(t *testing.T) {
	e := enginetest.New(t)
	server := enginetest.NewSSH(t)
	t.Setenv("PATH", server.Dir+":"+os.Getenv("PATH"))
	p, s := onSocketsOf(t, e)
	open := func(t testing.TB, at, host string, more ...string) deploy.Target {
		t.Helper()
		one := *p
		one.environ = append([]string{"DOCKER_HOST=" + host}, more...) // of the session on the other side
		target := one.open(t, at)
		t.Cleanup(func() { _ = target.Close() })
		return target
	}
	target := open(t, server.Host, e.Host)
	p.walk(t, s, target)

	changes := 0
	front := e.Front(t, func() bool { changes++; return changes < 2 })
	err := p.switchWith(t, open(t, server.Host, front), targettest.Third, s.Check(p.Image(p.app, environment, targettest.Third)))
	if err == nil {
		t.Error("without a connection to the engine it switches")
	}
	t.Logf("the connection is lost: %v", err)
	if got, err := s.Serves(t.Context()); err != nil || got != p.Digest(string(targettest.Second)) {
		t.Errorf("when the connection is lost %s answers, %v", got, err)
	}
	if err := p.switchWith(t, target, targettest.Third, s.Check(p.Image(p.app, environment, targettest.Third))); err != nil {
		t.Errorf("the next deployer: %v", err)
	}
	if got, err := s.Serves(t.Context()); err != nil || got != p.Digest(string(targettest.Third)) {
		t.Errorf("after the next deployer %s answers, %v", got, err)
	}
	if left := s.Left(t); len(left) > 0 {
		t.Errorf("%q are left there", left)
	}

	for name, c := range map[string]struct {
		variable string
		host     string
		want     string
	}{
		"a key that nobody knows":       {server.Stranger(t), server.Host, "Permission denied (publickey)"},
		"another server":                {server.Impostor(t), server.Host, "Host key verification failed"},
		"nobody listens":                {"", "ssh://127.0.0.1:1", "Connection refused"},
		"no engine on the other side":   {"DOCKER_HOST=unix:///nobody", server.Host, "docker"},
		"no user of that name over yon": {"", strings.Replace(server.Host, "ssh://", "ssh://berth-nobody-", 1), "Permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := open(t, c.host, e.Host, c.variable).Running(t.Context(), p.app, environment)
			if !errors.Is(err, deploy.ErrUnreachable) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Running gives %v, want %q", err, c.want)
			}
		})
	}
}

// walk deploys a first image and a second, and one that is sick.
func (p *place) walk(t *testing.T, s *targettest.Place, target deploy.Target) {
	t.Helper()
	for _, b := range []targettest.Behaviour{targettest.First, targettest.Second} {
		to := p.Image(p.app, environment, b)
		if err := p.switchWith(t, target, b, s.Check(to)); err != nil {
			t.Fatal(err)
		}
		r, err := target.Running(t.Context(), p.app, environment)
		if got, asked := s.Serves(t.Context()); err != nil || r.Digest != to.Digest || asked != nil || got != to.Digest {
			t.Errorf("after a switch to %s there runs %+v, %v, and %s answers, %v", b, r, err, got, asked)
		}
	}
	err := p.switchWith(t, target, targettest.Sick, s.Check(p.Image(p.app, environment, targettest.Sick)))
	if _, undone := errors.AsType[*deploy.Undone](err); !undone {
		t.Errorf("a sick one gives %v", err)
	}
	if got, err := s.Serves(t.Context()); err != nil || got != p.Digest(string(targettest.Second)) {
		t.Errorf("in the end %s answers, %v", got, err)
	}
}

// TestOverTLS deploys to an engine that asks for a certificate.
func TestOverTLS(t *testing.T) {
	t.Parallel()
	e := enginetest.NewTLS(t)
	p, s := onSocketsOf(t, e.Engine)
	open := func(t testing.TB, environ ...string) deploy.Target {
		one := *p
		one.environ = environ
		target := one.open(t, e.Address)
		t.Cleanup(func() { _ = target.Close() })
		return target
	}
	verify := func(dir string) []string { return []string{"DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=" + dir} }
	p.walk(t, s, open(t, verify(e.Ours)...))
	home := filepath.Join(t.TempDir(), ".docker") // where docker's own program looks
	if err := os.Symlink(e.Ours, home); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, "DOCKER_TLS_VERIFY=1", "DOCKER_CERT_PATH=", "HOME="+filepath.Dir(home)).Running(t.Context(), p.app, environment); err != nil {
		t.Errorf("with certificates in the home: %v", err)
	}

	for name, c := range map[string]struct {
		environ []string
		want    string
	}{
		"a certificate of another authority": {verify(e.Stranger), "tls"},
		"another engine":                     {verify(e.Impostor), "certificate signed by unknown authority"},
		"without TLS":                        {[]string{"DOCKER_TLS_VERIFY="}, "HTTP request to an HTTPS server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := open(t, c.environ...).Running(t.Context(), p.app, environment)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Running gives %v, want %q", err, c.want)
			}
			t.Logf("unreachable: %t: %v", errors.Is(err, deploy.ErrUnreachable), err)
		})
	}
}
