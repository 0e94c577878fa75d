package layer_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

func iotestBytes(n int) []byte {
	random := rand.NewChaCha8([32]byte{1})
	b := make([]byte, n)
	_, _ = random.Read(b)
	return b
}

// TestLimits: each limit is named, what was found before it is kept, and where the tar could be read on its digest is known.
func TestLimits(t *testing.T) {
	t.Parallel()
	first := reg("0.pkg", "x 1")
	var many []entry
	for _, c := range "abcdefghij" {
		many = append(many, reg(string(c)+".pkg", "x 1\ny 2"))
	}
	zeros := reg("zeros", strings.Repeat("\x00", 100<<10))
	for name, tt := range map[string]struct {
		limits  layer.Limits
		entries []entry
		problem string
		found   int // files
		ended   bool
	}{
		"unpacked":      {layer.Limits{Unpacked: 64 << 10}, []entry{first, zeros}, "it unpacks to more than 64 KiB", 1, true},
		"ratio":         {layer.Limits{Ratio: 20, RatioFree: 70 << 10}, []entry{first, zeros}, "it unpacks to more than 20 times its size", 1, true},
		"entries":       {layer.Limits{Entries: 2}, many, "it has more than 2 entries", 2, false},
		"path":          {layer.Limits{PathBytes: 10}, []entry{first, reg("a/long/path.pkg", "x 1"), reg("1.pkg", "x 1")}, `the path "a/long/path.pkg" has more than 10 bytes or 256 components`, 2, false},
		"components":    {layer.Limits{PathParts: 2}, []entry{first, reg("a/b/c.pkg", "x 1"), reg("a/b.pkg", "x 1")}, `the path "a/b/c.pkg" has more than 4096 bytes or 2 components`, 2, false},
		"target":        {layer.Limits{PathBytes: 10}, []entry{first, ln("l", "a/long/target")}, `the target of the link "l" has more than 10 bytes`, 1, false},
		"file":          {layer.Limits{File: 5}, []entry{first, reg("a.pkg", "x 1\ny 2"), reg("b.pkg", "y 1")}, `the file "a.pkg" is larger than 5 bytes`, 2, false},
		"read":          {layer.Limits{Read: 15}, many, "the files to read are more than 15 bytes", 2, false},
		"packages":      {layer.Limits{Packages: 3}, many, "it has more than 3 packages", 2, false},
		"by hard links": {layer.Limits{Packages: 3}, []entry{many[0], hard("l.pkg", "a.pkg"), hard("m.pkg", "a.pkg")}, "it has more than 3 packages", 1, false},
		"of a file":     {layer.Limits{FilePackages: 1}, []entry{first, many[0]}, `"a.pkg" has more than 1 packages`, 2, false},
		"owned":         {layer.Limits{Owned: 1}, []entry{reg("a.list", "own a\nown b"), first}, "packages of the operating system have more than 1 files", 1, false},
		"kept":          {layer.Limits{Kept: 1 << 10}, many, "its paths, links and packages are more than 1 KiB", 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := archive(t, tt.entries...)
			l := walk(t, tt.limits, gz(t, b))
			want := oci.FromBytes(b)
			if tt.ended {
				want = ""
			}
			if l.Problem != tt.problem || len(l.Files) != tt.found || l.DiffID != want {
				t.Errorf("Walk = %s with %d files and the problem %q, want %s, %d, %q", l.DiffID, len(l.Files), l.Problem, want, tt.found, tt.problem)
			}
		})
	}
}

// TestTime: a context that ends for a limit keeps what was found; one that ends otherwise is an error.
func TestTime(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(layer.Limit("it took longer than a minute"))
	l, err := layer.Walk(ctx, layer.Config{}, "", bytes.NewReader(archive(t)))
	if err != nil || l.Problem != "it took longer than a minute" || l.DiffID != "" {
		t.Errorf("Walk at the deadline = %+v, %v", l, err)
	}
	ctx, cancel = context.WithCancelCause(t.Context())
	gone := errors.New("nobody waits")
	cancel(gone)
	if l, err := layer.Walk(ctx, layer.Config{}, "", bytes.NewReader(archive(t))); !errors.Is(err, gone) {
		t.Errorf("Walk for nobody = %+v, %v", l, err)
	}
}

// TestFormatThatDoesNotComeBack ends the walk, with what was found before and the digest.
func TestFormatThatDoesNotComeBack(t *testing.T) {
	t.Parallel()
	b := archive(t, reg("a.pkg", "x 1"), reg("b.pkg", "hang"), reg("c.hang", "x"), reg("d.pkg", "x 1"))
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		end := make(chan struct{})
		l, err := layer.Walk(t.Context(), layer.Config{Formats: append(formats(), deaf{end: end}), Limits: layer.Limits{FileTime: time.Second, InMemory: 1}, TempDir: dir}, "", bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		want := `reading "b.pkg" as lang: it took longer than 1s; reading "c.hang" as deaf: it took longer than 1s`
		if l.Problem != want || len(l.Files) != 1 || l.DiffID != oci.FromBytes(b) {
			t.Errorf("Walk = %+v, want the file before it and the problem %q", l, want)
		}
		close(end)
	})
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("there are left %v, %v", left, err)
	}
}

// deaf is a Format that does not hear its context.
type deaf struct{ end chan struct{} }

func (deaf) Name() string { return "deaf" }

func (deaf) Wants(path string, _ os.FileMode, _ int64) bool { return strings.HasSuffix(path, ".hang") }

func (d deaf) Read(context.Context, layer.Input) (layer.Result, error) {
	<-d.end
	return layer.Result{}, nil
}
