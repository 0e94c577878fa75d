package metadb_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// noon is the time of everything that the tests store, unless a test says otherwise.
func noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 123_000, time.UTC) }

func digest(of string) oci.Digest { return oci.FromBytes([]byte(of)) }

// update runs f and wants it to succeed.
func update(t testing.TB, db *metadb.DB, f func(ctx context.Context, tx registry.Tx) error) {
	t.Helper()
	if err := db.Update(t.Context(), func(tx registry.Tx) error { return f(t.Context(), tx) }); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

func addRepository(t testing.TB, db *metadb.DB, name string) registry.Repository {
	t.Helper()
	r := registry.Repository{Name: name, CreatedAt: noon(), Mutability: registry.Mutable}
	update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
		r.ID, err = tx.InsertRepository(ctx, r)
		return err
	})
	return r
}

func newImage(name string) registry.Image {
	manifest := []byte("the manifest of " + name)
	return registry.Image{
		Digest: oci.FromBytes(manifest), MediaType: oci.MediaTypeOCIManifest, ArtifactType: "application/x." + name,
		ConfigMediaType: "application/vnd.oci.image.config.v1+json", Size: 1000, ManifestSize: int64(len(manifest)),
		PushedAt: noon(), Manifest: manifest,
	}
}

// addImage stores an image and returns it with its id.
func addImage(t testing.TB, db *metadb.DB, repositoryID int64, img registry.Image, refs registry.References) registry.Image {
	t.Helper()
	update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
		img.ID, err = tx.InsertImage(ctx, repositoryID, img, refs)
		return err
	})
	return img
}

// withoutManifest is what look-ups that leave the manifest and its annotations out give.
func withoutManifest(img registry.Image) registry.Image {
	img.Manifest, img.Annotations = nil, nil
	return img
}

func setTag(t testing.TB, db *metadb.DB, repositoryID int64, tag string, imageID int64) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		return tx.SetTag(ctx, repositoryID, tag, imageID, noon())
	})
}

func newLayer(content string) registry.Layer {
	return registry.Layer{Digest: digest(content), Size: int64(len(content)), Key: blob.Key("key of " + content), LinkedAt: noon()}
}

func linkLayer(t testing.TB, db *metadb.DB, repositoryID int64, l registry.Layer) (linked registry.Layer, had bool) {
	t.Helper()
	update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
		linked, had, err = tx.LinkLayer(ctx, repositoryID, l)
		return err
	})
	return linked, had
}

// want compares what a call returned with what it should have.
func want[T any](t testing.TB, call string, got T, err error, wanted T) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v, want no error", call, err)
	}
	if diff := cmp.Diff(wanted, got); diff != "" {
		t.Fatalf("%s gave something else than wanted (-want +got):\n%s", call, diff)
	}
}

func newReferences(blobs ...string) registry.References {
	var refs registry.References
	for _, b := range blobs {
		refs.Blobs = append(refs.Blobs, digest(b))
	}
	return refs
}
