package gc_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const (
	account = "123456789012"
	repo    = "hoopstat-haus/prod"
	day     = 24 * time.Hour
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// bench is a registry and its garbage collector on a real database and a real directory, with a clock that the test moves.
type bench struct {
	*registry.Registry
	t      testing.TB
	gc     *gc.Service
	config gc.Config
	db     *metadb.DB
	dir    string
	blobs  *diskblob.Store
	clock  atomic.Int64 // microseconds
}

type settings struct {
	trash  time.Duration
	change func(*gc.Config)
}

// each runs the test on every database there is, with one empty repository.
func each(t *testing.T, with settings, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newBench(t, db, with))
	})
}

func newBench(t testing.TB, db *metadb.DB, with settings) *bench {
	t.Helper()
	b := &bench{t: t, db: db, dir: t.TempDir()}
	var err error
	if b.blobs, err = diskblob.Open(b.dir); err != nil {
		t.Fatal(err)
	}
	b.clock.Store(time.Now().UnixMicro())
	b.Registry = registry.New(registry.Config{
		Store: db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: b.now, Grace: day, TrashWindow: with.trash,
	})
	b.config = gc.Config{
		Rows: db.Garbage(), Blobs: b.blobs, Walker: b.blobs, Now: b.now, Grace: day, UploadTTL: 7 * day, May: b.May,
	}
	if with.change != nil {
		with.change(&b.config)
	}
	b.gc = gc.New(b.config)
	b.create(repo)
	return b
}

func (b *bench) now() time.Time { return time.UnixMicro(b.clock.Load()).UTC() }

func (b *bench) pass(d time.Duration) { b.clock.Add(d.Microseconds()) }

// sweep takes all that is due.
func (b *bench) sweep() {
	b.t.Helper()
	for range 1000 {
		more, err := b.gc.SweepOnce(b.t.Context())
		if err != nil {
			b.t.Fatalf("SweepOnce: %v", err)
		}
		if !more {
			return
		}
	}
	b.t.Fatal("the sweep does not come to an end")
}

func (b *bench) create(name string) {
	b.t.Helper()
	if _, err := b.CreateRepository(b.t.Context(), root, registry.NewRepository{Name: name}); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

// layer pushes bytes and returns their descriptor.
func (b *bench) layer(repository, content string) oci.Descriptor {
	b.t.Helper()
	d, err := b.tryLayer(b.t.Context(), repository, content)
	if err != nil {
		b.t.Fatalf("PutLayer(%s): %v", content, err)
	}
	return d
}

func (b *bench) tryLayer(ctx context.Context, repository, content string) (oci.Descriptor, error) {
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: bytes.NewReader([]byte(content))}
	_, err := b.PutLayer(ctx, root, repository, d, part)
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}, err
}

// manifest makes an image manifest over layers that are there.
func manifest(config oci.Descriptor, layers ...oci.Descriptor) []byte {
	config.MediaType = "application/vnd.oci.image.config.v1+json"
	raw, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": config, "layers": layers})
	if err != nil {
		panic(err)
	}
	return raw
}

// image pushes an image of one layer, and gives its digest.
func (b *bench) image(repository, config, layer string, tags ...string) oci.Digest {
	b.t.Helper()
	m := manifest(b.layer(repository, config), b.layer(repository, layer))
	p, err := b.PutImage(b.t.Context(), root, registry.Push{Repository: repository, Manifest: m, Tags: tags})
	if err != nil {
		b.t.Fatalf("PutImage: %v", err)
	}
	return p.Image.Digest
}

func (b *bench) remove(repository string, d oci.Digest) {
	b.t.Helper()
	res, err := b.DeleteImages(b.t.Context(), root, repository, []registry.ImageID{{Digest: d.String()}})
	if err == nil && res[0].Err != nil {
		err = res[0].Err
	}
	if err != nil {
		b.t.Fatalf("deleting %s: %v", d, err)
	}
}

// files counts what is in the blob store.
func (b *bench) files() int {
	b.t.Helper()
	n := 0
	err := filepath.WalkDir(b.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && len(d.Name()) == 32 {
			n++
		}
		return err
	})
	if err != nil {
		b.t.Fatal(err)
	}
	return n
}

func (b *bench) wantFiles(when string, n int) {
	b.t.Helper()
	if got := b.files(); got != n {
		b.t.Fatalf("%s the blob store holds %d files, want %d", when, got, n)
	}
}

// has tells whether a layer can be read from the repository.
func (b *bench) has(repository, content string) bool {
	b.t.Helper()
	c, err := b.Layer(b.t.Context(), root, repository, oci.FromBytes([]byte(content)))
	if err != nil {
		return false
	}
	rc, err := c.Open(b.t.Context(), 0, -1)
	if err != nil {
		b.t.Fatalf("layer %q is there and cannot be opened: %v", content, err)
	}
	return rc.Close() == nil
}

// fails is a blob store that cannot remove anything while broken.
type fails struct {
	blob.Store
	broken atomic.Pointer[error]
	calls  atomic.Int64
}

func (f *fails) Delete(ctx context.Context, key blob.Key) error {
	f.calls.Add(1)
	if err := f.broken.Load(); err != nil {
		return *err
	}
	return f.Store.Delete(ctx, key)
}

// still is a database in which two blobs are due for ever, and which is nobody's goroutine, as a bubble needs it.
type still struct{ gc.Store }

func (*still) Setting(context.Context, registry.SettingName) (string, error) {
	return "", registry.ErrNoRow
}

func (*still) Due(context.Context, gc.Deadlines) (gc.Stages, error) {
	return gc.Stages{gc.Blobs: true}, nil
}

func (*still) Update(_ context.Context, f func(gc.Tx) error) error { return f(stillTx{}) }

type stillTx struct{ gc.Tx }

func (stillTx) BlobsDue(_ context.Context, _ time.Time, limit int) ([]gc.Blob, error) {
	return make([]gc.Blob, limit), nil
}
func (stillTx) BlobsNeeded(context.Context, []oci.Digest) ([]oci.Digest, error) { return nil, nil }
func (stillTx) DeleteBlobs(context.Context, []oci.Digest) error                 { return nil }
func (stillTx) Discard(context.Context, []blob.Upload, time.Time) error         { return nil }

func itoa(n int) string { return strconv.Itoa(n) }
