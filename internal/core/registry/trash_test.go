package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

const window = 7 * 24 * time.Hour

// trashing is a bench whose deleted images can be restored for a week.
func trashing(t *testing.T, db *metadb.DB) *bench {
	t.Helper()
	b := newBench(t, db)
	b.Registry = registry.New(registry.Config{
		Store: db, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }, TrashWindow: window,
	})
	return b
}

func eachTrashing(t *testing.T, test func(t *testing.T, b *bench)) {
	t.Helper()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		test(t, trashing(t, db))
	})
}

// trash lists all of it, a page of two at a time.
func (b *bench) trash(repository string) []registry.Trashed {
	b.t.Helper()
	var all []registry.Trashed
	for token := ""; ; {
		page, err := b.Trash(b.t.Context(), root, repository, 2, token)
		if err != nil {
			b.t.Fatalf("Trash(%s): %v", repository, err)
		}
		all = append(all, page.Items...)
		if token = page.Next; token == "" {
			return all
		}
	}
}

func (b *bench) trashDigests() []oci.Digest {
	b.t.Helper()
	var ds []oci.Digest
	for _, t := range b.trash(repo) {
		ds = append(ds, t.Digest)
	}
	return ds
}

func TestTrashSaysWhatAndWhy(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		app := b.manifest(repo, "{}", "bytes")
		b.push(repo, app, "v1", "v1.0")
		b.push(repo, b.sbom(app, "sbom"))
		b.delete(byDigest(digestOf(app)))
		all := b.trash(repo)
		if len(all) != 2 {
			t.Fatalf("the trash: %+v", all)
		}
		sbom, img := all[0], all[1] // newest first
		if img.Digest != digestOf(app) || !slices.Equal(img.Tags, []string{"v1", "v1.0"}) || img.Size != int64(len("{}bytes")) || !img.At.Equal(b.now) ||
			!img.PurgeAt.Equal(b.now.Add(window)) || img.Actor != root.ARN || img.WentWith != "" || img.MediaType != oci.MediaTypeOCIManifest {
			t.Errorf("the image: %+v", img)
		}
		if sbom.WentWith != img.Digest || sbom.Subject != img.Digest || sbom.ArtifactType != "application/vnd.example.sbom" {
			t.Errorf("the sbom: %+v", sbom)
		}
		b.delete(byDigest(b.pushNew("another").Digest))
		service := identity.Service(account, "lifecycle")
		raw := b.manifest(repo, `{"name":"old"}`, "layer of old")
		old := b.push(repo, raw).Image.Digest
		b.push(repo, b.sbom(raw, "sbom"))
		_, err := b.DeleteImagesIf(t.Context(), service, repo, []oci.Digest{old}, about(func(registry.Image) (bool, string, error) {
			return true, "It is old.", nil
		}))
		newest := b.trash(repo)[:2]
		if img := newest[1]; err != nil || img.Digest != old || img.Reason != "It is old." || img.Actor != "berth:lifecycle" {
			t.Errorf("by the lifecycle policy: %+v, %v", img, err)
		}
		if sbom := newest[0]; sbom.WentWith != old || sbom.Reason != "It goes with "+old.String()+". About that: It is old." {
			t.Errorf("with what goes by the lifecycle policy: %+v", sbom)
		}
		_, err = b.Trash(t.Context(), root, repo, 0, "nonsense")
		wantFault(t, "a token that is none", err, fault.PageTokenInvalid)
	})
}

func TestTrashWindow(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		set := func(w *time.Duration) registry.TrashUsage {
			t.Helper()
			u, err := b.PutTrashWindow(t.Context(), root, repo, w)
			if err != nil {
				t.Fatal(err)
			}
			return u
		}
		shared := b.manifest(repo, "{}", "shared", "kept")
		b.push(repo, shared, "kept")
		gone := b.manifest(repo, `{"gone":1}`, "shared", "only this")
		b.push(repo, gone, "v1")
		b.delete(registry.ImageID{Tag: "v1"})
		own := int64(len(`{"gone":1}` + "only this"))
		if u, err := b.TrashUsage(t.Context(), root, repo); err != nil || u != (registry.TrashUsage{Images: 1, Bytes: own, Window: window}) {
			t.Errorf("usage: %+v, %v", u, err)
		}
		if u := set(new(time.Duration)); u != (registry.TrashUsage{Images: 1, Bytes: own, Own: true}) {
			t.Errorf("turned off: %+v", u)
		}
		b.delete(byDigest(b.pushNew("lost").Digest))
		if n := len(b.trash(repo)); n != 1 {
			t.Errorf("the trash has %d images, want the one that was there", n)
		}
		hour := time.Hour
		set(&hour)
		b.delete(byDigest(b.pushNew("soon").Digest))
		if img := b.trash(repo)[0]; img.PurgeAt.Sub(img.At) != hour {
			t.Errorf("after an hour: %+v", img)
		}
		if u := set(nil); u.Own || u.Window != window {
			t.Errorf("as the server says: %+v", u)
		}
		whole, err := b.TrashUsage(t.Context(), root, "")
		if err != nil || whole.Images != 2 || whole.Bytes != own+int64(len(`{"name":"soon"}`+"layer of soon")) {
			t.Errorf("all trash: %+v, %v", whole, err)
		}
		if u, err := b.TrashUsage(t.Context(), root, "never/was"); err != nil || u != (registry.TrashUsage{Window: window}) {
			t.Errorf("of no repository: %+v, %v", u, err)
		}
		for _, bad := range []time.Duration{-time.Second, registry.MaxTrashWindow + time.Second, time.Millisecond} {
			_, err := b.PutTrashWindow(t.Context(), root, repo, &bad)
			wantFault(t, bad.String(), err, fault.InvalidParameter)
		}
		_, err = b.PutTrashWindow(t.Context(), root, "never/was", &hour)
		wantFault(t, "no repository", err, fault.RepositoryNotFound)
	})
}

func TestEmptyTrash(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		for i := range 3 {
			b.delete(byDigest(b.pushNew(fmt.Sprint("n", i), "v1").Digest))
		}
		n, err := b.EmptyTrash(t.Context(), root, repo)
		if err != nil || n != 3 || len(b.trash(repo)) > 0 {
			t.Errorf("EmptyTrash: %d, %v", n, err)
		}
		wantFault(t, "restoring what is purged", b.tryRestore(registry.ImageID{Tag: "v1"}).Err, fault.ImageNotFound)
		if u, err := b.TrashUsage(t.Context(), root, repo); err != nil || u.Images != 0 || u.Bytes != 0 {
			t.Errorf("usage: %+v, %v", u, err)
		}
		if n, err := b.EmptyTrash(t.Context(), root, repo); err != nil || n != 0 {
			t.Errorf("EmptyTrash of nothing: %d, %v", n, err)
		}
	})
}
