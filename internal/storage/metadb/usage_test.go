package metadb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestFindingsAreGauged adds up the findings of a repository's scanned images: one set of packages stands for all images that have it.
func TestFindingsAreGauged(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		r, other := addRepository(t, db, "app"), addRepository(t, db, "other")
		var ids []int64
		for i := range 4 {
			ids = append(ids, addImage(t, db, r.ID, newImage(fmt.Sprint(i)), newReferences(fmt.Sprint("layer", i))).ID)
		}
		addImage(t, db, other.ID, newImage("x"), newReferences("layer"))
		exec := func(text string, args ...any) {
			t.Helper()
			if err := metadb.Exec(t.Context(), db, text, args...); err != nil {
				t.Fatal(err)
			}
		}
		for _, set := range []string{`{"all":{"HIGH":2,"LOW":1},"system":{"HIGH":1}}`, `{"all":{"CRITICAL":1,"HIGH":1}}`} {
			exec(`INSERT INTO package_sets (digest, os, members, vulnerable, counts, judged_at) VALUES ($1, '', unhex(''), unhex(''), $1, 1)`, set)
		}
		for i, set := range []int64{1, 1, 2} { // and the fourth was not scanned
			exec(`INSERT INTO image_inventories (image_id, set_id, chain_id, layers, made_by, problem, scanned_at, epoch) VALUES ($1, $2, '', unhex(''), '', '', 1, 1)`, ids[i], set)
		}
		now := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
		service := newUsage(db, func() time.Time { return now })
		if _, err := service.GaugeOnce(t.Context()); err != nil {
			t.Fatal(err)
		}
		page, err := service.Uses(t.Context(), identity.Service(account, "usage"), usage.UseQuery{By: usage.DimensionSeverity, From: now.Add(-time.Hour), To: now, Period: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		got := map[string]float64{}
		for _, u := range page.Items {
			got[u.Repository+" "+u.Name] = u.Measures[0].Points[0].Sum
		}
		want := map[string]float64{"app CRITICAL": 1, "app HIGH": 5, "app MEDIUM": 0, "app LOW": 2, "app INFORMATIONAL": 0, "app UNDEFINED": 0}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("findings (-want +got):\n%s", diff)
		}
	})
}
