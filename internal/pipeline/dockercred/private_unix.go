//go:build !windows

package dockercred

import "io/fs"

// private tells whether only the owner can read a file.
func private(mode fs.FileMode) bool { return mode.Perm()&0o077 == 0 }
