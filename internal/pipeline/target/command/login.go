package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

// loginPrefix is how directories with logins are called, in the directory for temporary files.
const loginPrefix = "berth-login"

// loginDir is a directory with a login in it, for its owner alone. It is locked as long as the process lives that made it: what one leaves
// that is killed, the next removes.
type loginDir struct {
	path string
	lock *os.File
}

// newLoginDir makes one.
func newLoginDir() (loginDir, error) {
	const tries = 10
	for range tries {
		path, err := os.MkdirTemp("", loginPrefix) // 0700
		if err != nil {
			return loginDir{}, err //nolint:wrapcheck // says which
		}
		lock, err := lockDir(path, true)
		switch {
		case err == nil:
			return loginDir{path, lock}, nil
		case !errors.Is(err, fs.ErrNotExist): // else another process was quicker than the lock, and took it for one that is left
			_ = os.RemoveAll(path)
			return loginDir{}, fmt.Errorf("locking %s: %w", path, err)
		}
	}
	return loginDir{}, fmt.Errorf("a directory for the login is removed by somebody, %d times", tries)
}

// write has it have a login, and gives the file.
func (d loginDir) write(ctx context.Context, login deploy.Login) (string, error) {
	file := filepath.Join(d.path, "login")
	user, secret, err := login(ctx)
	if err == nil {
		err = os.WriteFile(file, []byte(user+"\n"+secret+"\n"), 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", errLogin, err)
	}
	return file, nil
}

// remove removes it.
func (d loginDir) remove() {
	_ = os.RemoveAll(d.path)
	unlockDir(d.lock)
}

// sweepLogins removes what deployers left that were killed. What cannot be removed is left to the next.
func sweepLogins() {
	entries, err := os.ReadDir(os.TempDir())
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), loginPrefix) || !e.IsDir() {
			continue
		}
		path := filepath.Join(os.TempDir(), e.Name())
		if lock, err := lockDir(path, false); err == nil {
			loginDir{path, lock}.remove()
		}
	}
}
