package gc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// TestInABucket sweeps and walks through one, where uploads are made of pieces.
func TestInABucket(t *testing.T) {
	t.Parallel()
	store, err := s3blob.Open(t.Context(), s3test.Bucket(t))
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t, metadbtest.New(t), settings{})
	b.Registry = registry.New(registry.Config{Store: b.db, Blobs: store, Account: account, Region: "us-east-1", Now: b.now, Grace: day})
	c := b.config
	c.Blobs, c.Walker, c.UploadTTL = store, store, 30*day
	b.gc = gc.New(c)
	things := func() (names string) {
		found, next, err := store.Walk(t.Context(), "", 1000)
		for err == nil && next != "" {
			var more []blob.Found
			more, next, err = store.Walk(t.Context(), next, 1000)
			found = append(found, more...)
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			names += f.Name + "\n"
		}
		return names
	}
	count := func() int { return strings.Count(things(), "\n") }

	b.image(repo, "config", "layer", "v1")
	// Of two uploads with a part and a tail each one is given up.
	const part, tail = 8 << 20, 1000
	start := func() registry.Upload {
		u, err := b.StartUpload(t.Context(), root, repo, oci.SHA256)
		if err == nil {
			_, err = b.AppendUpload(t.Context(), root, repo, u.ID, registry.Part{Start: registry.Anywhere, Size: part + tail, Body: strings.NewReader(strings.Repeat("x", part+tail))})
		}
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	start()
	alive := start()
	// Nobody knows of an object, and of an upload with a tail.
	lost, err := store.Append(t.Context(), blob.Upload{Key: "00000000000000000000000000000001"}, strings.NewReader("object"))
	if err == nil {
		err = store.Complete(t.Context(), lost)
	}
	_, terr := store.Append(t.Context(), blob.Upload{Key: "00000000000000000000000000000002"}, strings.NewReader(strings.Repeat("y", part+tail)))
	if err := errors.Join(err, terr); err != nil {
		t.Fatal(err)
	}
	before := count() // 2 objects, 3 multipart uploads with 3 tails, 1 object
	b.pass(3 * day)
	b.walk()
	b.pass(time.Hour)
	b.sweep()
	if got := count(); got != before-2 {
		t.Fatalf("after three days there are %d things, want %d without an object and a tail:\n%s", got, before-2, things())
	}
	b.pass(5 * day)
	b.walk()
	b.sweep()
	if got := count(); got != before-3 {
		t.Fatalf("after a week there are %d things, want %d without a multipart upload:\n%s", got, before-3, things())
	}
	b.pass(21 * day)
	if _, err := b.AppendUpload(t.Context(), root, repo, alive.ID, registry.Part{Start: registry.Anywhere, Size: 1, Body: strings.NewReader("x")}); err != nil {
		t.Fatalf("an upload that is alive: %v", err)
	}
	b.pass(2 * day)
	b.sweep()
	if got := count(); got != 5 { // it keeps the tail before the last one
		t.Fatalf("after a month there are %d things, want 2 objects, and the upload that is alive with two tails:\n%s", got, things())
	}
	whole := strings.Repeat("x", part+tail+1)
	if _, err := b.CompleteUpload(t.Context(), root, repo, alive.ID, registry.Completion{Digest: oci.FromBytes([]byte(whole))}); err != nil {
		t.Fatalf("finishing it: %v", err)
	}
	if !b.has(repo, whole) || !b.has(repo, "config") {
		t.Error("layers are lost")
	}
}
