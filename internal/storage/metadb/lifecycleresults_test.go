package metadb_test

import (
	"errors"
	"fmt"
	"strings"
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

// TestUpgradeOfPreviews: results of an earlier version's go. A preview that was complete is an old one then, and one in progress
// begins anew at once: whoever was at it has lost it.
func TestUpgradeOfPreviews(t *testing.T) {
	t.Parallel()
	eachFile(t, func(t *testing.T, o opener) {
		engine := t.Name()[strings.LastIndex(t.Name(), "/")+1:]
		if err := metadb.MigrateTo(t.Context(), o.raw, engine, 13); err != nil {
			t.Fatal(err)
		}
		for id, status := range []string{1: "COMPLETE", 2: "IN_PROGRESS", 3: "FAILED"} {
			if status == "" {
				continue
			}
			for _, text := range []string{
				fmt.Sprintf(`INSERT INTO repositories (id, name, created_at, mutability, exclusions, scan_on_push) OVERRIDING SYSTEM VALUE
					VALUES (%d, 'app%[1]d', 5, 'MUTABLE', '', TRUE)`, id),
				fmt.Sprintf(`INSERT INTO lifecycle_previews (id, repository_id, body, status, started_at, ended_at, due_at, attempts, expiring, transitioning)
					OVERRIDING SYSTEM VALUE VALUES (%d, %[1]d, 'policy', '%s', 10, 20, %d, 5, 1, 0)`, id, status, noon().Add(time.Minute).UnixMicro()),
				fmt.Sprintf(`INSERT INTO lifecycle_preview_results (preview_id, seq, digest, tags, pushed_at, storage_class, action, rule)
					VALUES (%d, 1, '', 'a parcel', 0, '', '', 0)`, id),
			} {
				if engine == "sqlite" {
					text = strings.ReplaceAll(text, "OVERRIDING SYSTEM VALUE", "")
				}
				if _, err := o.raw.ExecContext(t.Context(), text); err != nil {
					t.Fatalf("%s: %v", text, err)
				}
			}
		}
		db := o.mustOpen(t)
		defer db.Close()
		rows := db.Lifecycle()
		for id, status := range map[int64]lifecycle.PreviewStatus{1: lifecycle.Expired, 2: lifecycle.InProgress, 3: lifecycle.Failed} {
			p, err := rows.Preview(t.Context(), id)
			if err != nil || p.Status != status {
				t.Errorf("preview %d is %s (%v), want %s", id, p.Status, err, status)
			}
			results, err := rows.Results(t.Context(), id, registry.AnyTagStatus, 0, 10)
			if err != nil || len(results) > 0 {
				t.Errorf("preview %d has results %v (%v)", id, results, err)
			}
		}
		late := lifecycle.Claim{ID: 2, Until: noon().Add(time.Minute)}
		if err := rows.AddResults(t.Context(), late, []lifecycle.Result{{Seq: 1}}); !errors.Is(err, registry.ErrConflict) {
			t.Errorf("who was at the preview still is: %v", err)
		}
		c, err := rows.ClaimPreview(t.Context(), noon(), noon().Add(time.Minute))
		if err != nil || c.ID != 2 || c.Attempts != 1 {
			t.Errorf("ClaimPreview: %+v, %v; want the first attempt at 2", c, err)
		}
	})
}
