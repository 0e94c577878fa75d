package registry_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
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
)

var root = identity.Caller{Account: account, ARN: "arn:aws:iam::123456789012:root", UserID: account, Root: true}

// bench is a registry on a real database and a real directory, with a clock that the test moves.
type bench struct {
	*registry.Registry
	t     *testing.T
	db    *metadb.DB
	blobs *diskblob.Store
	now   time.Time
}

// each runs the test on every database there is, with one empty repository.
func each(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, newBench(t, db))
	})
}

func newBench(t *testing.T, db *metadb.DB) *bench {
	t.Helper()
	blobs, err := diskblob.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, db: db, blobs: blobs, now: time.Date(2026, 11, 24, 10, 0, 0, 0, time.UTC)}
	b.Registry = registry.New(registry.Config{
		Store: db, Blobs: blobs, Account: account, Region: "us-east-1",
		Now: func() time.Time { return b.now }, PinnedDeployments: 3,
	})
	b.create(registry.NewRepository{Name: repo})
	return b
}

func (b *bench) create(n registry.NewRepository) {
	b.t.Helper()
	if _, err := b.CreateRepository(b.t.Context(), root, n); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", n.Name, err)
	}
}

// layer pushes bytes and returns their descriptor.
func (b *bench) layer(repository, content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: bytes.NewReader([]byte(content))}
	if _, err := b.PutLayer(b.t.Context(), root, repository, d, part); err != nil {
		b.t.Fatalf("PutLayer(%s): %v", content, err)
	}
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

// manifest makes an image manifest over layers that are pushed first.
func (b *bench) manifest(repository, config string, layers ...string) []byte {
	b.t.Helper()
	c := b.layer(repository, config)
	c.MediaType = "application/vnd.oci.image.config.v1+json"
	m := map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": c}
	ds := []oci.Descriptor{}
	for _, l := range layers {
		ds = append(ds, b.layer(repository, l))
	}
	m["layers"] = ds
	return b.json(m)
}

// index makes an index over manifests.
func (b *bench) index(manifests ...[]byte) []byte {
	b.t.Helper()
	ds := []oci.Descriptor{}
	for _, m := range manifests {
		ds = append(ds, oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(m), Size: int64(len(m))})
	}
	return b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": ds})
}

func (b *bench) json(v any) []byte {
	b.t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		b.t.Fatal(err)
	}
	return raw
}

// push puts a manifest that must go in.
func (b *bench) push(repository string, manifest []byte, tags ...string) registry.Pushed {
	b.t.Helper()
	p, err := b.PutImage(b.t.Context(), root, registry.Push{Repository: repository, Manifest: manifest, Tags: tags})
	if err != nil {
		b.t.Fatalf("PutImage(%s, %v): %v", repository, tags, err)
	}
	return p
}

// pushNew pushes an image of its own content under the tags.
func (b *bench) pushNew(name string, tags ...string) registry.Image {
	b.t.Helper()
	return b.push(repo, b.manifest(repo, `{"name":"`+name+`"}`, "layer of "+name), tags...).Image
}

func (b *bench) manifestOf(img registry.Image) []byte {
	b.t.Helper()
	whole, err := b.Image(b.t.Context(), root, repo, oci.Reference{Digest: img.Digest})
	if err != nil {
		b.t.Fatalf("Image(%s): %v", img.Digest, err)
	}
	return whole.Manifest
}

func (b *bench) tagTarget(tag string) oci.Digest {
	b.t.Helper()
	img, err := b.StatImage(b.t.Context(), root, repo, oci.Reference{Tag: tag})
	if err != nil {
		b.t.Fatalf("StatImage(%s): %v", tag, err)
	}
	return img.Digest
}

func (b *bench) read(repository string, d oci.Digest) string {
	b.t.Helper()
	c, err := b.Layer(b.t.Context(), root, repository, d)
	if err != nil {
		b.t.Fatalf("Layer(%s): %v", d, err)
	}
	rc, err := c.Open(b.t.Context(), 0, -1)
	if err != nil {
		b.t.Fatalf("Open(%s): %v", d, err)
	}
	defer rc.Close()
	raw, err := io.ReadAll(io.LimitReader(rc, c.Size))
	if err != nil {
		b.t.Fatalf("reading %s: %v", d, err)
	}
	return string(raw)
}

func wantFault(t *testing.T, what string, err error, code fault.Code) {
	t.Helper()
	f, ok := fault.Of(err)
	if !ok || f.Code != code {
		t.Errorf("%s: %v, want the fault %q", what, fmt.Sprint(err), code)
	}
}
