package registry_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func (b *bench) later() { b.now = b.now.Add(time.Minute) }

func (b *bench) delete(ids ...registry.ImageID) {
	b.t.Helper()
	b.later()
	results, err := b.DeleteImages(b.t.Context(), root, repo, ids)
	for _, r := range results {
		err = errors.Join(err, r.Err)
	}
	if err != nil {
		b.t.Fatalf("DeleteImages(%v): %v", ids, err)
	}
}

// restore restores one image, which must work.
func (b *bench) restore(id registry.ImageID) registry.Restored {
	b.t.Helper()
	b.later()
	r := b.tryRestore(id)
	if r.Err != nil {
		b.t.Fatalf("RestoreImages(%v): %v", id, r.Err)
	}
	return r
}

func (b *bench) tryRestore(id registry.ImageID) registry.Restored {
	b.t.Helper()
	results, err := b.RestoreImages(b.t.Context(), root, repo, []registry.ImageID{id}, registry.RestoreOptions{})
	if err != nil || len(results) != 1 {
		b.t.Fatalf("RestoreImages(%v): %v, %v", id, results, err)
	}
	return results[0]
}

// everything lists all images, with manifests.
func (b *bench) everything() []registry.Image {
	b.t.Helper()
	page, err := b.Images(b.t.Context(), root, repo, registry.ImageFilter{Status: registry.AnyStatus}, 0, "")
	if err != nil {
		b.t.Fatal(err)
	}
	for i, img := range page.Items {
		m, err := b.db.Read().ManifestIn(b.t.Context(), repo, oci.Reference{Digest: img.Digest})
		if err != nil {
			b.t.Fatal(err)
		}
		page.Items[i].Manifest = m.Manifest
	}
	return page.Items
}

func (b *bench) sbom(subject []byte, name string) []byte {
	b.t.Helper()
	c := b.layer(repo, `{"referrer":"`+name+`"}`)
	c.MediaType = "application/vnd.example.sbom"
	return b.json(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "config": c, "layers": []oci.Descriptor{},
		"subject":     oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(subject), Size: int64(len(subject))},
		"annotations": map[string]string{"name": name},
	})
}

func digestOf(manifest []byte) oci.Digest { return oci.FromBytes(manifest) }

func byDigest(d oci.Digest) registry.ImageID { return registry.ImageID{Digest: d.String()} }

// TestDeleteThenRestore is the property: an image that was deleted and restored is equal in every listing, but for the time of
// activation (and the place in lists, which is that of a new image).
func TestDeleteThenRestore(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		one, two := b.manifest(repo, `{"a":1}`, "shared", "one"), b.manifest(repo, `{"a":2}`, "shared", "two")
		b.push(repo, one, "amd64")
		b.push(repo, two)
		index := b.index(one, two)
		b.later()
		b.push(repo, index, "v1", "latest")
		b.push(repo, b.sbom(index, "sbom"))
		b.push(repo, b.sbom(b.sbom(index, "sbom"), "of the sbom"))
		b.push(repo, b.sbom(one, "of one"))
		if _, err := b.Image(t.Context(), root, repo, oci.Reference{Tag: "v1"}); err != nil { // pulled
			t.Fatal(err)
		}
		if err := b.FlushPulls(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := b.everything()

		b.delete(byDigest(digestOf(index)), byDigest(digestOf(one)), byDigest(digestOf(two)))
		if left := b.everything(); len(left) > 0 {
			t.Fatalf("after deleting: %+v", left)
		}
		if n := len(b.trash(repo)); n != len(before) {
			t.Fatalf("the trash has %d images, want %d", n, len(before))
		}
		r := b.restore(byDigest(digestOf(index)))
		if !slices.Equal(r.Tags, []string{"latest", "v1"}) || r.Known || len(r.Kept) > 0 || len(r.Left) > 0 || len(r.Along) != len(before)-1 {
			t.Errorf("restored: %+v", r)
		}
		if left := b.trash(repo); len(left) > 0 {
			t.Errorf("in the trash still: %+v", left)
		}
		after := b.everything()
		for i := range after {
			if !after[i].ActivatedAt.Equal(b.now) {
				t.Errorf("%s was activated at %s, want %s", after[i].Digest, after[i].ActivatedAt, b.now)
			}
		}
		ignore := cmpopts.IgnoreFields(registry.Image{}, "ID", "ActivatedAt")
		order := cmpopts.SortSlices(func(x, y registry.Image) bool { return x.Digest < y.Digest })
		if diff := cmp.Diff(before, after, ignore, order); diff != "" {
			t.Errorf("deleted and restored (-before +after):\n%s", diff)
		}
		b.read(repo, digestOf([]byte("shared")))
		for _, tag := range []string{"amd64", "v1"} {
			history, err := b.TagHistory(t.Context(), root, repo, tag, 0, "")
			if err != nil || len(history.Items) != 3 || history.Items[0].To != history.Items[2].To || history.Items[0].From != "" {
				t.Errorf("history of %s: %+v, %v", tag, history.Items, err)
			}
		}
	})
}

// TestRestoreTags is about tags that point elsewhere by now.
func TestRestoreTags(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		old := b.pushNew("old", "v1", "latest", "stable").Digest
		b.delete(byDigest(old))
		b.later()
		now := b.pushNew("new", "latest").Digest
		r := b.restore(byDigest(old))
		if !slices.Equal(r.Tags, []string{"stable", "v1"}) || len(r.Kept) != 1 || r.Kept[0].Name != "latest" || r.Kept[0].Digest != now {
			t.Errorf("by digest: %+v", r)
		}
		if got := b.tagTarget("latest"); got != now {
			t.Errorf("latest moved to %s", got)
		}
		// Asked for, it moves; and what it pointed to before is the other one then.
		for i, want := range []oci.Digest{old, now, old} {
			if r := b.restore(registry.ImageID{Tag: "latest"}); r.Image.Digest != want || !r.Known || !slices.Equal(r.Tags, []string{"latest"}) || b.tagTarget("latest") != want {
				t.Errorf("the earlier target, %d: %+v", i, r)
			}
		}
		if r := b.restore(registry.ImageID{Tag: "latest", Digest: now.String()}); r.Image.Digest != now || b.tagTarget("latest") != now {
			t.Errorf("a digest of its history: %+v", r)
		}
		// From the trash, too.
		b.delete(byDigest(old))
		if r := b.restore(registry.ImageID{Tag: "latest"}); r.Known || b.tagTarget("latest") != old || b.tagTarget("v1") != old {
			t.Errorf("the earlier target, from the trash: %+v", r)
		}
		// A tag that is gone.
		b.delete(registry.ImageID{Tag: "v1"})
		if r := b.restore(registry.ImageID{Tag: "v1"}); !r.Known || b.tagTarget("v1") != old {
			t.Errorf("a tag that is gone: %+v", r)
		}
		wantFault(t, "an image it never had", b.tryRestore(registry.ImageID{Tag: "v1", Digest: now.String()}).Err, fault.TagDoesNotMatchDigest)
		wantFault(t, "a tag without a past", b.tryRestore(registry.ImageID{Tag: "v1"}).Err, fault.ImageNotFound)
		wantFault(t, "a tag that never was", b.tryRestore(registry.ImageID{Tag: "v2"}).Err, fault.ImageNotFound)
		wantFault(t, "an unknown image", b.tryRestore(byDigest(oci.FromBytes([]byte("x")))).Err, fault.ImageNotFound)
		wantFault(t, "nothing", b.tryRestore(registry.ImageID{}).Err, fault.ImageIDMissing)
		wantFault(t, "no digest", b.tryRestore(registry.ImageID{Digest: "x"}).Err, fault.DigestInvalid)
		if r := b.restore(byDigest(old)); !r.Known || len(r.Tags) > 0 {
			t.Errorf("what is there: %+v", r)
		}
	})
}

func TestRestoreInAnImmutableRepository(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		old := b.pushNew("old", "v1", "v2").Digest
		b.delete(byDigest(old))
		now := b.pushNew("new", "v1").Digest
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.Immutable, nil); err != nil {
			t.Fatal(err)
		}
		wantFault(t, "a tag that may not move", b.tryRestore(registry.ImageID{Tag: "v1"}).Err, fault.TagImmutable)
		if ds := b.trashDigests(); !slices.Equal(ds, []oci.Digest{old}) {
			t.Errorf("the trash: %v", ds)
		}
		if r := b.restore(byDigest(old)); !slices.Equal(r.Tags, []string{"v2"}) || b.tagTarget("v1") != now {
			t.Errorf("by digest: %+v", r)
		}
	})
}

// TestRestorePushedAgain has the image there already: tags are all there is to restore.
func TestRestorePushedAgain(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		app := b.manifest(repo, "{}", "bytes")
		b.push(repo, app, "v1", "v2")
		b.push(repo, b.sbom(app, "sbom"))
		b.delete(byDigest(digestOf(app)))
		b.manifest(repo, "{}", "bytes")
		b.push(repo, app, "v3")
		if ds := b.trashDigests(); len(ds) != 2 {
			t.Errorf("after the push the trash has %v", ds)
		}
		r := b.restore(byDigest(digestOf(app)))
		if !r.Known || !slices.Equal(r.Tags, []string{"v1", "v2"}) || !slices.Equal(r.Image.Tags, []string{"v1", "v2", "v3"}) || len(r.Along) != 1 {
			t.Errorf("restored: %+v", r)
		}
		if ds := b.trashDigests(); len(ds) > 0 {
			t.Errorf("in the trash still: %v", ds)
		}
	})
}

func TestRestoreParts(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		one, two := b.manifest(repo, `{"a":1}`, "one"), b.manifest(repo, `{"a":2}`, "two")
		b.push(repo, one)
		b.push(repo, two)
		index := b.index(one, two)
		attached := b.sbom(index, "sbom")
		b.push(repo, index, "v1")
		b.push(repo, attached)
		b.delete(byDigest(digestOf(index)), byDigest(digestOf(one)), byDigest(digestOf(two)))
		if r := b.restore(byDigest(digestOf(two))); len(r.Along) > 0 || r.Known {
			t.Errorf("an image of an index: %+v", r)
		}
		if r := b.restore(byDigest(digestOf(attached))); len(r.Along) > 0 || r.Image.Subject != digestOf(index) {
			t.Errorf("a referrer: %+v", r)
		}
		// The index needs what is gone for good: nothing is half restored.
		if purged, err := b.PurgeImages(t.Context(), root, repo, []oci.Digest{digestOf(one), digestOf(two)}); err != nil || purged[0].Err != nil || !errors.Is(purged[1].Err, fault.ImageNotFound) {
			t.Fatalf("PurgeImages: %+v, %v", purged, err)
		}
		r := b.tryRestore(registry.ImageID{Tag: "v1"})
		wantFault(t, "an index without an image", r.Err, fault.ReferencedImagesNotFound)
		if f, _ := fault.Of(r.Err); f == nil || !strings.Contains(f.Message, digestOf(one).String()) || !strings.Contains(f.Message, "cannot be restored") {
			t.Errorf("the fault says %v", r.Err)
		}
		if got := b.everything(); len(got) != 2 {
			t.Errorf("images: %+v", got)
		}
	})
}

// TestRestoreWithoutAReferrer has a signature whose bytes are damaged: the image comes back without it, and the answer says so.
func TestRestoreWithoutAReferrer(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		store := lossy{b.db, map[oci.Digest]bool{}}
		b.Registry = registry.New(registry.Config{
			Store: store, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now }, TrashWindow: window,
		})
		app := b.manifest(repo, "{}", "bytes")
		b.push(repo, app, "v1")
		bad := b.sbom(app, "bad")
		b.push(repo, bad)
		b.push(repo, b.sbom(app, "good"))
		b.delete(byDigest(digestOf(app)))
		store.damaged[digestOf([]byte(`{"referrer":"bad"}`))] = true
		r := b.restore(registry.ImageID{Tag: "v1"})
		if len(r.Along) != 1 || len(r.Left) != 1 || r.Left[0].Digest != digestOf(bad) || !errors.Is(r.Left[0].Err, fault.ReferencedLayersNotFound) {
			t.Errorf("restored: %+v", r)
		}
		if ds := b.trashDigests(); !slices.Equal(ds, []oci.Digest{digestOf(bad)}) {
			t.Errorf("the trash: %v", ds)
		}
		b.delete(byDigest(digestOf(app)))
		store.damaged[digestOf([]byte("bytes"))] = true
		wantFault(t, "damaged", b.tryRestore(registry.ImageID{Tag: "v1"}).Err, fault.ReferencedLayersNotFound)
		if got := b.everything(); len(got) > 0 {
			t.Errorf("half restored: %+v", got)
		}
		if _, err := b.StatLayer(t.Context(), root, repo, digestOf([]byte("{}"))); !errors.Is(err, fault.LayerNotFound) {
			t.Errorf("a layer is back without its image: %v", err)
		}
		clear(store.damaged) // they were sent again
		b.restore(registry.ImageID{Tag: "v1"})
	})
}

// lossy is a store in which blobs are damaged.
type lossy struct {
	registry.Store
	damaged map[oci.Digest]bool
}

// Update implements registry.Store.
func (l lossy) Update(ctx context.Context, f func(registry.Tx) error) error {
	return l.Store.Update(ctx, func(tx registry.Tx) error { return f(lossyTx{tx, l.damaged}) })
}

type lossyTx struct {
	registry.Tx
	damaged map[oci.Digest]bool
}

// Layers implements registry.LayerQueries.
func (l lossyTx) Layers(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Layer, error) {
	layers, err := l.Tx.Layers(ctx, repositoryID, ds)
	for i := range layers {
		if l.damaged[layers[i].Digest] {
			layers[i].DamagedAt = layers[i].LinkedAt
		}
	}
	return layers, err
}

func TestRestoreArchived(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		d := b.pushNew("cold", "v1").Digest
		archived := b.now
		if _, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{byDigest(d)}, registry.Archive); err != nil {
			t.Fatal(err)
		}
		b.delete(byDigest(d))
		if all := b.trash(repo); len(all) != 1 || !all[0].Archived {
			t.Errorf("the trash: %+v", all)
		}
		r := b.restore(byDigest(d))
		if r.Image.Archived || !r.Image.ArchivedAt.Equal(archived) || !r.Image.ActivatedAt.Equal(b.now) || b.tagTarget("v1") != d {
			t.Errorf("restored: %+v", r)
		}
		b.read(repo, digestOf([]byte("layer of cold")))
	})
}

// TestRestoreAfterItsRepository deletes a repository, makes it anew, and restores from what was.
func TestRestoreAfterItsRepository(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		app := b.manifest(repo, "{}", "bytes")
		b.push(repo, app, "v1")
		b.push(repo, b.sbom(app, "sbom"), "sha256-"+strings.TrimPrefix(digestOf(app).String(), "sha256:"))
		named := b.sbom(app, "named")
		b.push(repo, named, "release-notes")
		if _, err := b.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		all := b.trash(repo)
		if len(all) != 3 || all[0].Reason == "" || all[1].WentWith != digestOf(app) || all[0].WentWith != "" {
			t.Fatalf("the trash: %+v", all)
		}
		_, err := b.RestoreImages(t.Context(), root, repo, []registry.ImageID{{Tag: "v1"}}, registry.RestoreOptions{})
		wantFault(t, "into nothing", err, fault.RepositoryNotFound)
		b.create(registry.NewRepository{Name: repo})
		r := b.restore(registry.ImageID{Tag: "v1"})
		if len(r.Along) != 1 || b.tagTarget("v1") != digestOf(app) || b.read(repo, digestOf([]byte("bytes"))) != "bytes" {
			t.Errorf("restored: %+v", r)
		}
		b.restore(byDigest(digestOf(named)))
		// With trash alone, a repository is empty.
		b.delete(byDigest(digestOf(app)), registry.ImageID{Tag: "release-notes"})
		if _, err := b.DeleteRepository(t.Context(), root, repo, false); err != nil {
			t.Errorf("DeleteRepository of one with nothing but trash: %v", err)
		}
		if n := len(b.trash(repo)); n != 3 {
			t.Errorf("the trash has %d images, want 3", n)
		}
	})
}

// drain gives the events since the last time.
func (b *bench) drain() []event.Event {
	b.t.Helper()
	events, err := b.db.Outbox().Claim(b.t.Context(), b.now, b.now.Add(1000*time.Hour), 100)
	if err != nil {
		b.t.Fatal(err)
	}
	return events
}

func TestRestoreTellsOthers(t *testing.T) {
	t.Parallel()
	eachTrashing(t, func(t *testing.T, b *bench) {
		d := b.pushNew("app", "v1", "v2").Digest
		b.delete(byDigest(d))
		b.pushNew("other", "v2")
		b.drain()
		b.restore(byDigest(d))
		events := b.drain()
		if len(events) != 1 || events[0].Kind != event.ImagePushed || !events[0].New || events[0].Source != event.Restore || !slices.Equal(events[0].Tags, []string{"v1"}) || events[0].Digest != d {
			t.Errorf("events: %+v", events)
		}
		b.restore(registry.ImageID{Tag: "v2"})
		if events := b.drain(); len(events) != 1 || events[0].New || events[0].Source != event.Restore || !slices.Equal(events[0].Tags, []string{"v2"}) {
			t.Errorf("events of a tag: %+v", events)
		}
		b.restore(byDigest(d))
		if events := b.drain(); len(events) > 0 {
			t.Errorf("nothing happened, and the events are %+v", events)
		}
	})
}

// TestRestoresByTag asks for a restoration as for a push of the tags that may come back with it, and for a purge as for a
// deletion.
func TestRestoresByTag(t *testing.T) {
	t.Parallel()
	eachEnforced(t, func(t *testing.T, b *bench) {
		both := `"Action":["ecr:PutImage","ecr:BatchDeleteImage"]`
		dev := b.user("dev", allows(both+`,"Resource":"*"`), denies(both+onTags("", "StringLike", `"release-*"`)))
		app := b.manifest(repo, `{"a":1}`, "app")
		b.push(repo, app, "dev-1")
		child := b.manifest(repo, `{"a":2}`, "child")
		b.push(repo, child, "release-1")
		index := b.index(child)
		b.push(repo, index, "dev-2")
		b.delete(byDigest(digestOf(app)), byDigest(digestOf(index)), byDigest(digestOf(child)))
		for _, c := range []struct {
			id   registry.ImageID
			want bool
		}{
			{byDigest(digestOf(app)), true},
			{registry.ImageID{Tag: "dev-1"}, true},
			{byDigest(digestOf(child)), false},
			{byDigest(digestOf(index)), false}, // its image comes along, with that tag
			{registry.ImageID{Tag: "dev-2"}, false},
			{registry.ImageID{Tag: "release-1"}, false},
			{registry.ImageID{Tag: "release-2"}, false},
			{registry.ImageID{Tag: "release-2", Digest: digestOf(app).String()}, false},
		} {
			_, err := b.RestoreImages(t.Context(), dev, repo, []registry.ImageID{c.id}, registry.RestoreOptions{})
			wantAllowed(t, fmt.Sprintf("restoring %v", c.id), err, c.want)
		}
		_, err := b.PurgeImages(t.Context(), dev, repo, []oci.Digest{digestOf(index)})
		wantAllowed(t, "purging an index", err, true)
		_, err = b.PurgeImages(t.Context(), dev, repo, []oci.Digest{digestOf(child)})
		wantAllowed(t, "purging a release", err, false)
		_, err = b.EmptyTrash(t.Context(), dev, repo)
		wantAllowed(t, "purging all", err, false)
		if ds := b.trashDigests(); !slices.Equal(ds, []oci.Digest{digestOf(child)}) {
			t.Errorf("the trash: %v", ds)
		}
	})
}
