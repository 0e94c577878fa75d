//go:build unix

package diskblob_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
)

// BenchmarkDiskAppend128MiB stores a large layer as the registry does, hashing it on the way. Besides
// MB/s it reports the processor time that a GB costs.
func BenchmarkDiskAppend128MiB(b *testing.B) {
	const size = 128 << 20
	s := open(b, b.TempDir())
	body := blobtest.Bytes(1, size)
	b.SetBytes(size)
	before := cpuTime(b)
	for b.Loop() {
		push(b, s, body)
	}
	perGB := float64(cpuTime(b)-before) / float64(b.N) / size * 1e9
	b.ReportMetric(perGB/float64(time.Second), "cpu-s/GB")
}

// BenchmarkSHA256 is the part of the above that is hashing.
func BenchmarkSHA256(b *testing.B) {
	const size = 128 << 20
	body := blobtest.Bytes(1, size)
	b.SetBytes(size)
	before := cpuTime(b)
	for b.Loop() {
		sha256.Sum256(body)
	}
	perGB := float64(cpuTime(b)-before) / float64(b.N) / size * 1e9
	b.ReportMetric(perGB/float64(time.Second), "cpu-s/GB")
}

// BenchmarkDiskSmall stores configs of 2 KiB from 16 clients at once.
func BenchmarkDiskSmall(b *testing.B) {
	s := open(b, b.TempDir())
	body := blobtest.Bytes(1, 2<<10)
	b.SetBytes(int64(len(body)))
	b.SetParallelism(8) // times the two processors of a small machine
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			push(b, s, body)
		}
	})
}

// push stores one blob and deletes it again, so that a long run does not fill the disk.
func push(b *testing.B, s blob.Store, body []byte) {
	u, err := s.Append(b.Context(), blob.Upload{Key: blobtest.NewKey()}, io.TeeReader(onlyReader{bytes.NewReader(body)}, sha256.New()))
	if err == nil {
		err = s.Complete(b.Context(), u)
	}
	if err == nil {
		err = s.Delete(b.Context(), u.Key)
	}
	if err != nil {
		b.Errorf("storing %d bytes: %v", len(body), err)
	}
}

// onlyReader hides what else a reader can do, as an HTTP body has none of it.
type onlyReader struct{ io.Reader }

func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatalf("getrusage: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDiskWalk100000 lists 100,000 objects in pages of 1000, as a search for garbage does. The files are in the
// kernel's cache; besides the time it reports what a walk allocates.
func BenchmarkDiskWalk100000(b *testing.B) {
	const count = 100_000
	s, dir := filledWith(b, count)
	b.Run("Walk", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			walkOver(b, s, count)
		}
		b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	})
	b.Run("WalkDir", func(b *testing.B) { // what it costs to look at the files, without pages and places
		b.ReportAllocs()
		for b.Loop() {
			err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
				if err == nil {
					_, err = d.Info()
				}
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
	})
}

// BenchmarkDiskWalkOneShard lists as many that all lie in one shard: no page may read the whole directory.
func BenchmarkDiskWalkOneShard(b *testing.B) {
	const count = 100_000
	dir := b.TempDir()
	s := open(b, dir)
	for i := range count {
		create(b, filepath.Join(dir, "5a", fmt.Sprintf("5a%030x", i)))
	}
	b.ReportAllocs()
	for b.Loop() {
		walkOver(b, s, count)
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "objects/s")
}

// walkOver walks and keeps nothing of what it finds.
func walkOver(b *testing.B, s *diskblob.Store, want int) {
	b.Helper()
	for after, n := "", 0; ; {
		found, next, err := s.Walk(b.Context(), after, 1000)
		if err != nil {
			b.Fatalf("Walk: %v", err)
		}
		if n += len(found); next == "" {
			if n != want {
				b.Fatalf("walk: got %d things, want %d", n, want)
			}
			return
		}
		after = next
	}
}

// filledWith makes a store with count empty objects. They are made behind its back: nothing here is to be durable.
func filledWith(b *testing.B, count int) (s *diskblob.Store, dir string) {
	b.Helper()
	dir = b.TempDir()
	s = open(b, dir)
	for range count {
		key := string(blobtest.NewKey())
		create(b, filepath.Join(dir, key[:2], key))
	}
	return s, dir
}

func create(b *testing.B, path string) {
	b.Helper()
	if err := os.WriteFile(path, nil, 0o400); err != nil {
		b.Fatal(err)
	}
}
