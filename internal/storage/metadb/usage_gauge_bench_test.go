package metadb_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/usage"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

func newUsage(db *metadb.DB, now func() time.Time) *usage.Service {
	rows := db.Usage()
	return usage.New(usage.Config{
		Registry: registry.New(registry.Config{Store: db, Account: account, Region: "us-east-1", Now: now}),
		Store:    rows, Upkeep: rows, Images: rows, Gauging: rows, Now: now,
	})
}

// processor is the processor time that the process has used.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// reportProcessor notes how much each operation took of it since then: on a machine that others use, that says more than the clock.
func reportProcessor(b *testing.B, since time.Duration) {
	b.Helper()
	b.ReportMetric(float64((processor(b)-since).Microseconds())/1000/float64(b.N), "cpu-ms/op")
}

// usageFleet makes a repository of 100,000 images of 200 apps, eight layers each: two of its own, three of its app, three of all.
func usageFleet(b *testing.B, db *metadb.DB) {
	b.Helper()
	const images = 100_000
	exec := func(text string) {
		b.Helper()
		if err := metadb.Exec(b.Context(), db, text); err != nil {
			b.Fatal(err)
		}
	}
	// digest names the n-th of something, n being an expression of the number i.
	digest := func(n string) string {
		return `'sha256:` + strings.Repeat("0", 56) + `' || CAST(10000000 + ` + n + ` AS TEXT)`
	}
	each := func(insert, values string) {
		b.Helper()
		exec(fmt.Sprintf(`INSERT INTO %s WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT %s FROM n`, insert, images-1, values))
	}
	exec(`INSERT INTO repositories (name, created_at, mutability, exclusions, scan_on_push) VALUES ('hoopstat-haus/prod', 1, 'MUTABLE', '', FALSE)`)
	each(`images (repository_id, digest, media_type, artifact_type, config_media_type, size, manifest_size, pushed_at, last_pulled_at)`,
		`1, `+digest("i")+`, '`+oci.MediaTypeOCIManifest+`', '', '', 1, 1, 1, 0`)
	each(`manifests (image_id, annotations, body)`, `i + 1, '', unhex('7b7d')`)
	each(`tags (repository_id, name, image_id, set_at)`, `1, 'app' || CAST(i % 200 AS TEXT) || '-' || CAST(10000000 + i AS TEXT), i + 1, 1`)
	for _, layer := range []string{
		"2 * i", "2 * i + 1", "1000000 + 3 * (i % 200)", "1000001 + 3 * (i % 200)", "1000002 + 3 * (i % 200)", "2000000", "2000001", "2000002",
	} {
		each(`image_blobs (repository_id, image_id, digest)`, `1, i + 1, `+digest(layer))
	}
	exec(`INSERT INTO blobs (digest, size, blob_key, created_at) SELECT DISTINCT digest, 1000, digest, 1 FROM image_blobs`)
	exec(`INSERT INTO layers (repository_id, digest, linked_at) SELECT DISTINCT 1, digest, 1 FROM image_blobs`)
}

// BenchmarkUsageGauge measures a repository of 100,000 images: for the first time, when all their apps are stored, and again.
func BenchmarkUsageGauge(b *testing.B) {
	db := metadbtest.New(b)
	usageFleet(b, db)
	now := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	service := newUsage(db, func() time.Time { return now })
	round := func(b *testing.B) {
		b.Helper()
		began, peak := processor(b), uint64(0)
		b.ResetTimer()
		for range b.N {
			now = now.Add(time.Hour)
			stop, done := make(chan struct{}), make(chan struct{})
			go func() {
				defer close(done)
				for {
					var m runtime.MemStats
					runtime.ReadMemStats(&m)
					peak = max(peak, m.HeapAlloc)
					select {
					case <-stop:
						return
					case <-time.After(20 * time.Millisecond):
					}
				}
			}()
			for more := true; more; {
				var err error
				if more, err = service.GaugeOnce(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
			close(stop)
			<-done
		}
		reportProcessor(b, began)
		b.ReportMetric(float64(peak>>20), "heap-MiB")
	}
	b.Run("first", round)
	b.Run("again", round)
}

// BenchmarkUsageHandle counts what a push adds, and what a second of 1,000 pulls adds: 100 images of 20 repositories, by ten roles.
func BenchmarkUsageHandle(b *testing.B) {
	db := metadbtest.New(b)
	now := time.Date(2026, 11, 24, 12, 30, 0, 0, time.UTC)
	service := newUsage(db, func() time.Time { return now })
	var pulls []event.Traffic
	for i := range 100 {
		pulls = append(pulls, event.Traffic{
			Minute: now, Service: "ecr", Operation: "BatchGetImage", Repository: fmt.Sprintf("hoopstat-haus/%d", i%20), Digest: oci.FromBytes([]byte{byte(i)}),
			Principal: fmt.Sprintf("arn:aws:iam::123456789012:role/%d", i%10), Calls: 10, Pulls: 10, BytesOut: 12345,
		})
	}
	id := int64(0)
	b.Run("100-pushes", func(b *testing.B) { // as the outbox hands them on when there are many
		began := processor(b)
		for b.Loop() {
			var pushes []event.Event
			for i := range 100 {
				id++
				pushes = append(pushes, event.Event{
					ID: id, At: now, Kind: event.ImagePushed, Source: event.Push, Repository: fmt.Sprintf("hoopstat-haus/%d", i%4), Actor: "arn:aws:iam::123456789012:root",
					Digest: oci.FromBytes([]byte{byte(i)}), Tags: []string{"web-latest"},
				})
			}
			if err := service.HandleAll(b.Context(), pushes); err != nil {
				b.Fatal(err)
			}
		}
		reportProcessor(b, began)
	})
	for name, e := range map[string]event.Event{
		"push":       {Kind: event.ImagePushed, Source: event.Push, Repository: "hoopstat-haus/1", Actor: "arn:aws:iam::123456789012:root", Digest: oci.FromBytes(nil), Tags: []string{"web-latest"}},
		"1000-pulls": {Kind: event.Served, Traffic: pulls},
	} {
		b.Run(name, func(b *testing.B) {
			began := processor(b)
			for b.Loop() {
				id++
				e.ID, e.At = id, now
				if err := service.Handle(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
			reportProcessor(b, began)
		})
	}
}
