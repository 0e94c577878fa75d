package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// docker is a Docker daemon and what reaches it.
type docker struct{ env []string }

// newDocker finds a running daemon, or starts one of the test's own, with its own directories and socket.
func newDocker(t *testing.T) *docker {
	t.Helper()
	berthproc.Tool(t, "docker")
	if h := os.Getenv("DOCKER_HOST"); h != "" || dockerAnswers(t.Context(), "") == nil {
		d := &docker{}
		if h != "" {
			d.env = []string{"DOCKER_HOST=" + h}
		}
		return d
	}
	daemon := berthproc.Tool(t, "dockerd")
	if os.Getuid() != 0 {
		berthproc.Missing(t, "no Docker daemon is running, and only root can start one")
	}
	var problems []error
	for _, driver := range []string{"overlay2", "vfs"} {
		d, err := startDocker(t, daemon, driver)
		if err == nil {
			return d
		}
		problems = append(problems, err)
	}
	berthproc.Missing(t, "dockerd does not start: %v", errors.Join(problems...))
	return nil
}

func dockerAnswers(ctx context.Context, host string) error {
	cmd := exec.CommandContext(ctx, "docker", "version", "--format", "{{.Server.Version}}")
	if host != "" {
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+host)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.New(strings.TrimSpace(string(out)))
	}
	return nil
}

// startDocker starts a daemon that touches neither the machine's network nor its other containers.
func startDocker(t *testing.T, daemon, driver string) (*docker, error) {
	t.Helper()
	// Not t.TempDir: its name is too long for a socket's path, and the daemon's mounts must go first.
	dir, err := os.MkdirTemp("", "bd") //nolint:usetesting // see above
	if err != nil {
		t.Fatal(err)
	}
	host := "unix://" + filepath.Join(dir, "d.sock")
	var log bytes.Buffer
	cmd := exec.Command(daemon, "--data-root", filepath.Join(dir, "data"), "--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"), "--host", host, "--storage-driver", driver,
		"--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false")
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	stop := func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Logf("removing the Docker daemon's files: %v", err)
		}
	}
	for deadline := time.Now().Add(30 * time.Second); ; {
		err := dockerAnswers(t.Context(), host)
		if err == nil {
			t.Cleanup(stop)
			return &docker{env: []string{"DOCKER_HOST=" + host}}, nil
		}
		select {
		case <-done:
			_ = os.RemoveAll(dir)
			return nil, errors.New(driver + ": " + lastLine(log.String()))
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			stop()
			return nil, errors.New(driver + ": " + err.Error())
		}
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// buildImage builds the example application into an image from scratch and gives it a name.
// The version makes layers of different digests.
func (sh *shell) buildImage(name, version string) {
	sh.t.Helper()
	dir := sh.t.TempDir()
	source, err := filepath.Abs(filepath.Join("testdata", "calculator"))
	if err != nil {
		sh.t.Fatal(err)
	}
	build := exec.CommandContext(sh.t.Context(), "go", "build", "-trimpath", "-ldflags=-s -w", "-o", filepath.Join(dir, "calculator"), ".")
	build.Dir = source
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		sh.t.Fatalf("building the example application: %v\n%s", err, out)
	}
	for name, text := range map[string]string{
		"Dockerfile": "FROM scratch\nCOPY calculator version /\nENTRYPOINT [\"/calculator\"]\n",
		"version":    version,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			sh.t.Fatal(err)
		}
	}
	sh.run("docker", "build", "--quiet", "--tag", name, dir)
}
