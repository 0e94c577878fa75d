package s3blob_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// TestNoAnswer: a store that takes the connection and then stands still holds nobody for ever, and what it
// did not take can be sent again.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.PartSize, c.MaxAttempts, c.Stall = 5*mib, 2, time.Second
	s := open(t, c)
	for _, n := range []int{100, 11 * mib} {
		want := blobtest.Bytes(1, n)
		u := blob.Upload{Key: blobtest.NewKey()}
		p.set(func(int, *http.Request) fault { return hang })
		if _, err := s.Append(t.Context(), u, bytes.NewReader(want)); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Append of %d bytes to a store that hangs: got error %v, want %v", n, err, blob.ErrUnavailable)
		}
		p.set(func(_ int, r *http.Request) fault { // the parts, after the multipart upload was made
			if operation(r) == "create multipart" {
				return none
			}
			return hang
		})
		if _, err := s.Append(t.Context(), u, bytes.NewReader(want)); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Append of %d bytes to a store that hangs at a part: got error %v, want %v", n, err, blob.ErrUnavailable)
		}
		hung := map[string]bool{}
		p.set(func(_ int, r *http.Request) fault { // each request, and then it is tried again
			if op := operation(r); !hung[op] {
				hung[op] = true
				return hang
			}
			return none
		})
		u = mustAppend(t, s, u, want)
		p.set(func(int, *http.Request) fault { return hang })
		if err := s.Complete(t.Context(), u); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Complete of %d bytes on a store that hangs: got error %v, want %v", n, err, blob.ErrUnavailable)
		}
		p.set(nil)
		if err := s.Complete(t.Context(), u); err != nil {
			t.Fatalf("Complete of %d bytes: %v", n, err)
		}
		wantObject(t, s, u.Key, want)
	}
}

// TestBodyStops gives up a body that the store stops sending, an object's or a tail's.
func TestBodyStops(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, mib))
	c.Stall = time.Second // long enough for a busy machine to begin an answer
	other := open(t, c)   // one that does not remember the tail
	p.set(func(int, *http.Request) fault { return hangBody })
	if err := other.Complete(t.Context(), u); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Complete with a tail that stops: got error %v, want %v", err, blob.ErrUnavailable)
	}
	p.set(nil)
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	p.set(func(int, *http.Request) fault { return hangBody })
	rc, err := other.Open(t.Context(), u.Key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	if n, err := io.Copy(io.Discard, rc); n < mib/2 || !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("reading a body that stops: got %d bytes, error %v, want %d, %v", n, err, mib/2, blob.ErrUnavailable)
	}
}

// TestSlowClient: how long a client takes between reads is its own affair.
func TestSlowClient(t *testing.T) {
	t.Parallel()
	c, _ := through(t, s3test.Bucket(t))
	c.Stall = 200 * time.Millisecond
	s := open(t, c)
	want := blobtest.Bytes(0, 20*mib) // more than the connection's buffers hold
	key := push(t, s, len(want))
	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	var got bytes.Buffer
	for _, n := range []int64{1, 100, mib} {
		if _, err := io.CopyN(&got, rc, n); err != nil {
			t.Fatalf("reading slowly, after %d bytes: %v", got.Len(), err)
		}
		<-time.After(3 * c.Stall) // the client is busy
	}
	if _, err := io.Copy(&got, rc); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("reading slowly: got %d bytes, %v, want %d", got.Len(), err, len(want))
	}
}
