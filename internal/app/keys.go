package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/core/identity"
)

// ErrDataLocked is what New answers when another server has the data directory.
var ErrDataLocked = errors.New("another berth is serving this data directory")

// lockData keeps a second server off the same data directory for as long as the file is open. The kernel
// lets go of it however the process ends.
func lockData(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("locking the data directory: %w", err)
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close() // nothing was written
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, fmt.Errorf("%w: %s is locked", ErrDataLocked, path)
	}
	return nil, fmt.Errorf("locking %s: %w", path, err)
}

// masterKey takes the key from the configuration or its file, which it makes where there is none. Keys that are put
// into the file later are found there.
func masterKey(cfg config.Config, now func() time.Time) (key identity.MasterKey, made bool, err error) {
	if cfg.MasterKey != "" {
		key, err = identity.ParseMasterKey(cfg.MasterKey)
		return key, false, err
	}
	key, made, err = masterKeyFile(cfg.MasterKeyFile)
	if err == nil {
		key.Follow(func() (identity.MasterKey, error) { return readMasterKey(cfg.MasterKeyFile) }, now)
	}
	return key, made, err
}

func masterKeyFile(path string) (key identity.MasterKey, made bool, err error) {
	key, err = readMasterKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, false, err
	}
	if key, err = identity.GenerateMasterKey(); err != nil {
		return key, false, err
	}
	err = writePrivate(path, []byte(key.Text()+"\n"), os.Link)
	if errors.Is(err, fs.ErrExist) {
		// Another server that shares the directory was quicker; its key is everybody's.
		key, err = readMasterKey(path)
		return key, false, err
	}
	return key, true, err
}

// AddMasterKey makes a new master key and puts it before the others in a key file, which keeps its owner and mode. It
// gives the new key's id. Servers take no notice until the key is rotated.
func AddMasterKey(path string) (id string, err error) {
	// A link to the file stays one.
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", fmt.Errorf("adding a master key: %w", err)
	}
	have, err := readMasterKey(path)
	if err != nil {
		return "", err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("adding a master key: %w", err)
	}
	key, err := identity.GenerateMasterKey()
	if err != nil {
		return "", err
	}
	replace := func(from, to string) error {
		if err := os.Chmod(from, info.Mode().Perm()); err != nil {
			return err
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); ok {
			if err := os.Chown(from, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
		return os.Rename(from, to)
	}
	return key.ID(), writePrivate(path, []byte(key.Text()+"\n"+have.Text()+"\n"), replace)
}

func readMasterKey(path string) (identity.MasterKey, error) {
	info, err := os.Stat(path)
	if err != nil {
		return identity.MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	// A group may read it: that is how clusters mount secrets for a process that is not root.
	if info.Mode().Perm()&0o007 != 0 {
		return identity.MasterKey{}, fmt.Errorf("reading the master key: everybody on this machine may read %s: chmod 600 it", path)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return identity.MasterKey{}, fmt.Errorf("reading the master key: %w", err)
	}
	key, err := identity.ParseMasterKey(string(raw))
	if err != nil {
		return key, fmt.Errorf("reading the master key %s: %w", path, err)
	}
	return key, nil
}

// writePrivate puts a file in place whole, readable by its owner alone, and durable when it returns. The
// way it is put there is os.Rename, which replaces, or os.Link, which refuses where a file is already.
func writePrivate(path string, content []byte, put func(from, to string) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if removing := os.Remove(f.Name()); removing != nil && !errors.Is(removing, fs.ErrNotExist) {
			err = errors.Join(err, removing)
		}
	}()
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = put(f.Name(), path)
	}
	if err == nil {
		err = syncDirectory(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
