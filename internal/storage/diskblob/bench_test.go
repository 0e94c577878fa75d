//go:build unix

package diskblob_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/storage/blobtest"
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
