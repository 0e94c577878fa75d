package fsck_test

import (
	"crypto/rand"
	"io"
	"io/fs"
	"log/slog"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/fsck"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/storage/diskblob"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkCheck reads eight layers of 64 MiB on a disk, and 2000 of 4 KiB, and has sha256sum, where it is on the machine, read the
// same files.
func BenchmarkCheck(b *testing.B) {
	for name, c := range map[string]struct {
		layers int
		size   int64
	}{"large": {8, 64 * mebi}, "small": {2000, 4 << 10}} {
		b.Run(name, func(b *testing.B) { benchmarkCheck(b, c.layers, c.size) })
	}
}

func benchmarkCheck(b *testing.B, layers int, size int64) {
	dir := b.TempDir()
	blobs, err := diskblob.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	db := metadbtest.New(b)
	r := registry.New(registry.Config{Store: db, Blobs: blobs, Account: account, Region: "us-east-1", Now: time.Now})
	if _, err := r.CreateRepository(b.Context(), rootCaller(), registry.NewRepository{Name: repo}); err != nil {
		b.Fatal(err)
	}
	for range layers {
		u, err := r.StartUpload(b.Context(), rootCaller(), repo, oci.SHA256)
		if err != nil {
			b.Fatal(err)
		}
		h := oci.SHA256.New()
		body := registry.Part{Start: registry.Anywhere, Size: size, Body: io.TeeReader(io.LimitReader(rand.Reader, size), h)}
		if _, err := r.AppendUpload(b.Context(), rootCaller(), repo, u.ID, body); err != nil {
			b.Fatal(err)
		}
		if _, err := r.CompleteUpload(b.Context(), rootCaller(), repo, u.ID, registry.Completion{Digest: oci.FromSum(oci.SHA256, h.Sum(nil))}); err != nil {
			b.Fatal(err)
		}
	}
	rows := db.Checks()
	s := fsck.New(fsck.Config{
		Registry: r, Checks: rows, Contents: rows, Repairs: rows, Blobs: blobs, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
	})
	b.SetBytes(int64(layers) * size)
	for b.Loop() {
		if _, err := s.Start(b.Context(), rootCaller(), fsck.Order{}); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Once(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	last, err := s.Describe(b.Context(), rootCaller(), fsck.Query{})
	if err != nil || last.State != fsck.Complete || last.Problems != 0 || last.Progress.Blobs != int64(layers) {
		b.Fatalf("the last check: %+v, %v", last.Check, err)
	}
	mine := b.Elapsed() / time.Duration(b.N)
	if theirs, ok := sha256sum(b, dir); ok {
		b.ReportMetric(float64(int64(layers)*size)/theirs.Seconds()/1e6, "sha256sum-MB/s")
		b.ReportMetric(100*theirs.Seconds()/mine.Seconds(), "%-of-sha256sum")
	}
}

// sha256sum tells how long the program of that name takes for the files of a store, by the best of three.
func sha256sum(b *testing.B, dir string) (best time.Duration, ok bool) {
	b.Helper()
	program, err := exec.LookPath("sha256sum")
	if err != nil {
		return 0, false
	}
	var files []string
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && len(d.Name()) == 32 {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for range 3 {
		began := time.Now()
		if err := exec.CommandContext(b.Context(), program, files...).Run(); err != nil {
			b.Fatal(err)
		}
		if took := time.Since(began); best == 0 || took < best {
			best = took
		}
	}
	return best, true
}
