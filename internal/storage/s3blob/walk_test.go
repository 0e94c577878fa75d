package s3blob_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// TestWalkTellsItsOwn: several stores in one bucket each list what is theirs, and what somebody else put in among
// it, which they never delete.
func TestWalkTellsItsOwn(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	client := s3test.Client(c)
	all := func() []string { return contents(t, c) }
	stores := map[string]*s3blob.Store{}
	want := map[string][]string{}
	for _, prefix := range []string{"", "a", "a/b", "a0", "z"} {
		c.Prefix = prefix
		s := open(t, c)
		stores[prefix] = s
		if _, err := s.Identity(t.Context()); err != nil {
			t.Fatalf("Identity: %v", err)
		}
		object := push(t, s, 10)
		u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, 9*mib))
		small := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, 10))
		folder := ""
		if prefix != "" {
			folder = prefix + "/"
		}
		putObject(t, client, c, folder+"notes")
		putObject(t, client, c, folder+string(object)+".tail.")
		putObject(t, client, c, folder+string(object)+"0.tail.x")
		foreign, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &c.Bucket, Key: aws.String(folder + "notes")})
		if err != nil {
			t.Fatalf("creating a multipart upload: %v", err)
		}
		want[prefix] = []string{
			"?: notes of 3 bytes", "?: " + string(object) + ".tail. of 3 bytes", "?: " + string(object) + "0.tail.x of 3 bytes",
			"?: part notes?uploadId=" + *foreign.UploadId + " of 0 bytes",
			string(object) + ": " + string(object) + " of 10 bytes",
			string(u.Key) + ": part of " + fmt.Sprint(1*mib) + " bytes", string(u.Key) + ": part of 0 bytes",
			string(small.Key) + ": part of 10 bytes",
		}
		slices.Sort(want[prefix])
	}
	before := all()
	for prefix, s := range stores {
		for _, limit := range []int{1, 3, 10_000} {
			var got []string
			for _, f := range walk(t, s, limit) {
				got = append(got, describe(f))
				if f.Key != "" {
					continue
				}
				f.At = time.Now().Add(time.Hour)
				for _, key := range []string{"", f.Name[:min(32, len(f.Name))]} {
					f.Key = blob.Key(key)
					if err := s.Discard(t.Context(), f); err == nil || errors.Is(err, blob.ErrBusy) {
						t.Errorf("Discard of %+v: got error %v, want a refusal", f, err)
					}
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(want[prefix], got); diff != "" {
				t.Errorf("walk of prefix %q with pages of %d (-want +got):\n%s", prefix, limit, diff)
			}
		}
	}
	if err := stores[""].Discard(t.Context(), blob.Found{Name: "berth-store-id", At: time.Now()}); err == nil {
		t.Error("Discard of the store's identity: got no error")
	}
	if diff := cmp.Diff(before, all()); diff != "" {
		t.Errorf("what is in the bucket was changed (-before +after):\n%s", diff)
	}
}

// describe is what of a thing is the same each time.
func describe(f blob.Found) string {
	name := f.Name
	if f.Key == "" {
		if f.Part {
			name = "part " + name
		}
		return fmt.Sprintf("?: %s of %d bytes", name, f.Size)
	}
	if f.Part {
		name = "part"
	}
	return fmt.Sprintf("%s: %s of %d bytes", f.Key, name, f.Size)
}

// TestWalkManyUploadsOfOneName: S3 has them in one key's list, and a page may end amid it.
func TestWalkManyUploadsOfOneName(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	client := s3test.Client(c)
	s := open(t, c)
	var want []string
	for range 3 {
		key := blobtest.NewKey()
		for range 4 {
			m, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: &c.Bucket, Key: aws.String(string(key))})
			if err != nil {
				t.Fatalf("creating a multipart upload: %v", err)
			}
			want = append(want, string(key)+"?uploadId="+*m.UploadId)
		}
	}
	slices.Sort(want)
	for limit := range 14 {
		var got []string
		for _, f := range walk(t, s, limit) {
			got = append(got, f.Name)
		}
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("walk with pages of %d (-want +got):\n%s", limit, diff)
		}
	}
	// What is found is discarded before the next page is asked for.
	for after, pages := "", 0; pages == 0 || after != ""; pages++ {
		found, next, err := s.Walk(t.Context(), after, 2)
		if err != nil {
			t.Fatalf("Walk from %q: %v", after, err)
		}
		for _, f := range found {
			if err := s.Discard(t.Context(), f); err != nil {
				t.Errorf("Discard: %v", err)
			}
		}
		after = next
	}
	if left := contents(t, c); len(left) > 0 {
		t.Errorf("after all was discarded there still are %v", left)
	}
}

// TestDiscardReplaced leaves alone an object that is another than it was, at the last moment.
func TestDiscardReplaced(t *testing.T) {
	t.Parallel()
	direct := s3test.Bucket(t)
	client := s3test.Client(direct)
	c, p := through(t, direct)
	s := open(t, c)
	key := push(t, s, 10)
	found := walk(t, s, 10)
	p.set(func(_ int, r *http.Request) fault {
		if r.Method == http.MethodDelete {
			putObject(t, client, c, string(key))
		}
		return none
	})
	if err := s.Discard(t.Context(), found[0]); !errors.Is(err, blob.ErrBusy) {
		t.Errorf("Discard of an object that was replaced: got error %v, want %v", err, blob.ErrBusy)
	}
	wantObject(t, s, key, []byte("abc"))
}

// TestDiscardUnconditionally deletes from a store that knows no conditions, and passes other failures on.
func TestDiscardUnconditionally(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	push(t, s, 10)
	mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, 9*mib))
	for _, f := range []fault{status503, cutRequest} {
		found := walk(t, s, 10)
		p.set(func(int, *http.Request) fault { return f })
		if _, _, err := s.Walk(t.Context(), "", 10); !errors.Is(err, blob.ErrUnavailable) {
			t.Errorf("Walk with %s: got error %v, want %v", f, err, blob.ErrUnavailable)
		}
		for _, thing := range found {
			if err := s.Discard(t.Context(), thing); !errors.Is(err, blob.ErrUnavailable) {
				t.Errorf("Discard of %+v with %s: got error %v, want %v", thing, f, err, blob.ErrUnavailable)
			}
		}
		p.set(nil)
	}
	p.set(func(_ int, r *http.Request) fault {
		if r.Header.Get("If-Match") != "" {
			return unsupported
		}
		return none
	})
	for _, thing := range walk(t, s, 10) {
		if err := s.Discard(t.Context(), thing); err != nil {
			t.Errorf("Discard of %+v: %v", thing, err)
		}
	}
	if left := contents(t, c); len(left) > 0 {
		t.Errorf("after all was discarded there still are %v", left)
	}
}

// TestAbortDuringAppend leaves nothing of what is written after Abort has looked.
func TestAbortDuringAppend(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	s := open(t, c)
	for _, sizes := range [][2]int{{10, 0}, {10, 10}, {10, 9 * mib}, {9 * mib, 10}, {9 * mib, 9 * mib}} {
		u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, []byte("begin"))
		r, w := io.Pipe()
		done := make(chan error)
		go func() {
			_, err := s.Append(t.Context(), u, r)
			done <- err
		}()
		if _, err := w.Write(blobtest.Bytes(1, sizes[0])); err != nil { // returns when the Append has read them
			t.Fatal(err)
		}
		if err := s.Abort(t.Context(), u); err != nil {
			t.Fatalf("Abort: %v", err)
		}
		go func() { // or the Append gives up before it has read them
			_, _ = w.Write(blobtest.Bytes(2, sizes[1]))
			_ = w.Close()
		}()
		if err := <-done; !errors.Is(err, blob.ErrNotFound) {
			t.Errorf("Append of %v to an upload that was aborted meanwhile: got error %v, want %v", sizes, err, blob.ErrNotFound)
		}
		_ = r.Close()
		if left := contents(t, c); len(left) > 0 {
			t.Errorf("after Append of %v and Abort there still are %v", sizes, left)
		}
		if err := s.Complete(t.Context(), u); !errors.Is(err, blob.ErrLost) {
			t.Errorf("Complete of an upload that was aborted: got error %v, want %v", err, blob.ErrLost)
		}
	}
}

// TestAbortDuringComplete leaves nothing, whoever comes first.
func TestAbortDuringComplete(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	s := open(t, c)
	for i := range 12 {
		u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, []int{10, 9 * mib}[i%2]))
		var both sync.WaitGroup
		both.Go(func() {
			err := s.Complete(t.Context(), u)
			if err != nil && !errors.Is(err, blob.ErrLost) && !errors.Is(err, blob.ErrBusy) {
				t.Errorf("Complete: got error %v, want none, %v or %v", err, blob.ErrLost, blob.ErrBusy)
			}
		})
		both.Go(func() {
			if err := s.Abort(t.Context(), u); err != nil {
				t.Errorf("Abort: %v", err)
			}
		})
		both.Wait()
		if left := contents(t, c); len(left) > 0 {
			t.Fatalf("after Complete and Abort there still are %v", left)
		}
	}
}

// TestLoserLeavesNothing: an upload whose key another line of it has got cannot be completed any more, and gives its
// bytes back.
func TestLoserLeavesNothing(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	s := open(t, c)
	for _, begun := range []int{0, 10} {
		for _, n := range []int{10, 9 * mib} {
			u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, blobtest.Bytes(1, begun))
			won := mustAppend(t, s, u, blobtest.Bytes(2, n))
			lost := mustAppend(t, s, u, blobtest.Bytes(3, n))
			if err := s.Complete(t.Context(), won); err != nil {
				t.Fatalf("Complete: %v", err)
			}
			for range 2 {
				if err := s.Complete(t.Context(), lost); !errors.Is(err, blob.ErrLost) {
					t.Errorf("Complete after another: got error %v, want %v", err, blob.ErrLost)
				}
			}
			if left := contents(t, c); !slices.Equal(left, []string{string(u.Key)}) {
				t.Errorf("after two lines of %d and %d bytes there are %v, want the object", begun, n, left)
			}
			wantObject(t, s, u.Key, append(blobtest.Bytes(1, begun), blobtest.Bytes(2, n)...))
			if err := s.Delete(t.Context(), u.Key); err != nil {
				t.Fatalf("Delete: %v", err)
			}
		}
	}
}

func putObject(t *testing.T, client *s3.Client, c s3blob.Config, name string) {
	t.Helper()
	if _, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &c.Bucket, Key: &name, Body: bytes.NewReader([]byte("abc"))}); err != nil {
		t.Errorf("putting %s: %v", name, err)
	}
}

// walk lists everything in pages of about limit.
func walk(t *testing.T, s *s3blob.Store, limit int) (all []blob.Found) {
	t.Helper()
	for after := ""; ; {
		found, next, err := s.Walk(t.Context(), after, limit)
		if err != nil {
			t.Fatalf("Walk from %q: %v", after, err)
		}
		if all = append(all, found...); next == "" {
			return all
		}
		if strings.Count(next, "/") == 0 || next == after {
			t.Fatalf("Walk from %q: goes on from %q", after, next)
		}
		after = next
	}
}

// TestWalkPassesFolders: how much another store has in a folder below makes no difference.
func TestWalkPassesFolders(t *testing.T) {
	t.Parallel()
	direct := s3test.Bucket(t)
	client := s3test.Client(direct)
	c, p := through(t, direct)
	s := open(t, c)
	for i := range 20 {
		putObject(t, client, c, fmt.Sprintf("0/%02d", i))
		putObject(t, client, c, fmt.Sprintf("z/%02d/x", i))
	}
	push(t, s, 10)
	p.set(nil)
	places, found := []string{""}, 0
	for {
		page, next, err := s.Walk(t.Context(), places[len(places)-1], 1)
		if err != nil {
			t.Fatalf("Walk: %v", err)
		}
		if found += len(page); next == "" {
			break
		}
		places = append(places, next)
	}
	if requests := p.seen(); found != 1 || len(requests) > 4 {
		t.Errorf("walk past two folders: found %d things with requests %v, want 1 with 4", found, requests)
	}
	// AWS lists a folder again for whoever asks for what comes behind its bare name.
	if !slices.ContainsFunc(places, func(place string) bool { return place > "objects/0/99" && place < "objects/00" }) {
		t.Errorf("walk past two folders: got places %q, want one behind the first folder's last name", places)
	}
}
