package metadb_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestImageComesBackAsStored(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		full := newImage("full")
		full.Subject, full.LastPulledAt = digest("subject"), noon().Add(time.Second)
		full.Annotations = map[string]string{"org.opencontainers.image.title": "<a> & \"b\"", "nul": "\x00", "é": "☀"}
		full.Manifest = []byte("bytes \x00\xff that are no text")
		full = addImage(t, db, r.ID, full, registry.References{})
		addImage(t, db, other.ID, full, registry.References{}) // the same digest elsewhere is another image
		for _, tag := range []string{"b", "a", "B", "a.b", "a-b"} {
			setTag(t, db, r.ID, tag, full.ID)
		}
		full.Tags = []string{"B", "a", "a-b", "a.b", "b"}

		listed := full
		listed.Manifest, listed.Annotations = nil, nil
		got, err := db.Read().ImageByDigest(t.Context(), r.ID, full.Digest)
		want(t, "ImageByDigest", got, err, listed)
		got, err = db.Read().ImageByTag(t.Context(), r.ID, "a.b")
		want(t, "ImageByTag", got, err, listed)
		got, err = db.Read().ManifestIn(t.Context(), "app", oci.Reference{Digest: full.Digest})
		if err != nil || !bytes.Equal(got.Manifest, full.Manifest) {
			t.Errorf("ManifestIn: %q, %v, want %q", got.Manifest, err, full.Manifest)
		}
		images, err := db.Read().Images(t.Context(), r.ID, registry.ImageQuery{Limit: 10})
		want(t, "Images", images, err, []registry.Image{listed})
		listed.Annotations = full.Annotations
		images, _, err = db.Read().Referrers(t.Context(), r.ID, digest("subject"), registry.ReferrerQuery{Limit: 10})
		want(t, "Referrers", images, err, []registry.Image{listed})
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			got, err := tx.ImageByTag(ctx, r.ID, "B")
			want(t, "ImageByTag in Update", got, err, withoutManifest(full))
			return nil
		})

		bare := registry.Image{Digest: digest("bare"), MediaType: oci.MediaTypeOCIIndex, PushedAt: noon(), Manifest: []byte("{}")}
		bare = addImage(t, db, r.ID, bare, registry.References{})
		got, err = db.Read().ImageByDigest(t.Context(), r.ID, bare.Digest)
		want(t, "ImageByDigest of a bare image", got, err, withoutManifest(bare))
	})
}

func TestImageThatIsNotThere(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		img := addImage(t, db, other.ID, newImage("elsewhere"), registry.References{})
		setTag(t, db, other.ID, "elsewhere", img.ID)
		if _, err := db.Read().ImageByDigest(t.Context(), r.ID, img.Digest); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("ImageByDigest of another repository's image: %v, want ErrNoRow", err)
		}
		if _, err := db.Read().ImageByTag(t.Context(), r.ID, "elsewhere"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("ImageByTag of another repository's tag: %v, want ErrNoRow", err)
		}
	})
}

func TestImageIsInsertedOnce(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		addImage(t, db, r.ID, newImage("one"), registry.References{})
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if _, err := tx.InsertImage(ctx, r.ID, newImage("one"), registry.References{}); !errors.Is(err, registry.ErrConflict) {
				t.Errorf("InsertImage of a digest that is there: %v, want ErrConflict", err)
			}
			return nil
		})
		err := db.Update(t.Context(), func(tx registry.Tx) error {
			_, err := tx.InsertImage(t.Context(), 4711, newImage("two"), registry.References{})
			return err
		})
		if !errors.Is(err, registry.ErrConflict) {
			t.Errorf("InsertImage into a repository that is gone: %v, want ErrConflict", err)
		}
	})
}

func TestImagesArePagedInOrderOfPush(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		var all, tagged, untagged []int64
		for i := range 30 {
			img := addImage(t, db, r.ID, newImage(fmt.Sprint(i)), registry.References{})
			all = append(all, img.ID)
			if i%3 != 0 {
				untagged = append(untagged, img.ID)
				continue
			}
			tagged = append(tagged, img.ID)
			for n := range 1 + i/10 { // some with several tags
				setTag(t, db, r.ID, fmt.Sprintf("t%d-%d", i, n), img.ID)
			}
		}
		for status, wanted := range map[registry.TagStatus][]int64{
			registry.AnyTagStatus: all, registry.OnlyTagged: tagged, registry.OnlyUntagged: untagged,
		} {
			var got []int64
			for after := int64(0); ; {
				page, err := db.Read().Images(t.Context(), r.ID, registry.ImageQuery{Tagged: status, AfterID: after, Limit: 4})
				if err != nil || len(page) > 4 {
					t.Fatalf("Images(%d after %d): %d rows, %v", status, after, len(page), err)
				}
				if len(page) == 0 {
					break
				}
				for _, img := range page {
					got = append(got, img.ID)
					if (len(img.Tags) > 0) != slices.Contains(tagged, img.ID) {
						t.Errorf("Images(%d) gave image %d the tags %v", status, img.ID, img.Tags)
					}
				}
				after = page[len(page)-1].ID
			}
			want(t, fmt.Sprintf("Images(%d) in pages", status), got, nil, wanted)
		}
	})
}

func TestPagesSurviveChanges(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		var ids []int64
		for i := range 12 {
			img := addImage(t, db, r.ID, newImage(fmt.Sprint(i)), registry.References{})
			ids = append(ids, img.ID)
			setTag(t, db, r.ID, fmt.Sprintf("t%02d", i), img.ID)
		}
		remove := func(id int64) {
			update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.DeleteImage(ctx, id) })
		}
		first, err := db.Read().Images(t.Context(), r.ID, registry.ImageQuery{Limit: 4})
		if err != nil {
			t.Fatal(err)
		}
		names, err := db.Read().TagNames(t.Context(), r.ID, "", 4)
		want(t, "TagNames", names, err, []string{"t00", "t01", "t02", "t03"})
		remove(ids[3])  // where the listing stands
		remove(ids[6])  // to come
		remove(ids[11]) // the newest: its id must not be given again
		added := addImage(t, db, r.ID, newImage("added"), registry.References{})
		setTag(t, db, r.ID, "t02a", added.ID) // before the place, so not seen
		rest, err := db.Read().Images(t.Context(), r.ID, registry.ImageQuery{AfterID: first[3].ID, Limit: 100})
		if err != nil {
			t.Fatal(err)
		}
		var got []int64
		for _, img := range rest {
			got = append(got, img.ID)
		}
		want(t, "the rest of Images", got, nil, append(slices.Concat(ids[4:6], ids[7:11]), added.ID))
		if added.ID <= ids[11] {
			t.Errorf("a new image has id %d, not above %d, which was deleted", added.ID, ids[11])
		}
		names, err = db.Read().TagNames(t.Context(), r.ID, "t03", 100)
		want(t, "the rest of TagNames", names, err, []string{"t04", "t05", "t07", "t08", "t09", "t10"})
	})
}

// A look-up by the repository's name says what the look-ups by id say, but for what it leaves out.
func TestLookUps(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		addRepository(t, db, "other")
		whole := newImage("a")
		whole.Annotations = map[string]string{"k": "v"}
		whole = addImage(t, db, r.ID, whole, registry.References{})
		setTag(t, db, r.ID, "one", whole.ID)
		setTag(t, db, r.ID, "two", whole.ID)
		withManifest := whole
		withManifest.Annotations = nil
		alone := withManifest
		alone.Manifest = nil
		for _, ref := range []oci.Reference{{Tag: "two"}, {Digest: whole.Digest}} {
			got, err := db.Read().ImageIn(t.Context(), "app", ref)
			want(t, "ImageIn "+ref.String(), got, err, alone)
			got, err = db.Read().ManifestIn(t.Context(), "app", ref)
			want(t, "ManifestIn "+ref.String(), got, err, withManifest)
			for _, elsewhere := range []string{"other", "nowhere"} {
				_, err1 := db.Read().ImageIn(t.Context(), elsewhere, ref)
				_, err2 := db.Read().ManifestIn(t.Context(), elsewhere, ref)
				if !errors.Is(err1, registry.ErrNoRow) || !errors.Is(err2, registry.ErrNoRow) {
					t.Errorf("%s in %s: %v and %v, want ErrNoRow", ref, elsewhere, err1, err2)
				}
			}
		}
		ask := []oci.Digest{whole.Digest, whole.Digest}
		for i := range 500 {
			ask = append(ask, digest(fmt.Sprint(i)))
		}
		some, err := db.Read().ImagesByDigest(t.Context(), r.ID, ask)
		want(t, "ImagesByDigest", some, err, []registry.Image{alone})
		l := newLayer("layer")
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			_, _, err := tx.LinkLayer(ctx, r.ID, l)
			return err
		})
		got, err := db.Read().LayerIn(t.Context(), "app", l.Digest)
		want(t, "LayerIn", got, err, l)
		if _, err := db.Read().LayerIn(t.Context(), "other", l.Digest); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("LayerIn of another repository: %v, want ErrNoRow", err)
		}
	})
}

func TestReferences(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		layers := []oci.Digest{digest("config"), digest("layer"), digest("layer")} // a manifest may name one twice
		child := addImage(t, db, r.ID, newImage("child"), registry.References{Blobs: layers})
		one := addImage(t, db, r.ID, newImage("index one"), registry.References{Children: []oci.Digest{child.Digest, child.Digest}})
		two := addImage(t, db, r.ID, newImage("index two"), registry.References{Children: []oci.Digest{child.Digest, one.Digest}})
		addImage(t, db, other.ID, newImage("index three"), registry.References{Children: []oci.Digest{child.Digest}})

		parents := []oci.Digest{one.Digest, two.Digest}
		slices.Sort(parents)
		got, err := db.Read().IndexesOf(t.Context(), r.ID, child.Digest)
		want(t, "IndexesOf", got, err, parents)
		got, err = db.Read().IndexesOf(t.Context(), r.ID, two.Digest)
		want(t, "IndexesOf what nothing refers to", got, err, nil)
		for d, wanted := range map[oci.Digest]bool{digest("config"): true, digest("layer"): true, digest("other"): false} {
			used, err := db.Read().LayerInUse(t.Context(), r.ID, d)
			want(t, "LayerInUse", used, err, wanted)
		}
		used, err := db.Read().LayerInUse(t.Context(), other.ID, digest("layer"))
		want(t, "LayerInUse elsewhere", used, err, false)

		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if err := tx.DeleteImage(ctx, child.ID); err != nil {
				return err
			}
			return tx.DeleteImage(ctx, one.ID)
		})
		used, err = db.Read().LayerInUse(t.Context(), r.ID, digest("layer"))
		want(t, "LayerInUse after DeleteImage", used, err, false)
		got, err = db.Read().IndexesOf(t.Context(), r.ID, child.Digest)
		want(t, "IndexesOf after DeleteImage", got, err, []oci.Digest{two.Digest})
	})
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		subject := digest("subject")
		var ids []int64
		for i, kind := range []string{"sbom", "signature", "sbom", "sbom"} {
			img := newImage(fmt.Sprint(i))
			img.Subject, img.ArtifactType = subject, kind
			ids = append(ids, addImage(t, db, r.ID, img, registry.References{}).ID)
			addImage(t, db, other.ID, img, registry.References{})
		}
		addImage(t, db, r.ID, newImage("without subject"), registry.References{})
		for _, c := range []struct {
			kinds  []string
			after  int64
			limit  int
			wanted []int64
			more   bool
		}{
			{nil, 0, 10, ids, false},
			{nil, 0, 4, ids, false},
			{nil, ids[0], 2, ids[1:3], true},
			{[]string{"sbom"}, 0, 10, []int64{ids[0], ids[2], ids[3]}, false},
			{[]string{"sbom"}, ids[0], 1, []int64{ids[2]}, true},
			{[]string{"sbom", "signature"}, ids[0], 2, ids[1:3], true},
			{[]string{"attestation"}, 0, 10, nil, false},
		} {
			images, more, err := db.Read().Referrers(t.Context(), r.ID, subject, registry.ReferrerQuery{ArtifactTypes: c.kinds, AfterID: c.after, Limit: c.limit})
			var got []int64
			for _, img := range images {
				got = append(got, img.ID)
			}
			want(t, fmt.Sprintf("Referrers(%q, after %d, limit %d)", c.kinds, c.after, c.limit), got, err, c.wanted)
			want(t, "whether there are more", more, err, c.more)
		}
	})
}

// A list is cut where its annotations would be too many, but never to nothing.
func TestReferrersWithLargeAnnotations(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		for i, size := range []int{registry.MaxAnnotations / 2, registry.MaxAnnotations / 4, registry.MaxAnnotations, 1} {
			img := newImage(fmt.Sprint(i))
			img.Subject, img.Annotations = digest("subject"), map[string]string{"k": strings.Repeat("v", size)}
			addImage(t, db, r.ID, img, registry.References{})
		}
		var pages []int
		for after, more := int64(0), true; more; {
			images, next, err := db.Read().Referrers(t.Context(), r.ID, digest("subject"), registry.ReferrerQuery{AfterID: after, Limit: 10})
			if err != nil {
				t.Fatal(err)
			}
			pages, more, after = append(pages, len(images)), next, images[len(images)-1].ID
		}
		if !slices.Equal(pages, []int{2, 1, 1}) {
			t.Errorf("the pages have %v images, want 2, 1, 1", pages)
		}
	})
}

func TestDeleteImageTakesItsTags(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		a := addImage(t, db, r.ID, newImage("a"), registry.References{})
		b := addImage(t, db, r.ID, newImage("b"), registry.References{})
		setTag(t, db, r.ID, "a1", a.ID)
		setTag(t, db, r.ID, "a2", a.ID)
		setTag(t, db, r.ID, "b1", b.ID)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return errors.Join(tx.DeleteImage(ctx, a.ID), tx.DeleteImage(ctx, 4711))
		})
		if _, err := db.Read().ImageByDigest(t.Context(), r.ID, a.Digest); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("ImageByDigest after DeleteImage: %v, want ErrNoRow", err)
		}
		names, err := db.Read().TagNames(t.Context(), r.ID, "", 10)
		want(t, "TagNames after DeleteImage", names, err, []string{"b1"})
		// The same manifest may come again.
		again := addImage(t, db, r.ID, newImage("a"), registry.References{})
		got, err := db.Read().ImageByDigest(t.Context(), r.ID, a.Digest)
		want(t, "ImageByDigest of the image pushed again", got, err, withoutManifest(again))
	})
}

func TestPullTimesOnlyMoveForward(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		a := addImage(t, db, r.ID, newImage("a"), registry.References{})
		b := addImage(t, db, r.ID, newImage("b"), registry.References{})
		record := func(pulls map[int64]time.Time) {
			update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.RecordPulls(ctx, pulls) })
		}
		pulled := func(d oci.Digest) time.Time {
			img, err := db.Read().ImageByDigest(t.Context(), r.ID, d)
			if err != nil {
				t.Fatal(err)
			}
			return img.LastPulledAt
		}
		record(nil)
		many := map[int64]time.Time{a.ID: noon()}
		for id := range int64(2500) { // images that are gone
			many[1_000_000+id] = noon()
		}
		record(many)
		want(t, "LastPulledAt", pulled(a.Digest), nil, noon())
		want(t, "LastPulledAt of what nobody pulled", pulled(b.Digest), nil, time.Time{})
		record(map[int64]time.Time{a.ID: noon().Add(-time.Microsecond), b.ID: noon()})
		want(t, "LastPulledAt after an older pull", pulled(a.Digest), nil, noon())
		want(t, "LastPulledAt of the other", pulled(b.Digest), nil, noon())
		record(map[int64]time.Time{a.ID: noon().Add(time.Microsecond)})
		want(t, "LastPulledAt after a newer pull", pulled(a.Digest), nil, noon().Add(time.Microsecond))
	})
}

func TestHasImages(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		has, err := db.Read().HasImages(t.Context(), r.ID)
		want(t, "HasImages", has, err, false)
		addImage(t, db, r.ID, newImage("a"), registry.References{})
		has, err = db.Read().HasImages(t.Context(), r.ID)
		want(t, "HasImages", has, err, true)
	})
}

func TestLargeManifest(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		img := newImage("large")
		img.Manifest = []byte(strings.Repeat("m", oci.MaxManifestBytes))
		img = addImage(t, db, r.ID, img, registry.References{})
		got, err := db.Read().ManifestIn(t.Context(), "app", oci.Reference{Digest: img.Digest})
		if err != nil || !bytes.Equal(got.Manifest, img.Manifest) {
			t.Errorf("ManifestIn: a manifest of %d bytes, %v; want the %d bytes that were stored", len(got.Manifest), err, len(img.Manifest))
		}
	})
}
