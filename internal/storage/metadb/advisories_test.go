package metadb_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// feeds is an origin of what a test says.
type feeds []advisory.Feed

func (feeds) String() string { return "test" }

func (all feeds) Read(_ context.Context, _ map[string]advisory.Source, each func(advisory.Feed) error) error {
	var errs []error
	for _, f := range all {
		errs = append(errs, each(f))
	}
	return errors.Join(errs...)
}

// advisories gives so many, of a generation: those of the later say something else.
func advisories(n, generation int) iter.Seq2[advisory.Advisory, error] {
	return func(yield func(advisory.Advisory, error) bool) {
		for i := range n {
			a := advisory.Advisory{
				ID: fmt.Sprintf("DEBIAN-CVE-2026-%05d", i), Aliases: []string{fmt.Sprintf("CVE-2026-%05d", i)},
				Summary: fmt.Sprint("generation ", generation), Modified: noon().Add(time.Duration(generation) * time.Hour),
				Affected: []advisory.Affected{{
					Ecosystem: "Debian", Release: "12", Name: fmt.Sprint("package", i%7),
					Ranges: []advisory.Range{{Events: []advisory.Event{{Introduced: "0"}, {Fixed: fmt.Sprint(generation)}}}},
				}},
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

func debian(n, generation int) advisory.Feed {
	return advisory.Feed{Source: "Debian", Entries: advisories(n, generation)}
}

// clock is a time that tests set.
func clock(t *time.Time) func() time.Time { return func() time.Time { return *t } }

func runImport(t *testing.T, store advisory.Store, force bool, f ...advisory.Feed) (advisory.Outcome, error) {
	t.Helper()
	now := noon().Add(1000 * time.Hour)
	out, err := advisory.Import(t.Context(), store, feeds(f), advisory.Options{Now: clock(&now), Force: force})
	if len(out) == 0 {
		return advisory.Outcome{}, err
	}
	return out[0], err
}

// generations counts the advisories that count by what they say.
func generations(t *testing.T, db *metadb.DB, n int) map[string]int {
	t.Helper()
	said := map[string]int{}
	for i := range n {
		all, err := db.Advisories().AdvisoriesOf(t.Context(), fmt.Sprintf("CVE-2026-%05d", i))
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			said[a.Advisory.Summary]++
		}
	}
	return said
}

func TestImportIsThereAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		const n = 1100
		if out, err := runImport(t, db.Advisories(), false, debian(n, 1)); err != nil || out.Added != n || out.Source.Revision != 1 {
			t.Fatalf("first import: %+v, %v", out, err)
		}
		boom := errors.New("boom")
		for fail := 1; ; fail++ {
			store := &failing{Advisories: db.Advisories(), after: fail, err: boom}
			out, err := runImport(t, store, false, debian(n-10, 2))
			if fail > 2 && err == nil {
				break
			}
			if !errors.Is(err, boom) || out.Source.Revision != 1 {
				t.Fatalf("import that fails at the call %d: %+v, %v", fail, out, err)
			}
			if got := generations(t, db, 40); got["generation 1"] != 40 || len(got) != 1 {
				t.Fatalf("after failing at the call %d readers see %v", fail, got)
			}
		}
		if got := generations(t, db, n); got["generation 2"] != n-10 || len(got) != 1 {
			t.Errorf("in the end readers see %v", got)
		}
		sources, err := db.Advisories().AdvisorySources(t.Context())
		if err != nil || len(sources) != 1 || sources[0].Advisories != n-10 {
			t.Errorf("sources: %+v, %v", sources, err)
		}
		out, err := runImport(t, db.Advisories(), false, debian(n-10, 2))
		if err != nil || out.Untouched != n-10 || out.Source.Revision != sources[0].Revision {
			t.Errorf("the same again: %+v, %v", out, err)
		}
		changed, err := db.Advisories().ChangedPackages(t.Context(), "Debian", 1, sources[0].Revision, metadb.PackageName{}, 100)
		if err != nil || len(changed) != 7 {
			t.Errorf("changed: %v, %v", changed, err)
		}
		said, err := db.Advisories().PackageAdvisories(t.Context(), changed[0])
		if err != nil || len(said) != 156 || said[0].Affected.Ranges[0].Events[1].Fixed != "2" || said[0].Affected.Release != "12" {
			t.Errorf("said of %v: %d, %v", changed[0], len(said), err)
		}
	})
}

// failing is a store of which a call fails, counted over those that write.
type failing struct {
	metadb.Advisories
	after int
	err   error
}

func (s *failing) count() error {
	if s.after--; s.after == 0 {
		return s.err
	}
	return nil
}

func (s *failing) PutAdvisories(ctx context.Context, c advisory.Claim, b advisory.Batch, until time.Time) error {
	if err := s.count(); err != nil {
		return err
	}
	return s.Advisories.PutAdvisories(ctx, c, b, until)
}

func (s *failing) AdvisoryHashes(ctx context.Context, source string, ids []string, after string, limit int) (map[string]string, error) {
	if err := s.count(); err != nil {
		return nil, err
	}
	return s.Advisories.AdvisoryHashes(ctx, source, ids, after, limit)
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		store := db.Advisories()
		if _, err := runImport(t, store, false, debian(100, 5)); err != nil {
			t.Fatal(err)
		}
		if out, err := runImport(t, store, false, debian(69, 6)); !errors.Is(err, advisory.ErrShrunk) {
			t.Errorf("31 %% less: %+v, %v", out, err)
		}
		if out, err := runImport(t, store, false, debian(0, 6)); !errors.Is(err, advisory.ErrShrunk) {
			t.Errorf("nothing: %+v, %v", out, err)
		}
		if out, err := runImport(t, store, false, debian(100, 4)); !errors.Is(err, advisory.ErrOlder) {
			t.Errorf("older: %+v, %v", out, err)
		}
		if got := generations(t, db, 100); got["generation 5"] != 100 {
			t.Errorf("refused imports changed what there is: %v", got)
		}
		if out, err := runImport(t, store, true, debian(10, 4)); err != nil || out.Removed != 90 || !out.Source.ModifiedAt.Equal(noon().Add(4*time.Hour)) {
			t.Errorf("forced: %+v, %v", out, err)
		}
		if out, err := runImport(t, store, false, debian(71, 6)); err != nil || out.Added != 61 || out.Changed != 10 {
			t.Errorf("more again: %+v, %v", out, err)
		}
	})
}

// TestAnEntryThatCannotBeReadIsNoRetraction: what there was of it counts until somebody says something else.
func TestAnEntryThatCannotBeReadIsNoRetraction(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		store := db.Advisories()
		entry := func(i int, broken bool) string {
			version := `"2"`
			if broken {
				version = `2`
			}
			return fmt.Sprintf(`{"id":"DEBIAN-CVE-2026-%05d","modified":"2026-01-02T00:00:00Z","affected":[{"package":{"ecosystem":"Debian:12","name":"p"},
				"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":%s}]}]}]}`, i, version)
		}
		zipped := func(broken int) advisory.Feed {
			var b bytes.Buffer
			z := zip.NewWriter(&b)
			for i := range 300 {
				f, err := z.Create(fmt.Sprintf("DEBIAN-CVE-2026-%05d.json", i))
				if err != nil {
					t.Fatal(err)
				}
				text := entry(i, i < broken)
				if i == 0 && broken > 0 {
					text = "\xff"
				}
				if _, err := f.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			return advisory.Feed{Source: "Debian", Entries: advisory.ZipEntries(bytes.NewReader(b.Bytes()), int64(b.Len()))}
		}
		lines := func(broken int) advisory.Feed {
			var b strings.Builder
			for i := range 300 {
				b.WriteString(strings.ReplaceAll(entry(i, i < broken), "\n", "") + "\n")
			}
			return advisory.Feed{Source: "Debian", Entries: advisory.LineEntries(strings.NewReader(b.String()))}
		}
		if out, err := runImport(t, store, false, zipped(0)); err != nil || out.Added != 300 {
			t.Fatalf("first: %+v, %v", out, err)
		}
		for _, f := range []advisory.Feed{zipped(2), lines(2)} {
			if out, err := runImport(t, store, true, f); err != nil || out.Rejected != 2 || out.Removed != 0 || out.Source.Advisories != 300 {
				t.Errorf("with two that cannot be read: %+v, %v", out, err)
			}
		}
	})
}

func TestOneImportOfASourceAtATime(t *testing.T) {
	t.Parallel()
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		store, now := db.Advisories(), noon()
		dead, err := store.BeginAdvisories(t.Context(), "Debian", now, now.Add(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		row := advisory.Row{Hash: "h", Body: []byte("j{}"), Advisory: advisory.Advisory{ID: "DEBIAN-CVE-2026-00001", Aliases: []string{"CVE-2026-00001"}}}
		if err := store.PutAdvisories(t.Context(), dead, advisory.Batch{Rows: []advisory.Row{row}}, now.Add(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if _, err := store.BeginAdvisories(t.Context(), "Debian", now.Add(30*time.Second), now.Add(time.Hour)); !errors.Is(err, advisory.ErrBusy) {
			t.Errorf("a second one begins: %v", err)
		}
		later := now.Add(2 * time.Minute)
		out, err := advisory.Import(t.Context(), store, feeds{debian(5, 1)}, advisory.Options{Now: clock(&later)})
		if err != nil || out[0].Added != 5 || out[0].Source.Revision != 2 {
			t.Errorf("import after one that died: %+v, %v", out, err)
		}
		if err := store.PutAdvisories(t.Context(), dead, advisory.Batch{}, later); !errors.Is(err, advisory.ErrLost) {
			t.Errorf("the dead one goes on: %v", err)
		}
		if err := store.EndAdvisories(t.Context(), dead, dead.Source); !errors.Is(err, advisory.ErrLost) {
			t.Errorf("the dead one ends: %v", err)
		}
	})
}

// sample finds the directory with real advisories beside the checkout.
func sample(tb testing.TB) string {
	tb.Helper()
	dir, err := filepath.Abs(".")
	if err != nil {
		tb.Fatal(err)
	}
	for {
		if found := filepath.Join(dir, "shared", "advisories"); isDir(found) {
			return found
		}
		if dir == filepath.Dir(dir) {
			tb.Skip("the sample of advisories is not beside the checkout")
		}
		dir = filepath.Dir(dir)
	}
}

func isDir(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

func TestImportOfTheSample(t *testing.T) {
	t.Parallel()
	dir := sample(t)
	metadbtest.Each(t, func(t *testing.T, db *metadb.DB) {
		store, now := db.Advisories(), time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
		origin := advisory.Dir{FS: os.DirFS(dir), Name: dir}
		options := advisory.Options{Now: clock(&now)}
		begin := time.Now()
		out, err := advisory.Import(t.Context(), store, origin, options)
		if err != nil {
			t.Fatal(err)
		}
		t.Log("import:", time.Since(begin))
		got := map[string]int64{}
		for _, o := range out {
			got[o.Source.Name] = o.Source.Advisories
			if o.Rejected > 0 && o.Source.Name != "cvss" {
				t.Errorf("%s: %d rejected, the first: %s", o.Source.Name, o.Rejected, o.Rejection)
			}
		}
		sources, err := store.AdvisorySources(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range sources {
			got[s.Name] = s.Advisories
		}
		want := map[string]int64{
			"AlmaLinux": 2434, "Alpine": 2438, "Debian": 3667, "Go": 4291, "PyPI": 2661, "crates.io": 1200, "npm": 910, "kev": 1404,
			"cvss": 6542, // and two that are no vectors
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("imported (-want +got):\n%s", diff)
		}
		begin = time.Now()
		for i := range out {
			out[i].Source.Validator = ""
		}
		options.Force = true // read again, though the files are the same
		again, err := advisory.Import(t.Context(), store, origin, options)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range again {
			if o.Added+o.Changed+o.Removed > 0 {
				t.Errorf("again: %+v", o)
			}
		}
		t.Log("unchanged:", time.Since(begin))
	})
}
