//go:build linux

package diskblob_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

// smallDisk mounts a file system with room for a few MiB.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("berth-test", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("BERTH_TEST_REQUIRE") == "all" {
			t.Fatalf("this test needs to mount a small tmpfs: %v", err)
		}
		t.Skipf("this test needs to mount a small tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
	})
	return dir
}

// TestDiskFull fills a disk, with and without the writing goroutine, and goes on when there is room again.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "6m")
	s := open(t, dir)
	kept := blobtest.Bytes(1, 900<<10)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader(kept))
	if err != nil {
		t.Fatalf("Append of %d bytes: %v", len(kept), err)
	}
	ballast := filepath.Join(dir, "ballast")

	for _, test := range []struct {
		name          string
		ballast, body int
	}{
		{"small body", 5<<20 - 100<<10, 300 << 10},
		{"large body", 1 << 20, 9 << 20},
	} {
		if err := os.WriteFile(ballast, make([]byte, test.ballast), 0o600); err != nil {
			t.Fatalf("%s: taking up room: %v", test.name, err)
		}
		got, err := s.Append(t.Context(), u, bytes.NewReader(blobtest.Bytes(2, test.body)))
		if !errors.Is(err, blob.ErrFull) {
			t.Errorf("%s: Append to a full disk: got error %v, want %v", test.name, err, blob.ErrFull)
		}
		if got.Size != u.Size {
			t.Errorf("%s: Append to a full disk: got %d bytes, want %d", test.name, got.Size, u.Size)
		}
		// What had been written is gone, so that others have the room.
		if size, err := s.Size(t.Context(), u.Key); err != nil || size != u.Size {
			t.Errorf("%s: Size after a full disk: got %d, %v, want %d", test.name, size, err, u.Size)
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatalf("%s: making room: %v", test.name, err)
		}
		more := blobtest.Bytes(3, 200<<10)
		if u, err = s.Append(t.Context(), u, bytes.NewReader(more)); err != nil {
			t.Fatalf("%s: Append after room was made: %v", test.name, err)
		}
		kept = append(kept, more...)
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	wantFile(t, filepath.Join(dir, string(u.Key[:2]), string(u.Key)), kept)
}

// TestDiskFullNewUpload refuses the first bytes of an upload.
func TestDiskFullNewUpload(t *testing.T) {
	t.Parallel()
	s := open(t, smallDisk(t, "2m"))
	u := blob.Upload{Key: blobtest.NewKey()}
	got, err := s.Append(t.Context(), u, io.LimitReader(zeros{}, 64<<20))
	if !errors.Is(err, blob.ErrFull) || got.Size != 0 {
		t.Errorf("Append to a full disk: got %d bytes, error %v, want 0, %v", got.Size, err, blob.ErrFull)
	}
	if err := s.Abort(t.Context(), u); err != nil {
		t.Errorf("Abort: %v", err)
	}
}

// zeros is an endless body.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// TestReadOnlyDisk refuses with an error that is none of the sentinels.
func TestReadOnlyDisk(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "2m")
	s, err := diskblob.OpenUnlocked(dir) // with an open lock the disk would be busy
	if err != nil {
		t.Fatalf("OpenUnlocked: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatalf("making %s read-only: %v", dir, err)
	}
	_, err = s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("bytes")))
	if !errors.Is(err, unix.EROFS) {
		t.Errorf("Append to a read-only disk: got error %v, want %v", err, unix.EROFS)
	}
}
