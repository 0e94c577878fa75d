package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

const mib = 1 << 20

// TestFaultAtEachRequest pushes a blob again and again, with a fault at its first request, its second, and so
// on. Each failed call is then made once more, as a client would.
func TestFaultAtEachRequest(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.PartSize, c.MaxAttempts = 5*mib, 1
	for _, f := range []fault{status503, cutRequest, cutAnswer} {
		for _, steps := range [][]int{{0}, {100}, {11 * mib}, {10, 10 * mib, 7}} {
			faults := 0
			for at := 0; ; at++ {
				p.set(nil)
				s := open(t, c)
				p.set(func(n int, _ *http.Request) fault {
					if n == at {
						return f
					}
					return none
				})
				key, want, failed := pushWithRetries(t, s, steps)
				requests := len(p.seen())
				p.set(nil)
				wantObject(t, s, key, want)
				if requests <= at {
					break
				}
				if failed {
					faults++
				}
			}
			if faults == 0 {
				t.Errorf("%s, pushing %v: no call ever failed", f, steps)
			}
		}
	}
}

// pushWithRetries makes each call once more if it fails, and tells whether one did. Some faults harm nothing,
// such as a tail that is not deleted.
func pushWithRetries(t *testing.T, s *s3blob.Store, steps []int) (key blob.Key, want []byte, failed bool) {
	t.Helper()
	u := blob.Upload{Key: blobtest.NewKey()}
	for i, n := range steps {
		b := blobtest.Bytes(uint64(i), n)
		got, err := s.Append(t.Context(), u, bytes.NewReader(b))
		if err != nil {
			failed = true
			if !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("Append of %d bytes: got error %v, want %v", n, err, blob.ErrUnavailable)
			}
			if diff := cmp.Diff(u, got); diff != "" {
				t.Errorf("Append of %d bytes failed and changed the upload:\n%s", n, diff)
			}
			if got, err = s.Append(t.Context(), u, bytes.NewReader(b)); err != nil {
				t.Fatalf("Append of %d bytes once more: %v", n, err)
			}
		}
		u, want = got, append(want, b...)
	}
	if err := s.Complete(t.Context(), u); err != nil {
		failed = true
		if !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Complete: got error %v, want %v", err, blob.ErrUnavailable)
		}
		if err := s.Complete(t.Context(), u); err != nil {
			t.Fatalf("Complete once more: %v", err)
		}
	}
	return u.Key, want, failed
}

// TestHiccups: what passes at the second attempt is nobody's business.
func TestHiccups(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.PartSize = 5 * mib
	s := open(t, c)
	p.set(func(n int, _ *http.Request) fault {
		return []fault{status503, none, cutRequest, none, status500, none}[n%6]
	})
	key, want, failed := pushWithRetries(t, s, []int{10, 11 * mib, 7})
	if failed {
		t.Error("every second request fails: so did a call")
	}
	wantObject(t, s, key, want)
}

// TestServerGone: everything says so, and goes on when the server is back.
func TestServerGone(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 2
	s := open(t, c)
	want := blobtest.Bytes(1, 100)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader(want))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	for _, f := range []fault{cutRequest, status503} {
		p.set(func(int, *http.Request) fault { return f })
		for method, call := range map[string]func() error{
			"Append":   func() error { _, err := s.Append(t.Context(), u, bytes.NewReader(want)); return err },
			"Complete": func() error { return s.Complete(t.Context(), u) },
			"Abort":    func() error { return s.Abort(t.Context(), u) },
			"Open":     func() error { _, err := s.Open(t.Context(), u.Key, 0, -1); return err },
			"Size":     func() error { _, err := s.Size(t.Context(), u.Key); return err },
			"Delete":   func() error { return s.Delete(t.Context(), u.Key) },
			"store's Open": func() error {
				_, err := s3blob.Open(t.Context(), c)
				return err
			},
		} {
			if err := call(); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("%s, %s: got error %v, want %v", f, method, err, blob.ErrUnavailable)
			}
		}
	}
	p.set(nil)
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete when the server is back: %v", err)
	}
	wantObject(t, s, u.Key, want)
}

// TestBucketFull tells a full store from a broken one.
func TestBucketFull(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	for _, f := range []fault{full, minioFull} {
		p.set(func(int, *http.Request) fault { return f })
		for _, n := range []int{10, 9 * mib} {
			u := blob.Upload{Key: blobtest.NewKey()}
			got, err := s.Append(t.Context(), u, bytes.NewReader(blobtest.Bytes(1, n)))
			if !errors.Is(err, blob.ErrFull) || got.Size != 0 {
				t.Errorf("%s: Append of %d bytes: got %d, error %v, want 0, %v", f, n, got.Size, err, blob.ErrFull)
			}
		}
	}
}

// TestForbidden is neither full nor unavailable, so that it is seen for what it is.
func TestForbidden(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	s := open(t, c)
	p.set(func(int, *http.Request) fault { return forbidden })
	_, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader([]byte("bytes")))
	if err == nil {
		t.Fatal("Append without permission: got no error")
	}
	for _, other := range []error{blob.ErrFull, blob.ErrUnavailable, blob.ErrLost, blob.ErrNotFound, blob.ErrBusy} {
		if errors.Is(err, other) {
			t.Errorf("Append without permission: got error %v, which is %v", err, other)
		}
	}
}

// TestBodyCut interrupts a download.
func TestBodyCut(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	s := open(t, c)
	u, err := s.Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader(blobtest.Bytes(1, mib)))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	p.set(func(int, *http.Request) fault { return cutBody })
	rc, err := s.Open(t.Context(), u.Key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	if n, err := io.Copy(io.Discard, rc); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("reading a body that is cut: got %d bytes, error %v, want %v", n, err, blob.ErrUnavailable)
	}
}

// TestTailCut interrupts the download of a tail, which must not pass for a shorter one.
func TestTailCut(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	want := blobtest.Bytes(1, mib)
	u, err := open(t, c).Append(t.Context(), blob.Upload{Key: blobtest.NewKey()}, bytes.NewReader(want))
	if err != nil {
		t.Fatalf("Append: %v", err)
	}
	s := open(t, c) // one that does not remember the tail
	p.set(func(int, *http.Request) fault { return cutBody })
	if err := s.Complete(t.Context(), u); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Complete with a tail that is cut: got error %v, want %v", err, blob.ErrUnavailable)
	}
	if _, err := s.Append(t.Context(), u, bytes.NewReader([]byte("more"))); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Append with a tail that is cut: got error %v, want %v", err, blob.ErrUnavailable)
	}
	p.set(nil)
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	wantObject(t, s, u.Key, want)
}

// TestWithoutConditionalWrites makes do with a store that refuses If-None-Match.
func TestWithoutConditionalWrites(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	s := open(t, c)
	p.set(func(_ int, r *http.Request) fault {
		if r.Header.Get("If-None-Match") != "" {
			return unsupported
		}
		return none
	})
	for _, steps := range [][]int{{0}, {10}, {9 * mib}} {
		key, want, failed := pushWithRetries(t, s, steps)
		if failed {
			t.Errorf("pushing %v: a call failed", steps)
		}
		wantObject(t, s, key, want)
	}
}

// TestSlowEnd gives an Append whose context has ended the time to make durable what came.
func TestSlowEnd(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	s := open(t, c)
	p.set(func(n int, _ *http.Request) fault { // the client tries again after the context's end
		if n == 0 {
			return status503
		}
		return none
	})
	want := blobtest.Bytes(1, 1000)
	ctx, cancel := context.WithCancel(t.Context())
	u, err := s.Append(ctx, blob.Upload{Key: blobtest.NewKey()}, io.MultiReader(bytes.NewReader(want), cancels{cancel}))
	if err == nil || u.Size != int64(len(want)) {
		t.Fatalf("Append in a context that ends: got %d bytes, error %v, want %d and an error", u.Size, err, len(want))
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	wantObject(t, s, u.Key, want)
}
