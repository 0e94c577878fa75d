package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// twin is one of two databases that are told the same. Ids may differ between them, so that everything
// here goes by names.
type twin struct {
	name string
	db   *metadb.DB
	repo registry.Repository
}

// TestEnginesAgree does the same random things to SQLite and PostgreSQL and compares every answer, and
// after each step all that can be read.
func TestEnginesAgree(t *testing.T) {
	t.Parallel()
	postgres := metadbtest.NewPostgres(t)
	sqlite := metadbtest.New(t)
	var runs atomic.Int64
	rapid.Check(t, func(rt *rapid.T) {
		name := fmt.Sprintf("run-%d", runs.Add(1))
		twins := []*twin{{name: "sqlite", db: sqlite}, {name: "postgres", db: postgres}}
		for _, w := range twins {
			w.repo = addRepository(t, w.db, name)
		}
		for range rapid.IntRange(1, 12).Draw(rt, "steps") {
			step := drawStep(rt)
			var said [2]string
			for i, w := range twins {
				said[i] = w.do(t.Context(), step)
			}
			if said[0] != said[1] {
				rt.Fatalf("%s: %s said %q, %s said %q", step.what, twins[0].name, said[0], twins[1].name, said[1])
			}
			if diff := cmp.Diff(twins[0].everything(t), twins[1].everything(t)); diff != "" {
				rt.Fatalf("after %s (-%s +%s):\n%s", step.what, twins[0].name, twins[1].name, diff)
			}
		}
	})
}

// step is something to do in an update. It answers in words, for comparison.
type step struct {
	what string
	do   func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error)
}

func drawStep(rt *rapid.T) step {
	image := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "image")
	other := rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(rt, "other")
	tag := rapid.SampledFrom([]string{"1", "A", "a", "a.b", "a-b", "_"}).Draw(rt, "tag")
	at := noon().Add(time.Duration(rapid.IntRange(-3, 3).Draw(rt, "at")) * time.Second)
	return rapid.SampledFrom(append(imageSteps(image, other, tag, at), layerSteps(image, other, at)...)).Draw(rt, "step")
}

func imageSteps(image, other, tag string, at time.Time) []step {
	find := func(ctx context.Context, tx registry.Tx, r registry.Repository, name string) (registry.Image, error) {
		return tx.ImageByDigest(ctx, r.ID, newImage(name).Digest)
	}
	return []step{
		{"InsertImage " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			img := newImage(image)
			img.Subject = newImage(other).Digest
			_, err := tx.InsertImage(ctx, r.ID, img, registry.References{Blobs: []oci.Digest{digest(image), digest(other)}, Children: []oci.Digest{newImage(other).Digest}})
			return "", err
		}},
		{"DeleteImage " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			img, err := find(ctx, tx, r, image)
			if err != nil {
				return "", err
			}
			return "", tx.DeleteImage(ctx, img.ID)
		}},
		{"SetTag " + tag + " to " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			img, err := find(ctx, tx, r, image)
			if err != nil {
				return "", err
			}
			return "", errors.Join(
				tx.SetTag(ctx, r.ID, tag, img.ID, at),
				tx.RecordTagChanges(ctx, []registry.TagChange{{Repository: r.Name, Tag: "1", To: img.Digest, At: at}, {Repository: r.Name, Tag: "1", From: img.Digest, At: at}}),
			)
		}},
		{"SetArchived " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			img, err := find(ctx, tx, r, image)
			if err != nil {
				return "", err
			}
			return "", tx.SetArchived(ctx, r.ID, []int64{img.ID}, !img.Archived, at)
		}},
		{"DeleteTag " + tag, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			return "", tx.DeleteTag(ctx, r.ID, tag)
		}},
		{"RecordPulls " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			img, err := find(ctx, tx, r, image)
			if err != nil {
				return "", err
			}
			return "", tx.RecordPulls(ctx, map[int64]time.Time{img.ID: at})
		}},
	}
}

func layerSteps(image, other string, at time.Time) []step {
	return []step{
		{"LinkLayer " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			l := newLayer(image)
			l.LinkedAt = at
			l, had, err := tx.LinkLayer(ctx, r.ID, l)
			return fmt.Sprint(l, had), err
		}},
		{"UnlinkLayer " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			return "", tx.UnlinkLayer(ctx, r.ID, digest(image), r.CreatedAt)
		}},
		{"SaveUpload " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			u := newUpload(r.ID, image)
			if _, err := tx.UploadIn(ctx, r.Name, image); errors.Is(err, registry.ErrNoRow) {
				return "inserted", tx.InsertUpload(ctx, u)
			}
			u.Blob.Size, u.HashState = 10, []byte(other)
			return "saved", tx.SaveUpload(ctx, u, 0)
		}},
		{"DeleteUpload " + image, func(ctx context.Context, tx registry.Tx, r registry.Repository) (string, error) {
			there, err := tx.DeleteUpload(ctx, r.ID, image)
			return strconv.FormatBool(there), err
		}},
	}
}

func (w *twin) do(ctx context.Context, s step) string {
	said := ""
	err := w.db.Update(ctx, func(tx registry.Tx) error {
		r, err := tx.LockRepository(ctx, w.repo.Name)
		if err != nil {
			return err
		}
		said, err = s.do(ctx, tx, r)
		return err
	})
	switch {
	case errors.Is(err, registry.ErrNoRow):
		return "no row"
	case errors.Is(err, registry.ErrConflict):
		return "conflict"
	case err != nil:
		return err.Error()
	}
	return said
}

// everything reads all there is of the repository, by every query, without ids.
func (w *twin) everything(t *testing.T) map[string]any {
	all := map[string]any{}
	keep := func(name string, v any, err error) {
		if err != nil && !errors.Is(err, registry.ErrNoRow) {
			t.Fatalf("%s on %s: %v", name, w.name, err)
		}
		all[name] = v
	}
	q, ctx, id := w.db.Read(), t.Context(), w.repo.ID
	anonymous := func(images []registry.Image) []registry.Image {
		for i := range images {
			images[i].ID = 0
		}
		return images
	}
	for _, status := range []registry.TagStatus{registry.AnyTagStatus, registry.OnlyTagged, registry.OnlyUntagged} {
		for _, shelf := range []registry.Status{registry.OnlyActive, registry.OnlyArchived, registry.AnyStatus} {
			images, err := q.Images(ctx, id, registry.ImageQuery{Tagged: status, Status: shelf, Limit: 100})
			keep(fmt.Sprint("Images ", status, shelf), anonymous(images), err)
			for _, img := range images {
				if !status.Selects(len(img.Tags) > 0) || !shelf.Selects(img.Archived) {
					t.Fatalf("%s lists %+v as one of tag status %d and status %d", w.name, img, status, shelf)
				}
			}
			tags, err := q.Tags(ctx, id, shelf, "", 100)
			keep(fmt.Sprint("Tags ", shelf), tags, err)
		}
	}
	var images, blobs []oci.Digest
	for _, name := range []string{"a", "b", "c", "d"} {
		images, blobs = append(images, newImage(name).Digest), append(blobs, digest(name))
	}
	for i := range images {
		img, err := q.ImageByDigest(ctx, id, images[i])
		keep(fmt.Sprint("ImageByDigest ", i), anonymous([]registry.Image{img}), err)
		referrers, more, err := q.Referrers(ctx, id, images[i], registry.ReferrerQuery{ArtifactTypes: []string{"application/x.a"}, Limit: 10})
		keep(fmt.Sprint("Referrers and more ", i), more, err)
		keep(fmt.Sprint("Referrers ", i), anonymous(referrers), err)
		followers, err := q.Followers(ctx, id, images[:i])
		keep(fmt.Sprint("Followers ", i), anonymous(followers), err)
		indexes, err := q.ActiveIndexesOf(ctx, id, images[i])
		keep(fmt.Sprint("ActiveIndexesOf ", i), indexes, err)
		if holder, err := q.ImageIn(ctx, w.repo.Name, oci.Reference{Digest: images[i]}); err == nil {
			children, err := q.Children(ctx, id, []int64{holder.ID})
			keep(fmt.Sprint("Children ", i), anonymous(children), err)
		}
		indexes, err = q.IndexesOf(ctx, id, images[i])
		keep(fmt.Sprint("IndexesOf ", i), indexes, err)
		used, err := q.LayerInUse(ctx, id, blobs[i])
		keep(fmt.Sprint("LayerInUse ", i), used, err)
		upload, err := q.UploadIn(ctx, w.repo.Name, []string{"a", "b", "c", "d"}[i])
		upload.RepositoryID = 0
		keep(fmt.Sprint("UploadIn ", i), upload, err)
		for _, ref := range []oci.Reference{{Digest: images[i]}, {Tag: fmt.Sprint(i)}} {
			row, err := q.ImageIn(ctx, w.repo.Name, ref)
			keep(fmt.Sprint("ImageIn ", ref), anonymous([]registry.Image{row}), err)
			whole, err := q.ManifestIn(ctx, w.repo.Name, ref)
			keep(fmt.Sprint("ManifestIn ", ref), anonymous([]registry.Image{whole}), err)
		}
		layer, err := q.LayerIn(ctx, w.repo.Name, blobs[i])
		keep(fmt.Sprint("LayerIn ", i), layer, err)
	}
	byDigest, err := q.ImagesByDigest(ctx, id, images) // in any order
	slices.SortFunc(byDigest, func(a, b registry.Image) int { return int(a.ID - b.ID) })
	keep("ImagesByDigest", anonymous(byDigest), err)
	layers, err := q.Layers(ctx, id, blobs)
	keep("Layers", layers, err)
	names, err := q.TagNames(ctx, id, "A", 100)
	keep("TagNames", names, err)
	history, err := q.TagHistory(ctx, w.repo.Name, "1", 0, 100)
	for i := range history {
		history[i].ID = 0
	}
	keep("TagHistory", history, err)
	return all
}
