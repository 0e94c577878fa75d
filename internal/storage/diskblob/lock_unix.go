//go:build unix

package diskblob

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// tryLock takes the exclusive lock that goes with this opening of the file, until release.
func tryLock(f *os.File) error {
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EWOULDBLOCK):
			return blob.ErrBusy
		default:
			return fmt.Errorf("locking %s: %w", f.Name(), err)
		}
	}
}

// release gives the lock back and closes the file. Closing alone would leave the lock with a child that this
// process is forking just now, until the child executes its program.
func release(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close() // what was written is synced by then
}

// setTimes makes a file's times the present one.
func setTimes(path string) error { return os.NewSyscallError("utimes", unix.Utimes(path, nil)) }

// unlinked tells whether the open file has lost its directory entry.
func unlinked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink == 0
}
