package berthproc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// built is the program's path and the temporary directory it is in, made at the first use in this test
// process: a build per test would cost more than the tests.
var built = sync.OnceValues(build)

// Main runs a test binary's tests and removes the program that was built for them.
// TestMain passes its result to os.Exit.
func Main(m *testing.M) int {
	if Enabled() {
		// Here PostgreSQL is no extra that has to be asked for.
		if err := os.Setenv("BERTH_TEST_POSTGRES", "1"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	code := m.Run()
	if Enabled() {
		if p, err := built(); err == nil && p.dir != "" {
			_ = os.RemoveAll(p.dir)
		}
	}
	return code
}

// Binary is the path of the berth program: $BERTH_BIN, or built from cmd/berth.
func Binary(t testing.TB) string {
	t.Helper()
	p, err := built()
	if err != nil {
		t.Fatal(err)
	}
	return p.path
}

type program struct{ path, dir string }

func build() (program, error) {
	if path := os.Getenv("BERTH_BIN"); path != "" {
		return program{path: path}, nil
	}
	dir, err := os.MkdirTemp("", "berth-e2e-")
	if err != nil {
		return program{}, fmt.Errorf("building berth: %w", err)
	}
	p := program{path: filepath.Join(dir, "berth"), dir: dir}
	args := []string{"build", "-o", p.path}
	if os.Getenv("BERTH_E2E_RACE") != "" {
		args = append(args, "-race")
	}
	cmd := exec.Command("go", append(args, "github.com/hoopstat-haus/berth/cmd/berth")...) //nolint:noctx // bounded by go test's own timeout
	if out, err := cmd.CombinedOutput(); err != nil {
		return program{}, errors.Join(fmt.Errorf("building berth: %w\n%s", err, out), os.RemoveAll(dir))
	}
	return p, nil
}
