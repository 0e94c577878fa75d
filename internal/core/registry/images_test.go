package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

func TestManifestsAreKeptByteForByte(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		raw := b.manifest(repo, `{}`, "one")
		odd := append(bytes.ReplaceAll(raw, []byte(`,`), []byte(" ,\n\t")), '\n')
		digest := b.push(repo, odd, "odd").Image.Digest
		if want := oci.FromBytes(odd); digest != want {
			t.Fatalf("digest %s, want the one of the bytes as sent, %s", digest, want)
		}
		img, err := b.Image(t.Context(), root, repo, oci.Reference{Digest: digest})
		if err != nil || !bytes.Equal(img.Manifest, odd) {
			t.Errorf("Image() = %q, %v, want the bytes as sent", img.Manifest, err)
		}
	})
}

func TestPushJudgesTagsAndContent(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		first := b.manifest(repo, `{"v":1}`, "one", "two")
		p := b.push(repo, first, "v1")
		if p.Known || p.Unchanged || p.Image.Size != int64(len(`{"v":1}`)+6) {
			t.Errorf("first push = %+v", p)
		}
		pushedAt := p.Image.PushedAt
		b.now = b.now.Add(time.Hour)
		if p = b.push(repo, first, "v1"); !p.Unchanged || !p.Image.PushedAt.Equal(pushedAt) {
			t.Errorf("pushing the same again = %+v, want unchanged, pushed at %v", p, pushedAt)
		}
		if p = b.push(repo, first, "v1", "also"); !p.Known || p.Unchanged || b.tagTarget("also") != b.tagTarget("v1") {
			t.Errorf("a new tag for a known image = %+v", p)
		}

		second := b.pushNew("second", "v1")
		if got := b.tagTarget("v1"); got != second.Digest {
			t.Errorf("v1 is %s after it moved, want %s", got, second.Digest)
		}

		missing := strings.Replace(string(first), oci.FromBytes([]byte("two")).String(), oci.FromBytes([]byte("absent")).String(), 1)
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: []byte(missing)})
		wantFault(t, "a manifest over a missing layer", err, fault.ReferencedLayersNotFound)

		lying := strings.Replace(string(first), `"size":3`, `"size":4`, 1)
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: []byte(lying)})
		wantFault(t, "a manifest that lies about a size", err, fault.ManifestInvalid)

		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: first, Digest: second.Digest})
		wantFault(t, "a manifest under another's digest", err, fault.DigestMismatch)

		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.index(first, []byte(missing))})
		wantFault(t, "an index over a missing image", err, fault.ReferencedImagesNotFound)

		lyingIndex := strings.Replace(string(b.index(first)), fmt.Sprintf(`"size":%d`, len(first)), `"size":1`, 1)
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: []byte(lyingIndex)})
		wantFault(t, "an index that lies about a size", err, fault.ManifestInvalid)

		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: "nobody/home", Manifest: first})
		wantFault(t, "a push to no repository", err, fault.RepositoryNotFound)
	})
}

func TestAnImageHasAThousandTags(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		raw := b.manifest(repo, `{}`)
		var tags []string
		for i := range 999 {
			tags = append(tags, fmt.Sprint("t", i))
		}
		b.push(repo, raw, tags...)
		b.push(repo, raw, "last")
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: raw, Tags: []string{"more"}})
		wantFault(t, "a tag more than the quota", err, fault.LimitExceeded)
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifest(repo, `{"other":1}`), Tags: append(tags, "more", "most")})
		wantFault(t, "more tags than the quota at once", err, fault.LimitExceeded)
		b.push(repo, raw, "last") // is there
		if _, err := b.StatImage(t.Context(), root, repo, oci.Reference{Tag: "more"}); !errors.Is(err, fault.ImageNotFound) {
			t.Errorf("the refused tag: %v", err)
		}
	})
}

func TestRetaggedImageComesWithItsManifest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		raw := b.manifest(repo, `{}`)
		b.push(repo, raw, "v1")
		if p := b.push(repo, raw, "v2"); string(p.Image.Manifest) != string(raw) {
			t.Errorf("pushing a known image gave the manifest %q", p.Image.Manifest)
		}
	})
}

func TestGuidesTagRule(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		if _, err := b.PutTagMutability(t.Context(), root, repo, registry.ImmutableWithExclusion, []string{"*-latest"}); err != nil {
			t.Fatal(err)
		}
		first := b.pushNew("first", "calc-a1b2c3d4", "calc-latest")
		second := b.pushNew("second", "calc-latest")
		if got := b.tagTarget("calc-latest"); got != second.Digest {
			t.Errorf("calc-latest is %s, want %s", got, second.Digest)
		}
		_, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifestOf(second), Tags: []string{"calc-new", "calc-a1b2c3d4"}})
		wantFault(t, "moving an immutable tag", err, fault.TagImmutable)
		want := "The image tag 'calc-a1b2c3d4' already exists in the 'hoopstat-haus/prod' repository and cannot be overwritten because the repository is immutable."
		if err == nil || err.Error() != want {
			t.Errorf("its words\n got %v\nwant %s", err, want)
		}
		if _, err := b.StatImage(t.Context(), root, repo, oci.Reference{Tag: "calc-new"}); !errors.Is(err, fault.ImageNotFound) {
			t.Errorf("calc-new was set by a push that failed: %v", err)
		}
		again, err := b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: b.manifestOf(first), Tags: []string{"calc-a1b2c3d4"}})
		if err != nil || !again.Unchanged {
			t.Errorf("pushing what an immutable tag points to = %+v, %v, want unchanged", again, err)
		}
	})
}

func TestDeletionByTagAndDigest(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "a", "b", "c")
		other := b.pushNew("other", "o")
		d := img.Digest.String()
		res, err := b.DeleteImages(t.Context(), root, repo, []registry.ImageID{
			{Tag: "a"},
			{Tag: "b", Digest: other.Digest.String()},
			{Tag: "nope"},
			{},
			{Digest: "sha256:xyz"},
			{Tag: "b", Digest: d},
		})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range res {
			got = append(got, fmt.Sprint(r.Gone, " ", code(r.Err)))
		}
		want := []string{
			fmt.Sprintf("[{a %s}] ", d),
			"[] tag does not match digest",
			"[] image not found",
			"[] image id missing",
			"[] digest invalid",
			fmt.Sprintf("[{b %s}] ", d),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("DeleteImages (-want +got):\n%s", diff)
		}
		if res, err = b.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Tag: "c"}}); err != nil || len(res[0].Gone) != 1 {
			t.Fatalf("deleting the last tag = %+v, %v", res, err)
		}
		_, err = b.StatImage(t.Context(), root, repo, oci.Reference{Digest: img.Digest})
		wantFault(t, "the image after its last tag was deleted", err, fault.ImageNotFound)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: "o"}); err != nil {
			t.Fatal(err)
		}
		left, err := b.DescribeImages(t.Context(), root, repo, []registry.ImageID{{Digest: other.Digest.String()}})
		if err != nil || len(left[0].Tags) != 0 {
			t.Errorf("after its tag alone was deleted the image is %+v, %v, want untagged", left, err)
		}
	})
}

func code(err error) fault.Code {
	f, _ := fault.Of(err)
	if f == nil {
		return ""
	}
	return f.Code
}

func TestIndexHoldsItsImages(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		amd, arm := b.manifest(repo, `{"os":"amd"}`, "amd"), b.manifest(repo, `{"os":"arm"}`, "arm and more")
		b.push(repo, amd)
		largest := b.push(repo, arm, "arm-tag").Image
		idx := b.push(repo, b.index(amd, arm), "multi").Image
		if idx.Size != largest.Size {
			t.Errorf("the index has size %d, want its largest image's, %d", idx.Size, largest.Size)
		}
		child := oci.FromBytes(amd)
		err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: child})
		wantFault(t, "deleting an index's image", err, fault.ImageReferenced)
		res, err := b.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Tag: "arm-tag"}})
		if err != nil || res[0].Err != nil {
			t.Fatalf("untagging an index's image = %+v, %v", res, err)
		}
		if _, err := b.StatImage(t.Context(), root, repo, oci.Reference{Digest: largest.Digest}); err != nil {
			t.Errorf("the index's image went with its last tag: %v", err)
		}
		// In one call the order does not matter.
		res, err = b.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Digest: child.String()}, {Digest: idx.Digest.String()}})
		if err != nil || res[0].Err != nil || res[1].Err != nil {
			t.Errorf("deleting an image and its index together = %+v, %v", res, err)
		}
	})
}

func TestListingsPage(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		var tagged, untagged []string
		for i := range 7 {
			tagged = append(tagged, fmt.Sprintf("t%d", i))
			b.pushNew(fmt.Sprint("tagged", i), tagged[i])
			untagged = append(untagged, b.pushNew(fmt.Sprint("untagged", i)).Digest.String())
		}
		var ids []string
		for token := ""; ; {
			page, err := b.ImageIDs(t.Context(), root, repo, registry.ImageFilter{}, 3, token)
			if err != nil {
				t.Fatal(err)
			}
			for _, id := range page.Items {
				if id.Tag != "" {
					ids = append(ids, id.Tag)
				} else {
					ids = append(ids, id.Digest)
				}
			}
			if token = page.Next; token == "" {
				break
			}
		}
		if diff := cmp.Diff(append(slices.Clone(tagged), untagged...), ids); diff != "" {
			t.Errorf("ImageIDs in pages of 3 (-want +got):\n%s", diff)
		}
		n := 0
		for token := ""; ; {
			page, err := b.Images(t.Context(), root, repo, registry.ImageFilter{Tagged: registry.OnlyUntagged}, 2, token)
			if err != nil {
				t.Fatal(err)
			}
			n += len(page.Items)
			if token = page.Next; token == "" {
				break
			}
			_, err = b.Images(t.Context(), root, repo, registry.ImageFilter{Tagged: registry.OnlyTagged}, 2, token)
			wantFault(t, "a token of another listing", err, fault.PageTokenInvalid)
		}
		if n != len(untagged) {
			t.Errorf("Images lists %d untagged, want %d", n, len(untagged))
		}
		names, more, err := b.TagNames(t.Context(), root, repo, "t2", 3)
		if err != nil || !more || !slices.Equal(names, []string{"t3", "t4", "t5"}) {
			t.Errorf("TagNames after t2 = %v, %v, %v", names, more, err)
		}
	})
}

func TestTagHistoryOutlivesEverything(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		first := b.pushNew("first", "app-latest")
		b.now = b.now.Add(time.Minute)
		second := b.pushNew("second", "app-latest")
		b.now = b.now.Add(time.Minute)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: "app-latest"}); err != nil {
			t.Fatal(err)
		}
		b.now = b.now.Add(time.Minute)
		b.pushNew("third", "app-latest")
		b.now = b.now.Add(time.Minute)
		if _, err := b.DeleteRepository(t.Context(), root, repo, true); err != nil {
			t.Fatal(err)
		}
		page, err := b.TagHistory(t.Context(), root, repo, "app-latest", 0, "")
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Items) != 5 {
			t.Fatalf("TagHistory has %d entries, want 5: %+v", len(page.Items), page.Items)
		}
		moved := page.Items[3]
		if moved.From != first.Digest || moved.To != second.Digest || moved.Actor != root.ARN || !moved.At.Equal(b.now.Add(-3*time.Minute)) {
			t.Errorf("the move is recorded as %+v", moved)
		}
		if gone := page.Items[0]; gone.To != "" || gone.From == "" {
			t.Errorf("the repository's deletion is recorded as %+v", gone)
		}
	})
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		subject := oci.FromBytes([]byte("a subject that may come later"))
		for _, kind := range []string{"application/x.sbom", "application/x.signature"} {
			c := b.layer(repo, "{}")
			b.push(repo, b.json(map[string]any{
				"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": kind, "config": c, "layers": []any{},
				"subject":     oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: subject, Size: 5},
				"annotations": map[string]string{"k": kind},
			}))
		}
		all, err := b.Referrers(t.Context(), root, repo, subject, registry.ReferrerFilter{}, 0, "")
		if err != nil || len(all.Items) != 2 {
			t.Fatalf("Referrers = %+v, %v, want 2", all, err)
		}
		one, err := b.Referrers(t.Context(), root, repo, subject, registry.ReferrerFilter{ArtifactTypes: []string{"application/x.sbom"}}, 0, "")
		if err != nil || len(one.Items) != 1 || one.Items[0].Annotations["k"] != "application/x.sbom" {
			t.Errorf("Referrers of one type = %+v, %v", one, err)
		}
	})
}

func TestPullTimes(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		img := b.pushNew("img", "a")
		ref := oci.Reference{Tag: "a"}
		if _, err := b.StatImage(t.Context(), root, repo, ref); err != nil {
			t.Fatal(err)
		}
		pulled := func() time.Time {
			if err := b.FlushPulls(t.Context()); err != nil {
				t.Fatal(err)
			}
			got, err := b.DescribeImages(t.Context(), root, repo, []registry.ImageID{{Digest: img.Digest.String()}})
			if err != nil {
				t.Fatal(err)
			}
			return got[0].LastPulledAt
		}
		if at := pulled(); !at.IsZero() {
			t.Errorf("after a HEAD alone the image was pulled at %v", at)
		}
		if _, err := b.Image(t.Context(), root, repo, ref); err != nil {
			t.Fatal(err)
		}
		if at := pulled(); !at.Equal(b.now) {
			t.Errorf("pulled at %v, want %v", at, b.now)
		}
	})
}

// BuildKit's older cache format is an index over layers and a configuration, none of which is an image.
func TestCacheIndex(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		layer, config := b.layer(repo, "cached layer"), b.layer(repo, `{"layers":[]}`)
		config.MediaType = "application/vnd.buildkit.cacheconfig.v0"
		cache := func(ds ...oci.Descriptor) []byte {
			return b.json(map[string]any{"schemaVersion": 2, "mediaType": oci.MediaTypeOCIIndex, "manifests": ds})
		}
		img := b.push(repo, cache(layer, config), "cache").Image
		if want := layer.Size + config.Size; img.Size != want {
			t.Errorf("the cache has size %d, want %d", img.Size, want)
		}
		err := b.DeleteLayer(t.Context(), root, repo, layer.Digest)
		wantFault(t, "deleting a layer of the cache", err, fault.LayerInUse)
		layer.Digest = oci.FromBytes([]byte("never pushed"))
		_, err = b.PutImage(t.Context(), root, registry.Push{Repository: repo, Manifest: cache(layer, config)})
		wantFault(t, "a cache over a missing layer", err, fault.ReferencedLayersNotFound)
	})
}
