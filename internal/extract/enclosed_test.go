//go:build linux && !cgo

package extract_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/extracttest"
)

// TestReadersSeeNoFiles: a reader that a layer has taken over reads no file of the server, nor what it was started with, and writes
// nowhere but in its own directory. As the program is built: with cgo there is no such wall.
func TestReadersSeeNoFiles(t *testing.T) {
	t.Parallel()
	if _, _, failed := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION); failed != 0 {
		t.Skipf("this kernel has no Landlock: %v", failed)
	}
	dir := t.TempDir()
	x := extracttest.New(t, extract.Config{TempDir: dir})
	for _, how := range []string{"steal", "spy", "plant"} {
		l := extracted(t, x, dir, bad(how)())
		if found := names(l); !strings.Contains(found, how+": ") || !strings.Contains(found, "permission denied") {
			t.Errorf("a reader that wants to %s finds %q (%s), want its permission denied", how, found, l.Problem)
		}
	}
	if l := extracted(t, x, dir, good()); !isGood(l) {
		t.Errorf("an innocent layer is %+v", l)
	}
}
