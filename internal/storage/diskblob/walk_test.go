//go:build unix

package diskblob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

// TestWalkTellsAll: what is the store's business is not listed, what somebody else put there is, and is never
// deleted.
func TestWalkTellsAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	if _, err := s.Identity(t.Context()); err != nil {
		t.Fatalf("Identity: %v", err)
	}
	const (
		object = "0123456789abcdef0123456789abcdef"
		upload = "fedcba9876543210fedcba9876543210"
		strays = "ab00000000000000000000000000000"
	)
	put(t, s, object, 10)
	if _, err := s.Append(t.Context(), blob.Upload{Key: upload}, bytes.NewReader(make([]byte, 7))); err != nil {
		t.Fatalf("Append: %v", err)
	}
	foreign := []string{
		"lost+found/", "README", "a b%2F\xff", "01/notes", "01/" + strays + "1", "ab/" + strays, "ab/" + strays + "11",
		"ab/AB000000000000000000000000000001", "ab/" + strays + "2/",
	}
	for _, name := range foreign {
		create := func(path string) error { return os.WriteFile(path, []byte("abc"), 0o600) }
		if name[len(name)-1] == '/' {
			create = func(path string) error { return os.Mkdir(path, 0o700) }
		}
		if err := create(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("README", filepath.Join(dir, "ab", strays+"3")); err != nil {
		t.Fatal(err)
	}
	want := []blob.Found{
		{Name: "README", Size: 3},
		{Name: "a b%2F\xff", Size: 3},
		{Name: "lost+found"},
		{Name: "01/" + object, Key: object, Size: 10},
		{Name: "01/" + strays + "1", Size: 3},
		{Name: "01/notes", Size: 3},
		{Name: "ab/AB000000000000000000000000000001", Size: 3},
		{Name: "ab/" + strays, Size: 3},
		{Name: "ab/" + strays + "11", Size: 3},
		{Name: "ab/" + strays + "2"},
		{Name: "ab/" + strays + "3"},
		{Name: "fe/" + upload, Key: upload, Size: 7},
	}
	for _, limit := range []int{0, 1, 2, 5, 100} {
		got := walk(t, s, limit)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(blob.Found{}, "At")); diff != "" {
			t.Errorf("walk with pages of %d (-want +got):\n%s", limit, diff)
		}
		for _, f := range got {
			if since := time.Since(f.At); since < 0 || since > time.Hour {
				t.Errorf("%s was found to be written at %v", f.Name, f.At)
			}
		}
	}
	for _, f := range walk(t, s, 100) {
		if f.Key == "" {
			f.At = time.Now()
			wantRefused(t, s, f)
			f.Key = blob.Key(filepath.Base(f.Name)) // somebody who insists
			wantRefused(t, s, f)
		}
	}
	wantRefused(t, s, blob.Found{Name: "berth.lock", At: time.Now()})
	wantRefused(t, s, blob.Found{Name: "fe/" + upload, Key: object, At: time.Now()})
	if diff := cmp.Diff(want, walk(t, s, 100), cmpopts.IgnoreFields(blob.Found{}, "At")); diff != "" {
		t.Errorf("walk after Discard of what it refuses (-want +got):\n%s", diff)
	}
}

func wantRefused(t *testing.T, s *diskblob.Store, f blob.Found) {
	t.Helper()
	if err := s.Discard(t.Context(), f); err == nil || errors.Is(err, blob.ErrBusy) {
		t.Errorf("Discard of %q with key %q: got error %v, want a refusal", f.Name, f.Key, err)
	}
}

// TestWalkLargeShard reads a directory of more names than it holds in memory, whatever the pages are.
func TestWalkLargeShard(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	var want []string
	for i := range 200 {
		for _, shard := range []string{"00", "77"} {
			if i%10 > 0 && shard == "77" {
				continue
			}
			name := fmt.Sprintf("%s/%s%030x", shard, shard, i)
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o400); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, f := range walk(t, s, 2000) {
		want = append(want, f.Name)
	}
	if len(want) != 220 {
		t.Fatalf("walk: got %d things, want 220", len(want))
	}
	for _, ahead := range []int{1, 7, 100, 199} {
		s.HoldAhead(ahead)
		for _, limit := range []int{1, 10, 99, 500} {
			var got []string
			for _, f := range walk(t, s, limit) {
				got = append(got, f.Name)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("walk with pages of %d and %d names in memory (-want +got):\n%s", limit, ahead, diff)
			}
		}
	}
}

// TestWalksTakeTurns: each walk lists all, also one that another store goes on with.
func TestWalksTakeTurns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	want := map[string]bool{}
	for i := range 50 {
		key := blob.Key(fmt.Sprintf("5%d%030x", i%3, i))
		put(t, s, key, i)
		want[string(key[:2])+"/"+string(key)] = true
	}
	other, err := diskblob.OpenUnlocked(dir)
	if err != nil {
		t.Fatalf("OpenUnlocked: %v", err)
	}
	places, seen := [3]string{}, [3]map[string]bool{{}, {}, {}}
	for page, ended := 0, 0; ended < len(places); page++ {
		i := page % len(places)
		if page >= len(places) && places[i] == "" {
			continue
		}
		by := s
		if page%4 == 3 {
			by = other
		}
		found, next, err := by.Walk(t.Context(), places[i], i+1)
		if err != nil {
			t.Fatalf("Walk: %v", err)
		}
		for _, f := range found {
			seen[i][f.Name] = true
		}
		if places[i] = next; next == "" {
			ended++
		}
	}
	for i := range seen {
		if diff := cmp.Diff(want, seen[i]); diff != "" {
			t.Errorf("walk %d (-want +got):\n%s", i, diff)
		}
	}
}

// TestWalkNowhere refuses places that no walk gave, and ends with its context.
func TestWalkNowhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	put(t, s, blobtest.NewKey(), 1)
	for _, after := range []string{"a", "../", "abc/", "A0/", "00", "/%"} {
		if _, _, err := s.Walk(t.Context(), after, 1); err == nil {
			t.Errorf("Walk from %q: got no error", after)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := s.Walk(ctx, "", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Walk in a context that has ended: got error %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "a7")); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.Walk(t.Context(), "", 10); err == nil {
		t.Error("Walk without a shard directory: got no error")
	}
}

// TestDiscardLockedElsewhere leaves alone what another process is writing.
func TestDiscardLockedElsewhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("first")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	found := walk(t, s, 10)[0]
	path := filepath.Join(dir, found.Name)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatalf("locking: %v", err)
	}
	if err := s.Discard(t.Context(), found); !errors.Is(err, blob.ErrBusy) {
		t.Errorf("Discard of a locked file: got error %v, want %v", err, blob.ErrBusy)
	}
	wantFile(t, path, []byte("first"))
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Discard(t.Context(), found); err != nil {
		t.Errorf("Discard of a file that was unlocked: %v", err)
	}
	if _, err := s.Append(t.Context(), u, bytes.NewReader([]byte("second"))); !errors.Is(err, blob.ErrLost) {
		t.Errorf("Append to what was discarded: got error %v, want %v", err, blob.ErrLost)
	}
}

// TestDiscardWrittenSince leaves alone an upload that goes on, or was completed, after a walk has found it.
func TestDiscardWrittenSince(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*diskblob.Store, blob.Upload) error{
		"append": func(s *diskblob.Store, u blob.Upload) error {
			_, err := s.Append(t.Context(), u, bytes.NewReader([]byte("more")))
			return err
		},
		"complete": func(s *diskblob.Store, u blob.Upload) error { return s.Complete(t.Context(), u) },
	} {
		dir := t.TempDir()
		s := open(t, dir)
		u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("bytes")))
		if err != nil {
			t.Fatalf("Append: %v", err)
		}
		path := filepath.Join(dir, string(u.Key[:2]), string(u.Key))
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
		found := walk(t, s, 10)[0]
		if !found.At.Equal(old.Truncate(time.Microsecond)) {
			t.Errorf("found to be written at %v, want %v", found.At, old)
		}
		if err := change(s, u); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err := s.Discard(t.Context(), found); !errors.Is(err, blob.ErrBusy) {
			t.Errorf("Discard after %s: got error %v, want %v", name, err, blob.ErrBusy)
		}
		if _, err := s.Size(t.Context(), u.Key); err != nil {
			t.Errorf("Size after %s and Discard: %v", name, err)
		}
		if err := s.Discard(t.Context(), walk(t, s, 10)[0]); err != nil {
			t.Errorf("Discard after %s and another walk: %v", name, err)
		}
	}
}

// TestCompleteIsLater than what a walk has found, even if the clock stands still, or was set back.
func TestCompleteIsLater(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := open(t, dir)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("bytes")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	ahead := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(dir, string(u.Key[:2]), string(u.Key)), ahead, ahead); err != nil {
		t.Fatal(err)
	}
	found := walk(t, s, 10)[0]
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	if err := s.Discard(t.Context(), found); !errors.Is(err, blob.ErrBusy) {
		t.Errorf("Discard of what was completed: got error %v, want %v", err, blob.ErrBusy)
	}
}

// TestDiscardDuringComplete: what is completed is there, and what is discarded is not, whoever comes first.
func TestDiscardDuringComplete(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("bytes")))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	found := walk(t, s, 10)[0]
	done := make(chan error)
	go func() { done <- s.Complete(t.Context(), u) }()
	discarded := s.Discard(t.Context(), found)
	completed := <-done
	_, err = s.Size(t.Context(), u.Key)
	switch {
	case completed == nil && err != nil:
		t.Errorf("Complete succeeded, Discard answered %v, and the object is gone: %v", discarded, err)
	case discarded == nil && err == nil:
		t.Errorf("Discard succeeded, Complete answered %v, and the object is there", completed)
	case completed != nil && !errors.Is(completed, blob.ErrLost) && !errors.Is(completed, blob.ErrBusy):
		t.Errorf("Complete: got error %v, want %v or %v", completed, blob.ErrLost, blob.ErrBusy)
	}
}

func put(t testing.TB, s *diskblob.Store, key blob.Key, n int) {
	t.Helper()
	u, err := s.Append(t.Context(), blob.Upload{Key: key}, io.LimitReader(zeros{}, int64(n)))
	if err == nil {
		err = s.Complete(t.Context(), u)
	}
	if err != nil {
		t.Fatalf("storing %d bytes: %v", n, err)
	}
}

// walk lists everything in pages of about limit.
func walk(t testing.TB, s *diskblob.Store, limit int) (all []blob.Found) {
	t.Helper()
	for after := ""; ; {
		found, next, err := s.Walk(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Walk from %q: %v", after, err)
		}
		if all = append(all, found...); next == "" {
			return all
		}
		after = next
	}
}
