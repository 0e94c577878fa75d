package metadb_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// TestLifecycleResults: many results come back as they were, from any place on, filtered or not.
func TestLifecycleResults(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const many = 12_345
		r, rows := addRepository(t, db, "app"), db.Lifecycle()
		if ok, err := rows.StartPreview(t.Context(), r.ID, "policy", noon()); !ok || err != nil {
			t.Fatalf("StartPreview: %v, %v", ok, err)
		}
		c, err := rows.ClaimPreview(t.Context(), noon(), noon().Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		all := make([]lifecycle.Result, many)
		for i := range all {
			all[i] = lifecycle.Result{
				Seq: int64(i) + 1, Digest: digest(fmt.Sprint(i)), PushedAt: noon().Add(time.Duration(i) * time.Second), Class: lifecycle.Standard,
				Action: lifecycle.Expire, Rule: int32(i % 50), Reason: lifecycle.Selected, Why: fmt.Sprintf("Because it is number %d.", i),
			}
			if i%5000 == 4999 {
				all[i].Tags = []string{"a", fmt.Sprint("v", i)}
			}
		}
		for from := 0; from < many; from += 1000 {
			if err := rows.AddResults(t.Context(), c, all[from:min(from+1000, many)]); err != nil {
				t.Fatal(err)
			}
		}
		for what, q := range map[string]struct {
			tags  registry.TagStatus
			after int64
			limit int
			want  []lifecycle.Result
		}{
			"the first":           {registry.AnyTagStatus, 0, 3, all[:3]},
			"over a parcel's end": {registry.AnyTagStatus, 248, 5, all[248:253]},
			"thousands":           {registry.AnyTagStatus, 777, 9000, all[777:9777]},
			"the last":            {registry.AnyTagStatus, many - 2, 100, all[many-2:]},
			"after the last":      {registry.AnyTagStatus, many, 100, nil},
			"tagged":              {registry.OnlyTagged, 0, 100, []lifecycle.Result{all[4999], all[9999]}},
			"the second tagged":   {registry.OnlyTagged, 5000, 1, []lifecycle.Result{all[9999]}},
			"untagged":            {registry.OnlyUntagged, 4998, 2, []lifecycle.Result{all[4998], all[5000]}},
		} {
			got, err := rows.Results(t.Context(), c.ID, q.tags, q.after, q.limit)
			want(t, what, got, err, q.want)
		}
	})
}
