//go:build unix

package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// BenchmarkWalk walks a layer as a distribution's is: 300 MB as gzip stores it, 30,000 files of all sizes, half as random as programs
// are. It is most of all the unpacking.
func BenchmarkWalk(b *testing.B) {
	for _, kind := range []string{"gzip", "zstd"} {
		b.Run(kind, func(b *testing.B) {
			name := filepath.Join(b.TempDir(), "layer")
			unpacked := synthetic(b, name, kind)
			b.SetBytes(unpacked)
			begun := used(b)
			for b.Loop() {
				f, err := os.Open(name)
				if err != nil {
					b.Fatal(err)
				}
				l, err := layer.Walk(b.Context(), layer.Config{Formats: formats(), TempDir: b.TempDir()}, "", f)
				if err != nil || l.Problem != "" || len(l.Files) != 300 {
					b.Fatalf("Walk gives %d files, %q, %v", len(l.Files), l.Problem, err)
				}
				f.Close()
			}
			b.ReportMetric((used(b)-begun).Seconds()/float64(b.N), "cpu-s/op")
		})
	}
}

// used is how much CPU time this process has taken: the clock tells little on a machine that others use.
func used(b *testing.B) time.Duration {
	b.Helper()
	var use syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &use); err != nil {
		b.Fatal(err)
	}
	return time.Duration(use.Utime.Nano() + use.Stime.Nano())
}

// BenchmarkEntries walks many entries with nothing in them: what an entry costs.
func BenchmarkEntries(b *testing.B) {
	const n = 100_000
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for i := range n {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprintf("usr/share/doc/%d/copyright", i), Typeflag: tar.TypeReg}); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := layer.Walk(b.Context(), layer.Config{Formats: formats()}, "", bytes.NewReader(out.Bytes())); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
}

// synthetic writes a layer, and gives how large it is unpacked.
func synthetic(b *testing.B, name, kind string) int64 {
	b.Helper()
	f, err := os.Create(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var z io.WriteCloser
	if z, err = gzip.NewWriterLevel(f, gzip.DefaultCompression); kind == "zstd" {
		z, err = zstd.NewWriter(f)
	}
	if err != nil {
		b.Fatal(err)
	}
	const files, half = 30_000, 2
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // the same each time
	noise := rand.NewChaCha8([32]byte{2})
	words := bytes.Repeat([]byte("what programs and their documents say again and again, "), 1<<20/50)
	w, total := tar.NewWriter(z), int64(0)
	for i := range files {
		var content []byte
		header := &tar.Header{Name: fmt.Sprintf("usr/lib/package-%d/file-%d.so", i/50, i), Typeflag: tar.TypeReg, Mode: 0o755}
		for size := random.IntN(40_000); len(content) < size; {
			at, n := random.IntN(1<<19), random.IntN(4_000)
			part := words[at : at+n]
			if random.IntN(half) == 0 {
				part = make([]byte, n)
				_, _ = noise.Read(part)
			}
			content = append(content, part...)
		}
		if i%100 == 0 {
			header.Name, content = header.Name+".pkg", []byte("some-package 1.2.3\n")
		}
		header.Size = int64(len(content))
		total += header.Size
		if err := w.WriteHeader(header); err != nil {
			b.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	if err := z.Close(); err != nil {
		b.Fatal(err)
	}
	if info, err := f.Stat(); err == nil {
		b.Logf("%d MB, %d MB unpacked", info.Size()/1_000_000, total/1_000_000)
	}
	return total
}
