package berthproc

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Enabled tells whether tests with real processes are to run: BERTH_E2E is set.
func Enabled() bool { return os.Getenv("BERTH_E2E") != "" }

// Gate skips the test unless tests with real processes are to run. BERTH_TEST_REQUIRE does not change
// that: it is about what a machine lacks, and nothing is lacking, the tests belong to another make target.
func Gate(t testing.TB) {
	t.Helper()
	if !Enabled() {
		t.Skip("needs real processes: `make test-e2e`, or set BERTH_E2E=1")
	}
}

// Missing ends the test because the machine lacks something: it skips, or fails when
// BERTH_TEST_REQUIRE=all says that nothing may be lacking.
func Missing(t testing.TB, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
		t.Fatalf("%s (BERTH_TEST_REQUIRE=all makes this a failure)", reason)
	}
	t.Skip(reason)
}

// Tool finds a program on PATH, or ends the test by way of Missing.
func Tool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Missing(t, "%s is not on PATH", name)
	}
	return path
}

// cleanEnvironment is the test process's environment without what configures Berth or the AWS SDKs, and
// with a home of its own, so that no file of the machine's user has a say.
func cleanEnvironment(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return strings.HasPrefix(v, "BERTH_") || strings.HasPrefix(v, "AWS_") || strings.HasPrefix(v, "HOME=") ||
			strings.HasPrefix(v, "DOCKER_") || strings.HasPrefix(v, "REGISTRY_") || strings.HasPrefix(v, "XDG_")
	})
	return append(env, "HOME="+home)
}

// CleanEnvironment is cleanEnvironment for the clients that a test runs. The home is theirs alone.
func CleanEnvironment(t testing.TB) []string {
	t.Helper()
	return cleanEnvironment(t.TempDir())
}

// FreePort picks a port for something that a test starts by itself, with the same care as for servers.
func FreePort(t testing.TB) int {
	t.Helper()
	return freePort(t)
}

// ports remembers which ports this test process gave out, since tests run side by side and a killed
// server's port is taken again only when it restarts.
var ports = struct {
	sync.Mutex
	given map[int]bool
}{given: map[int]bool{}}

// freePort picks below the range that Linux takes ports for outgoing connections from: a server that is
// down for a moment must find its port free when it comes back.
func freePort(t testing.TB) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 200 {
		port := 20000 + rand.IntN(12000)
		if ports.given[port] {
			continue
		}
		l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)) //nolint:noctx // closed on the next line
		if err != nil {
			continue
		}
		l.Close()
		ports.given[port] = true
		return port
	}
	t.Fatal("no free loopback port among 200 tries")
	return 0
}
