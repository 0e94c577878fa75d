package metadb_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// judged is a database with images in it, and a judge.
type judged struct {
	tb    testing.TB
	db    *metadb.DB
	judge *scan.Judge
	now   time.Time
}

func newJudged(tb testing.TB, db *metadb.DB) *judged {
	tb.Helper()
	w := &judged{tb: tb, db: db, now: time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)}
	w.judge = scan.NewJudge(scan.JudgeConfig{Store: db.Judging(), Now: func() time.Time { return w.now }})
	return w
}

// images adds some, and gives their ids.
func (w *judged) images(repository string, n int) (ids []int64) {
	w.tb.Helper()
	ctx := w.tb.Context()
	err := w.db.Update(ctx, func(tx registry.Tx) error {
		ids = ids[:0]
		repo, err := tx.InsertRepository(ctx, registry.Repository{Name: repository, CreatedAt: w.now, Mutability: registry.Mutable})
		if err != nil {
			return err
		}
		for i := range n {
			img := registry.Image{
				Digest: oci.FromBytes(fmt.Append(nil, repository, i)), MediaType: "m", PushedAt: w.now, Manifest: []byte("{}"), ManifestSize: 2,
			}
			id, err := tx.InsertImage(ctx, repo, img, registry.References{})
			if err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return nil
	})
	w.must(err)
	return ids
}

func (w *judged) must(err error) {
	w.tb.Helper()
	if err != nil {
		w.tb.Fatal(err)
	}
}

func (w *judged) exec(text string, args ...any) {
	w.tb.Helper()
	w.must(metadb.Exec(w.tb.Context(), w.db, text, args...))
}

// source sets a source's revision.
func (w *judged) source(name string, revision int64) {
	w.tb.Helper()
	w.exec(`
		INSERT INTO advisory_sources (source, revision, origin, advisories, modified_at, imported_at, checked_at, validator, judged_rev, import_rev, import_until)
		VALUES ($1, $2, '', 0, 0, 0, 0, '', 0, 0, 0) ON CONFLICT (source) DO UPDATE SET revision = excluded.revision`, name, revision)
}

// said is an advisory as tests write it: it hits all versions of a package below one.
type said struct {
	source, id    string
	vulnerability string
	severity      advisory.Severity
	score         int
	ecosystem     string
	release, name string
	fixed         string // empty: all versions
	from          int64
}

func (w *judged) advise(a said) {
	w.tb.Helper()
	about := advisory.Advisory{ID: a.id, Word: string(a.severity)}
	if a.score > 0 {
		about.Vectors = []advisory.Vector{{Version: "3.1", Score: float64(a.score) / 10}}
	}
	body, err := advisory.Encode(about)
	w.must(err)
	w.exec(`
		INSERT INTO advisories (source, osv_id, from_rev, to_rev, hash, vulnerability, severity, score, modified_at, body)
		VALUES ($1, $2, $3, $4, '', $5, $6, $7, 0, $8)`,
		a.source, a.id, a.from, int64(math.MaxInt64), a.vulnerability, string(a.severity), a.score, body)
	if a.name == "" {
		return
	}
	affected := `{"r":[{"e":[{"i":"0"}]}]}`
	if a.fixed != "" {
		affected = fmt.Sprintf(`{"r":[{"e":[{"i":"0"},{"f":%q}]}]}`, a.fixed)
	}
	w.exec(`
		INSERT INTO advisory_packages (ecosystem, name, advisory_id, seq, release, affected)
		SELECT CAST($1 AS TEXT), CAST($2 AS TEXT), id, 0, CAST($3 AS TEXT), CAST($4 AS TEXT) FROM advisories
		WHERE source = $5 AND osv_id = $6 AND from_rev = $7`, a.ecosystem, a.name, a.release, affected, a.source, a.id, a.from)
}

// withdraw ends an advisory at a revision.
func (w *judged) withdraw(source, id string, at int64) {
	w.tb.Helper()
	w.exec(`UPDATE advisories SET to_rev = $1 WHERE source = $2 AND osv_id = $3 AND to_rev > $1`, at, source, id)
}

func (w *judged) layer(n string) scan.StoredLayer {
	w.tb.Helper()
	l := scan.StoredLayer{DiffID: oci.FromBytes([]byte(n)), Revision: 1, CreatedBy: "RUN " + n, Facts: []byte(n), ScannedAt: w.now}
	id, err := w.db.Judging().PutLayer(w.tb.Context(), oci.FromBytes([]byte("blob of "+n)), l)
	w.must(err)
	l.ID = id
	return l
}

func npm(name, version string) inventory.Found {
	return inventory.Found{
		Package:   inventory.Package{Type: inventory.NPM, Name: name, Version: version, Source: name, SourceVersion: version},
		Ecosystem: "npm", Path: "app/node_modules/" + name + "/package.json", Format: "node",
	}
}

func deb(source, name, version string) inventory.Found {
	return inventory.Found{
		Package:   inventory.Package{Type: inventory.Deb, Name: name, Version: version, Source: source, SourceVersion: version, Arch: "amd64"},
		Ecosystem: "Debian", Release: "12", Path: "var/lib/dpkg/status", Format: "dpkg",
	}
}

func (w *judged) save(ctx context.Context, image int64, found ...inventory.Found) error {
	return w.judge.Save(ctx, scan.Saved{
		ImageID: image, ChainID: "sha256:c", Image: inventory.Image{OS: inventory.OS{ID: "debian", VersionID: "12"}, Packages: found},
		Layers: []scan.StoredLayer{w.layer("base"), w.layer("app")},
	})
}

func (w *judged) counts(image int64) scan.Counts {
	w.tb.Helper()
	i, err := w.db.Judging().Inventory(w.tb.Context(), image)
	w.must(err)
	return i.Set.Counts
}

// TestSave saves images and looks at what is stored of them.
func TestSave(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		w.source("Debian", 1)
		w.source("npm", 1)
		w.source("kev", 1)
		w.source("cvss", 1)
		w.advise(said{source: "Debian", id: "DEBIAN-CVE-1", vulnerability: "CVE-1", severity: advisory.Undefined, ecosystem: "Debian", release: "12", name: "openssl", fixed: "3.0.11", from: 1})
		w.advise(said{source: "Debian", id: "DEBIAN-CVE-2", vulnerability: "CVE-2", severity: advisory.Low, ecosystem: "Debian", release: "11", name: "openssl", from: 1})
		w.advise(said{source: "Debian", id: "DEBIAN-CVE-3", vulnerability: "CVE-3", severity: advisory.Low, ecosystem: "Debian", release: "12", name: "openssl", from: 2})
		w.advise(said{source: "npm", id: "GHSA-1", vulnerability: "CVE-4", severity: advisory.High, score: 80, ecosystem: "npm", name: "lodash", fixed: "4.17.21", from: 1})
		w.advise(said{source: "npm", id: "GHSA-2", vulnerability: "CVE-4", severity: advisory.Medium, score: 50, ecosystem: "npm", name: "lodash", from: 1})
		w.advise(said{source: "cvss", id: "CVE-1", vulnerability: "CVE-1", severity: advisory.Critical, score: 98, from: 1})
		w.advise(said{source: "kev", id: "CVE-4", vulnerability: "CVE-4", severity: advisory.Undefined, from: 1})
		images := w.images("a", 3)
		owned := npm("lodash", "1.0.0")
		owned.Owned = true
		app := npm("lodash", "4.17.20")
		app.Layer = 1
		found := []inventory.Found{
			deb("openssl", "libssl3", "3.0.9-1"), deb("openssl", "openssl", "3.0.9-1"), owned, app, npm("lodash", "4.17.21"), npm("lodash", "x:y"),
			{Package: inventory.Package{Type: inventory.Maven, Name: "a:b", Version: "1", Source: "a:b", SourceVersion: "1"}},
		}
		w.must(w.save(t.Context(), images[0], found...))
		want := scan.Counts{
			System:  scan.Count{advisory.Critical: 1},
			All:     scan.Count{advisory.Critical: 1, advisory.High: 1},
			Fixable: 2, Exploited: 1, Unevaluated: 1,
		}
		if diff := cmp.Diff(want, w.counts(images[0])); diff != "" {
			t.Errorf("counts (-want +got):\n%s", diff)
		}
		w.must(w.save(t.Context(), images[1], found...))
		w.must(w.save(t.Context(), images[1], found...))
		one, err := db.Judging().Inventory(t.Context(), images[0])
		w.must(err)
		two, err := db.Judging().Inventory(t.Context(), images[1])
		w.must(err)
		if one.Set.ID != two.Set.ID || len(one.Layers) != 2 || one.Layers[0].CreatedBy != "RUN base" || one.Layers[1].CreatedBy != "RUN app" {
			t.Errorf("the images have the sets %d, %d and layers %+v", one.Set.ID, two.Set.ID, one.Layers)
		}
		counts, err := db.Judging().CountsOf(t.Context(), images)
		w.must(err)
		if diff := cmp.Diff(map[int64]scan.Counts{images[0]: want, images[1]: want}, counts); diff != "" {
			t.Errorf("CountsOf (-want +got):\n%s", diff)
		}
		hit, err := match.UnpackIDs(one.Set.Vulnerable)
		w.must(err)
		for after, want := range map[int64][]int64{0: images[:2], images[0]: images[1:2], images[1]: nil} {
			if got, err := db.Judging().ImagesHit(t.Context(), hit[:1], after, 10); err != nil || !cmp.Equal(want, got) {
				t.Errorf("ImagesHit after %d: %v, %v; want %v", after, got, err, want)
			}
		}
		if err := w.save(t.Context(), 1000, found...); !errors.Is(err, registry.ErrNoRow) {
			t.Errorf("saving an image that is not there: %v", err)
		}
		err = w.judge.Save(t.Context(), scan.Saved{ImageID: images[2], Layers: []scan.StoredLayer{{ID: 1000}}})
		if !errors.Is(err, scan.ErrLayerGone) {
			t.Errorf("saving with a layer that is not there: %v", err)
		}
		w.must(w.judge.Save(t.Context(), scan.Saved{ImageID: images[2], Problem: "no layers"}))
		if diff := cmp.Diff(scan.Counts{}, w.counts(images[2])); diff != "" {
			t.Errorf("counts of nothing:\n%s", diff)
		}
	})
}

// TestWhoIsReadAgainIsToldAllTheSame has an image saved again between a judgement and the telling of what it has changed.
func TestWhoIsReadAgainIsToldAllTheSame(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		w.source("npm", 1)
		images := w.images("a", 2)
		for _, id := range images {
			w.must(w.save(t.Context(), id, npm("left", "1.0.0")))
		}
		_, err := w.judge.JudgeOnce(t.Context())
		w.must(err)
		w.advise(said{source: "npm", id: "A", vulnerability: "CVE-1", severity: advisory.High, ecosystem: "npm", name: "left", from: 2})
		w.source("npm", 2)
		_, err = w.judge.JudgeOnce(t.Context())
		w.must(err)
		w.must(w.save(t.Context(), images[0], npm("left", "1.0.0")))
		if got := w.told(); got != "map[+CVE-1:2]" {
			t.Errorf("told %s, want it of both images", got)
		}
	})
}
