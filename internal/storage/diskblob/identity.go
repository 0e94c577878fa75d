package diskblob

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	lockFile = "berth.lock"
	idFile   = "store-id"
)

// ErrInUse is what Open answers when another server has the directory.
var ErrInUse = errors.New("another server is using this blob directory")

// lockDir takes the directory's lock. The kernel lets go of it however the process ends.
func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, fileMode)
	if err != nil {
		return nil, storeError(err)
	}
	err = tryLock(f)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, blob.ErrBusy) {
		return nil, fmt.Errorf("%w: %s is locked", ErrInUse, f.Name())
	}
	return nil, err
}

// Identity is the directory's own random name, given to it at the first call and kept in its file
// store-id. Another directory, even an empty one in the same place, has another.
func (s *Store) Identity(context.Context) (string, error) {
	id, err := s.identity()
	if err != nil {
		return "", fmt.Errorf("identifying blob directory: %w", err)
	}
	return id, nil
}

func (s *Store) identity() (string, error) {
	path := filepath.Join(s.dir, idFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		id := rand.Text()
		return id, writeID(path, id)
	}
	if err != nil {
		return "", err
	}
	id := strings.TrimSpace(string(raw))
	if id == "" {
		return "", fmt.Errorf("%s is empty", path)
	}
	return id, nil
}

// writeID puts the file in place whole and durable. The directory's lock sees to it that nobody else does.
func writeID(path, id string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return storeError(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(storeError(err), os.Remove(f.Name()))
		}
	}()
	_, err = f.WriteString(id + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
