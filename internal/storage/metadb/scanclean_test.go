package metadb_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestClean deletes an image, and looks at what is left of it after a day; another is saved with the same packages while that goes.
func TestClean(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		w := newJudged(t, db)
		w.advise(said{source: "npm", id: "A", vulnerability: "CVE-1", severity: advisory.High, ecosystem: "npm", name: "gone", from: 1})
		w.source("npm", 1)
		images := w.images("a", 3)
		w.must(w.save(t.Context(), images[0], npm("gone", "1.0.0"), npm("kept", "1.0.0")))
		w.must(w.save(t.Context(), images[1], npm("kept", "1.0.0")))
		w.must(w.judge.Save(t.Context(), scan.Saved{ImageID: images[0], Layers: []scan.StoredLayer{w.layer("alone")}}))
		w.must(w.save(t.Context(), images[0], npm("gone", "1.0.0"), npm("kept", "1.0.0")))
		w.exec(`DELETE FROM images WHERE id = $1`, images[0])
		left := func() [4]int64 {
			t.Helper()
			var n [4]int64
			for i, table := range []string{`package_sets`, `packages`, `package_matches`, `scan_layers`} {
				var err error
				n[i], err = metadb.Number(t.Context(), db, `SELECT count(*) FROM `+table)
				w.must(err)
			}
			return n
		}
		_, err := w.judge.JudgeOnce(t.Context())
		w.must(err)
		_, err = w.judge.CleanOnce(t.Context())
		w.must(err)
		if got, want := left(), [4]int64{3, 2, 1, 3}; got != want {
			t.Errorf("at once there are sets, packages, matches, layers %v, want %v", got, want)
		}
		w.now = w.now.Add(25 * time.Hour)
		s := &meddled{Judging: db.Judging(), put: func() {
			_, err = w.judge.CleanOnce(t.Context())
			w.must(err)
			if got, want := left(), [4]int64{1, 1, 0, 2}; got != want {
				t.Errorf("after a day there are sets, packages, matches, layers %v, want %v", got, want)
			}
		}}
		saving := &judged{tb: t, db: db, judge: scan.NewJudge(scan.JudgeConfig{Store: s, Now: func() time.Time { return w.now }})}
		w.must(saving.save(t.Context(), images[2], npm("gone", "1.0.0"), npm("kept", "1.0.0")))
		if got := w.counts(images[2]); got.All[advisory.High] != 1 {
			t.Errorf("the image that was saved meanwhile has %+v", got)
		}
		if got, want := left(), [4]int64{2, 2, 1, 2}; got != want {
			t.Errorf("in the end there are sets, packages, matches, layers %v, want %v", got, want)
		}
	})
}
