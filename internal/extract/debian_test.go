package extract_test

import (
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/e2e/rootfstest"
	"github.com/hoopstat-haus/berth/internal/extract"
	"github.com/hoopstat-haus/berth/internal/extract/extracttest"
)

// debianLayer reads a layer of a real Debian.
func debianLayer(tb testing.TB, x *extract.Extractor, l rootfstest.Layer) inventory.Layer {
	tb.Helper()
	f, err := os.Open(l.File)
	if err != nil {
		tb.Fatal(err)
	}
	defer f.Close()
	got, err := x.Extract(tb.Context(), oci.Descriptor{Size: l.Size}, f)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

// TestDebian: the layers of a real Debian are read whole, and what dpkg has installed is in them.
func TestDebian(t *testing.T) {
	t.Parallel()
	image := rootfstest.Debian(t)
	x := extracttest.New(t, extract.Config{})
	for _, l := range image.Layers {
		got := debianLayer(t, x, l)
		if got.Problem != "" || got.DiffID != oci.Digest(l.DiffID.String()) {
			t.Errorf("%s unpacks to %s with the problem %q, want %s", l.Name, got.DiffID, got.Problem, l.DiffID)
		}
		found, owned := map[inventory.Type]int{}, 0
		for _, f := range got.Files {
			for _, p := range f.Packages {
				found[p.Type]++
			}
			if f.Owned {
				owned++
			}
		}
		if want, ok := image.Installed[l.Name]; ok && found[inventory.Deb] != len(want) {
			t.Errorf("%s has %d packages of Debian, want %d", l.Name, found[inventory.Deb], len(want))
		}
		if l.Name == rootfstest.App && owned > 0 {
			t.Errorf("%d files of the application belong to Debian", owned)
		}
		t.Logf("%s: %v, %d files of languages that Debian has brought", l.Name, found, owned)
	}
}

// BenchmarkWalk reads all layers of a real Debian, each in a child, and tells what the children took.
func BenchmarkWalk(b *testing.B) {
	image := rootfstest.Debian(b)
	x := extracttest.New(b, extract.Config{})
	var cpu time.Duration
	var most, stored int64
	x.Ended(func(s *os.ProcessState) {
		cpu += s.UserTime() + s.SystemTime()
		if use, ok := s.SysUsage().(*syscall.Rusage); ok {
			most = max(most, use.Maxrss<<10)
		}
	})
	for _, l := range image.Layers {
		stored += l.Size
	}
	b.SetBytes(stored)
	for b.Loop() {
		for _, l := range image.Layers {
			if got := debianLayer(b, x, l); got.Problem != "" {
				b.Fatal(got.Problem)
			}
		}
	}
	b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
	b.ReportMetric(float64(most>>20), "peak-MiB")
}
