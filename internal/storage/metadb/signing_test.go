package metadb_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/signing"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestClaimSigningTakesOneImage has many images with two profiles each: a claim takes both rows of one.
func TestClaimSigningTakesOneImage(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const images = 30
		now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		var repositoryID int64
		err := db.Update(t.Context(), func(tx registry.Tx) (err error) {
			if repositoryID, err = tx.InsertRepository(t.Context(), registry.Repository{Name: "a", CreatedAt: now, Mutability: registry.Mutable}); err != nil {
				return err
			}
			for i := range images {
				img := registry.Image{Digest: oci.FromBytes(fmt.Append(nil, i)), MediaType: "m", PushedAt: now, Manifest: []byte("{}"), ManifestSize: int64(i)}
				if _, err := tx.InsertImage(t.Context(), repositoryID, img, registry.References{}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		work := db.Signing()
		for i := range images {
			if err := work.PlanSigning(t.Context(), repositoryID, oci.FromBytes(fmt.Append(nil, i)), []string{"x", "y"}, now); err != nil {
				t.Fatal(err)
			}
		}
		got := map[oci.Digest]int{}
		for range images {
			task, found, err := work.ClaimSigning(t.Context(), now, now.Add(time.Minute))
			if err != nil || !found || task.Repository != "a" || task.MediaType != "m" || task.Digest != oci.FromBytes(fmt.Append(nil, task.ManifestSize)) {
				t.Fatalf("ClaimSigning: %+v, %v, %v", task, found, err)
			}
			got[task.Digest] += len(task.Pending)
		}
		want := map[oci.Digest]int{}
		for i := range images {
			want[oci.FromBytes(fmt.Append(nil, i))] = 2
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("rows claimed by image (-want +got):\n%s", diff)
		}
		if task, found, err := work.ClaimSigning(t.Context(), now, now.Add(time.Minute)); found || err != nil {
			t.Errorf("one more claim takes %+v, %v", task, err)
		}
	})
}

func TestSigningKeys(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		keys := db.Signing()
		if _, err := keys.SigningKey(t.Context(), "arn:1/x"); !errors.Is(err, signing.ErrNoKey) {
			t.Errorf("SigningKey of none: %v", err)
		}
		at := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
		first := signing.SealedKey{Profile: "arn:2/x", Name: "x", Sealed: []byte{0, 1}, CreatedAt: at}
		second := signing.SealedKey{Profile: "arn:1/x", Name: "x", Sealed: []byte{2}, CreatedAt: at}
		late := first
		late.Sealed = []byte("another replica's")
		for _, k := range []signing.SealedKey{first, second, late} {
			if err := keys.EnsureSigningKey(t.Context(), k); err != nil {
				t.Fatal(err)
			}
		}
		got, err := keys.SigningKey(t.Context(), first.Profile)
		if diff := cmp.Diff(first, got); diff != "" || err != nil {
			t.Errorf("SigningKey: %v (-want +got):\n%s", err, diff)
		}
		named, err := keys.SigningKeysNamed(t.Context(), "x")
		if diff := cmp.Diff([]signing.SealedKey{second, first}, named); diff != "" || err != nil {
			t.Errorf("SigningKeysNamed: %v (-want +got):\n%s", err, diff)
		}
	})
}
