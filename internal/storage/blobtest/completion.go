package blobtest

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// testLateAppend appends to an upload that is complete: whatever that answers, an object never changes.
func testLateAppend(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{0, 100, 8 * mib, 9 * mib} {
		t.Run(name(n), func(t *testing.T) {
			want := Bytes(1, n)
			begun := blob.Upload{Key: NewKey()}
			u := mustAppend(t, s, begun, want)
			mustComplete(t, s, u)
			for _, old := range []blob.Upload{begun, u} {
				for _, late := range []int{0, n, 9 * mib} {
					_, _ = s.Append(t.Context(), old, bytes.NewReader(Bytes(2, late)))
					_, _ = open(t).Append(t.Context(), old, bytes.NewReader(Bytes(3, late)))
				}
			}
			wantObject(t, s, u.Key, want)
		})
	}
}

// testLateComplete has two replicas finish one upload with bytes of their own. One of them may succeed; the
// object is that one's for ever.
func testLateComplete(t *testing.T, open Opener) {
	for _, begun := range []int{0, 10, 9 * mib} {
		for _, last := range []int{100, 9 * mib} {
			t.Run(fmt.Sprintf("%d and %d", begun, last), func(t *testing.T) {
				a, b := open(t), open(t)
				head := Bytes(1, begun)
				u := mustAppend(t, a, blob.Upload{Key: NewKey()}, head)
				ua := mustAppend(t, a, u, Bytes(2, last))
				mustComplete(t, a, ua)
				want := append(bytes.Clone(head), Bytes(2, last)...)

				ub, err := b.Append(t.Context(), u, bytes.NewReader(Bytes(3, last)))
				if err == nil {
					err = b.Complete(t.Context(), ub)
				}
				if err == nil {
					t.Fatal("Append and Complete over a complete object: got no error")
				}
				wantObject(t, a, u.Key, want)
			})
		}
	}
}

// testTwoLines has two requests go on from one Upload, one after the other, and then both finish. A
// Complete that succeeds gives the bytes of its own Upload; one that cannot answers ErrLost.
func testTwoLines(t *testing.T, open Opener) {
	s := open(t)
	sizes := []int{100, 8 * mib, 9 * mib}
	for _, begun := range []int{0, 10, 8*mib + 1} {
		for _, n := range sizes {
			for _, more := range []int{0, 5} {
				t.Run(fmt.Sprintf("%d and %d and %d", begun, n, more), func(t *testing.T) {
					testTwoLinesOf(t, s, begun, n, more)
				})
			}
		}
	}
}

func testTwoLinesOf(t *testing.T, s blob.Store, begun, n, more int) {
	head := Bytes(1, begun)
	u := mustAppend(t, s, blob.Upload{Key: NewKey()}, head)
	type line struct {
		u     blob.Upload
		bytes []byte
		err   error
	}
	lines := make([]line, 2)
	for i := range lines { // the second one replaces what the first one wrote
		b := Bytes(uint64(2+i), n)
		lines[i].u = mustAppend(t, s, u, b)
		lines[i].bytes = append(bytes.Clone(head), b...)
	}
	completed := false
	for i, l := range lines {
		b := Bytes(uint64(4+i), more)
		l.bytes = append(l.bytes, b...)
		l.u, l.err = s.Append(t.Context(), l.u, bytes.NewReader(b))
		if l.err == nil {
			l.err = s.Complete(t.Context(), l.u)
		}
		switch {
		case l.err == nil && !completed:
			completed = true
			wantObject(t, s, u.Key, l.bytes)
		case l.err == nil:
			t.Fatal("two lines of one upload were both completed")
		case !errors.Is(l.err, blob.ErrLost) && !errors.Is(l.err, blob.ErrNotFound):
			t.Fatalf("going on in line %d: got error %v, want %v or none", i, l.err, blob.ErrLost)
		}
	}
	if !completed {
		t.Fatal("neither of two lines could be completed")
	}
}

// testCompleteTwice completes again, also after a restart, and with another size.
func testCompleteTwice(t *testing.T, open Opener) {
	for _, steps := range [][]int{{0}, {1}, {8 * mib}, {9 * mib}, {10, 10}, {10, 9 * mib, 3}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			s := open(t)
			u := blob.Upload{Key: NewKey()}
			var want []byte
			for i, n := range steps {
				b := Bytes(uint64(i), n)
				u = mustAppend(t, s, u, b)
				want = append(want, b...)
			}
			mustComplete(t, s, u)
			mustComplete(t, s, u)
			mustComplete(t, open(t), u)
			wantObject(t, s, u.Key, want)
		})
	}
}

// testCompleteEmpty completes an upload that never saw an Append.
func testCompleteEmpty(t *testing.T, open Opener) {
	s := open(t)
	u := blob.Upload{Key: NewKey()}
	mustComplete(t, s, u)
	wantObject(t, s, u.Key, nil)
	mustComplete(t, s, u)

	// One that got bytes which were lost is empty too.
	u = blob.Upload{Key: NewKey()}
	mustAppend(t, s, u, Bytes(1, 100))
	mustComplete(t, s, u)
	wantObject(t, s, u.Key, nil)
}

// testCompleteLost goes on with uploads whose bytes are gone.
func testCompleteLost(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{1, 8 * mib, 9 * mib} {
		t.Run(name(n), func(t *testing.T) {
			u := mustAppend(t, s, blob.Upload{Key: NewKey()}, Bytes(1, n))
			if err := s.Abort(t.Context(), u); err != nil {
				t.Fatalf("Abort: %v", err)
			}
			s2 := open(t)
			wantError(t, "Complete of an upload whose bytes are gone", s2.Complete(t.Context(), u), blob.ErrLost)
			// A store may notice this late, but before it is an object.
			got, err := s2.Append(t.Context(), u, bytes.NewReader(Bytes(2, 8*mib)))
			if err == nil {
				err = s2.Complete(t.Context(), got)
			}
			wantError(t, "Append and Complete of an upload whose bytes are gone", err, blob.ErrLost)
			_, err = s.Size(t.Context(), u.Key)
			wantError(t, "Size of an upload whose bytes are gone", err, blob.ErrNotFound)
		})
	}
}

// testAbort forgets uploads, more than once, and ones that never were.
func testAbort(t *testing.T, open Opener) {
	s := open(t)
	for _, steps := range [][]int{{}, {0}, {10}, {8 * mib}, {10, 9 * mib}} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			u := blob.Upload{Key: NewKey()}
			for i, n := range steps {
				u = mustAppend(t, s, u, Bytes(uint64(i), n))
			}
			for range 2 {
				if err := s.Abort(t.Context(), u); err != nil {
					t.Fatalf("Abort: %v", err)
				}
				_, err := s.Size(t.Context(), u.Key)
				wantError(t, "Size of an aborted upload", err, blob.ErrNotFound)
			}
		})
	}
}
