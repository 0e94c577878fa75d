//go:build !unix

package diskblob

import (
	"errors"
	"os"
)

// tryLock refuses: without flock two writers of one upload could not be told apart.
func tryLock(*os.File) error {
	return errors.New("this operating system has no file locks that a blob directory can use")
}

// release closes the file.
func release(f *os.File) { _ = f.Close() }

// setTimes is never asked, for nothing gets past tryLock.
func setTimes(string) error { return nil }

// unlinked is never asked, for nothing gets past tryLock.
func unlinked(*os.File) bool { return false }
