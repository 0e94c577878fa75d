package metadb_test

import (
	"context"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestLifecycleImages: all images of one repository in order of push, with what a policy looks at.
func TestLifecycleImages(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		child := addImage(t, db, r.ID, newImage("child"), registry.References{})
		addImage(t, db, other.ID, newImage("child"), registry.References{})
		list := newImage("index")
		list.MediaType = oci.MediaTypeOCIIndex
		index := addImage(t, db, r.ID, list, registry.References{Children: []oci.Digest{child.Digest, digest("elsewhere")}})
		signature := newImage("signature")
		signature.Subject, signature.ArtifactType = index.Digest, "application/vnd.dev.sigstore.bundle.v0.3+json"
		signature = addImage(t, db, r.ID, signature, registry.References{})
		setTag(t, db, r.ID, "v2", index.ID)
		setTag(t, db, r.ID, "latest", index.ID)
		pulled := noon().Add(time.Minute)
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			return tx.RecordPulls(ctx, map[int64]time.Time{child.ID: pulled})
		})
		image := func(img registry.Image) lifecycle.Image {
			return lifecycle.Image{ID: img.ID, Digest: img.Digest, Class: lifecycle.Standard, PushedAt: noon(), Subject: img.Subject}
		}
		all := []lifecycle.Image{image(child), image(index), image(signature)}
		all[0].PulledAt = pulled
		all[1].Kind, all[2].Kind = lifecycle.KindIndex, lifecycle.KindSignature
		all[1].Tags, all[1].Children = []string{"latest", "v2"}, []oci.Digest{child.Digest, digest("elsewhere")}
		if all[1].Children[0] > all[1].Children[1] {
			all[1].Children[0], all[1].Children[1] = all[1].Children[1], all[1].Children[0]
		}
		got, err := db.Lifecycle().Images(t.Context(), r.ID)
		want(t, "Images", got, err, all)
	})
}

// TestLifecycleClaimsAreExclusive: of many who ask at once, one gets each policy and each preview.
func TestLifecycleClaimsAreExclusive(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		rows, until := db.Lifecycle(), noon().Add(time.Minute)
		for _, name := range []string{"a", "b", "c"} {
			r := addRepository(t, db, name)
			update(t, db, func(ctx context.Context, tx registry.Tx) error {
				return tx.PutLifecyclePolicy(ctx, r.ID, "policy of "+name, noon())
			})
			if ok, err := rows.StartPreview(t.Context(), r.ID, "policy of "+name, noon()); !ok || err != nil {
				t.Fatalf("StartPreview: %v, %v", ok, err)
			}
		}
		for what, claim := range map[string]func(context.Context, time.Time, time.Time) (lifecycle.Claim, error){
			"policies": rows.ClaimPolicy, "previews": rows.ClaimPreview,
		} {
			got := make(chan string)
			for range 12 {
				go func() {
					c, err := claim(t.Context(), noon(), until)
					if err != nil {
						got <- ""
						return
					}
					got <- c.Repository
				}()
			}
			claimed := map[string]int{}
			for range 12 {
				claimed[<-got]++
			}
			delete(claimed, "")
			for {
				c, err := claim(t.Context(), noon(), until) // whoever found a row locked went away without one
				if err != nil {
					break
				}
				claimed[c.Repository]++
			}
			want(t, what, claimed, nil, map[string]int{"a": 1, "b": 1, "c": 1})
		}
	})
}

// TestStartPreviewOnce: of many who start one at once, one does.
func TestStartPreviewOnce(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r := addRepository(t, db, "app")
		started := make(chan bool)
		for range 8 {
			go func() {
				ok, err := db.Lifecycle().StartPreview(t.Context(), r.ID, "policy", noon())
				if err != nil {
					t.Errorf("StartPreview: %v", err)
				}
				started <- ok
			}()
		}
		n := 0
		for range 8 {
			if <-started {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%d of 8 started a preview, want one", n)
		}
	})
}
