package s3blob_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
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

func TestConformance(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	c.Prefix = "some/folder"
	blobtest.Run(t, func(t *testing.T) blob.Store {
		t.Helper()
		return open(t, c)
	})
}

func open(t testing.TB, c s3blob.Config) *s3blob.Store {
	t.Helper()
	s, err := s3blob.Open(t.Context(), c)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// TestOpenErrors tells somebody who is setting things up what is wrong.
func TestOpenErrors(t *testing.T) {
	t.Parallel()
	good := s3test.Bucket(t)
	good.MaxAttempts = 1
	for _, test := range []struct {
		name   string
		change func(*s3blob.Config)
		want   string
	}{
		{"no bucket named", func(c *s3blob.Config) { c.Bucket = "" }, "no bucket is named"},
		{"no such bucket", func(c *s3blob.Config) { c.Bucket = "nobody-made-this" }, "there is no such bucket"},
		{"wrong secret", func(c *s3blob.Config) { c.SecretAccessKey = "wrong" }, "the credentials are wrong"},
		{"wrong key", func(c *s3blob.Config) { c.AccessKeyID = "wrong" }, "the access key does not see it"}, // which is versitygw's way
		{"nobody there", func(c *s3blob.Config) { c.Endpoint = "http://127.0.0.1:1" }, "unavailable"},
		{"small parts", func(c *s3blob.Config) { c.PartSize = mib }, "part size"},
	} {
		c := good
		test.change(&c)
		_, err := s3blob.Open(t.Context(), c)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("Open, %s: got error %v, want one with %q", test.name, err, test.want)
		}
	}
}

// TestEnvironment takes credentials from the environment, and no endpoint: that may well be Berth's own.
func TestEnvironment(t *testing.T) {
	c := s3test.Bucket(t)
	t.Setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
	t.Setenv("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:1")
	t.Setenv("AWS_ACCESS_KEY_ID", c.AccessKeyID)
	t.Setenv("AWS_SECRET_ACCESS_KEY", c.SecretAccessKey)
	t.Setenv("AWS_REGION", c.Region)
	push(t, open(t, c), 10)
	c.AccessKeyID, c.SecretAccessKey, c.Region = "", "", ""
	push(t, open(t, c), 10)
}

// TestRequests counts what common pushes cost.
func TestRequests(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	s := open(t, c)
	for _, test := range []struct {
		steps []int
		want  []string
	}{
		{[]int{0}, []string{"put"}},
		{[]int{2000}, []string{"put tail", "put", "delete tail"}},
		{[]int{2000, 0}, []string{"put tail", "put", "delete tail"}},
		{[]int{8 * mib}, []string{"create multipart", "part 1", "complete multipart"}},
		{[]int{9 * mib}, []string{
			"create multipart", "part 1", "put tail", // Append
			"part 2", "complete multipart", "delete tail", // Complete
		}},
		{[]int{10, 10, 10}, []string{"put tail", "put tail", "put tail", "delete tail", "put", "delete tail", "delete tail"}},
	} {
		p.set(nil)
		push(t, s, test.steps...)
		if diff := cmp.Diff(test.want, p.seen()); diff != "" {
			t.Errorf("requests for a push of %v (-want +got):\n%s", test.steps, diff)
		}
	}
}

// TestNothingLeft looks at what is in the bucket after a push: the object.
func TestNothingLeft(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	c.Prefix = "/blobs/"
	s := open(t, c)
	var want []string
	for _, steps := range [][]int{{0}, {10}, {10, 10, 10}, {9 * mib}, {8 * mib, 8 * mib}, {1, 9 * mib, 1, 1}} {
		want = append(want, "blobs/"+string(push(t, s, steps...)))
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, contents(t, c)); diff != "" {
		t.Errorf("objects and uploads in the bucket (-want +got):\n%s", diff)
	}
}

// TestAbortFindsEverything also removes what attempts left that nobody knows of.
func TestAbortFindsEverything(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	s := open(t, c)
	for _, steps := range [][]int{{10}, {9 * mib}, {10, 9 * mib, 1}} {
		begun := blob.Upload{Key: blobtest.NewKey()}
		for range 2 {
			u := begun
			for _, n := range steps {
				u = mustAppend(t, s, u, blobtest.Bytes(1, n))
			}
		}
		if err := s.Abort(t.Context(), begun); err != nil {
			t.Fatalf("Abort: %v", err)
		}
		if left := contents(t, c); len(left) > 0 {
			t.Errorf("after Abort of %v there still are %v", steps, left)
		}
	}
}

// TestFailedAppendEndsItsMultipart does not leave parts that cost money.
func TestFailedAppendEndsItsMultipart(t *testing.T) {
	t.Parallel()
	c, p := through(t, s3test.Bucket(t))
	c.MaxAttempts = 1
	s := open(t, c)
	p.set(func(n int, _ *http.Request) fault {
		if n == 1 { // the first part
			return status500
		}
		return none
	})
	u := blob.Upload{Key: blobtest.NewKey()}
	if _, err := s.Append(t.Context(), u, bytes.NewReader(blobtest.Bytes(1, 20*mib))); !errors.Is(err, blob.ErrUnavailable) {
		t.Fatalf("Append: got error %v, want %v", err, blob.ErrUnavailable)
	}
	p.set(nil)
	if left := contents(t, c); len(left) > 0 {
		t.Errorf("after a failed Append there still are %v", left)
	}
}

// TestFewTails: an upload in many steps does not pile up side objects.
func TestFewTails(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	s := open(t, c)
	u := blob.Upload{Key: blobtest.NewKey()}
	for range 10 {
		u = mustAppend(t, s, u, []byte("a few bytes"))
	}
	if tails := contents(t, c); len(tails) != 2 {
		t.Errorf("after 10 Appends there are %v, want 2 tails", tails)
	}
}

// TestPartSizeChanges goes on with an upload after a change of configuration.
func TestPartSizeChanges(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	u := blob.Upload{Key: blobtest.NewKey()}
	var want []byte
	for i, partSize := range []int64{5 * mib, 8 * mib, 6 * mib} {
		c.PartSize = partSize
		b := blobtest.Bytes(uint64(i), 7*mib)
		u = mustAppend(t, open(t, c), u, b)
		want = append(want, b...)
	}
	s := open(t, c)
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete: %v", err)
	}
	wantObject(t, s, u.Key, want)
}

// TestReplicasCollide has two replicas go on with one upload at the same time: neither object nor
// acknowledgement is ever a mixture.
func TestReplicasCollide(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	c.PartSize = 5 * mib
	for _, begun := range []int{0, 10, 6 * mib} {
		for _, n := range []int{10, 5 * mib, 11 * mib} {
			t.Run(fmt.Sprintf("%d and %d", begun, n), func(t *testing.T) {
				t.Parallel()
				a, b := open(t, c), open(t, c)
				head := blobtest.Bytes(1, begun)
				u := mustAppend(t, a, blob.Upload{Key: blobtest.NewKey()}, head)
				ua := mustAppend(t, a, u, blobtest.Bytes(2, n))
				ub := mustAppend(t, b, u, blobtest.Bytes(3, n))
				errA, errB := a.Complete(t.Context(), ua), b.Complete(t.Context(), ub)
				switch {
				case errA == nil && errors.Is(errB, blob.ErrLost):
					wantObject(t, b, u.Key, append(head, blobtest.Bytes(2, n)...))
				case errB == nil && errors.Is(errA, blob.ErrLost):
					wantObject(t, a, u.Key, append(head, blobtest.Bytes(3, n)...))
				default:
					t.Errorf("Complete by two replicas: got errors %v and %v, want one %v", errA, errB, blob.ErrLost)
				}
			})
		}
	}
}

// TestBrokenState refuses notes that do not account for the bytes.
func TestBrokenState(t *testing.T) {
	t.Parallel()
	s := open(t, s3test.Bucket(t))
	u := mustAppend(t, s, blob.Upload{Key: blobtest.NewKey()}, []byte("bytes"))
	for _, broken := range []blob.Upload{
		{Key: u.Key, Size: 6, State: u.State},
		{Key: u.Key, Size: 5},
		{Key: u.Key, Size: 5, State: []byte("{")},
	} {
		if _, err := s.Append(t.Context(), broken, bytes.NewReader([]byte("more"))); err == nil {
			t.Errorf("Append to %d bytes with state %q: got no error", broken.Size, broken.State)
		}
		if err := s.Complete(t.Context(), broken); err == nil {
			t.Errorf("Complete of %d bytes with state %q: got no error", broken.Size, broken.State)
		}
	}
}

// TestPublicEndpoint signs URLs for the address that clients know.
func TestPublicEndpoint(t *testing.T) {
	t.Parallel()
	c := s3test.Bucket(t)
	c.PublicEndpoint = "https://images.example.com:9000"
	s := open(t, c)
	key := push(t, s, 10)
	url, err := s.PresignGet(t.Context(), key, time.Minute)
	if err != nil {
		t.Fatalf("PresignGet: %v", err)
	}
	if want := c.PublicEndpoint + "/" + c.Bucket + "/" + string(key) + "?"; !strings.HasPrefix(url, want) {
		t.Errorf("PresignGet: got %s, want one that begins with %s", url, want)
	}
}

// push makes an object in steps of the given sizes.
func push(t *testing.T, s *s3blob.Store, steps ...int) blob.Key {
	t.Helper()
	u := blob.Upload{Key: blobtest.NewKey()}
	for i, n := range steps {
		u = mustAppend(t, s, u, blobtest.Bytes(uint64(i), n))
	}
	if err := s.Complete(t.Context(), u); err != nil {
		t.Fatalf("Complete of %v: %v", steps, err)
	}
	return u.Key
}

func mustAppend(t *testing.T, s *s3blob.Store, u blob.Upload, b []byte) blob.Upload {
	t.Helper()
	u, err := s.Append(t.Context(), u, bytes.NewReader(b))
	if err != nil {
		t.Fatalf("Append of %d bytes: %v", len(b), err)
	}
	return u
}

func wantObject(t *testing.T, s *s3blob.Store, key blob.Key, want []byte) {
	t.Helper()
	rc, err := s.Open(t.Context(), key, 0, -1)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer rc.Close()
	got, err := io.ReadAll(rc)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("Open: got %d bytes, %v, want %d", len(got), err, len(want))
	}
}

// contents lists the objects in the bucket, and the multipart uploads that are under way.
func contents(t *testing.T, c s3blob.Config) []string {
	t.Helper()
	client := s3test.Client(c)
	var all []string
	objects, err := client.ListObjectsV2(t.Context(), &s3.ListObjectsV2Input{Bucket: &c.Bucket})
	if err != nil {
		t.Fatalf("listing objects: %v", err)
	}
	for _, o := range objects.Contents {
		if !strings.HasSuffix(aws.ToString(o.Key), "/") { // a folder, in versitygw's way
			all = append(all, aws.ToString(o.Key))
		}
	}
	uploads, err := client.ListMultipartUploads(t.Context(), &s3.ListMultipartUploadsInput{Bucket: &c.Bucket})
	if err != nil {
		t.Fatalf("listing multipart uploads: %v", err)
	}
	for _, u := range uploads.Uploads {
		all = append(all, "upload of "+aws.ToString(u.Key))
	}
	slices.Sort(all)
	return all
}

// cancels ends a context when it is read.
type cancels struct{ cancel context.CancelFunc }

func (c cancels) Read([]byte) (int, error) {
	c.cancel()
	return 0, nil
}
