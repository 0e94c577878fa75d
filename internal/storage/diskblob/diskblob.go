// Package diskblob keeps blobs as plain files in one directory.
//
// An object with key k is the file <dir>/<k[0:2]>/<k>, from the first byte that is uploaded to the day it
// is deleted. There are no temporary names and nothing is ever renamed: which files are objects is known
// to the metadata database, and a file without a row is garbage, which is found by [Store.Walk].
//
// # Life of a blob
//
//  1. [Open] locks the directory, and creates the 256 shard directories and makes them durable, so that
//     later only one directory has to be synced for a new file.
//  2. The first [Store.Append] creates the file, mode 0600, and takes an exclusive flock on it without
//     waiting; whoever comes second, in this process or in another, is told [blob.ErrBusy]. It cuts the
//     file back to the size that the metadata row vouches for, writes behind it, syncs the file, and (for
//     the first bytes of an upload) syncs the directory. Only then does it return. A crash before that
//     leaves a file that is longer than the row says, which the next Append cuts off, or a file without a
//     row. While a large body is arriving its write-back is started early, so that the sync at the end is
//     short.
//  3. When the client's bytes stop midway, what came is synced and counted. When the disk fails, the file
//     is cut back to where it was, and the caller's old Upload stays good.
//  4. [Store.Complete] compares the size under the same lock, cuts off a surplus, and takes away the
//     write permission. From then on no Append touches the file, not even one that was waiting with an
//     Upload from before: it is told [blob.ErrNotFound]. The mode needs no sync of its own: what it
//     guards against are processes of this machine, and those do not outlive a power cut. The file's time
//     becomes that of its completion.
//  5. [Store.Delete] and [Store.Abort] unlink the file; the directory is not synced. After a power cut the
//     file may be back, without a row, and is garbage like any other. An Append that is running when the
//     file is unlinked notices at its end and acknowledges nothing.
//
// # What is there
//
// [Store.Walk] lists every file in order, with its size and the time of its last write or its completion;
// whether it is an object or an upload only the database knows. [Store.Discard] unlinks a file under the
// same lock as Append and Complete take, and only if its time is still the one that Walk told: so neither an
// upload that goes on nor one that was completed meanwhile is lost. Files that have no key's name, or lie in
// another key's shard, are told of and never touched.
//
// Atomic are only the creation of a directory entry and its removal. Everything else rests on the order
// "bytes, sync, row".
//
// # One server
//
// A file's lock covers one call. That of two requests which go on from one Upload, one after the other, the
// second does not slip its bytes under what the first has been told is there, is seen to in memory (see
// histories): the first gets [blob.ErrLost] when it goes on. This holds within one process, so a directory
// has one server: Open takes a lock on the file berth.lock in it, which lives until [Store.Close] or the
// end of the process, and answers [ErrInUse] to whoever comes second.
//
// The file store-id tells one directory from another (see [Store.Identity]), so that a server can notice
// that it was given a directory which is not its database's. It is to be copied along with the blobs.
package diskblob

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	fileMode     fs.FileMode = 0o600
	completeMode fs.FileMode = 0o400 // no write permission: the mark of a finished object
	dirMode      fs.FileMode = 0o700
)

// Store is a [blob.Store] on a directory. Its methods may be used by many goroutines.
type Store struct {
	dir     string
	lock    *os.File // locked until Close
	history histories
	ahead   readAhead
}

var _ blob.Store = (*Store)(nil)

// Open prepares dir, which it creates if need be, with its shard directories, all of them durable, and
// keeps other servers off it until Close.
func Open(dir string) (*Store, error) {
	s, err := prepare(dir)
	if err != nil {
		return nil, err
	}
	if s.lock, err = lockDir(s.dir); err != nil {
		return nil, fmt.Errorf("locking blob directory: %w", err)
	}
	return s, nil
}

// Close lets another server have the directory. The store is not to be used any more.
func (s *Store) Close() error {
	if s.lock != nil {
		release(s.lock)
		s.lock = nil
	}
	return nil
}

// prepare is Open without the lock.
func prepare(dir string) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("finding blob directory: %w", err)
	}
	created, err := makeDirs(dir)
	if err != nil {
		return nil, fmt.Errorf("preparing blob directory: %w", err)
	}
	for i := range 256 {
		shard := filepath.Join(dir, fmt.Sprintf("%02x", i))
		if err := os.Mkdir(shard, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, fmt.Errorf("preparing blob directory: %w", storeError(err))
		}
	}
	for _, d := range append(created, dir) {
		if err := syncDir(d); err != nil {
			return nil, fmt.Errorf("preparing blob directory: %w", err)
		}
	}
	return &Store{dir: dir}, nil
}

// makeDirs creates dir and its missing parents and returns the directories that got a new entry by it.
func makeDirs(dir string) ([]string, error) {
	err := os.Mkdir(dir, dirMode)
	switch {
	case err == nil:
		return []string{filepath.Dir(dir)}, nil
	case errors.Is(err, fs.ErrExist):
		return nil, nil
	case errors.Is(err, fs.ErrNotExist) && filepath.Dir(dir) != dir:
		parents, err := makeDirs(filepath.Dir(dir))
		if err != nil {
			return nil, err
		}
		created, err := makeDirs(dir)
		return append(parents, created...), err
	default:
		return nil, storeError(err)
	}
}

// Append implements [blob.Store].
func (s *Store) Append(ctx context.Context, u blob.Upload, r io.Reader) (blob.Upload, error) {
	path, err := s.path(u.Key)
	if err != nil {
		return u, err
	}
	f, err := s.openUpload(path, u)
	if err != nil {
		return u, fmt.Errorf("appending to upload %s: %w", u.Key, err)
	}
	defer release(f)

	w := &writer{file: f, offset: u.Size, flushed: u.Size, cut: func() error {
		s.history.cutTo(u)
		return cutBack(f, u.Size)
	}}
	readErr, err := w.copyFrom(ctx, r)
	if err == nil {
		err = settle(f, u.Size, w.offset)
	}
	if err != nil {
		// The surplus would be cut off by the next Append too; a full disk wants the room back now.
		err = errors.Join(storeError(err), f.Truncate(u.Size))
		if errors.Is(err, blob.ErrNotFound) {
			s.history.forget(u.Key) // it was aborted, and then came a last byte
		}
		return u, fmt.Errorf("appending to upload %s: %w", u.Key, err)
	}
	if w.offset > u.Size {
		u.Size, u.State = w.offset, newToken()
		s.history.add(u)
	}
	if readErr != nil {
		return u, fmt.Errorf("reading bytes for upload %s: %w", u.Key, readErr)
	}
	return u, nil
}

// openUpload opens the upload's file for writing and locks it.
func (s *Store) openUpload(path string, u blob.Upload) (*os.File, error) {
	flags := os.O_RDWR
	if u.Size == 0 {
		flags |= os.O_CREATE
	}
	f, err := os.OpenFile(path, flags, fileMode)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: its file is gone", blob.ErrLost)
	case errors.Is(err, fs.ErrPermission) && isComplete(path):
		return nil, fmt.Errorf("%w: it is complete", blob.ErrNotFound)
	case err != nil:
		return nil, storeError(err)
	}
	if err := s.checkUpload(f, u); err != nil {
		release(f)
		return nil, err
	}
	return f, nil
}

// checkUpload locks the file and makes sure that it is an upload that begins with u's bytes.
func (s *Store) checkUpload(f *os.File, u blob.Upload) error {
	if err := tryLock(f); err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Mode()&0o200 == 0 { // root may open such a file for writing all the same
		return fmt.Errorf("%w: it is complete", blob.ErrNotFound)
	}
	if info.Size() < u.Size {
		return fmt.Errorf("%w: it should have %d bytes and has %d", blob.ErrLost, u.Size, info.Size())
	}
	if !s.history.vouches(u) {
		return fmt.Errorf("%w: another request has replaced them", blob.ErrLost)
	}
	return nil
}

// cutBack drops what an interrupted Append left behind the first size bytes.
func cutBack(f *os.File, size int64) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() == size {
		return nil
	}
	return storeError(f.Truncate(size))
}

// settle makes durable what was written between two offsets. The first bytes of an upload bring the
// directory entry along: not only when this very call created it, for one that did may have died
// before it synced the directory.
func settle(f *os.File, from, to int64) error {
	if to == from {
		return nil
	}
	if err := syncData(f); err != nil {
		return err
	}
	if from == 0 {
		if err := syncDir(filepath.Dir(f.Name())); err != nil {
			return err
		}
	}
	if unlinked(f) {
		return fmt.Errorf("%w: it was deleted while bytes came", blob.ErrNotFound)
	}
	return nil
}

// Complete implements [blob.Store].
func (s *Store) Complete(_ context.Context, u blob.Upload) error {
	path, err := s.path(u.Key)
	if err != nil {
		return err
	}
	if err := s.complete(path, u); err != nil {
		return fmt.Errorf("completing upload %s: %w", u.Key, err)
	}
	s.history.forget(u.Key)
	return nil
}

func (s *Store) complete(path string, u blob.Upload) error {
	f, err := s.openUpload(path, u)
	if errors.Is(err, blob.ErrNotFound) { // complete already: has it the right size?
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		if info.Size() != u.Size {
			return fmt.Errorf("%w: it was completed with %d bytes, not %d", blob.ErrLost, info.Size(), u.Size)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer release(f)

	info, err := f.Stat()
	if err != nil {
		return err
	}
	if info.Size() != u.Size || u.Size == 0 {
		if err := f.Truncate(u.Size); err != nil {
			return storeError(err)
		}
		if err := syncData(f); err != nil {
			return storeError(err)
		}
	}
	if u.Size == 0 { // no Append ever synced the directory
		if err := syncDir(filepath.Dir(path)); err != nil {
			return err
		}
	}
	if unlinked(f) {
		return fmt.Errorf("%w: its file was deleted", blob.ErrLost)
	}
	if err := touch(path, info.ModTime()); err != nil {
		return err
	}
	return f.Chmod(completeMode)
}

// touch makes the file's time now, and in any case later than it was: to Discard an upload that was completed is not
// the thing that a walk has found before. The file system's clock may tick but every few milliseconds.
func touch(path string, was time.Time) error {
	if err := setTimes(path); err != nil {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if later := was.Add(time.Microsecond); info.ModTime().Before(later) {
		return os.Chtimes(path, time.Time{}, later)
	}
	return nil
}

// Abort implements [blob.Store].
func (s *Store) Abort(ctx context.Context, u blob.Upload) error {
	return s.Delete(ctx, u.Key)
}

// Open implements [blob.Store]. The reader is an [*os.File] positioned at offset.
func (s *Store) Open(_ context.Context, key blob.Key, offset, _ int64) (io.ReadCloser, error) {
	path, err := s.path(key)
	if err != nil {
		return nil, err
	}
	if offset < 0 {
		return nil, fmt.Errorf("opening blob %s: negative offset %d", key, offset)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", key, storeError(err))
	}
	if offset > 0 {
		if _, err := f.Seek(offset, io.SeekStart); err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("opening blob %s: %w", key, err)
		}
	}
	return f, nil
}

// Size implements [blob.Store].
func (s *Store) Size(_ context.Context, key blob.Key) (int64, error) {
	path, err := s.path(key)
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, fmt.Errorf("measuring blob %s: %w", key, storeError(err))
	}
	return info.Size(), nil
}

// Delete implements [blob.Store].
func (s *Store) Delete(_ context.Context, key blob.Key) error {
	path, err := s.path(key)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("deleting blob %s: %w", key, storeError(err))
	}
	s.history.forget(key)
	return nil
}

// path is where the object lies. It refuses whatever is not a key, so that no key leads out of the directory.
func (s *Store) path(key blob.Key) (string, error) {
	if !isKey(string(key)) {
		return "", fmt.Errorf("blob key %q is not 32 hexadecimal digits", key)
	}
	return filepath.Join(s.dir, string(key[:2]), string(key)), nil
}

// isKey tells whether a name could be an object's.
func isKey(name string) bool { return len(name) == 32 && isHex(name) }

func isHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }

// isComplete tells whether the file has lost its write permission.
func isComplete(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode()&0o200 == 0
}

// syncDir makes the entries of a directory durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return storeError(err)
	}
	defer d.Close() //nolint:errcheck // it was only read
	return storeError(d.Sync())
}

// storeError puts the sentinel on an error of the file system that has one.
func storeError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", blob.ErrFull, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: %w", blob.ErrNotFound, err)
	default:
		return err
	}
}
