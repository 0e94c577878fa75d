package blobtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

// testRoundTrip stores and reads sizes around those at which stores change their ways.
func testRoundTrip(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{
		0, 1, 4 * kib, 256*kib - 1, 256 * kib, 256*kib + 1, mib - 1, mib, mib + 1, 5*mib - 1, 5 * mib, 5*mib + 1,
		8*mib - 1, 8 * mib, 8*mib + 1, 10 * mib, 16*mib - 1, 16 * mib, 17*mib + 3,
	} {
		t.Run(name(n), func(t *testing.T) {
			want := Bytes(uint64(n), n)
			wantObject(t, s, put(t, s, want), want)
		})
	}
}

// testAppendInSteps builds objects of several Appends.
func testAppendInSteps(t *testing.T, open Opener) {
	s := open(t)
	for _, steps := range [][]int{
		{1, 1, 1},
		{0, 5, 0, 7, 0},
		{100, 5 * mib, 1},
		{5 * mib, 5 * mib, 5 * mib},
		{8 * mib, 8 * mib},
		{3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib, 3 * mib},
		{8*mib - 1, 1, 1},
		{12 * mib, 1, 0, 4*mib - 1, 8*mib + 1},
		{1, 20 * mib, 300 * kib},
	} {
		t.Run(fmt.Sprint(steps), func(t *testing.T) {
			u := blob.Upload{Key: NewKey()}
			var want []byte
			for i, n := range steps {
				b := Bytes(uint64(i), n)
				u = mustAppend(t, s, u, b)
				want = append(want, b...)
			}
			mustComplete(t, s, u)
			wantObject(t, s, u.Key, want)
		})
	}
}

// testAppendNothing appends no bytes, also with a reader that fails at once.
func testAppendNothing(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{0, 10, 9 * mib} {
		t.Run("to "+name(n), func(t *testing.T) {
			want := Bytes(1, n)
			u := mustAppend(t, s, blob.Upload{Key: NewKey()}, want)
			u = mustAppend(t, s, u, nil)
			got, err := s.Append(t.Context(), u, cutOff(nil))
			wantError(t, "Append from a reader that fails at once", err, errCut)
			if got.Size != u.Size {
				t.Fatalf("Append from a reader that fails at once: got %d bytes, want %d", got.Size, u.Size)
			}
			mustComplete(t, s, got)
			wantObject(t, s, u.Key, want)
		})
	}
}

// testAppendAgain crashes between an Append and the storing of what it returned: the client sends again.
func testAppendAgain(t *testing.T, open Opener) {
	s := open(t)
	sizes := []int{0, 100, 5*mib - 1, 8 * mib, 9 * mib}
	for _, stored := range sizes {
		for _, lost := range sizes {
			t.Run(fmt.Sprintf("%d and %d lost", stored, lost), func(t *testing.T) {
				first, second := Bytes(1, stored), Bytes(3, 8*mib+7)
				u := mustAppend(t, s, blob.Upload{Key: NewKey()}, first)
				mustAppend(t, s, u, Bytes(2, lost))
				u = mustAppend(t, s, u, second)
				third := Bytes(4, 11)
				mustAppend(t, s, u, Bytes(5, lost))
				restarted := open(t)
				u = mustAppend(t, restarted, u, third)
				mustComplete(t, restarted, u)
				wantObject(t, s, u.Key, bytes.Join([][]byte{first, second, third}, nil))
			})
		}
	}
}

// testAppendAgainShorter loses more than is sent again, or than there is in the end.
func testAppendAgainShorter(t *testing.T, open Opener) {
	s := open(t)
	for _, stored := range []int{0, 10, 8 * mib} {
		t.Run(name(stored), func(t *testing.T) {
			want := Bytes(1, stored)
			u := mustAppend(t, s, blob.Upload{Key: NewKey()}, want)
			mustAppend(t, s, u, Bytes(2, 18*mib))
			more := Bytes(3, 5)
			again := mustAppend(t, s, u, more)
			mustComplete(t, s, again)
			wantObject(t, s, u.Key, append(want, more...))
		})
	}
	for _, stored := range []int{0, 10, 8 * mib, 9 * mib} {
		t.Run("complete "+name(stored), func(t *testing.T) {
			want := Bytes(1, stored)
			u := mustAppend(t, s, blob.Upload{Key: NewKey()}, want)
			mustAppend(t, s, u, Bytes(2, 9*mib))
			mustComplete(t, s, u)
			wantObject(t, s, u.Key, want)
		})
	}
}

// testReaderFails keeps what came before a client's bytes stopped.
func testReaderFails(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{1, 300 * kib, 3 * mib, 8 * mib, 20*mib + 1} {
		t.Run(name(n), func(t *testing.T) {
			want := Bytes(1, n)
			u, err := s.Append(t.Context(), blob.Upload{Key: NewKey()}, cutOff(want))
			wantError(t, "Append from a reader that fails", err, errCut)
			if u.Size != int64(n) {
				t.Fatalf("Append from a reader that fails after %d bytes: got %d", n, u.Size)
			}
			more := Bytes(2, 1000)
			s2 := open(t)
			u = mustAppend(t, s2, u, more)
			mustComplete(t, s2, u)
			wantObject(t, s, u.Key, append(want, more...))
		})
	}
}

// testContextEnds keeps, like any reader's, what came before the request's context ended.
func testContextEnds(t *testing.T, open Opener) {
	s := open(t)
	for _, n := range []int{100, 9 * mib} {
		t.Run(name(n), func(t *testing.T) {
			want := Bytes(1, n)
			ctx, cancel := context.WithCancel(t.Context())
			body := io.MultiReader(bytes.NewReader(want), readerFunc(func(p []byte) (int, error) {
				cancel()
				return len(p), nil // an endless body
			}))
			u, err := s.Append(ctx, blob.Upload{Key: NewKey()}, body)
			wantError(t, "Append in a context that ends", err, context.Canceled)
			if u.Size < int64(n) {
				t.Fatalf("Append in a context that ends after %d bytes: got %d", n, u.Size)
			}
			mustComplete(t, s, u)
			got, err := read(t.Context(), s, u.Key, 0, int64(n))
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("Open: got %d bytes, %v, want the %d that came", len(got), err, n)
			}
		})
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// testReopen goes on with an upload in other processes.
func testReopen(t *testing.T, open Opener) {
	u := blob.Upload{Key: NewKey()}
	var want []byte
	for i, n := range []int{70, 6 * mib, 0, 6 * mib, 1} {
		b := Bytes(uint64(i), n)
		u = mustAppend(t, open(t), u, b)
		want = append(want, b...)
	}
	mustComplete(t, open(t), u)
	wantObject(t, open(t), u.Key, want)
}

// testBusy lets two Appends to one upload meet.
func testBusy(t *testing.T, open Opener) {
	s := open(t)
	u := mustAppend(t, s, blob.Upload{Key: NewKey()}, []byte("begin "))
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
	if _, err := w.Write([]byte("middle ")); err != nil { // returns when the Append has read it
		t.Fatalf("writing to the first Append: %v", err)
	}
	got, err := s.Append(t.Context(), u, bytes.NewReader([]byte("intruder")))
	wantError(t, "second Append at the same time", err, blob.ErrBusy)
	if got.Size != u.Size {
		t.Errorf("second Append at the same time: got %d bytes, want %d", got.Size, u.Size)
	}
	wantError(t, "Complete during an Append", s.Complete(t.Context(), u), blob.ErrBusy)
	if err := w.Close(); err != nil {
		t.Fatalf("ending the first Append: %v", err)
	}
	first := <-done
	if first.err != nil {
		t.Fatalf("first Append: %v", first.err)
	}
	u = mustAppend(t, s, first.u, []byte("end"))
	mustComplete(t, s, u)
	wantObject(t, s, u.Key, []byte("begin middle end"))
}

// testManyAtOnce has many clients push at once.
func testManyAtOnce(t *testing.T, open Opener) {
	s := open(t)
	var clients sync.WaitGroup
	for i := range 24 {
		clients.Go(func() {
			size := []int{0, 2 * kib, 300 * kib, 2 * mib, 9 * mib}[i%5]
			if err := pushInTwo(t.Context(), s, Bytes(uint64(i), size)); err != nil {
				t.Errorf("client %d, %d bytes: %v", i, size, err)
			}
		})
	}
	clients.Wait()
}

// pushInTwo uploads b in two Appends and reads it again.
func pushInTwo(ctx context.Context, s blob.Store, b []byte) error {
	u := blob.Upload{Key: NewKey()}
	var err error
	for _, half := range [][]byte{b[:len(b)/3], b[len(b)/3:]} {
		if u, err = s.Append(ctx, u, bytes.NewReader(half)); err != nil {
			return err
		}
	}
	if err := s.Complete(ctx, u); err != nil {
		return err
	}
	got, err := read(ctx, s, u.Key, 0, -1)
	if err == nil && !bytes.Equal(got, b) {
		err = errors.New("other bytes came back")
	}
	return err
}
