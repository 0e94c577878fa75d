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
)

// fail adds that many failed deployments of an image to the deployer's history, past the face, and leaves the tag at the last.
func (d *deployer) fail(img registry.Image, times int) {
	d.b.t.Helper()
	repository, err := d.b.Repository(d.b.t.Context(), root, d.repo)
	if err != nil {
		d.b.t.Fatal(err)
	}
	before := *d
	err = d.b.db.Update(d.b.t.Context(), func(tx registry.Tx) error {
		*d = before
		var id int64
		for range times {
			r := d.next(img, deployment.Failed)
			d.deployments++
			d.last = r
			raw := d.bytes(r)
			if id, err = tx.InsertImage(d.b.t.Context(), repository.ID, registry.Image{
				Digest: oci.FromBytes(raw), MediaType: oci.MediaTypeOCIManifest, ArtifactType: deployment.ArtifactType, Subject: img.Digest,
				Annotations: r.Annotations(), Manifest: raw, ManifestSize: int64(len(raw)), PushedAt: d.b.now,
			}, registry.References{}); err != nil {
				return err
			}
		}
		return tx.SetTag(d.b.t.Context(), repository.ID, d.tag, id, d.b.now)
	})
	if err != nil {
		d.b.t.Fatal(err)
	}
}

// TestFailuresPushNothingOut: a deployer that tries for days, in vain, does not unpin what runs.
func TestFailuresPushNothingOut(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		runs, ran, bad := b.pushNew("runs", "runs"), b.pushNew("ran", "ran"), b.pushNew("bad", "bad")
		web := b.deployer("prod", "web")
		web.record(ran, deployment.Succeeded)
		web.record(runs, deployment.Succeeded)
		web.fail(bad, 1100)
		wantWords(t, "what runs", b.deleting(registry.ImageID{Tag: "runs"})[0].Err, fault.ImagePinned, "it runs in prod as web")
		pins, err := b.Pinned(t.Context(), root, repo)
		if err != nil || len(pins[runs.Digest]) != 1 {
			t.Errorf("pins of what runs: %v, %v", pins[runs.Digest], err)
		}
	})
}

// counting counts what transactions ask of the database about images and what refers to them.
type counting struct {
	registry.Store
	asked *int
}

func (c counting) Update(ctx context.Context, f func(tx registry.Tx) error) error {
	return c.Store.Update(ctx, func(tx registry.Tx) error { return f(countingTx{tx, c.asked}) })
}

type countingTx struct {
	registry.Tx
	asked *int
}

func (c countingTx) Annotated(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Image, error) {
	*c.asked++
	return c.Tx.Annotated(ctx, repositoryID, ds)
}

func (c countingTx) Referring(ctx context.Context, repositoryID int64, ds []oci.Digest, artifactType string) ([]registry.Image, error) {
	*c.asked++
	return c.Tx.Referring(ctx, repositoryID, ds, artifactType)
}

func (c countingTx) Followers(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]registry.Image, error) {
	*c.asked++
	return c.Tx.Followers(ctx, repositoryID, ds)
}

func (c countingTx) IndexesOf(ctx context.Context, repositoryID int64, d oci.Digest) ([]oci.Digest, error) {
	*c.asked++
	return c.Tx.IndexesOf(ctx, repositoryID, d)
}

// TestAnImageOfManyDeploymentsGoesAtOnce: what is read for it grows with its records, not with their square.
func TestAnImageOfManyDeploymentsGoesAtOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		const times = 1000
		runs := b.pushNew("runs", "runs")
		for what, running := range map[string]bool{"in a chain that pins": true, "of a chain that has ended": false} {
			bad := b.pushNew("bad "+what, "bad")
			web := b.deployer("prod", fmt.Sprint("web-", running))
			if running {
				web.record(runs, deployment.Succeeded)
			}
			web.fail(bad, times)
			if !running {
				if err := b.DeleteImage(t.Context(), root, repo, oci.Reference{Tag: web.tag}); err != nil {
					t.Fatal(err)
				}
			}
			asked := 0
			counted := registry.New(registry.Config{
				Store: counting{b.db, &asked}, Blobs: b.blobs, Account: account, Region: "us-east-1", Now: func() time.Time { return b.now },
				PinnedDeployments: 3,
			})
			results, err := counted.DeleteImages(t.Context(), root, repo, []registry.ImageID{{Digest: bad.Digest.String()}})
			if err != nil || results[0].Err != nil {
				t.Fatalf("deleting an image with %d records %s: %+v, %v", times, what, results, err)
			}
			if most := 10 * times; asked > most {
				t.Errorf("deleting an image with %d records %s asks the database %d times, want %d at most", times, what, asked, most)
			}
			if there := b.there(registry.Image{Digest: oci.FromBytes(web.bytes(web.last))}); there != running {
				t.Errorf("its newest record %s is there: %v", what, there)
			}
		}
	})
}
