package fsck_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

const (
	account = "123456789012"
	repo    = "team/app"
)

func rootCaller() identity.Caller {
	return identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}
}

// store is a blob store that Walk goes through, and that fails when a test says so.
type store struct {
	blob.Store
	blob.Walker
	open func(ctx context.Context, key blob.Key) error // before Open and Size; nil: never fails
}

func (s *store) Open(ctx context.Context, key blob.Key, offset, length int64) (io.ReadCloser, error) {
	if s.open != nil {
		if err := s.open(ctx, key); err != nil {
			return nil, err
		}
	}
	return s.Store.Open(ctx, key, offset, length)
}

// bench is a registry with checks, on a real database and a real store, with a clock that the test moves on from now.
type bench struct {
	*fsck.Service
	t        *testing.T
	db       *metadb.DB
	blobs    *store
	registry *registry.Registry
	root     identity.Caller
	now      time.Time
	log      *bytes.Buffer
}

// each runs the test on every database, with a directory and with a bucket.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		t.Run("disk", func(t *testing.T) { test(t, newBench(t, db, openDisk(t))) })
	})
	t.Run("bucket", func(t *testing.T) {
		t.Parallel()
		s, err := s3blob.Open(t.Context(), s3test.Bucket(t))
		if err != nil {
			t.Fatal(err)
		}
		test(t, newBench(t, metadbtest.New(t), &store{Store: s, Walker: s}))
	})
}

func openDisk(t *testing.T) *store {
	t.Helper()
	s, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &store{Store: s, Walker: s}
}

func newBench(t *testing.T, db *metadb.DB, blobs *store) *bench {
	t.Helper()
	b := &bench{t: t, db: db, blobs: blobs, root: rootCaller(), now: time.Now().UTC().Truncate(time.Microsecond), log: &bytes.Buffer{}}
	clock := func() time.Time { return b.now }
	b.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock})
	b.Service = b.service(blobs)
	if _, err := b.registry.CreateRepository(t.Context(), b.root, registry.NewRepository{Name: repo}); err != nil {
		t.Fatal(err)
	}
	return b
}

// service makes what another process would have.
func (b *bench) service(blobs blob.Store) *fsck.Service {
	checks := b.db.Checks()
	return fsck.New(fsck.Config{
		Registry: b.registry, Checks: checks, Contents: checks, Repairs: checks, Blobs: blobs, Now: func() time.Time { return b.now },
		Logger: slog.New(slog.NewTextHandler(b.log, nil)), Self: identity.Service(account, "scrub"), ScrubPeriod: 24 * time.Hour,
	})
}

func (b *bench) layer(content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: strings.NewReader(content)}
	if _, err := b.registry.PutLayer(b.t.Context(), b.root, repo, d, part); err != nil {
		b.t.Fatalf("PutLayer(%s): %v", content, err)
	}
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

// push makes an image of one layer, and gives the layer's and the image's digest.
func (b *bench) push(content string) (layer, image oci.Digest) {
	b.t.Helper()
	config, l := b.layer(`{"of":"`+content+`"}`), b.layer(content)
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": []oci.Descriptor{l}})
	if err != nil {
		b.t.Fatal(err)
	}
	p, err := b.registry.PutImage(b.t.Context(), b.root, registry.Push{Repository: repo, Manifest: raw, Tags: []string{"t" + l.Digest.Hex()[:8]}})
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return l.Digest, p.Image.Digest
}

func (b *bench) key(d oci.Digest) blob.Key {
	b.t.Helper()
	row, err := b.db.Checks().FindBlob(b.t.Context(), d)
	if err != nil {
		b.t.Fatal(err)
	}
	return row.Key
}

// put puts bytes under a key, in the place of any that are there.
func (b *bench) put(key blob.Key, content string) {
	b.t.Helper()
	if err := b.blobs.Delete(b.t.Context(), key); err != nil {
		b.t.Fatal(err)
	}
	u, err := b.blobs.Append(b.t.Context(), blob.Upload{Key: key}, strings.NewReader(content))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.blobs.Complete(b.t.Context(), u); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) remove(key blob.Key) {
	b.t.Helper()
	if err := b.blobs.Delete(b.t.Context(), key); err != nil {
		b.t.Fatal(err)
	}
}

// check runs a check to its end.
func (b *bench) check(o fsck.Order) fsck.Report {
	b.t.Helper()
	c, err := b.Start(b.t.Context(), b.root, o)
	if err != nil {
		b.t.Fatalf("Start: %v", err)
	}
	b.work()
	return b.report(c.ID)
}

// work works until nothing is left to do, and lets time pass where a check waits.
func (b *bench) work() {
	b.t.Helper()
	for range 200 {
		if _, err := b.Once(b.t.Context()); err != nil {
			b.t.Fatalf("Once: %v", err)
		}
		r, err := b.Describe(b.t.Context(), b.root, fsck.Query{})
		if err != nil {
			b.t.Fatalf("Describe: %v", err)
		}
		if r.State != fsck.Running {
			return
		}
		b.now = b.now.Add(2 * time.Minute)
	}
	b.t.Fatal("the check does not come to an end")
}

func (b *bench) report(id int64) fsck.Report {
	b.t.Helper()
	r, err := b.Describe(b.t.Context(), b.root, fsck.Query{ID: id, Limit: fsck.MaxPage})
	if err != nil {
		b.t.Fatalf("Describe: %v", err)
	}
	return r
}

// wantFindings compares findings, each in words.
func (b *bench) wantFindings(when string, r fsck.Report, want ...string) {
	b.t.Helper()
	got := []string{}
	for _, f := range r.Findings {
		got = append(got, words(f.Kind, f.Name, f.Done, f.Needs...))
	}
	if want == nil {
		want = []string{}
	}
	if diff := cmp.Diff(want, got, sorted()); diff != "" {
		b.t.Errorf("%s: findings (-want +got):\n%s", when, diff)
	}
}

func words(kind fsck.Kind, name string, done fsck.Deed, needs ...string) string {
	return fmt.Sprintf("%s %s %s %v", kind, name, done, needs)
}
