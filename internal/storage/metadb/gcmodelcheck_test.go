package metadb_test

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
)

// facts are what the tables say.
type facts struct {
	blobs    []blobRow
	layers   map[place]layerRow // by repository and digest
	uses     map[place]int      // images that refer to a layer
	images   map[place]int64    // ids
	children map[place]string   // an image's child, by its repository and digest, with the image
	tags     map[place]string   // digests
	garbage  map[string]bool
	uploads  map[string]int64 // bytes by key
	trash    map[int64]trashRow
}

type blobRow struct {
	digest, key string
	size, due   int64
}

type layerRow struct {
	hidden bool
	due    int64
}

type trashRow struct {
	place
	purge int64
	blobs []string
}

// allFacts is one statement, since it runs after each step.
const allFacts = `
	SELECT 'blob', digest, blob_key, '', size, due_at FROM blobs
	UNION ALL SELECT 'layer', COALESCE(r.name, ''), l.digest, '', CASE WHEN l.hidden THEN 1 ELSE 0 END, l.due_at
		FROM layers l LEFT JOIN repositories r ON r.id = l.repository_id
	UNION ALL SELECT 'use', COALESCE(r.name, ''), u.digest, '', 0, 0 FROM image_blobs u LEFT JOIN repositories r ON r.id = u.repository_id
	UNION ALL SELECT 'image', COALESCE(r.name, ''), i.digest, '', i.id, 0 FROM images i LEFT JOIN repositories r ON r.id = i.repository_id
	UNION ALL SELECT 'child', COALESCE(r.name, ''), c.digest, i.digest, 0, 0
		FROM image_children c JOIN images i ON i.id = c.image_id LEFT JOIN repositories r ON r.id = c.repository_id
	UNION ALL SELECT 'tag', r.name, t.name, COALESCE(i.digest, ''), 0, 0
		FROM tags t JOIN repositories r ON r.id = t.repository_id LEFT JOIN images i ON i.id = t.image_id
	UNION ALL SELECT 'garbage', blob_key, '', '', 0, 0 FROM garbage
	UNION ALL SELECT 'upload', blob_key, '', '', size, 0 FROM uploads
	UNION ALL SELECT 'trash', repository, digest, '', id, purge_at FROM trash
	UNION ALL SELECT 'trash blob', digest, '', '', trash_id, 0 FROM trash_blobs
	ORDER BY 1, 2, 3, 4, 5`

// facts reads the tables. Nobody moves meanwhile.
func (w *world) facts() facts {
	f := facts{
		layers: map[place]layerRow{}, uses: map[place]int{}, images: map[place]int64{}, children: map[place]string{},
		tags: map[place]string{}, garbage: map[string]bool{}, uploads: map[string]int64{}, trash: map[int64]trashRow{},
	}
	err := metadb.Rows(context.Background(), w.db, allFacts, func(rows *sql.Rows) error {
		var kind, a, b, c string
		var n, m int64
		if err := rows.Scan(&kind, &a, &b, &c, &n, &m); err != nil {
			return err
		}
		switch p := (place{a, b}); kind {
		case "blob":
			f.blobs = append(f.blobs, blobRow{digest: a, key: b, size: n, due: m})
		case "layer":
			f.layers[p] = layerRow{hidden: n == 1, due: m}
		case "use":
			f.uses[p]++
		case "image":
			f.images[p] = n
		case "child":
			f.children[p] = c
		case "tag":
			f.tags[p] = c
		case "garbage":
			f.garbage[a] = true
		case "upload":
			f.uploads[a] = n
		case "trash":
			f.trash[n] = trashRow{place: p, purge: m}
		case "trash blob":
			t := f.trash[n]
			t.blobs = append(t.blobs, a)
			f.trash[n] = t
		}
		return nil
	})
	if err != nil {
		w.fail("reading the tables: %v", err)
	}
	return f
}

// check looks at what must be so at every moment.
func (w *world) check() {
	if w.committed() {
		w.known = w.facts()
	}
	f := w.known
	needed := map[string]bool{}
	for p, l := range f.layers {
		needed[p.what] = true
		switch {
		case f.uses[p] > 0 && l.hidden:
			w.fail("%s hides %s, and has an image of it", p.repo, w.blobName(oci.Digest(p.what)))
		case f.uses[p] == 0 && l.due == 0:
			w.fail("nobody will look at %s of %s, which no image has", w.blobName(oci.Digest(p.what)), p.repo)
		}
	}
	for p := range f.uses {
		if _, ok := f.layers[p]; !ok {
			w.fail("%s has an image of %s, and not the layer", p.repo, w.blobName(oci.Digest(p.what)))
		}
	}
	for p, of := range f.children {
		if _, ok := f.images[p]; !ok {
			w.fail("%s has the index %s without its image %s", p.repo, w.imageName(of), w.imageName(p.what))
		}
	}
	for _, t := range f.trash {
		for _, d := range t.blobs {
			needed[d] = true
		}
		if t.purge > w.clock().UnixMicro() {
			w.checkTrash(t)
		}
	}
	w.checkBlobs(f, needed)
	w.checkExpected(f)
}

func (w *world) checkTrash(t trashRow) {
	for _, d := range w.u.byName[oci.Digest(t.what)].blobs {
		if !slices.Contains(t.blobs, string(d)) {
			w.fail("%s in the trash of %s lacks %s", w.imageName(t.what), t.repo, w.blobName(d))
		}
	}
}

func (w *world) checkBlobs(f facts, needed map[string]bool) {
	w.checks++
	for _, b := range f.blobs {
		name := w.blobName(oci.Digest(b.digest))
		delete(needed, b.digest)
		if b.due == 0 && !f.refers(b.digest) {
			w.fail("nobody will look at the blob %s, which nothing has", name)
		}
		if _, twice := f.uploads[b.key]; twice || f.garbage[b.key] {
			w.fail("the blob %s has a key that is garbage, or an upload's", name)
		}
		if w.expect.damaged[b.key] {
			w.hurt[b.digest] = true
			continue
		}
		if w.slow && w.checks%16 > 0 {
			continue
		}
		if n, err := w.blobs.medium.Size(context.Background(), blob.Key(b.key)); err != nil || n != b.size {
			w.fail("the blob %s has no bytes, or others: %d, %v", name, n, err)
		}
	}
	for d := range needed {
		w.fail("something has the blob %s, and there is none", w.blobName(oci.Digest(d)))
	}
	for key := range f.uploads {
		if f.garbage[key] {
			w.fail("an upload's key is garbage")
		}
	}
}

// refers tells whether a layer or an image in the trash has a blob.
func (f facts) refers(digest string) bool {
	for p := range f.layers {
		if p.what == digest {
			return true
		}
	}
	for _, t := range f.trash {
		if slices.Contains(t.blobs, digest) {
			return true
		}
	}
	return false
}

// checkExpected holds the tables against what the requests' answers said.
func (w *world) checkExpected(f facts) {
	for _, repo := range w.u.repos {
		for _, t := range w.u.images {
			l := w.expect.life(repo, string(t.digest))
			_, there := f.images[place{repo, string(t.digest)}]
			switch {
			case l.must() && !there:
				w.fail("%s was pushed to %s and nobody has deleted it, and it is gone", t.name, repo)
			case l.gone() && there:
				w.fail("%s was deleted from %s, and is there", t.name, repo)
			}
		}
		for _, tag := range w.u.tags {
			target, must := w.expect.tagMust(repo, tag)
			if at := f.tags[place{repo, tag}]; must && at != string(target) {
				w.fail("the tag %s of %s points to %q, and should to %s", tag, repo, w.imageName(at), w.imageName(string(target)))
			}
		}
	}
}

func (w *world) imageName(d string) string {
	if t := w.u.byName[oci.Digest(d)]; t != nil {
		return t.name
	}
	return d
}

// checkAtRest looks at what must be so when nothing is under way and all windows are over: there is what images need, whole,
// and nothing else.
func (w *world) checkAtRest(ctx context.Context) {
	f := w.facts()
	keys := map[blob.Key]bool{}
	for _, b := range f.blobs {
		keys[blob.Key(b.key)] = true
		if !slices.ContainsFunc(w.u.repos, func(r string) bool { _, ok := f.layers[place{r, b.digest}]; return ok }) {
			w.fail("the blob %s stays, and no repository has it", w.blobName(oci.Digest(b.digest)))
		}
		if w.expect.damaged[b.key] {
			continue
		}
		if err := w.whole(ctx, blob.Key(b.key), oci.Digest(b.digest)); err != nil {
			w.fail("the blob %s is not whole: %v", w.blobName(oci.Digest(b.digest)), err)
		}
	}
	for p := range f.layers {
		if f.uses[p] == 0 {
			w.fail("the layer %s of %s stays, and no image has it", w.blobName(oci.Digest(p.what)), p.repo)
		}
	}
	if len(f.garbage)+len(f.uploads)+len(f.trash) > 0 {
		w.fail("at rest there are %d garbage, %d uploads and %d in the trash", len(f.garbage), len(f.uploads), len(f.trash))
	}
	for after, more := "", true; more; more = after != "" {
		var found []blob.Found
		var err error
		if found, after, err = w.blobs.medium.Walk(ctx, after, 1000); err != nil {
			w.fail("walking: %v", err)
			return
		}
		for _, x := range found {
			if x.Key != "" && (!keys[x.Key] || x.Part) {
				w.fail("the store holds %s, which nothing needs", x.Name)
			}
		}
	}
	w.pullAll(ctx, f)
}

// pullAll pulls all that there is, as a client does.
func (w *world) pullAll(ctx context.Context, f facts) {
	for p := range f.images {
		r := w.replicas[0].registry
		img, err := r.Image(ctx, simRoot, p.repo, oci.Reference{Digest: oci.Digest(p.what)})
		if err != nil {
			w.fail("pulling %s of %s: %v", w.imageName(p.what), p.repo, err)
			continue
		}
		for _, d := range w.u.byName[img.Digest].blobs {
			c, err := r.Layer(ctx, simRoot, p.repo, d)
			if err == nil && !w.expect.damaged[string(c.Key)] {
				err = w.whole(ctx, c.Key, d)
			}
			if err != nil {
				w.fail("pulling %s of %s: %v", w.imageName(p.what), p.repo, fmt.Errorf("%s: %w", w.blobName(d), err))
			}
		}
	}
}
