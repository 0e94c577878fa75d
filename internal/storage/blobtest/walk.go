package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// walkingStore is a store that tells what it holds.
type walkingStore interface {
	blob.Store
	blob.Walker
}

func openWalking(t *testing.T, open Opener) walkingStore {
	t.Helper()
	s, ok := open(t).(walkingStore)
	if !ok {
		t.Skip("this store does not tell what it holds")
	}
	return s
}

// walk lists all that the store has of the given keys, in pages of about limit. Other tests come and go in the same
// place.
func walk(t *testing.T, s walkingStore, limit int, keys ...blob.Key) map[blob.Key][]blob.Found {
	t.Helper()
	all := make(map[blob.Key][]blob.Found)
	for after := ""; ; {
		found, next, err := s.Walk(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Walk from %q: %v", after, err)
		}
		for _, f := range found {
			if slices.Contains(keys, f.Key) {
				all[f.Key] = append(all[f.Key], f)
			}
		}
		if next == "" {
			return all
		}
		if next == after {
			t.Fatalf("Walk from %q stays where it is", after)
		}
		after = next
	}
}

// discard discards everything, and tells what is to be answered.
func discard(t *testing.T, s walkingStore, all []blob.Found, want ...error) {
	t.Helper()
	for _, f := range all {
		err := s.Discard(t.Context(), f)
		if !slices.ContainsFunc(want, func(w error) bool { return errors.Is(err, w) }) {
			t.Errorf("Discard of %+v: got error %v, want one of %v", f, err, want)
		}
	}
}

// begin makes an upload of Appends of the given sizes, each of which loses an attempt.
func begin(t *testing.T, s blob.Store, steps ...int) (u blob.Upload, want []byte) {
	t.Helper()
	u = blob.Upload{Key: NewKey()}
	for i, n := range steps {
		mustAppend(t, s, u, Bytes(uint64(100+i), n+1))
		b := Bytes(uint64(i), n)
		u = mustAppend(t, s, u, b)
		want = append(want, b...)
	}
	return u, want
}

// testWalk makes all kinds of things and looks for each of them, in pages of all sizes.
func testWalk(t *testing.T, open Opener) {
	s := openWalking(t, open)
	before := time.Now().Add(-2 * time.Second) // some media count in whole seconds
	objects, uploads := map[blob.Key][]byte{}, map[blob.Key]bool{}
	var gone, all []blob.Key
	for _, steps := range [][]int{{}, {0}, {10}, {8 * mib}, {10, 9 * mib, 10}} {
		u, want := begin(t, s, steps...)
		mustComplete(t, s, u)
		objects[u.Key] = want
		if u, _ = begin(t, s, steps...); u.Size > 0 {
			uploads[u.Key] = true
		}
		aborted, _ := begin(t, s, steps...)
		if err := s.Abort(t.Context(), aborted); err != nil {
			t.Fatalf("Abort: %v", err)
		}
		deleted := put(t, s, want)
		if err := s.Delete(t.Context(), deleted); err != nil {
			t.Fatalf("Delete: %v", err)
		}
		gone = append(gone, aborted.Key, deleted)
	}
	for key := range objects {
		all = append(all, key)
	}
	for key := range uploads {
		all = append(all, key)
	}
	for _, limit := range []int{1, 7, 100_000} {
		got := walk(t, openWalking(t, open), limit, append(all, gone...)...)
		for _, key := range gone {
			if len(got[key]) > 0 {
				t.Errorf("walk with pages of %d: found %+v, which was aborted or deleted", limit, got[key])
			}
		}
		for key, want := range objects {
			wantFoundObject(t, got[key], int64(len(want)))
		}
		for key := range uploads {
			if len(got[key]) == 0 {
				t.Errorf("walk with pages of %d: found nothing of an upload", limit)
			}
		}
		for _, found := range got {
			wantSound(t, found, before)
		}
	}
}

// wantFoundObject looks for the one object among what was found of a key.
func wantFoundObject(t *testing.T, found []blob.Found, size int64) {
	t.Helper()
	var sizes []int64
	for _, f := range found {
		if !f.Part {
			sizes = append(sizes, f.Size)
		}
	}
	if !slices.Equal(sizes, []int64{size}) {
		t.Errorf("walk: found an object of %d bytes as ones of %d", size, sizes)
	}
}

// wantSound checks what holds of all that is found.
func wantSound(t *testing.T, found []blob.Found, before time.Time) {
	t.Helper()
	names := map[string]bool{}
	for _, f := range found {
		if f.Name == "" || names[f.Name] {
			t.Errorf("walk: found the name %q twice, or empty", f.Name)
		}
		names[f.Name] = true
		if f.At.Before(before) || f.At.After(time.Now().Add(2*time.Second)) || f.At.Nanosecond()%1000 > 0 {
			t.Errorf("walk: found %+v, which was written after %v", f, before)
		}
	}
}

// testDiscard removes what a walk finds, and first what lost attempts left of an upload that went on.
func testDiscard(t *testing.T, open Opener) {
	s := openWalking(t, open)
	for _, steps := range [][]int{{}, {10}, {9 * mib}, {10, 9 * mib, 10}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			object, want := begin(t, s, steps...)
			mustComplete(t, s, object)
			upload, _ := begin(t, s, steps...)
			got := walk(t, s, 1000, object.Key, upload.Key)
			parts := slices.DeleteFunc(slices.Clone(got[object.Key]), func(f blob.Found) bool { return !f.Part })
			for range 2 {
				discard(t, s, parts, nil)
				discard(t, s, got[upload.Key], nil)
			}
			left := walk(t, s, 1000, object.Key, upload.Key)
			if len(left[object.Key]) != 1 || len(left[upload.Key]) != 0 {
				t.Errorf("walk after Discard: found %+v and %+v, want one object", left[object.Key], left[upload.Key])
			}
			wantObject(t, s, object.Key, want)
			if upload.Size > 0 {
				wantError(t, "Complete after Discard", openWalking(t, open).Complete(t.Context(), upload), blob.ErrLost)
			}
			for range 2 {
				discard(t, s, left[object.Key], nil)
				_, err := s.Size(t.Context(), object.Key)
				wantError(t, "Size after Discard", err, blob.ErrNotFound)
			}
		})
	}
}

// testDiscardLater has things be other than they were found to be.
func testDiscardLater(t *testing.T, open Opener) {
	s := openWalking(t, open)
	for _, steps := range [][]int{{10}, {9 * mib}, {10, 10}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			u, want := begin(t, s, steps...)
			begun := walk(t, s, 1000, u.Key)[u.Key]
			mustComplete(t, s, u)
			discard(t, s, begun, nil, blob.ErrBusy)
			wantObject(t, s, u.Key, want)

			for _, f := range walk(t, s, 1000, u.Key)[u.Key] {
				if f.Part {
					continue
				}
				f.At = f.At.Add(-2 * time.Second)
				discard(t, s, []blob.Found{f}, blob.ErrBusy)
				f.At = time.Time{}
				discard(t, s, []blob.Found{f}, blob.ErrBusy)
			}
			wantObject(t, s, u.Key, want)
		})
	}
}

// testWalkDuringAppend finds an upload while its bytes come, and cannot discard it.
func testWalkDuringAppend(t *testing.T, open Opener) {
	s := openWalking(t, open)
	for _, n := range []int{10, 18 * mib} {
		u, want := begin(t, s, 20)
		r, w := io.Pipe()
		type result struct {
			u   blob.Upload
			err error
		}
		done := make(chan result)
		go func() {
			got, err := s.Append(t.Context(), u, r)
			done <- result{got, err}
		}()
		b := Bytes(7, n)
		if _, err := w.Write(b); err != nil { // returns when the Append has read it
			t.Fatalf("writing to an Append: %v", err)
		}
		for _, limit := range []int{1, 1000} {
			found := walk(t, s, limit, u.Key)[u.Key]
			if len(found) == 0 {
				t.Errorf("walk during an Append of %d bytes: found nothing of it", n)
			}
			discard(t, s, found, blob.ErrBusy)
		}
		if err := w.Close(); err != nil {
			t.Fatalf("ending an Append: %v", err)
		}
		got := <-done
		if got.err != nil {
			t.Fatalf("Append during a walk: %v", got.err)
		}
		mustComplete(t, s, got.u)
		wantObject(t, s, u.Key, append(want, b...))
	}
}

// testWalkWhilePushing walks while clients push: what was there before is found in every walk, and so is an upload
// that is completed meanwhile.
func testWalkWhilePushing(t *testing.T, open Opener) {
	s := openWalking(t, open)
	const count = 12
	objects, uploads := make([]blob.Key, count), make([]blob.Upload, count)
	for i := range count {
		objects[i] = put(t, s, Bytes(uint64(i), 10*i))
		uploads[i] = mustAppend(t, s, blob.Upload{Key: NewKey()}, Bytes(uint64(i), []int{100, 8 * mib, 9 * mib}[i%3]))
	}
	all := slices.Clone(objects)
	for _, u := range uploads {
		all = append(all, u.Key)
	}
	seen := make(map[blob.Key]bool)
	after, waiting := "", slices.Clone(uploads)
	for pages := 0; pages == 0 || after != ""; pages++ {
		found, next, err := s.Walk(t.Context(), after, 5)
		if err != nil {
			t.Fatalf("Walk from %q: %v", after, err)
		}
		for _, f := range found {
			seen[f.Key] = true
		}
		after = next
		if pages%2 == 1 && len(waiting) > 0 {
			mustComplete(t, s, waiting[0])
			waiting = waiting[1:]
			put(t, s, []byte("something new"))
		}
	}
	for _, key := range all {
		if !seen[key] {
			t.Errorf("a walk did not find %s", key)
		}
	}
	for _, u := range waiting {
		mustComplete(t, s, u)
	}
	for i, u := range uploads {
		wantObject(t, s, u.Key, Bytes(uint64(i), int(u.Size)))
	}
}

// testDiscardRefuses tries to have things removed that no walk of this store gives a key.
func testDiscardRefuses(t *testing.T, open Opener) {
	s := openWalking(t, open)
	u, want := begin(t, s, 10)
	mustComplete(t, s, u)
	object := walk(t, s, 1000, u.Key)[u.Key]
	object = slices.DeleteFunc(object, func(f blob.Found) bool { return f.Part })
	if len(object) != 1 {
		t.Fatalf("walk: got %+v, want an object", object)
	}
	for what, change := range map[string]func(*blob.Found){
		"no key":         func(f *blob.Found) { f.Key = "" },
		"no name":        func(f *blob.Found) { f.Name = "" },
		"another key":    func(f *blob.Found) { f.Key = NewKey() },
		"another's name": func(f *blob.Found) { f.Name = "../" + f.Name },
		"more of a name": func(f *blob.Found) { f.Name += "/x" },
		"a bad key":      func(f *blob.Found) { f.Key = "../" + f.Key[3:] },
	} {
		f := object[0]
		f.At = time.Now().Add(time.Hour)
		change(&f)
		if err := s.Discard(t.Context(), f); err == nil || errors.Is(err, blob.ErrBusy) {
			t.Errorf("Discard with %s, %+v: got error %v, want a refusal", what, f, err)
		}
	}
	for _, after := range []string{"nowhere", "\x00", "../"} {
		if _, _, err := s.Walk(t.Context(), after, 10); err == nil {
			t.Errorf("Walk from %q: got no error", after)
		}
	}
	got, err := read(t.Context(), s, u.Key, 0, -1)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("the object afterwards: got %d bytes, %v", len(got), err)
	}
}
