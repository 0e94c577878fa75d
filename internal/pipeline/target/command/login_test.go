//go:build unix

package command_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/command"
	"github.com/hoopstat-haus/berth/internal/pipeline/target/targettest"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// The test's binary is a deployer too, when this variable has what its program does.
const deployerVariable = "BERTH_TEST_DEPLOYER"

func theDeployer(script string) int {
	f, err := workspace.Parse("berth.yaml", []byte("repository: shop\napps: [apps/*]\nenvironments:\n- name: staging\n  target:\n    type: command\n    running: 'true'\n    run: "+strconv.Quote(script)+"\n"))
	if err != nil {
		panic(err)
	}
	target, err := command.Open(context.Background(), command.Config{Options: f.Environments[0].Target.Options, Dir: ".", Environ: os.Environ()})
	if err != nil {
		panic(err)
	}
	healthy := func(context.Context, deploy.Endpoint) error { return nil }
	if err := target.Switch(context.Background(), image(targettest.First), healthy, &progress.Task{Sink: &notes{}, Now: time.Now}); err != nil {
		panic(err)
	}
	return 0
}

func logins(t *testing.T) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(os.TempDir(), "berth-login*"))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestLoginOfAKilledDeployer: the login that a deployer leaves that is killed goes with the next one, and that of one that is at work does not.
func TestLoginOfAKilledDeployer(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	deployer := exec.CommandContext(t.Context(), os.Args[0])
	deployer.Env = append(os.Environ(), deployerVariable+"=head -2 $BERTH_LOGIN_FILE; kill -KILL $PPID")
	out, err := deployer.CombinedOutput()
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok || ended.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the deployer ends with %v\n%s", err, out)
	}
	left := logins(t)
	if len(left) != 1 {
		t.Fatalf("a deployer that is killed leaves %q, want one login", left)
	}
	if text, err := os.ReadFile(filepath.Join(left[0], "login")); err != nil || string(text) != "AWS\nopen sesame\n" {
		t.Errorf("it leaves %q, %v", text, err)
	}

	// What is called so and is nobody's directory is none of ours to remove.
	aside := t.TempDir()
	if err := os.Symlink(aside, filepath.Join(os.TempDir(), "berth-login-link")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(os.TempDir(), "berth-login.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}

	target := open(t, nil, "run: 'grep -q sesame $BERTH_LOGIN_FILE'", "running: 'true'")
	if _, err := os.Stat(left[0]); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the next deployer leaves the login: %v", err)
	}
	to := image(targettest.First)
	login, asked := to.Login, 0
	to.Login = func(ctx context.Context) (string, string, error) {
		asked++
		open(t, nil, "run: 'true'", "running: 'true'") // somebody else comes while this one is at work
		return login(ctx)
	}
	healthy := func(context.Context, deploy.Endpoint) error { return nil }
	if err := target.Switch(t.Context(), to, healthy, &progress.Task{Sink: &notes{}, Now: time.Now}); err != nil || asked != 1 {
		t.Errorf("with somebody beside it, it switches with %v, having asked for the login %d times", err, asked)
	}
	if left := logins(t); len(left) != 2 || !strings.HasSuffix(left[0], "-link") || !strings.HasSuffix(left[1], ".txt") {
		t.Errorf("in the end there is %q", left)
	}
}
