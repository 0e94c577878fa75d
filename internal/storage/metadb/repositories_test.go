package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func TestRepositoryComesBackAsStored(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		full := registry.Repository{
			Name: "team/app", CreatedAt: noon(), Mutability: registry.ImmutableWithExclusion,
			Exclusions: []string{"*-latest", "dev-*"}, ScanOnPush: true,
		}
		plain := registry.Repository{Name: "plain", CreatedAt: noon(), Mutability: registry.Mutable}
		for _, r := range []*registry.Repository{&full, &plain} {
			update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
				r.ID, err = tx.InsertRepository(ctx, *r)
				return err
			})
			got, err := db.Read().Repository(t.Context(), r.Name)
			want(t, "Repository("+r.Name+")", got, err, *r)
			update(t, db, func(ctx context.Context, tx registry.Tx) error {
				got, err := tx.Repository(ctx, r.Name)
				want(t, "Repository in Update", got, err, *r)
				got, err = tx.LockRepository(ctx, r.Name)
				want(t, "LockRepository", got, err, *r)
				return nil
			})
		}
		changed := plain
		changed.Mutability, changed.Exclusions, changed.ScanOnPush = registry.MutableWithExclusion, []string{"v*"}, true
		update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.UpdateRepository(ctx, changed) })
		got, err := db.Read().Repository(t.Context(), "plain")
		want(t, "Repository after UpdateRepository", got, err, changed)
		changed.Exclusions = nil
		update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.UpdateRepository(ctx, changed) })
		got, err = db.Read().Repository(t.Context(), "plain")
		want(t, "Repository without exclusions", got, err, changed)
	})
}

func TestRepositoryThatIsNotThere(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		if _, err := db.Read().Repository(t.Context(), "none"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository(none): %v, want ErrNoRow", err)
		}
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if _, err := tx.Repository(ctx, "none"); !errors.Is(err, registry.ErrNoRow) {
				t.Errorf("Repository(none) in Update: %v, want ErrNoRow", err)
			}
			if _, err := tx.LockRepository(ctx, "none"); !errors.Is(err, registry.ErrNoRow) {
				t.Errorf("LockRepository(none): %v, want ErrNoRow", err)
			}
			if err := tx.UpdateRepository(ctx, registry.Repository{ID: 4711}); !errors.Is(err, registry.ErrConflict) {
				t.Errorf("UpdateRepository of none: %v, want ErrConflict", err)
			}
			if uploads, err := tx.DeleteRepository(ctx, 4711, time.Now()); err != nil || len(uploads) > 0 {
				t.Errorf("DeleteRepository of none: %v, %v, want nothing", uploads, err)
			}
			return nil
		})
	})
}

func TestRepositoryNameIsTakenOnce(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		addRepository(t, db, "app")
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			if _, err := tx.InsertRepository(ctx, registry.Repository{Name: "app"}); !errors.Is(err, registry.ErrConflict) {
				t.Errorf("InsertRepository of a name that is taken: %v, want ErrConflict", err)
			}
			// The transaction goes on after that.
			_, err := tx.InsertRepository(ctx, registry.Repository{Name: "other"})
			return err
		})
		if _, err := db.Read().Repository(t.Context(), "other"); err != nil {
			t.Errorf("Repository(other): %v, want what was inserted after the conflict", err)
		}
	})
}

func TestRepositoriesAreListedByBytes(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		for _, name := range []string{"b", "a-b", "a/b", "a", "a.b", "a_b", "ab", "a0"} {
			addRepository(t, db, name)
		}
		names := func(after string, limit int) []string {
			rows, err := db.Read().Repositories(t.Context(), after, limit)
			if err != nil {
				t.Fatalf("Repositories(%q, %d): %v", after, limit, err)
			}
			var names []string
			for _, r := range rows {
				names = append(names, r.Name)
			}
			return names
		}
		want(t, "Repositories", names("", 100), nil, []string{"a", "a-b", "a.b", "a/b", "a0", "a_b", "ab", "b"})
		want(t, "Repositories after a.b", names("a.b", 2), nil, []string{"a/b", "a0"})
		want(t, "Repositories after the last", names("b", 2), nil, nil)
	})
}

func TestResourceTagsAreReplaced(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		set := func(id int64, tags ...registry.ResourceTag) {
			update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.SetResourceTags(ctx, id, tags) })
		}
		set(other.ID, registry.ResourceTag{Key: "owner", Value: "somebody"})
		set(r.ID, registry.ResourceTag{Key: "env", Value: "prod"}, registry.ResourceTag{Key: "Zone", Value: ""}, registry.ResourceTag{Key: "été", Value: "☀"})
		got, err := db.Read().ResourceTags(t.Context(), r.ID)
		want(t, "ResourceTags", got, err, []registry.ResourceTag{{Key: "Zone"}, {Key: "env", Value: "prod"}, {Key: "été", Value: "☀"}})
		set(r.ID, registry.ResourceTag{Key: "env", Value: "dev"})
		got, err = db.Read().ResourceTags(t.Context(), r.ID)
		want(t, "ResourceTags after another set", got, err, []registry.ResourceTag{{Key: "env", Value: "dev"}})
		set(r.ID)
		got, err = db.Read().ResourceTags(t.Context(), r.ID)
		want(t, "ResourceTags after none", got, err, nil)
		got, err = db.Read().ResourceTags(t.Context(), other.ID)
		want(t, "ResourceTags of another repository", got, err, []registry.ResourceTag{{Key: "owner", Value: "somebody"}})
	})
}

// fill gives a repository one of everything.
func fill(t *testing.T, db *metadb.DB, r registry.Repository) registry.Upload {
	t.Helper()
	linkLayer(t, db, r.ID, newLayer("shared"))
	linkLayer(t, db, r.ID, newLayer("own of "+r.Name))
	img := addImage(t, db, r.ID, newImage("image"), registry.References{Blobs: []oci.Digest{digest("shared")}})
	index := newImage("index")
	index.Subject = img.Digest
	addImage(t, db, r.ID, index, registry.References{Children: []oci.Digest{img.Digest}})
	setTag(t, db, r.ID, "latest", img.ID)
	u := newUpload(r.ID, "upload of "+r.Name)
	update(t, db, func(ctx context.Context, tx registry.Tx) error {
		if err := tx.SetResourceTags(ctx, r.ID, []registry.ResourceTag{{Key: "k", Value: "v"}}); err != nil {
			return err
		}
		if err := tx.RecordTagChanges(ctx, []registry.TagChange{{Repository: r.Name, Tag: "latest", To: img.Digest, At: noon(), Actor: "me"}}); err != nil {
			return err
		}
		return tx.InsertUpload(ctx, u)
	})
	return u
}

func TestDeleteRepositoryTakesAllButHistory(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		gone, stays := addRepository(t, db, "gone"), addRepository(t, db, "stays")
		upload := fill(t, db, gone)
		fill(t, db, stays)
		var orphans []registry.Upload
		update(t, db, func(ctx context.Context, tx registry.Tx) (err error) {
			orphans, err = tx.DeleteRepository(ctx, gone.ID, time.Now())
			return err
		})
		want(t, "DeleteRepository", orphans, nil, []registry.Upload{upload})
		if _, err := db.Read().Repository(t.Context(), "gone"); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("Repository after DeleteRepository: %v, want ErrNoRow", err)
		}
		for _, table := range []string{"images", "tags", "layers", "uploads", "image_blobs", "image_children", "repository_tags"} {
			// A foreign key would forbid to delete what is still referred to; this asks that nothing is left at all.
			err := metadb.Exec(t.Context(), db, fmt.Sprintf("INSERT INTO secrets (name, sealed) SELECT '%s', '' FROM %s WHERE repository_id = $1", table, table), gone.ID)
			if err != nil {
				t.Fatalf("looking into %s: %v", table, err)
			}
			if left, err := db.Secret(t.Context(), table, []byte("nothing")); err != nil || string(left) != "nothing" {
				t.Errorf("DeleteRepository left rows in %s (%v)", table, err)
			}
		}
		history, err := db.Read().TagHistory(t.Context(), "gone", "latest", 0, 10)
		if err != nil || len(history) != 1 {
			t.Errorf("TagHistory after DeleteRepository: %v, %v, want one change", history, err)
		}
		names, err := db.Read().RepositoriesWithLayer(t.Context(), digest("shared"), 10)
		want(t, "RepositoriesWithLayer", names, err, []string{"stays"})
		img, err := db.Read().ManifestIn(t.Context(), stays.Name, oci.Reference{Tag: "latest"})
		if err != nil || len(img.Manifest) == 0 {
			t.Errorf("ImageByTag in the other repository: %v, want it untouched", err)
		}
		again := addRepository(t, db, "gone")
		if again.ID == gone.ID {
			t.Errorf("a new repository of the same name has the old id %d", gone.ID)
		}
		if has, err := db.Read().HasImages(t.Context(), again.ID); err != nil || has {
			t.Errorf("HasImages of the new repository: %v, %v, want false", has, err)
		}
	})
}

func newUpload(repositoryID int64, id string) registry.Upload {
	return registry.Upload{
		ID: id, RepositoryID: repositoryID, Actor: "arn:aws:iam::123456789012:root", StartedAt: noon(), UpdatedAt: noon(),
		Blob: blob.Upload{Key: blob.Key("key of " + id)}, Algorithm: oci.SHA256,
	}
}
