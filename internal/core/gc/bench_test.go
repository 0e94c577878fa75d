package gc_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/gc"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/metadb"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob"
	"github.com/hoopstat-haus/berth/internal/storage/s3blob/s3test"
)

// howMany reads a number from the environment, where a benchmark is to run at another size than make bench's.
func howMany(b *testing.B, name string, usual int) int {
	b.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		b.Fatal(err)
	}
	return n
}

func randomKey() blob.Key {
	var raw [16]byte
	_, _ = rand.Read(raw[:])
	return blob.Key(hex.EncodeToString(raw[:]))
}

// fill gives the repository so many layers, which are never due, and tells them.
func fill(b *testing.B, db *metadb.DB, n int) (int64, []registry.Layer) {
	b.Helper()
	repository, err := db.Read().Repository(b.Context(), repo)
	if err != nil {
		b.Fatal(err)
	}
	layers := make([]registry.Layer, n)
	for i := range layers {
		key := randomKey()
		layers[i] = registry.Layer{Digest: oci.FromBytes([]byte(key)), Size: 32, Key: key, LinkedAt: time.Now()}
	}
	for done := 0; done < n; done += 1000 {
		err := db.Update(b.Context(), func(tx registry.Tx) error {
			for _, l := range layers[done:min(n, done+1000)] {
				if _, _, err := tx.LinkLayer(b.Context(), repository.ID, l); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return repository.ID, layers
}

// BenchmarkNothingDue is what a sweep costs where all is needed.
func BenchmarkNothingDue(b *testing.B) {
	bench := newBench(b, metadbtest.New(b), settings{})
	fill(b, bench.db, howMany(b, "BERTH_BENCH_BLOBS", 100_000))
	b.ResetTimer()
	for b.Loop() {
		if more, err := bench.gc.SweepOnce(b.Context()); more || err != nil {
			b.Fatal(more, err)
		}
	}
}

// BenchmarkSweepBesidePushes sweeps blobs with their bytes at the usual rate, in windows of time between which it rests, while 16
// clients push small images all the time. It tells how many pushes there were in a window with sweep for each in one without.
func BenchmarkSweepBesidePushes(b *testing.B) {
	garbage := howMany(b, "BERTH_BENCH_GARBAGE", 20_000)
	b.Run("sqlite+disk", func(b *testing.B) {
		bench := newBench(b, metadbtest.New(b), settings{})
		beside(b, bench, bench.blobs, garbage, func(key blob.Key) error {
			folder := filepath.Join(bench.dir, string(key[:2]))
			if err := os.MkdirAll(folder, 0o700); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(folder, string(key)), []byte(key), 0o400)
		})
	})
	b.Run("postgres+s3", func(b *testing.B) {
		bench := newBench(b, metadbtest.NewPostgres(b), settings{})
		store, err := s3blob.Open(b.Context(), s3test.Bucket(b))
		if err != nil {
			b.Fatal(err)
		}
		beside(b, bench, store, garbage/4, func(key blob.Key) error {
			u, err := store.Append(b.Context(), blob.Upload{Key: key}, bytes.NewReader([]byte(key)))
			if err == nil {
				err = store.Complete(b.Context(), u)
			}
			return err
		})
	})
}

func beside(b *testing.B, bench *bench, store blob.Store, garbage int, put func(blob.Key) error) {
	b.Helper()
	c := bench.config
	c.Blobs, c.Rate, c.Now, c.Grace = store, 1000, time.Now, time.Millisecond // bytes are due at once
	collector := gc.New(c)
	bench.Registry = registry.New(registry.Config{Store: bench.db, Blobs: store, Account: account, Region: "us-east-1", Now: time.Now})
	for b.Loop() {
		b.StopTimer()
		makeGarbage(b, bench.db, garbage, put)
		b.StartTimer()
		windows(b, bench, collector)
	}
}

func makeGarbage(b *testing.B, db *metadb.DB, n int, put func(blob.Key) error) {
	b.Helper()
	id, layers := fill(b, db, n)
	var putting sync.WaitGroup
	next := make(chan blob.Key)
	for range 8 {
		putting.Go(func() {
			for key := range next {
				if err := put(key); err != nil {
					b.Error(err)
				}
			}
		})
	}
	digests := make([]oci.Digest, n)
	for i, l := range layers {
		next <- l.Key
		digests[i] = l.Digest
	}
	close(next)
	putting.Wait()
	for done := 0; done < n; done += 1000 {
		err := db.Garbage().Update(b.Context(), func(tx gc.Tx) error {
			return tx.UnlinkLayers(b.Context(), id, digests[done:min(n, done+1000)], time.Now())
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

// windows pushes until the sweep has taken everything.
func windows(b *testing.B, bench *bench, collector *gc.Service) {
	b.Helper()
	const window = 3 * time.Second
	ctx, stop := context.WithCancel(b.Context())
	var pushes, number atomic.Int64
	var pushers sync.WaitGroup
	for range 16 {
		pushers.Go(func() {
			for ctx.Err() == nil {
				if err := pushSmall(ctx, bench, number.Add(1)); err != nil && ctx.Err() == nil {
					b.Errorf("a push failed: %v", err)
				}
				pushes.Add(1)
			}
		})
	}
	var counts [2]int64
	var spans [2]time.Duration
	for with, more := 0, true; more; with = 1 - with {
		began, before := time.Now(), pushes.Load()
		if with == 0 {
			time.Sleep(window) //nolint:forbidigo // it measures
		}
		for with == 1 && more && time.Since(began) < window {
			var err error
			if more, err = collector.SweepOnce(ctx); err != nil {
				b.Error(err)
			}
		}
		counts[with] += pushes.Load() - before
		spans[with] += time.Since(began)
	}
	stop()
	pushers.Wait()
	without, beside := float64(counts[0])/spans[0].Seconds(), float64(counts[1])/spans[1].Seconds()
	b.ReportMetric(without, "pushes/s-alone")
	b.ReportMetric(beside, "pushes/s-beside")
	b.ReportMetric(beside/without, "ratio")
	st, err := collector.Status(b.Context(), root)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(st.Stages[gc.Bytes].Done.Things), "swept")
}

// pushSmall pushes an image of one layer of 4 KiB.
func pushSmall(ctx context.Context, bench *bench, n int64) error {
	var parts [2]oci.Descriptor
	for i := range parts {
		var err error
		if parts[i], err = bench.tryLayer(ctx, repo, fmt.Sprintf("%4096d", 2*n+int64(i))); err != nil {
			return err
		}
	}
	_, err := bench.PutImage(ctx, root, registry.Push{Repository: repo, Manifest: manifest(parts[0], parts[1]), Tags: []string{fmt.Sprint("t", n)}})
	return err
}
