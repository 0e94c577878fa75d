//go:build unix

package diskblob_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

// TestOneServer keeps a second server off a directory, by whatever path it comes, until the first closes it.
func TestOneServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	first := open(t, dir)
	for _, path := range []string{dir, link} {
		if _, err := diskblob.Open(path); !errors.Is(err, diskblob.ErrInUse) {
			t.Errorf("Open(%s), which is in use: got error %v, want %v", path, err, diskblob.ErrInUse)
		}
	}
	shut(t, first)
	shut(t, first) // twice is fine
	shut(t, open(t, link))
}

// TestIdentity stays with a directory, is another's in another, and can be set by an operator.
func TestIdentity(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := open(t, dir)
	id := identity(t, first)
	if id == "" || identity(t, first) != id {
		t.Errorf("Identity: got %q and then another", id)
	}
	shut(t, first)
	again := open(t, dir)
	if got := identity(t, again); got != id {
		t.Errorf("Identity after a restart: got %s, want %s", got, id)
	}
	if got := identity(t, open(t, t.TempDir())); got == id {
		t.Errorf("Identity of another directory: got %s too", got)
	}
	file := filepath.Join(dir, "store-id")
	for content, want := range map[string]string{"MINE\n": "MINE", "MINE": "MINE", "\n": ""} {
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := again.Identity(t.Context()); got != want || (err != nil) != (want == "") {
			t.Errorf("Identity with %q in the file: got %q, %v, want %q", content, got, err, want)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, ".new-*")); err != nil || len(left) > 0 {
		t.Errorf("Identity leaves %v, %v", left, err)
	}
}

func identity(t *testing.T, s *diskblob.Store) string {
	t.Helper()
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Fatalf("Identity: %v", err)
	}
	return id
}

// TestReaderPanics: a panic of the caller's leaves neither a goroutine behind nor an upload that is stuck.
func TestReaderPanics(t *testing.T) { //nolint:paralleltest // it counts goroutines
	before := goleak.IgnoreCurrent()
	s := open(t, t.TempDir())
	want := blobtest.Bytes(1, 5<<20)
	for _, n := range []int{10, 4 << 20} { // by the reading goroutine alone, and by two
		u := blob.Upload{Key: blobtest.NewKey()}
		func() {
			defer func() {
				if p := recover(); p != "reader" {
					t.Errorf("Append from a reader that panics after %d bytes: recovered %v", n, p)
				}
			}()
			_, _ = s.Append(t.Context(), u, io.MultiReader(bytes.NewReader(want[:n]), panics{}))
		}()
		goleak.VerifyNone(t, before)
		u, err := s.Append(t.Context(), u, bytes.NewReader(want))
		if err != nil || u.Size != int64(len(want)) {
			t.Errorf("Append after a panic: got %d bytes, %v, want %d", u.Size, err, len(want))
		}
	}
}

type panics struct{}

func (panics) Read([]byte) (int, error) { panic("reader") }
