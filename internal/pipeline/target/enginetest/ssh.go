package enginetest

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

// SSH is OpenSSH's server as a process of the test's own: with its own configuration, keys and port, for whoever runs the test. A session gets
// DOCKER_HOST from who logs in.
type SSH struct {
	Host string // as DOCKER_HOST says it
	Dir  string // with a program ssh that knows the server and has the key that may log in: OpenSSH's own, with a configuration of the test's

	port string
}

// privilegeSeparation is a directory that sshd of root wants to be there, which the system's start-up makes.
const privilegeSeparation = "/run/sshd"

// NewSSH starts one for the length of the test, and skips the test where there is none to be had.
func NewSSH(t testing.TB) *SSH {
	t.Helper()
	program, err := exec.LookPath("sshd")
	if err != nil {
		program = "/usr/sbin/sshd"
		if _, err := os.Stat(program); err != nil {
			berthproc.Missing(t, "OpenSSH's server is not installed: there is no sshd on PATH, nor in /usr/sbin")
		}
	}
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if _, err := user.Lookup("sshd"); err != nil {
			berthproc.Missing(t, "OpenSSH's server is not installed: root's sshd wants a user of that name, and %v", err)
		}
		if err := os.Mkdir(privilegeSeparation, 0o755); err == nil { //nolint:gosec // sshd wants it so
			t.Cleanup(func() { _ = os.Remove(privilegeSeparation) })
		}
	}
	client, docker := berthproc.Tool(t, "ssh"), berthproc.Tool(t, "docker")
	s := &SSH{Dir: t.TempDir(), port: strconv.Itoa(berthproc.FreePort(t))}
	s.Host = "ssh://" + me.Username + "@127.0.0.1:" + s.port
	for _, key := range []string{"host", "key", "stranger"} {
		keygen := exec.CommandContext(t.Context(), berthproc.Tool(t, "ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", key, "-f", s.file(key))
		if out, err := keygen.CombinedOutput(); err != nil {
			t.Fatalf("ssh-keygen: %v\n%s", err, out)
		}
	}
	s.copy(t, "key.pub", "authorized")
	s.write(t, "sshd_config", "ListenAddress 127.0.0.1", "Port "+s.port, "HostKey "+s.file("host"), "PidFile none", "AuthorizedKeysFile "+s.file("authorized"),
		"StrictModes no", "UsePAM no", "PasswordAuthentication no", "KbdInteractiveAuthentication no", "PermitRootLogin prohibit-password", "UseDNS no",
		"MaxStartups 200", "AcceptEnv DOCKER_HOST", "SetEnv PATH="+filepath.Dir(docker)+":/usr/bin:/bin")
	s.known(t, "known", "host.pub")
	s.write(t, "config", s.client("key", "known")...)
	script := "#!/bin/sh\nexec " + client + " -F \"${BERTH_TEST_SSH_CONFIG:-" + s.file("config") + "}\" \"$@\"\n"
	if err := os.WriteFile(s.file("ssh"), []byte(script), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	s.start(t, program)
	return s
}

// Stranger is a variable for who logs in with a key that the server does not know.
func (s *SSH) Stranger(t testing.TB) string {
	t.Helper()
	s.write(t, "stranger_config", s.client("stranger", "known")...)
	return "BERTH_TEST_SSH_CONFIG=" + s.file("stranger_config")
}

// Impostor is a variable for who knows the server by another key.
func (s *SSH) Impostor(t testing.TB) string {
	t.Helper()
	s.known(t, "others", "stranger.pub")
	s.write(t, "impostor_config", s.client("key", "others")...)
	return "BERTH_TEST_SSH_CONFIG=" + s.file("impostor_config")
}

func (s *SSH) file(name string) string { return filepath.Join(s.Dir, name) }

func (s *SSH) client(key, known string) []string {
	return []string{
		"IdentityFile " + s.file(key), "IdentitiesOnly yes", "IdentityAgent none", "UserKnownHostsFile " + s.file(known), "GlobalKnownHostsFile /dev/null",
		"StrictHostKeyChecking yes", "SendEnv DOCKER_HOST",
	}
}

func (s *SSH) write(t testing.TB, name string, lines ...string) {
	t.Helper()
	if err := os.WriteFile(s.file(name), []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (s *SSH) copy(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(s.file(from))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, to, string(text))
}

// known writes whom a client takes for the server.
func (s *SSH) known(t testing.TB, to, key string) {
	t.Helper()
	text, err := os.ReadFile(s.file(key))
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, to, "[127.0.0.1]:"+s.port+" "+string(text))
}

func (s *SSH) start(t testing.TB, program string) {
	t.Helper()
	var log bytes.Buffer
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), program, "-D", "-e", "-f", s.file("sshd_config"))
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-done
		if t.Failed() {
			t.Logf("sshd said:\n%s", log.String())
		}
	})
	if err := answers(t.Context(), "127.0.0.1:"+s.port, done); err != nil {
		_ = cmd.Process.Kill()
		<-done
		t.Fatalf("sshd does not listen: %v\n%s", err, log.String())
	}
}

// answers waits until somebody listens.
func answers(ctx context.Context, address string, ended <-chan struct{}) error {
	deadline := time.After(30 * time.Second)
	for {
		c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ended:
			return fmt.Errorf("it has ended: %w", err)
		case <-deadline:
			return err
		case <-time.After(50 * time.Millisecond):
		}
	}
}
