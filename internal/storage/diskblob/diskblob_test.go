//go:build unix

package diskblob_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blobtest.Run(t, func(t *testing.T) blob.Store {
		t.Helper()
		s, err := diskblob.OpenUnlocked(dir) // the suite has several at a time
		if err != nil {
			t.Fatalf("OpenUnlocked(%s): %v", dir, err)
		}
		return s
	})
}

func open(t testing.TB, dir string) *diskblob.Store {
	t.Helper()
	s, err := diskblob.Open(dir)
	if err != nil {
		t.Fatalf("Open(%s): %v", dir, err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

func shut(t testing.TB, s *diskblob.Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

// TestOpen creates what is missing, is content with what is there, and refuses what is no directory.
func TestOpen(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "not", "there", "yet")
	shut(t, open(t, dir))
	shut(t, open(t, dir))
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 257 {
		t.Errorf("Open: got %d entries, %v, want 256 shard directories and a lock", len(entries), err)
	}
	if info, err := os.Stat(filepath.Join(dir, "a7")); err != nil || info.Mode() != fs.ModeDir|0o700 {
		t.Errorf("Open: got mode %v, %v, want drwx------", info.Mode(), err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{file, filepath.Join(file, "below")} {
		if _, err := diskblob.Open(bad); err == nil {
			t.Errorf("Open(%s), which is no directory: got no error", bad)
		}
	}
}

// TestLayout: an operator may rely on where the files are.
func TestLayout(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	key := blob.Key("0123456789abcdef0123456789abcdef")
	path := filepath.Join(dir, "01", string(key))
	u, err := s.Append(t.Context(), blob.Upload{Key: key}, bytes.NewReader([]byte("some bytes")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	wantMode(t, path, 0o600)
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	wantMode(t, path, 0o400)
	wantFile(t, path, []byte("some bytes"))
	rc, err := s.Open(t.Context(), key, 5, 2)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	f, ok := rc.(*os.File)
	if !ok {
		t.Fatalf("Open: got a %T, want an *os.File", rc)
	}
	if at, err := f.Seek(0, io.SeekCurrent); err != nil || at != 5 {
		t.Errorf("Open at 5: the file is at %d, %v", at, err)
	}
}

// TestLockedElsewhere meets another process at the upload's file.
func TestLockedElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("first ")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	f, err := os.Open(filepath.Join(dir, string(u.Key[:2]), string(u.Key)))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("locking: %v", err)
	}
	got, err := s.Append(t.Context(), u, bytes.NewReader([]byte("second")))
	if !errors.Is(err, blob.ErrBusy) || got.Size != u.Size {
		t.Errorf("Append to a locked file: got %d bytes, %v, want %d, %v", got.Size, err, u.Size, blob.ErrBusy)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if u, err = s.Append(t.Context(), u, bytes.NewReader([]byte("second"))); err != nil {
		t.Errorf("Append to a file that was unlocked: %v", err)
	}
	if want := int64(len("first second")); u.Size != want {
		t.Errorf("Append: got %d bytes, want %d", u.Size, want)
	}
}

// TestShortFile meets a file that has lost bytes, as after a restore from an older backup.
func TestShortFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("some bytes")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if err := os.Truncate(filepath.Join(dir, string(u.Key[:2]), string(u.Key)), 9); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(t.Context(), u, bytes.NewReader([]byte("more"))); !errors.Is(err, blob.ErrLost) {
		t.Errorf("Append to a short file: got error %v, want %v", err, blob.ErrLost)
	}
	if err := s.Complete(t.Context(), u); !errors.Is(err, blob.ErrLost) {
		t.Errorf("Complete of a short file: got error %v, want %v", err, blob.ErrLost)
	}
}

// TestSurplus meets a file that a killed process had gone on writing.
func TestSurplus(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	killed := open(t, dir)
	u, err := killed.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("some bytes")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	shut(t, killed)
	path := filepath.Join(dir, string(u.Key[:2]), string(u.Key))
	if err := os.WriteFile(path, []byte("some bytes, and more that nobody was told of"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, dir).Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete of a file with a surplus: %v", err)
	}
	wantFile(t, path, []byte("some bytes"))
}

// TestAbortDuringAppend acknowledges nothing that is not there.
func TestAbortDuringAppend(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	u := blob.Upload{Key: blobtest.NewKey()}
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		_, err := s.Append(t.Context(), u, r)
		done <- err
	}()
	if _, err := w.Write([]byte("bytes")); err != nil { // returns when the Append has read them
		t.Fatal(err)
	}
	if err := s.Abort(t.Context(), u); err != nil {
		t.Fatalf("Abort: %v", err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; !errors.Is(err, blob.ErrNotFound) {
		t.Errorf("Append to an upload that was aborted meanwhile: got error %v, want %v", err, blob.ErrNotFound)
	}
}

func wantMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatalf("stat: %v", err)
	}
	if info.Mode() != want {
		t.Errorf("mode of %s: got %v, want %v", path, info.Mode(), want)
	}
}

func wantFile(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("file %s: got %d bytes, %v, want %d", path, len(got), err, len(want))
	}
}
