package s3blob_test

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// TestIdentity is one for all who open a place, also when they are the first and come together, and another
// for each prefix.
func TestIdentity(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	ids := map[string]int{}
	for _, prefix := range []string{"", "a", "a/b"} {
		c.Prefix = prefix
		got := make([]string, 8)
		var starts sync.WaitGroup
		for i := range got {
			s := open(t, c)
			starts.Go(func() { got[i] = identity(t, s) })
		}
		starts.Wait()
		for _, id := range append(got, identity(t, open(t, c))) {
			ids[id]++
		}
	}
	for id, n := range ids {
		if n != 9 || id == "" {
			t.Errorf("Identity: %d of 9 replicas got %q", n, id)
		}
	}
	if len(ids) != 3 {
		t.Errorf("Identity: got %v, want one for each of 3 prefixes", ids)
	}
}

func identity(t *testing.T, s *s3blob.Store) string {
	t.Helper()
	id, err := s.Identity(t.Context())
	if err != nil {
		t.Errorf("Identity: %v", err)
	}
	return id
}

// TestIdentityFaults tells a store that does not answer from one that has no identity yet.
func TestIdentityFaults(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	p.set(func(int, *http.Request) fault { return status503 })
	if id, err := s.Identity(t.Context()); !errors.Is(err, blob.ErrUnavailable) {
		t.Errorf("Identity of a store that is gone: got %q, %v, want %v", id, err, blob.ErrUnavailable)
	}
	p.set(conditional(unsupported))
	id := identity(t, s)
	if again := identity(t, open(t, c)); id == "" || again != id {
		t.Errorf("Identity without conditional writes: got %q and then %q", id, again)
	}
}

// TestKeepsFirst finds out whether the store honours If-None-Match.
func TestKeepsFirst(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	id := identity(t, s)
	for _, test := range []struct {
		fault fault
		want  bool
		fails bool
	}{{none, true, false}, {unsupported, false, false}, {heedless, false, false}, {forbidden, false, true}} {
		p.set(conditional(test.fault))
		if got, err := s.KeepsFirst(t.Context()); got != test.want || (err != nil) != test.fails {
			t.Errorf("KeepsFirst of a store that answers conditional writes with %q: got %t, %v, want %t", test.fault, got, err, test.want)
		}
	}
	p.set(nil)
	if got := identity(t, s); got != id {
		t.Errorf("KeepsFirst changed the identity from %s to %s", id, got)
	}
}

// conditional makes the fault happen to requests that have a condition.
func conditional(f fault) func(int, *http.Request) fault {
	return func(_ int, r *http.Request) fault {
		if r.Header.Get("If-None-Match") != "" {
			return f
		}
		return none
	}
}

// TestOpaqueETags: on a store whose ETags are no MD5s, a Complete whose answer was lost finds its own object.
func TestOpaqueETags(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.PartSize, c.MaxAttempts = 5*mib, 1
	s := open(t, c)
	for _, steps := range [][]int{{0}, {100}, {10, 20}, {5 * mib}, {11 * mib}, {10, 11 * mib}} {
		u := blob.Upload{Key: blobtest.NewKey()}
		var want []byte
		for i, n := range steps {
			b := blobtest.Bytes(uint64(i), n)
			u, want = mustAppend(t, s, u, b), append(want, b...)
		}
		p.set(func(_ int, r *http.Request) fault {
			if r.Header.Get("If-None-Match") != "" {
				return cutAnswer
			}
			return none
		})
		if err := s.Complete(t.Context(), u); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Complete of %v whose answer is lost: got error %v, want %v", steps, err, blob.ErrUnavailable)
		}
		p.set(opaqueHead)
		for range 2 { // the second time the tail is gone too
			if err := s.Complete(t.Context(), u); err != nil {
				t.Errorf("Complete of %v once more: %v", steps, err)
			}
		}
		p.set(nil)
		wantObject(t, s, u.Key, want)
	}
}

// TestOpaqueETagsCollide: nor does another's object pass for one's own there, be it of the same size.
func TestOpaqueETagsCollide(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.PartSize = 5 * mib
	p.set(opaqueHead)
	for _, begun := range []int{0, 10, 6 * mib} {
		for _, n := range []int{10, 5 * mib, 11 * mib} {
			a, b := open(t, c), open(t, c)
			head := blobtest.Bytes(1, begun)
			u := mustAppend(t, a, blob.Upload{Key: blobtest.NewKey()}, head)
			ub := mustAppend(t, b, u, blobtest.Bytes(3, n))
			ua := mustAppend(t, a, u, blobtest.Bytes(2, n))
			if err := a.Complete(t.Context(), ua); err != nil {
				t.Fatalf("Complete of %d and %d: %v", begun, n, err)
			}
			if err := b.Complete(t.Context(), ub); !errors.Is(err, blob.ErrLost) {
				t.Errorf("Complete of %d and %d over another's object: got error %v, want %v", begun, n, err, blob.ErrLost)
			}
			wantObject(t, a, u.Key, append(bytes.Clone(head), blobtest.Bytes(2, n)...))
		}
	}
}

func opaqueHead(_ int, r *http.Request) fault {
	if r.Method == http.MethodHead {
		return opaque
	}
	return none
}
