package metadb_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// TestUpgradeKeepsWhatIsThere fills a database as the first version of Berth left it, and opens it with this one: all is
// there, nothing is archived, and what later versions know of an image besides is true.
func TestUpgradeKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, o opener) {
		engine := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		if err := metadb.MigrateTo(t.Context(), o.raw, engine, 1); err != nil {
			t.Fatal(err)
		}
		for text := range strings.SplitSeq(oldContent(), ";\n") {
			if engine == "sqlite" {
				text = strings.NewReplacer("OVERRIDING SYSTEM VALUE", "", "BYTEA", "BLOB").Replace(text)
			}
			if _, err := o.raw.ExecContext(t.Context(), text); err != nil {
				t.Fatalf("%s: %v", text, err)
			}
		}
		const everything = `
			SELECT 'image ' || repository_id || ' ' || id || ' ' || digest || ' ' || COALESCE(subject, '-') || ' ' || size || ' ' || pushed_at FROM images
			UNION ALL SELECT 'tag ' || repository_id || ' ' || name || ' ' || image_id || ' ' || set_at FROM tags
			UNION ALL SELECT 'needs ' || image_id || ' ' || digest FROM image_blobs
			UNION ALL SELECT 'lists ' || image_id || ' ' || digest FROM image_children
			UNION ALL SELECT 'layer ' || repository_id || ' ' || digest FROM layers
			UNION ALL SELECT 'blob ' || digest || ' ' || size || ' ' || blob_key FROM blobs
			UNION ALL SELECT 'manifest ' || image_id || ' ' || annotations FROM manifests
			UNION ALL SELECT 'history ' || tag || ' ' || to_digest FROM tag_history`
		before := strings.Join(o.strings(t, everything), "\n")
		db := o.mustOpen(t)
		defer db.Close()
		if after := strings.Join(o.strings(t, everything), "\n"); after != before || before == "" {
			t.Errorf("before:\n%s\nafter:\n%s", before, after)
		}
		wantShelves(t, o, "2 of 1, 3 of 1, 5 of 1, 7 of 2")

		r, err := db.Read().Repository(t.Context(), "app")
		if err != nil {
			t.Fatal(err)
		}
		for tagged, want := range map[registry.TagStatus]int{registry.AnyTagStatus: 5, registry.OnlyTagged: 3, registry.OnlyUntagged: 2} {
			images, err := db.Read().Images(t.Context(), r.ID, registry.ImageQuery{Tagged: tagged, Limit: 100})
			if err != nil || len(images) != want {
				t.Errorf("tag status %d lists %d images, %v; want %d", tagged, len(images), err, want)
			}
		}
		names, err := db.Read().TagNames(t.Context(), r.ID, "", 100)
		want(t, "TagNames", names, err, []string{"a", "b", "index", "sig"})
		l, err := db.Read().Layer(t.Context(), r.ID, "sha256:layer")
		if err != nil || l.Archived {
			t.Errorf("Layer: %+v, %v", l, err)
		}
		// Whatever happens to tags from now on, by whichever way.
		setTag(t, db, r.ID, "b", 1)
		wantShelves(t, o, "1 of 1, 2 of 1, 3 of 1, 5 of 1, 7 of 2")
		setTag(t, db, r.ID, "a", 1)
		wantShelves(t, o, "1 of 1, 3 of 1, 5 of 1, 7 of 2")
		update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.DeleteTag(ctx, r.ID, "sig") })
		update(t, db, func(ctx context.Context, tx registry.Tx) error { return tx.DeleteImage(ctx, 3) })
		wantShelves(t, o, "1 of 1, 7 of 2")
		update(t, db, func(ctx context.Context, tx registry.Tx) error {
			_, err := tx.DeleteRepository(ctx, r.ID, r.CreatedAt)
			return err
		})
		wantShelves(t, o, "7 of 2")
	})
}

// wantShelves holds the mark on tagged images to the tags, and to a list.
func wantShelves(t *testing.T, o opener, list string) {
	t.Helper()
	const columns = `SELECT i.id || ' of ' || i.repository_id FROM images i WHERE `
	marked := strings.Join(o.strings(t, columns+`i.tagged = TRUE`), ", ")
	are := strings.Join(o.strings(t, columns+`EXISTS (SELECT 1 FROM tags t WHERE t.image_id = i.id)`), ", ")
	if marked != list || are != list {
		t.Errorf("images %q are marked as tagged, %q are, want %q", marked, are, list)
	}
	if archived := o.strings(t, columns+`i.archived = TRUE`); len(archived) > 0 {
		t.Errorf("archived: %q", archived)
	}
}

// oldContent is two repositories in the tables of migration 1: an index over two images with a signature, and the like.
func oldContent() string {
	var s strings.Builder
	s.WriteString(`INSERT INTO repositories (id, name, created_at, mutability, exclusions, scan_on_push) OVERRIDING SYSTEM VALUE
		VALUES (1, 'app', 5, 'MUTABLE', '', TRUE), (2, 'other', 6, 'IMMUTABLE', '', FALSE);
INSERT INTO blobs (digest, size, blob_key, created_at) VALUES ('sha256:layer', 10, 'key', 5), ('sha256:config', 2, 'key2', 5);
INSERT INTO layers (repository_id, digest, linked_at) VALUES (1, 'sha256:layer', 5), (1, 'sha256:config', 5), (2, 'sha256:layer', 6);
`)
	for id, subject := range []string{1: "NULL", 2: "NULL", 3: "NULL", 4: "NULL", 5: "'sha256:3'", 7: "NULL"} {
		if subject == "" {
			continue
		}
		repository := 1
		if id == 7 {
			repository = 2
		}
		fmt.Fprintf(&s, `INSERT INTO images (id, repository_id, digest, media_type, artifact_type, config_media_type, subject, size, manifest_size, pushed_at, last_pulled_at)
			OVERRIDING SYSTEM VALUE VALUES (%d, %d, 'sha256:%d', 'm', '', 'c', %s, %d, 9, %d, 0);
INSERT INTO manifests (image_id, annotations, body) VALUES (%d, '', CAST('body' AS BYTEA));
INSERT INTO image_blobs (repository_id, image_id, digest) VALUES (%d, %d, 'sha256:layer');
`, id, repository, id, subject, 12*id, 100+id, id, repository, id)
	}
	s.WriteString(`INSERT INTO image_children (repository_id, image_id, digest) VALUES (1, 3, 'sha256:1'), (1, 3, 'sha256:2');
INSERT INTO tags (repository_id, name, image_id, set_at) VALUES (1, 'a', 2, 7), (1, 'b', 2, 8), (1, 'index', 3, 9), (1, 'sig', 5, 9), (2, 'a', 7, 9);
INSERT INTO tag_history (repository, tag, from_digest, to_digest, at, actor) VALUES ('app', 'a', '', 'sha256:2', 7, 'me')`)
	return s.String()
}
