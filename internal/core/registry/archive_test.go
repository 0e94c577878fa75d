package registry_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// move changes the storage class of one image, which must succeed.
func (b *bench) move(d oci.Digest, class registry.StorageClass) registry.Image {
	b.t.Helper()
	img, err := b.tryMove(d, class)
	if err != nil {
		b.t.Fatalf("SetStorageClass(%s, %s): %v", d, class, err)
	}
	return img
}

func (b *bench) tryMove(d oci.Digest, class registry.StorageClass) (registry.Image, error) {
	b.t.Helper()
	results, err := b.SetStorageClass(b.t.Context(), root, repo, []registry.ImageID{{Digest: d.String()}}, class)
	if err != nil {
		b.t.Fatalf("SetStorageClass(%s, %s): %v", d, class, err)
	}
	return results[0].Image, results[0].Err
}

// wantArchived compares the digests of archived images, in order of push.
func (b *bench) wantArchived(when string, wanted ...oci.Digest) {
	b.t.Helper()
	var got []oci.Digest
	for _, img := range b.images(registry.ImageFilter{Status: registry.OnlyArchived}) {
		got = append(got, img.Digest)
	}
	if !slices.Equal(got, wanted) {
		b.t.Errorf("%s, archived are %v, want %v", when, got, wanted)
	}
}

func (b *bench) images(f registry.ImageFilter) []registry.Image {
	b.t.Helper()
	page, err := b.Images(b.t.Context(), root, repo, f, 1000, "")
	if err != nil {
		b.t.Fatalf("Images: %v", err)
	}
	return page.Items
}

// referrer pushes an image manifest with a subject.
func (b *bench) referrer(subject []byte, name string, tags ...string) (registry.Image, []byte) {
	b.t.Helper()
	c := b.layer(repo, `{"of":"`+name+`"}`)
	m := b.json(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": "application/x." + name, "config": c, "layers": []any{},
		"subject": oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(subject), Size: int64(len(subject))},
	})
	return b.push(repo, m, tags...).Image, m
}

func TestArchivedImageIsNotPulled(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		ctx := t.Context()
		raw := b.manifest(repo, `{"name":"old"}`, "shared", "own")
		old := b.push(repo, raw, "old", "older").Image
		young := b.push(repo, b.manifest(repo, `{"name":"young"}`, "shared"), "young").Image
		b.now = b.now.Add(time.Hour)
		got := b.move(old.Digest, registry.Archive)
		if !got.Archived || !got.ArchivedAt.Equal(b.now) || !got.ActivatedAt.IsZero() {
			t.Errorf("the archived image is %+v", got)
		}
		for _, ref := range []oci.Reference{{Tag: "old"}, {Digest: old.Digest}} {
			_, err := b.Image(ctx, root, repo, ref)
			wantFault(t, "pulling "+ref.String(), err, fault.ImageArchived)
			_, err = b.StatImage(ctx, root, repo, ref)
			wantFault(t, "looking at "+ref.String(), err, fault.ImageArchived)
		}
		results, err := b.PullImages(ctx, root, repo, []registry.ImageID{{Tag: "older"}, {Tag: "young"}})
		if err != nil || results[1].Err != nil {
			t.Fatalf("PullImages: %v, %+v", err, results)
		}
		wantFault(t, "pulling in a batch", results[0].Err, fault.ImageArchived)

		names, _, err := b.TagNames(ctx, root, repo, "", 10)
		if err != nil || !slices.Equal(names, []string{"young"}) {
			t.Errorf("TagNames: %v, %v", names, err)
		}
		for filter, wanted := range map[registry.ImageFilter][]string{
			{}:                              {"young"},
			{Status: registry.OnlyArchived}: {"old", "older"},
			{Status: registry.AnyStatus}:    {"old", "older", "young"},
			{Status: registry.OnlyArchived, Tagged: registry.OnlyUntagged}: nil,
		} {
			page, err := b.ImageIDs(ctx, root, repo, filter, 10, "")
			var tags []string
			for _, id := range page.Items {
				tags = append(tags, id.Tag)
			}
			if err != nil || !slices.Equal(tags, wanted) {
				t.Errorf("ImageIDs(%+v): %v, %v, want %v", filter, tags, err, wanted)
			}
		}
		if got := b.images(registry.ImageFilter{}); len(got) != 1 || got[0].Digest != young.Digest {
			t.Errorf("Images lists %v, want the young one alone", got)
		}
		b.wantArchived("then", old.Digest)

		// Its own layer went with it; the shared one is the other's too.
		own, shared := oci.FromBytes([]byte("own")), oci.FromBytes([]byte("shared"))
		_, err = b.Layer(ctx, root, repo, own)
		wantFault(t, "reading its layer", err, fault.LayerInaccessible)
		_, err = b.ReferencedLayer(ctx, root, repo, own)
		wantFault(t, "linking to its layer", err, fault.LayerInaccessible)
		b.read(repo, shared)
		available, err := b.LayersAvailable(ctx, root, repo, []string{own.String(), shared.String()})
		if err != nil || !available[0].Layer.Archived || available[1].Layer.Archived {
			t.Errorf("LayersAvailable: %+v, %v", available, err)
		}
		if l, err := b.StatLayer(ctx, root, repo, own); err != nil || l.Size != 3 {
			t.Errorf("StatLayer: %+v, %v: a push of the image must find it", l, err)
		}

		b.now = b.now.Add(time.Hour)
		got = b.move(old.Digest, registry.Standard)
		if got.Archived || !got.ActivatedAt.Equal(b.now) || got.ArchivedAt.IsZero() {
			t.Errorf("the restored image is %+v", got)
		}
		if b.tagTarget("old") != old.Digest || string(b.manifestOf(old)) != string(raw) {
			t.Error("the restored image is not what it was")
		}
		b.read(repo, own)
		b.wantArchived("after restoring")
	})
}

func TestPushBringsBackAnArchivedImage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		child := b.manifest(repo, `{"name":"child"}`)
		b.push(repo, child)
		list := b.index(child)
		index := b.push(repo, list, "v1").Image
		b.move(index.Digest, registry.Archive)
		b.now = b.now.Add(time.Hour)
		p := b.push(repo, list, "v1")
		if !p.Known || p.Unchanged || p.Image.Archived || !p.Image.ActivatedAt.Equal(b.now) || !p.Image.PushedAt.Equal(index.PushedAt) {
			t.Errorf("pushing the archived index again did %+v", p)
		}
		b.wantArchived("after the push")
		if p := b.push(repo, list, "v1"); !p.Unchanged {
			t.Errorf("pushing it once more did %+v, want nothing", p)
		}

		// A new index needs its images active.
		b.move(index.Digest, registry.Archive)
		b.push(repo, b.json(map[string]any{
			"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "annotations": map[string]string{"a": "b"},
			"manifests": []oci.Descriptor{{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(child), Size: int64(len(child))}},
		}), "v2")
		b.wantArchived("after a new index of its image", index.Digest)

		// A tag that moves away from an archived image leaves it archived; its new image is active.
		other := b.pushNew("other", "v1")
		if b.tagTarget("v1") != other.Digest {
			t.Error("v1 did not move")
		}
		b.wantArchived("after its tag moved", index.Digest)
	})
}

func TestImmutableTagOfAnArchivedImageIsHeld(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		old := b.pushNew("old", "v1")
		b.move(old.Digest, registry.Archive)
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.Immutable, nil); err != nil {
			t.Fatal(err)
		}
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifest(repo, `{"name":"new"}`), Tags: []string{"v1"}})
		wantFault(t, "moving it", err, fault.TagImmutable)
	})
}

func TestImagesMoveWithTheirIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		one, two, named, both := b.manifest(repo, `{"n":1}`), b.manifest(repo, `{"n":2}`), b.manifest(repo, `{"n":3}`), b.manifest(repo, `{"n":4}`)
		images := map[string]oci.Digest{}
		for name, m := range map[string][]byte{"one": one, "two": two, "both": both} {
			images[name] = b.push(repo, m).Image.Digest
		}
		b.push(repo, named, "amd64")
		inner := b.index(two)
		b.push(repo, inner)
		outerRaw := b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": []oci.Descriptor{
			{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(one), Size: int64(len(one))},
			{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(named), Size: int64(len(named))},
			{MediaType: oci.MediaTypeOCIManifest, Digest: oci.FromBytes(both), Size: int64(len(both))},
			{MediaType: oci.MediaTypeOCIIndex, Digest: oci.FromBytes(inner), Size: int64(len(inner))},
		}})
		outer := b.push(repo, outerRaw, "v1").Image
		other := b.push(repo, b.index(both), "other").Image
		signature, signed := b.referrer(two, "signature", "sha256-"+oci.FromBytes(two).Hex()+".sig")
		countersignature, _ := b.referrer(signed, "countersignature")
		b.referrer(two, "chart", "chart-of-its-own")

		_, err := b.tryMove(images["two"], registry.Archive)
		wantFault(t, "archiving an image of an active index", err, fault.StorageClassRefused)
		b.wantArchived("after a refusal")

		b.move(outer.Digest, registry.Archive)
		wanted := []oci.Digest{images["one"], images["two"], oci.FromBytes(inner), outer.Digest, signature.Digest, countersignature.Digest}
		b.wantSame("archived with the index", wanted)
		b.move(other.Digest, registry.Archive)
		b.wantSame("archived with both indexes", append(wanted, other.Digest, images["both"]))

		b.move(images["one"], registry.Standard)
		b.move(outer.Digest, registry.Standard)
		b.wantArchived("after restoring one of two indexes", other.Digest)
		b.move(other.Digest, registry.Archive)
		b.wantArchived("after archiving what is archived, of which the other index needs the image", other.Digest)

		// Both in one call, the image first.
		b.move(other.Digest, registry.Standard)
		results, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{
			{Tag: "amd64"}, {Tag: "none"}, {Tag: "v1"}, {Tag: "other"},
		}, registry.Archive)
		if err != nil || results[0].Err != nil || results[2].Err != nil || results[3].Err != nil {
			t.Fatalf("archiving in one call: %+v, %v", results, err)
		}
		wantFault(t, "archiving what is not there", results[1].Err, fault.ImageNotFound)
		b.wantSame("archived in one call", append(wanted, other.Digest, images["both"], oci.FromBytes(named)))
		b.move(outer.Digest, registry.Standard)
		b.wantArchived("after restoring the outer index", other.Digest)
	})
}

// wantSame compares the set of archived images.
func (b *bench) wantSame(when string, wanted []oci.Digest) {
	b.t.Helper()
	byName := func(x, y oci.Digest) int { return slices.Compare([]byte(x), []byte(y)) }
	var got []oci.Digest
	for _, img := range b.images(registry.ImageFilter{Status: registry.OnlyArchived}) {
		got = append(got, img.Digest)
	}
	slices.SortFunc(got, byName)
	wanted = slices.Clone(wanted)
	slices.SortFunc(wanted, byName)
	if !slices.Equal(got, wanted) {
		b.t.Errorf("%s are %v, want %v", when, got, wanted)
	}
}

func TestReferrersOfAnyStatus(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		subject := b.manifest(repo, `{"name":"subject"}`)
		early, _ := b.referrer(subject, "early") // before its subject
		img := b.push(repo, subject, "v1").Image
		b.move(img.Digest, registry.Archive)
		late, _ := b.referrer(subject, "late")
		for _, c := range []struct {
			status registry.Status
			types  []string
			wanted []oci.Digest
		}{
			{registry.OnlyActive, nil, []oci.Digest{late.Digest}},
			{registry.OnlyArchived, nil, []oci.Digest{early.Digest}},
			{registry.AnyStatus, nil, []oci.Digest{early.Digest, late.Digest}},
			{registry.AnyStatus, []string{"application/x.early", "application/x.none"}, []oci.Digest{early.Digest}},
		} {
			page, err := b.Referrers(t.Context(), root, repo, img.Digest, registry.ReferrerFilter{ArtifactTypes: c.types, Status: c.status}, 0, "")
			var got []oci.Digest
			for _, r := range page.Items {
				got = append(got, r.Digest)
			}
			if err != nil || !slices.Equal(got, c.wanted) {
				t.Errorf("Referrers(%+v): %v, %v", c, got, err)
			}
		}
	})
}

func TestBadStorageClasses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		_, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{Tag: "a"}}, "GLACIER")
		wantFault(t, "a class that is none", err, fault.InvalidParameter)
		_, err = b.SetStorageClass(t.Context(), root, "none", nil, registry.Archive)
		wantFault(t, "a repository that is not there", err, fault.RepositoryNotFound)
		results, err := b.SetStorageClass(t.Context(), root, repo, []registry.ImageID{{}, {Digest: "x"}, {Tag: "-"}}, registry.Archive)
		if err != nil {
			t.Fatal(err)
		}
		for i, code := range []fault.Code{fault.ImageIDMissing, fault.DigestInvalid, fault.TagInvalid} {
			wantFault(t, fmt.Sprint("id ", i), results[i].Err, code)
		}
	})
}
