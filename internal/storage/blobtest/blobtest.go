// Package blobtest is the suite that every [blob.Store] passes.
//
//	blobtest.Run(t, func(t *testing.T) blob.Store { … })
//
// The function opens another store on one and the same place each time it is called, as a second process
// or a restarted one would. Keys are random, so the place need not be empty.
package blobtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// Opener opens a store, each time on the same place.
type Opener func(t *testing.T) blob.Store

// Run puts the store through everything that the port's documentation promises.
func Run(t *testing.T, open Opener) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Opener)
	}{
		{"RoundTrip", testRoundTrip},
		{"AppendInSteps", testAppendInSteps},
		{"AppendNothing", testAppendNothing},
		{"AppendAgainFromOldState", testAppendAgain},
		{"AppendAgainShorter", testAppendAgainShorter},
		{"ReaderFails", testReaderFails},
		{"ContextEnds", testContextEnds},
		{"Reopen", testReopen},
		{"Busy", testBusy},
		{"ManyAtOnce", testManyAtOnce},
		{"LateAppend", testLateAppend},
		{"LateComplete", testLateComplete},
		{"TwoLines", testTwoLines},
		{"CompleteTwice", testCompleteTwice},
		{"CompleteEmpty", testCompleteEmpty},
		{"CompleteLost", testCompleteLost},
		{"Abort", testAbort},
		{"OpenRanges", testOpenRanges},
		{"Unknown", testUnknown},
		{"Delete", testDelete},
		{"KeysRefused", testKeysRefused},
		{"Presign", testPresign},
		{"Walk", testWalk},
		{"WalkDuringAppend", testWalkDuringAppend},
		{"WalkWhilePushing", testWalkWhilePushing},
		{"Discard", testDiscard},
		{"DiscardLater", testDiscardLater},
		{"DiscardRefuses", testDiscardRefuses},
		{"Anything", testAnything},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open)
		})
	}
}

// NewKey makes a key that was never used.
func NewKey() blob.Key {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return blob.Key(hex.EncodeToString(b))
}

// Bytes makes n bytes that look random, the same for the same seed.
func Bytes(seed uint64, n int) []byte {
	var s [32]byte
	for i := range 8 {
		s[i] = byte(seed >> (8 * i))
	}
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8(s).Read(b) // never fails
	return b
}

// mustAppend appends b and returns the upload, which has grown by that much.
func mustAppend(t *testing.T, s blob.Store, u blob.Upload, b []byte) blob.Upload {
	t.Helper()
	got, err := s.Append(t.Context(), u, bytes.NewReader(b))
	if err != nil {
		t.Fatalf("Append of %d bytes to %d: %v", len(b), u.Size, err)
	}
	if want := u.Size + int64(len(b)); got.Size != want || got.Key != u.Key {
		t.Fatalf("Append of %d bytes to %s with %d: got %s with %d, want %d", len(b), u.Key, u.Size, got.Key, got.Size, want)
	}
	return got
}

func mustComplete(t *testing.T, s blob.Store, u blob.Upload) {
	t.Helper()
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete of %d bytes: %v", u.Size, err)
	}
}

// put makes an object in one go.
func put(t *testing.T, s blob.Store, b []byte) blob.Key {
	t.Helper()
	u := mustAppend(t, s, blob.Upload{Key: NewKey()}, b)
	mustComplete(t, s, u)
	return u.Key
}

// read reads length bytes from offset, all of them when length is negative.
func read(ctx context.Context, s blob.Store, key blob.Key, offset, length int64) ([]byte, error) {
	rc, err := s.Open(ctx, key, offset, length)
	if err != nil {
		return nil, err
	}
	var r io.Reader = rc
	if length >= 0 {
		r = io.LimitReader(rc, length)
	}
	b, err := io.ReadAll(r)
	return b, errors.Join(err, rc.Close())
}

// wantObject checks an object's size and bytes.
func wantObject(t testing.TB, s blob.Store, key blob.Key, want []byte) {
	t.Helper()
	if size, err := s.Size(t.Context(), key); err != nil || size != int64(len(want)) {
		t.Fatalf("Size: got %d, %v, want %d", size, err, len(want))
	}
	got, err := read(t.Context(), s, key, 0, -1)
	if err != nil {
		t.Fatalf("Open and read of %d bytes: %v", len(want), err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("Open: got %d bytes, want %d; they differ from byte %d on", len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// wantError checks that an error is the sentinel.
func wantError(t *testing.T, call string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("%s: got error %v, want %v", call, got, want)
	}
}

// errCut is what a client's connection fails with in these tests.
var errCut = errors.New("connection cut")

// cutOff reads b and then fails.
func cutOff(b []byte) io.Reader {
	return io.MultiReader(bytes.NewReader(b), failingReader{errCut})
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }

// name makes a subtest's name of a size.
func name(n int) string { return fmt.Sprintf("%d bytes", n) }
