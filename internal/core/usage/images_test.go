package usage_test

import (
	"bytes"
	"encoding/json"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func (b *bench) create(name string) {
	b.t.Helper()
	if _, err := b.registry.CreateRepository(b.t.Context(), root, registry.NewRepository{Name: name}); err != nil {
		b.t.Fatalf("CreateRepository(%s): %v", name, err)
	}
}

// layer pushes bytes and returns their descriptor.
func (b *bench) layer(repository, content string) oci.Descriptor {
	b.t.Helper()
	d := oci.FromBytes([]byte(content))
	part := registry.Part{Start: registry.Anywhere, Size: int64(len(content)), Body: bytes.NewReader([]byte(content))}
	if _, err := b.registry.PutLayer(b.t.Context(), root, repository, d, part); err != nil {
		b.t.Fatalf("PutLayer(%s): %v", content, err)
	}
	return oci.Descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: d, Size: int64(len(content))}
}

// manifest makes an image manifest over layers that are pushed first.
func (b *bench) manifest(repository, config string, layers ...string) []byte {
	b.t.Helper()
	c := b.layer(repository, config)
	c.MediaType = "application/vnd.oci.image.config.v1+json"
	ds := []oci.Descriptor{}
	for _, l := range layers {
		ds = append(ds, b.layer(repository, l))
	}
	return b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": c, "layers": ds})
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
func (b *bench) push(repository string, manifest []byte, tags ...string) {
	b.t.Helper()
	if _, err := b.registry.PutImage(b.t.Context(), root, registry.Push{Repository: repository, Manifest: manifest, Tags: tags}); err != nil {
		b.t.Fatalf("PutImage(%s, %v): %v", repository, tags, err)
	}
}
