package registry_test

import (
	"slices"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// wantImages compares the digests of all images with those wanted, in order of push.
func (b *bench) wantImages(when string, wanted ...oci.Digest) {
	b.t.Helper()
	var got []oci.Digest
	for _, img := range b.images(registry.ImageFilter{Status: registry.AnyStatus}) {
		got = append(got, img.Digest)
	}
	if !slices.Equal(got, wanted) {
		b.t.Errorf("%s, the images are %v, want %v", when, got, wanted)
	}
}

func TestReferrersGoWithTheirSubject(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b := newBench(t, db)
		subject := b.manifest(repo, `{"name":"subject"}`)
		early, _ := b.referrer(subject, "early")
		img := b.push(repo, subject, "v1").Image
		signature, signed := b.referrer(subject, "signature", "sha256-"+img.Digest.Hex()+".sig")
		deep, _ := b.referrer(signed, "deep")
		named, _ := b.referrer(subject, "chart", "chart-1.0")
		listed, listedRaw := b.referrer(subject, "listed")
		list := b.push(repo, b.index(listedRaw), "list").Image
		b.move(early.Digest, registry.Archive)

		b.now = b.now.Add(time.Hour)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: "v1"}); err != nil {
			t.Fatalf("deleting the tag: %v", err)
		}
		b.wantImages("after the tag alone", early.Digest, img.Digest, signature.Digest, deep.Digest, named.Digest, listed.Digest, list.Digest)
		if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Digest: img.Digest}); err != nil {
			t.Fatalf("deleting the subject: %v", err)
		}
		b.wantImages("after the subject", named.Digest, listed.Digest, list.Digest)
		history, err := b.TagHistory(t.Context(), root, repo, "sha256-"+img.Digest.Hex()+".sig", 10, "")
		if err != nil || len(history.Items) != 2 || history.Items[0].To != "" || history.Items[0].From != signature.Digest {
			t.Errorf("the signature's tag has the history %+v, %v", history.Items, err)
		}
		if got, wanted := deletedIn(t, db, b.now), []oci.Digest{img.Digest, early.Digest, signature.Digest, deep.Digest}; !slices.Equal(got, wanted) {
			t.Errorf("events tell that %v were deleted, want %v", got, wanted)
		}
	})
}

func deletedIn(t *testing.T, db *metadb.DB, now time.Time) (ds []oci.Digest) {
	t.Helper()
	events, err := db.Outbox().Claim(t.Context(), now.Add(time.Hour), now.Add(2*time.Hour), 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		if e.Kind == event.ImageDeleted {
			ds = append(ds, e.Digest)
		}
	}
	return ds
}

// TestReferrersInTheirSubjectsBatch deletes both in one call, as scripts that list everything do.
func TestReferrersInTheirSubjectsBatch(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		subject := b.manifest(repo, `{"name":"subject"}`)
		img := b.push(repo, subject, "v1").Image
		filed := "sha256-" + img.Digest.Hex()
		signature, _ := b.referrer(subject, "signature", filed)
		plain, _ := b.referrer(subject, "plain")
		ids := []registry.ImageID{{Digest: img.Digest.String()}, {Tag: filed}, {Digest: signature.Digest.String()}, {Digest: plain.Digest.String()}, {Tag: "none"}}
		results, err := b.DeleteImages(t.Context(), root, repo, ids)
		if err != nil {
			t.Fatal(err)
		}
		for i, wanted := range [][]registry.ImageID{
			{{Tag: "v1", Digest: img.Digest.String()}},
			{{Tag: filed, Digest: signature.Digest.String()}},
			{{Tag: filed, Digest: signature.Digest.String()}},
			{{Digest: plain.Digest.String()}},
		} {
			if results[i].Err != nil || !slices.Equal(results[i].Gone, wanted) {
				t.Errorf("deleting %v: %+v, want %v gone", ids[i], results[i], wanted)
			}
		}
		wantFault(t, "deleting what never was", results[4].Err, fault.ImageNotFound)
		b.wantImages("afterwards")
	})
}

func TestEventsOfTheArchive(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		t.Helper()
		b := newBench(t, db)
		raw := b.manifest(repo, `{}`)
		img := b.push(repo, raw, "v1").Image
		b.referrer(raw, "sbom")
		b.move(img.Digest, registry.Archive)
		b.move(img.Digest, registry.Archive) // nothing happens
		b.push(repo, raw, "v1")
		b.push(repo, raw, "v1") // nothing happens
		events, err := db.Outbox().Claim(t.Context(), b.now.Add(time.Hour), b.now.Add(2*time.Hour), 100)
		if err != nil {
			t.Fatal(err)
		}
		var kinds []event.Kind
		for _, e := range events {
			kinds = append(kinds, e.Kind)
			if (e.Kind == event.ImageArchived || e.Kind == event.ImageRestored) && e.Digest == img.Digest && !slices.Equal(e.Tags, []string{"v1"}) {
				t.Errorf("%s has the tags %v", e.Kind, e.Tags)
			}
		}
		wanted := []event.Kind{
			event.RepositoryCreated, event.ImagePushed, event.ImagePushed, event.ImageArchived, event.ImageArchived, event.ImageRestored, event.ImageRestored,
		}
		if !slices.Equal(kinds, wanted) {
			t.Errorf("the events are %v, want %v", kinds, wanted)
		}
	})
}
