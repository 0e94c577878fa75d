package metadb_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// speaking is a store that says after which batch it is.
type speaking struct{ metadb.Advisories }

func (s speaking) PutAdvisories(ctx context.Context, c advisory.Claim, b advisory.Batch, until time.Time) error {
	err := s.Advisories.PutAdvisories(ctx, c, b, until)
	if err == nil && len(b.Rows) > 0 {
		_, _ = fmt.Fprintln(os.Stdout, "batch")
	}
	return err
}

// TestAnImportThatIsKilledIsInvisible kills a process in the middle of an import, without a word.
func TestAnImportThatIsKilledIsInvisible(t *testing.T) {
	const n = 2000
	if path := os.Getenv("METADB_TEST_IMPORT_TO"); path != "" {
		db, err := metadb.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		now := noon().Add(1000 * time.Hour)
		_, _ = advisory.Import(t.Context(), speaking{db.Advisories()}, feeds{debian(n, 2)}, advisory.Options{Now: clock(&now)})
		return
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "meta.db")
	open := func() *metadb.DB {
		db, err := metadb.OpenSQLite(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return db
	}
	db := open()
	if _, err := runImport(t, db.Advisories(), false, debian(n, 1)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for batches := 1; batches <= 3; batches++ {
		killImportAfter(t, path, batches)
		db := open()
		if got := generations(t, db, 50); got["generation 1"] != 50 || len(got) != 1 {
			t.Errorf("killed after %d batches readers see %v", batches, got)
		}
		out, err := runImport(t, db.Advisories(), false, debian(n, 1))
		if err != nil || !out.Skipped {
			t.Errorf("at once, the dead one still has its claim: %+v, %v", out, err)
		}
		later := noon().Add(1001 * time.Hour)
		all, err := advisory.Import(t.Context(), db.Advisories(), feeds{debian(n, 1)}, advisory.Options{Now: clock(&later)})
		if err != nil || all[0].Untouched != n || all[0].Added+all[0].Changed > 0 {
			t.Errorf("the next import: %+v, %v", all, err)
		}
		if dead := rowsOf(t, db); dead != n {
			t.Errorf("%d rows are there, of %d advisories: what the dead one left was not cleared", dead, n)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// rowsOf counts rows by their ids, whether they count or not.
func rowsOf(t *testing.T, db *metadb.DB) int {
	t.Helper()
	ids := make([]int64, 20_000)
	for i := range ids {
		ids[i] = int64(i)
	}
	rows, err := db.Advisories().AdvisoriesByID(t.Context(), ids)
	if err != nil {
		t.Fatal(err)
	}
	return len(rows)
}

func killImportAfter(t *testing.T, path string, batches int) {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe, "-test.run", "^TestAnImportThatIsKilledIsInvisible$")
	cmd.Env = append(os.Environ(), "METADB_TEST_IMPORT_TO="+path)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	seen := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.TrimSpace(lines.Text()) == "batch" {
			if seen++; seen == batches {
				_ = cmd.Process.Kill()
			}
		}
	}
	_ = cmd.Wait()
	if seen < batches {
		t.Fatalf("the import ended after %d batches of %d", seen, batches)
	}
}

// BenchmarkImport imports the sample, while pushes go on: how long the longest of them waits is what an import costs others.
func BenchmarkImport(b *testing.B) {
	dir := sample(b)
	for b.Loop() {
		db := metadbtest.New(b)
		if os.Getenv("BERTH_TEST_POSTGRES") != "" {
			db = metadbtest.NewPostgres(b)
		}
		done := make(chan struct{})
		waits := make(chan []time.Duration)
		go func() {
			var all []time.Duration
			for i := 0; ; i++ {
				select {
				case <-done:
					waits <- all
					return
				case <-time.After(5 * time.Millisecond):
				}
				began := time.Now()
				err := db.Update(b.Context(), func(tx registry.Tx) error {
					_, err := tx.InsertRepository(b.Context(), registry.Repository{Name: fmt.Sprint("r", i)})
					return err
				})
				if err != nil {
					b.Error(err)
				}
				all = append(all, time.Since(began))
			}
		}()
		now := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
		began := time.Now()
		if _, err := advisory.Import(b.Context(), db.Advisories(), advisory.Dir{FS: os.DirFS(dir), Name: dir}, advisory.Options{Now: clock(&now)}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/import")
		close(done)
		all := <-waits
		slices.Sort(all)
		b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "ms-median-push")
		b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "ms-p99-push")
		b.ReportMetric(float64(all[len(all)-1].Microseconds())/1000, "ms-longest-push")
		began = time.Now()
		if _, err := advisory.Import(b.Context(), db.Advisories(), advisory.Dir{FS: os.DirFS(dir), Name: dir}, advisory.Options{Now: clock(&now), Force: true}); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(time.Since(began).Seconds(), "s/unchanged")
	}
}
