package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// lines is a Format: each line of a file is "name version", or "own path", or tells how to misbehave.
type lines struct {
	name   string
	suffix string
	typ    inventory.Type
	fact   bool
	calls  *int
}

func (l lines) Name() string { return l.name }

func (l lines) Wants(path string, _ fs.FileMode, _ int64) bool {
	return strings.HasSuffix(path, l.suffix)
}

func (l lines) Read(ctx context.Context, f layer.Input) (layer.Result, error) {
	if l.calls != nil {
		*l.calls++
	}
	r := layer.Result{Fact: l.fact}
	text, err := io.ReadAll(io.NewSectionReader(f.Content, 0, f.Size))
	if err != nil {
		return r, fmt.Errorf("reading: %w", err)
	}
	for line := range strings.Lines(string(text)) {
		first, second, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch first {
		case "":
		case "own":
			r.Owns = append(r.Owns, second)
		case "panic":
			panic(second)
		case "fail":
			return r, errors.New(second)
		case "hang":
			<-ctx.Done()
			return r, nil
		default:
			r.Packages = append(r.Packages, inventory.Package{Type: l.typ, Name: first, Version: second})
		}
	}
	return r, nil
}

func formats() []layer.Format {
	return []layer.Format{
		lines{name: "dpkg", suffix: "db/status", typ: inventory.Deb, fact: true},
		lines{name: "owner", suffix: ".list", typ: inventory.Deb},
		lines{name: "lang", suffix: ".pkg", typ: inventory.NPM},
		lines{name: "lang2", suffix: "both.pkg", typ: inventory.PyPI},
	}
}

// entry makes headers short to write.
type entry struct {
	tar.Header
	content string
}

func reg(name, content string) entry {
	return entry{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(content))}, content}
}

func dir(name string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755}}
}

func ln(name, target string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}}
}

func hard(name, target string) entry {
	return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target, Mode: 0o644}}
}

func node(name string) entry { return entry{Header: tar.Header{Name: name, Typeflag: tar.TypeChar}} }

func archive(tb testing.TB, entries ...entry) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if err := w.WriteHeader(&e.Header); err != nil {
			tb.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func gz(tb testing.TB, parts ...[]byte) []byte {
	tb.Helper()
	var b bytes.Buffer
	for _, p := range parts {
		w := gzip.NewWriter(&b)
		if _, err := w.Write(p); err != nil {
			tb.Fatal(err)
		}
		if err := w.Close(); err != nil {
			tb.Fatal(err)
		}
	}
	return b.Bytes()
}

func zst(tb testing.TB, p []byte, options ...zstd.EOption) []byte {
	tb.Helper()
	var b bytes.Buffer
	w, err := zstd.NewWriter(&b, options...)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := w.Write(p); err != nil {
		tb.Fatal(err)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

// walk walks within limits that tests can reach.
func walk(tb testing.TB, limits layer.Limits, b []byte) inventory.Layer {
	tb.Helper()
	l, err := layer.Walk(tb.Context(), layer.Config{Formats: formats(), Limits: limits, TempDir: tb.TempDir()}, "", bytes.NewReader(b))
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

func hashes(paths ...string) []uint64 {
	all := make([]uint64, len(paths))
	for i, p := range paths {
		all[i] = inventory.PathHash(p)
	}
	return all
}
