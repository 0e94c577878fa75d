package metadb_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// The fleet of the benchmark: as real ones share layers.
const (
	fleetImages     = 100_000
	fleetBases      = 2_000
	fleetDependents = 20_000
	fleetPackages   = 250_000
	basePackages    = 100 // of a base layer
	layerPackages   = 200 // of a layer of dependencies
)

// BenchmarkRejudge judges 100,000 images with 300 packages each by all advisories of the sample, as if for the first time (full), and
// by news about 300 names (delta).
func BenchmarkRejudge(b *testing.B) {
	for engine, open := range map[string]func(testing.TB) *metadb.DB{"sqlite": metadbtest.New, "postgres": metadbtest.NewPostgres} {
		b.Run(engine, func(b *testing.B) {
			w := newJudged(b, open(b))
			started := time.Now()
			w.fleet()
			b.Logf("the fleet took %v", time.Since(started))
			b.Run("full", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					w.exec(`DELETE FROM package_matches`)
					w.exec(`UPDATE advisory_sources SET judged_rev = 0`)
					w.measure(b)
				}
			})
			b.Run("again", func(b *testing.B) { // all of it, and nothing has changed
				for b.Loop() {
					b.StopTimer()
					w.exec(`UPDATE advisory_sources SET judged_rev = 0`)
					w.measure(b)
				}
			})
			b.Run("delta", func(b *testing.B) {
				for b.Loop() {
					b.StopTimer()
					w.news(300)
					w.measure(b)
				}
			})
		})
	}
}

// measure judges, and reports what it took of the processor and of memory too: the machine may be shared.
func (w *judged) measure(b *testing.B) {
	runtime.GC()
	var before, after syscall.Rusage
	w.must(syscall.Getrusage(syscall.RUSAGE_SELF, &before))
	stop, peak := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		for tick := time.NewTicker(20 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				peak <- most
				return
			case <-tick.C:
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				most = max(most, m.HeapInuse)
			}
		}
	}()
	b.StartTimer()
	_, err := w.judge.JudgeOnce(b.Context())
	w.must(err)
	b.StopTimer()
	close(stop)
	w.must(syscall.Getrusage(syscall.RUSAGE_SELF, &after))
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	b.ReportMetric(cpu.Seconds(), "cpu-s")
	b.ReportMetric(float64(<-peak)/(1<<20), "heap-MiB")
	b.StartTimer()
}

// fleet imports the sample, and fills the database with images.
func (w *judged) fleet() {
	ctx := w.tb.Context()
	_, err := advisory.Import(ctx, w.db.Advisories(), advisory.Dir{FS: os.DirFS(sample(w.tb)), Name: "sample"}, advisory.Options{Now: func() time.Time { return w.now }})
	w.must(err)
	r := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // not a secret
	systems, languages := w.known(r)
	// Of what is installed, three in ten have a name that advisories speak of.
	system := w.packages(systems[:min(len(systems), 12000)], 30_000)
	language := w.packages(languages[:min(len(languages), 75000)], fleetPackages-30_000)
	pick := func(from []int64, n int) []int64 {
		ids := make([]int64, n)
		for i := range ids {
			ids[i] = from[int(float64(len(from))*r.Float64()*r.Float64())] // some are more popular
		}
		return ids
	}
	bases, layers := make([][]int64, fleetBases), make([][]int64, fleetDependents)
	for i := range bases {
		bases[i] = pick(system, basePackages)
	}
	for i := range layers {
		layers[i] = pick(language, layerPackages)
	}
	repo := w.images("fleet", 1)[0]
	type row struct {
		ID      int    `json:"i"`
		Members string `json:"m"`
	}
	for from := 0; from < fleetImages; from += 2000 {
		var rows []row
		for i := from; i < from+2000; i++ {
			var ms []match.Member
			for n, l := range [][]int64{bases[int(fleetBases*r.Float64()*r.Float64())], layers[i%fleetDependents]} {
				for _, id := range l {
					ms = append(ms, match.Member{Package: id, Layer: n})
				}
			}
			rows = append(rows, row{i + 10, hex.EncodeToString(match.PackMembers(ms))})
		}
		text := w.json(rows)
		w.exec(`INSERT INTO images (repository_id, digest, media_type, artifact_type, config_media_type, size, manifest_size, pushed_at, last_pulled_at)
			SELECT (SELECT repository_id FROM images WHERE id = $2), 'sha256:' || (value ->> 'i'), 'm', '', '', 0, 0, 0, 0 FROM objects($1)`, text, repo)
		w.exec(`INSERT INTO package_sets (digest, os, members, vulnerable, counts, judged_at)
			SELECT value ->> 'i', '{}', unhex(value ->> 'm'), unhex(''), '{}', 0 FROM objects($1)`, text)
		w.exec(`INSERT INTO image_inventories (image_id, set_id, chain_id, layers, made_by, problem, scanned_at, epoch)
			SELECT i.id, s.id, '', unhex('01'), '[]', '', 0, 0 FROM objects($1) JOIN images i ON i.digest = 'sha256:' || (value ->> 'i')
				AND i.repository_id = (SELECT repository_id FROM images WHERE id = $2) JOIN package_sets s ON s.digest = value ->> 'i'`, text, repo)
	}
}

func (w *judged) json(v any) string {
	w.tb.Helper()
	b, err := json.Marshal(v)
	w.must(err)
	return string(b)
}

// known lists versions of packages that advisories speak of, and next to those that they say something about, in random order.
func (w *judged) known(r *rand.Rand) (systems, languages []scan.Package) {
	kinds := map[string]string{"Debian": "deb", "Alpine": "apk", "AlmaLinux": "rpm", "npm": "npm", "PyPI": "pypi", "Go": "golang", "crates.io": "cargo"}
	for _, ecosystem := range slices.Sorted(maps.Keys(kinds)) {
		var after scan.EntryKey
		after.Ecosystem = ecosystem
		seen := map[string]bool{}
		for more := true; more; {
			entries, err := w.db.Judging().EntriesAfter(w.tb.Context(), after, 5000)
			w.must(err)
			more = len(entries) > 0
			for _, e := range entries {
				after = scan.EntryKey{Name: e.Name, Advisory: e.Advisory, Seq: e.Seq}
				if more = e.Ecosystem == ecosystem; !more {
					break
				}
				var a advisory.Affected
				w.must(json.Unmarshal(e.Affected, &a))
				for _, v := range versionsIn(a) {
					p := scan.Package{Ecosystem: ecosystem, Release: e.Release}
					p.Source, p.SourceVersion, p.Name, p.Version, p.Type = e.Name.Source, v, e.Name.Source, v, inventory.Type(kinds[ecosystem])
					if key := p.Release + " " + p.Source + " " + v; !seen[key] {
						seen[key] = true
						if p.Type.System() {
							systems = append(systems, p)
						} else {
							languages = append(languages, p)
						}
					}
				}
			}
		}
	}
	r.Shuffle(len(systems), func(i, j int) { systems[i], systems[j] = systems[j], systems[i] })
	r.Shuffle(len(languages), func(i, j int) { languages[i], languages[j] = languages[j], languages[i] })
	return systems, languages
}

func versionsIn(a advisory.Affected) (all []string) {
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected} {
				if v != "" && v != "0" {
					all = append(all, v, v+".1")
				}
			}
		}
	}
	return append(all, a.Versions[:min(len(a.Versions), 5)]...)
}

// packages stores n packages: the given ones, and others that nobody speaks of. It gives the ids in random order.
func (w *judged) packages(known []scan.Package, n int) (ids []int64) {
	for i := len(known); i < n; i++ {
		p := scan.Package{Ecosystem: "npm"}
		if known[0].Type.System() {
			p = scan.Package{Ecosystem: "Debian", Release: "12"}
		}
		p.Type, p.Source, p.SourceVersion = known[0].Type, fmt.Sprintf("unknown-%d", i/8), fmt.Sprintf("1.%d.0", i%8)
		p.Name, p.Version = p.Source, p.SourceVersion
		known = append(known, p)
	}
	at, err := w.db.Judging().Judgement(w.tb.Context())
	w.must(err)
	for some := range slices.Chunk(known, 5000) {
		more, err := w.db.Judging().AddPackages(w.tb.Context(), at.Epoch, some)
		w.must(err)
		ids = append(ids, more...)
	}
	r := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // not a secret
	r.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
	return ids
}

// news imports an advisory about each of some names that are installed somewhere.
func (w *judged) news(n int) {
	ctx := w.tb.Context()
	names, err := w.db.Judging().PackagesAfter(ctx, scan.Package{Ecosystem: "npm"}, 1<<20)
	w.must(err)
	of, err := w.db.Judging().Revisions(ctx)
	w.must(err)
	rev := of["npm"].Current + 1
	for i := range n {
		p := names[(i*7919+int(rev)*104729)%len(names)]
		w.advise(said{
			source: "npm", id: fmt.Sprintf("NEWS-%d-%d", rev, i), vulnerability: fmt.Sprintf("CVE-%d-%d", rev, i), severity: advisory.High, score: 80,
			ecosystem: p.Ecosystem, name: p.Source, from: rev,
		})
	}
	w.source("npm", rev)
}
