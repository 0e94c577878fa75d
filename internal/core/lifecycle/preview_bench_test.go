package lifecycle_test

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// eachBench runs the benchmark on SQLite, and on PostgreSQL when tests use that too, with so many images of two tags
// each, of 50 applications.
func eachBench(b *testing.B, many int, run func(b *testing.B, l *bench)) {
	b.Helper()
	engines := map[string]func(testing.TB) *metadb.DB{"sqlite": metadbtest.New}
	if os.Getenv("BERTH_TEST_POSTGRES") != "" {
		engines["postgres"] = metadbtest.NewPostgres
	}
	for name, open := range engines {
		b.Run(fmt.Sprintf("%s/%d", name, many), func(b *testing.B) {
			run(b, filled(b, open(b), many))
		})
	}
}

func filled(b *testing.B, db *metadb.DB, many int) *bench {
	b.Helper()
	blobs, err := diskblob.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	l := &bench{db: db, now: noon}
	clock := func() time.Time { return l.now }
	l.registry = registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: clock})
	l.Service = lifecycle.New(lifecycle.Config{Registry: l.registry, Store: db, Rows: db.Lifecycle(), Now: clock})
	if l.repo, err = l.registry.CreateRepository(b.Context(), root, registry.NewRepository{Name: repo}); err != nil {
		b.Fatal(err)
	}
	const atOnce = 5000
	for from := 0; from < many; from += atOnce {
		err := db.Update(b.Context(), func(tx registry.Tx) error {
			for i := from; i < min(from+atOnce, many); i++ {
				if err := l.fill(b.Context(), tx, i, many); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return l
}

// fill adds the image of that number, the last one being the youngest.
func (b *bench) fill(ctx context.Context, tx registry.Tx, i, many int) error {
	img := registry.Image{
		Digest: oci.FromBytes(fmt.Append(nil, i)), MediaType: oci.MediaTypeOCIManifest, ConfigMediaType: "application/vnd.oci.image.config.v1+json",
		Size: 10, ManifestSize: 10, PushedAt: noon.Add(-time.Duration(many-i) * time.Minute), Manifest: []byte("{}"),
	}
	id, err := tx.InsertImage(ctx, b.repo.ID, img, registry.References{})
	if err != nil {
		return err
	}
	for _, tag := range []string{fmt.Sprintf("app%d-%d", i%50, i), fmt.Sprintf("build-%d", i)} {
		if err := tx.SetTag(ctx, b.repo.ID, tag, id, noon); err != nil {
			return err
		}
	}
	return nil
}

// fiftyRules keep ten images of each application, and what is younger than a day.
func fiftyRules() string {
	rules := make([]string, 0, 50)
	for i := range 49 {
		rules = append(rules, rule(i+1, "tagged", fmt.Sprintf(`"tagPatternList":["app%d-*"],"countType":"imageCountMoreThan","countNumber":10`, i), expire))
	}
	return document(append(rules, rule(50, "any", days1, expire))...)
}

// BenchmarkPreview does what the preview job does: read the images, evaluate 50 rules, and store what goes, which is all
// but some hundred. Its bound is 1 s and 200 MB for 100,000 images, and time that grows with the images for 1,000,000, which
// take BENCH_LARGE=1 to be asked for: filling the database takes minutes.
func BenchmarkPreview(b *testing.B) {
	sizes := []int{100_000}
	if os.Getenv("BENCH_LARGE") != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, many := range sizes {
		eachBench(b, many, func(b *testing.B, l *bench) {
			text := fiftyRules()
			b.ReportAllocs()
			peak := watchHeap()
			used, n := time.Duration(0), 0
			for b.Loop() {
				b.StopTimer()
				if _, err := l.StartPreview(b.Context(), root, repo, &text); err != nil { // clears the last one's results away
					b.Fatal(err)
				}
				b.StartTimer()
				n++
				before := cpuTime(b)
				if more, err := l.PreviewOnce(b.Context()); err != nil || !more {
					b.Fatal(more, err)
				}
				used += cpuTime(b) - before
			}
			b.ReportMetric(float64(used.Milliseconds())/float64(n), "cpu-ms/op")
			b.ReportMetric(float64(peak())/1e6, "peak-MB")
			p, err := l.Preview(b.Context(), root, repo, previewAll)
			if err != nil || p.Status != lifecycle.Complete || p.Summary.Expiring < many*9/10 {
				b.Fatalf("the preview is %s with %+v (%v)", p.Status, p.Summary, err)
			}
		})
	}
}

// watchHeap looks at the heap every millisecond; what it gives tells the largest that was seen, what was there before left out.
func watchHeap() (peak func() uint64) {
	inUse := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	runtime.GC()
	before, most := inUse(), atomic.Uint64{}
	done := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-tick.C:
				most.Store(max(most.Load(), inUse()))
			case <-done:
				return
			}
		}
	})
	return func() uint64 {
		close(done)
		watch.Wait()
		return most.Load() - min(before, most.Load())
	}
}
