//go:build unix

package command

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockDir takes the lock of a directory of this user's, and waits for it or not. A process that ends, however it does, gives it back.
// fs.ErrNotExist is that there is none, or none any more.
func lockDir(path string, wait bool) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err //nolint:wrapcheck // says which
	}
	how := unix.LOCK_EX
	if !wait {
		how |= unix.LOCK_NB
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), how)
	}
	if err == nil {
		err = stands(f, path)
	}
	if err != nil {
		unlockDir(f)
		return nil, err
	}
	return f, nil
}

// stands tells whether a directory that was opened is still there, and this user's.
func stands(f *os.File, path string) error {
	var opened, there unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &opened); err != nil {
		return err //nolint:wrapcheck // cannot happen
	}
	if err := unix.Lstat(path, &there); err != nil {
		return err //nolint:wrapcheck // that it is gone
	}
	switch {
	case opened.Ino != there.Ino || opened.Dev != there.Dev:
		return os.ErrNotExist
	case int(opened.Uid) != os.Geteuid():
		return os.ErrPermission
	}
	return nil
}

// unlockDir gives the lock back. Closing alone would leave it with a program that is being started just now, until it is.
func unlockDir(f *os.File) {
	_ = unix.Flock(int(f.Fd()), unix.LOCK_UN)
	_ = f.Close()
}
