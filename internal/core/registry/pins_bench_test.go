package registry_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/deployment"
	"github.com/hoopstat-haus/berth/internal/core/fault"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// busy is a repository of so many tagged images, in which 50 applications were each deployed six times to three environments.
func busy(b *testing.B, images int) (r *registry.Registry, running, plain []oci.Digest) {
	b.Helper()
	db := metadbtest.New(b)
	blobs, err := diskblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	r = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: time.Now, PinnedDeployments: 5})
	repository, err := r.CreateRepository(b.Context(), root, registry.NewRepository{Name: repo})
	if err != nil {
		b.Fatal(err)
	}
	for from := 0; from < images; from += 1000 {
		err := db.Update(b.Context(), func(tx registry.Tx) error {
			for n := from; n < min(images, from+1000); n++ {
				img := registry.Image{MediaType: oci.MediaTypeOCIManifest, ManifestSize: 10, PushedAt: time.Now(), Manifest: fmt.Append(nil, n)}
				img.Digest = oci.FromBytes(img.Manifest)
				id, err := tx.InsertImage(b.Context(), repository.ID, img, registry.References{})
				if err == nil {
					err = tx.SetTag(b.Context(), repository.ID, fmt.Sprintf("app-%06d", n), id, time.Now())
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	const apps, deployments = 50, 6
	for n := range apps * deployments {
		running = append(running, oci.FromBytes(fmt.Append(nil, n)))
	}
	for n := apps * deployments; n < images; n++ {
		plain = append(plain, oci.FromBytes(fmt.Append(nil, n)))
	}
	for _, environment := range []string{"dev", "staging", "prod"} {
		for app := range apps {
			history(b, db, repository, environment, fmt.Sprint("app-", app), running[app*deployments:(app+1)*deployments])
		}
	}
	return r, running, plain
}

// history records that each image was deployed, in turn, with a start and a success.
func history(b *testing.B, db *metadb.DB, repository registry.Repository, environment, app string, images []oci.Digest) {
	b.Helper()
	err := db.Update(b.Context(), func(tx registry.Tx) error { return record(b.Context(), tx, repository, environment, app, images) })
	if err != nil {
		b.Fatal(err)
	}
}

func record(ctx context.Context, tx registry.Tx, repository registry.Repository, environment, app string, images []oci.Digest) error {
	var previous oci.Digest
	for i, d := range images {
		for _, outcome := range []deployment.Outcome{deployment.Started, deployment.Succeeded} {
			r := deployment.Record{
				ID: fmt.Sprint("deployment-", i), App: app, Environment: environment, Image: oci.Descriptor{MediaType: oci.MediaTypeOCIManifest, Digest: d, Size: 10},
				Action: deployment.Deploy, Outcome: outcome, Actor: "ada", At: time.Date(2026, 11, 24, 10, 0, i, 0, time.UTC), Previous: previous,
			}
			raw, err := r.Manifest()
			if err != nil {
				return err
			}
			previous = oci.FromBytes(raw)
			id, err := tx.InsertImage(ctx, repository.ID, registry.Image{
				Digest: previous, MediaType: oci.MediaTypeOCIManifest, ArtifactType: deployment.ArtifactType, Subject: d, Annotations: r.Annotations(), Manifest: raw, PushedAt: time.Now(),
			}, registry.References{})
			if err == nil {
				err = tx.SetTag(ctx, repository.ID, r.Tag(), id, time.Now())
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// BenchmarkDeleteBesidesDeployments deletes images in a repository of 100,000 tags with 150 deploy tags, one in each call: some that were
// never deployed, and one that runs, which is refused.
func BenchmarkDeleteBesidesDeployments(b *testing.B) {
	r, running, plain := busy(b, 100_000)
	b.Run("never deployed", func(b *testing.B) {
		for b.Loop() {
			if len(plain) == 0 {
				b.Fatal("there are no more images")
			}
			results, err := r.DeleteImages(b.Context(), root, repo, []registry.ImageID{{Digest: plain[0].String()}})
			if err != nil || results[0].Err != nil {
				b.Fatal(err, results)
			}
			plain = plain[1:]
		}
	})
	b.Run("running", func(b *testing.B) {
		for b.Loop() {
			results, err := r.DeleteImages(b.Context(), root, repo, []registry.ImageID{{Digest: running[5].String()}})
			if f, ok := fault.Of(results[0].Err); err != nil || !ok || f.Code != fault.ImagePinned {
				b.Fatal(err, results)
			}
		}
	})
	b.Run("pins", func(b *testing.B) {
		for b.Loop() {
			if pins, err := r.Pinned(b.Context(), root, repo); err != nil || len(pins) == 0 {
				b.Fatal(err, pins)
			}
		}
	})
}
