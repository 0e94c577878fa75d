// Package e2e_test runs Berth as its users do: real server processes, real clients, and the ways a machine
// fails (killed processes, full disks, an object store that answers errors).
//
// `make test-e2e` runs it; without BERTH_E2E every test skips at once, so that `make test` needs Go alone. By
// hand it wants -count=1: go test does not see that the program it runs has changed. BERTH_E2E_RACE=1 builds
// the servers with the race detector, BERTH_BIN names a program that is built already.
// What a machine lacks (docker, crane, PostgreSQL …) is skipped with a sentence, or fails under
// BERTH_TEST_REQUIRE=all. Package berthproc starts the servers.
package e2e_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/e2e/berthproc"
)

func TestMain(m *testing.M) { os.Exit(berthproc.Main(m)) }

// each runs the test on every pair of storage there is, side by side.
func each(t *testing.T, test func(t *testing.T, storage berthproc.Storage)) {
	t.Helper()
	berthproc.Gate(t)
	for _, kind := range berthproc.Kinds() {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind.Open(t))
		})
	}
}

// shell runs one client program after another in one environment.
type shell struct {
	t   *testing.T
	dir string
	env []string
}

func newShell(t *testing.T, s *berthproc.Server) *shell {
	t.Helper()
	return &shell{t: t, dir: t.TempDir(), env: s.Environment(t)}
}

// run runs a program that must succeed and gives its standard output without the last newline.
func (sh *shell) run(name string, args ...string) string {
	sh.t.Helper()
	return sh.feed("", name, args...)
}

// feed is run with something on standard input.
func (sh *shell) feed(stdin, name string, args ...string) string {
	sh.t.Helper()
	out, errs, err := sh.try(stdin, name, args...)
	if err != nil {
		sh.t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, out, errs)
	}
	return out
}

// refused runs a program that must fail and gives everything it said.
func (sh *shell) refused(stdin, name string, args ...string) string {
	sh.t.Helper()
	out, errs, err := sh.try(stdin, name, args...)
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		sh.t.Fatalf("%s %s: %v, want it to fail\n%s%s", name, strings.Join(args, " "), err, out, errs)
	}
	return out + errs
}

func (sh *shell) try(stdin, name string, args ...string) (out, errs string, err error) {
	sh.t.Helper()
	return sh.tryIn(sh.t.Context(), stdin, name, args...)
}

func (sh *shell) tryIn(ctx context.Context, stdin, name string, args ...string) (out, errs string, err error) {
	sh.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = sh.dir, sh.env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	began := time.Now()
	err = cmd.Run()
	if took := time.Since(began); took > 5*time.Second {
		sh.t.Logf("%s %s took %v", name, strings.Join(args, " "), took.Round(time.Second))
	}
	return strings.TrimRight(stdout.String(), "\n"), stderr.String(), err
}

// pause waits between two looks at something that nobody tells of.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
		t.Fatal("the test ended")
	}
}

// contains fails the test unless what was said holds every one of the words.
func contains(t *testing.T, what, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%s said %q, want it to say %q", what, said, w)
		}
	}
}

// background gives a context that outlives the test's own, for clean-ups.
func background(t *testing.T) context.Context {
	t.Helper()
	return context.WithoutCancel(t.Context())
}
