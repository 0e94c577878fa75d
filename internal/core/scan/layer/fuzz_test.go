package layer_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// FuzzWalk: no layer is an error, what is kept of it stays within limits and can be stored.
func FuzzWalk(f *testing.F) {
	for _, tt := range walkTests {
		b := archive(f, tt.entries...)
		f.Add(b)
		f.Add(gz(f, b))
		f.Add(zst(f, b))
	}
	limits := layer.Limits{Unpacked: 8 << 20, RatioFree: 1 << 20, Entries: 1000, File: 1 << 20, InMemory: 4 << 10, Read: 4 << 20, Packages: 100, FilePackages: 10, Window: 8 << 20, Kept: 64 << 10, FileTime: time.Second}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := layer.Walk(t.Context(), layer.Config{Formats: formats(), Limits: limits, TempDir: dir}, "application/vnd.oci.image.layer.v1.tar", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if l.DiffID == "" && l.Problem == "" {
			t.Fatal("neither the tar's digest nor why it has none")
		}
		if !utf8.ValidString(l.Problem) || strings.ContainsFunc(l.Problem, func(r rune) bool { return r < ' ' }) || len(l.Problem) > 8*1000 {
			t.Fatalf("the problem is %q", l.Problem)
		}
		if !slices.IsSorted(l.Others) || !slices.IsSorted(l.Dirs) || !slices.IsSorted(l.Whiteouts) || !slices.IsSorted(l.Opaque) {
			t.Fatalf("lists are not in order: %+v", l)
		}
		for _, file := range l.Files {
			if strings.HasPrefix(file.Path, "/") || slices.Contains(strings.Split(file.Path, "/"), "..") || len(file.Packages) > limits.FilePackages {
				t.Fatalf("a file %+v", file)
			}
		}
		if encoded, err := l.Encode(); err != nil || len(encoded) > 1<<20 {
			t.Fatalf("Encode gives %d bytes, %v", len(encoded), err)
		}
	})
}
