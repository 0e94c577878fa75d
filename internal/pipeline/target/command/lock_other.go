//go:build !unix

package command

import (
	"errors"
	"os"
)

// lockDir locks nothing where directories have no locks: what a process leaves that is killed stays.
func lockDir(path string, mine bool) (*os.File, error) {
	if !mine {
		return nil, errors.ErrUnsupported
	}
	return nil, nil //nolint:nilnil // there is nothing to give back
}

func unlockDir(*os.File) {}
