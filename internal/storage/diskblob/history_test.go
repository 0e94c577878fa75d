//go:build unix

package diskblob_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
)

// TestManySmallAppends: what is remembered of an upload does not grow with the number of its parts, and the
// two newest states are among it.
func TestManySmallAppends(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	u := blob.Upload{Key: blobtest.NewKey()}
	var old, older blob.Upload
	for i := range 50 {
		older, old = old, u
		got, err := s.Append(t.Context(), u, strings.NewReader(fmt.Sprintf("part %d, ", i)))
		if err != nil {
			t.Fatalf("Append %d: %v", i, err)
		}
		u = got
	}
	if n := s.Remembered(); n > 10 {
		t.Errorf("after 50 Appends %d states of one upload are remembered", n)
	}
	u, err := s.Append(t.Context(), older, strings.NewReader("other bytes"))
	if err != nil {
		t.Fatalf("Append from the state before the last but one: %v", err)
	}
	if _, err := s.Append(t.Context(), old, strings.NewReader("x")); !errors.Is(err, blob.ErrLost) {
		t.Errorf("Append from a state whose bytes were replaced: got error %v, want %v", err, blob.ErrLost)
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Errorf("Complete: %v", err)
	}
}

// TestAbandonedUploads: uploads that nobody ends are forgotten in the end, and can be continued all the same.
func TestAbandonedUploads(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	first, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, strings.NewReader("first"))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	s.RememberOthers(50_000)
	if n := s.Remembered(); n > 10_000 {
		t.Errorf("after 50,000 uploads that nobody ended, %d states are remembered", n)
	}
	u, err := s.Append(t.Context(), first, strings.NewReader(" second"))
	if err != nil {
		t.Fatalf("Append to an upload that was forgotten: %v", err)
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Errorf("Complete: %v", err)
	}
}
