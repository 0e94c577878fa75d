package formats_test

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"errors"
	"io"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
	"github.com/hoopstat-haus/berth/internal/e2e/rootfstest"
	"github.com/hoopstat-haus/berth/internal/extract/formats"
)

// readLayer has every format read what it wants of a layer. The files are by path.
func readLayer(t *testing.T, l rootfstest.Layer) (files map[string]layer.Result, contents map[string][]byte) {
	t.Helper()
	r, err := l.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files, contents = map[string]layer.Result{}, map[string][]byte{}
	for entries := tar.NewReader(r); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return files, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		name := path.Clean(h.Name)
		var content []byte
		for _, f := range formats.All() {
			if !f.Wants(name, h.FileInfo().Mode(), h.Size) {
				continue
			}
			if content == nil {
				if content, err = io.ReadAll(entries); err != nil {
					t.Fatal(err)
				}
			}
			got, err := f.Read(t.Context(), layer.Input{Path: name, Mode: h.FileInfo().Mode(), Size: h.Size, Content: bytes.NewReader(content)})
			if err != nil {
				t.Errorf("%s of %s: %v", f.Name(), name, err)
			}
			if len(got.Packages) > 0 || len(got.Owns) > 0 {
				files[name], contents[name] = got, content
			}
		}
	}
}

// TestDebianAgrees: what is read of a real Debian is what its own dpkg says, after each step; and what is in the application is found.
func TestDebianAgrees(t *testing.T) {
	t.Parallel()
	image := rootfstest.Debian(t)
	for _, l := range image.Layers {
		files, contents := readLayer(t, l)
		if want, ok := image.Installed[l.Name]; ok {
			var got []rootfstest.Package
			for _, p := range files["var/lib/dpkg/status"].Packages {
				got = append(got, rootfstest.Package{Name: p.Name, Version: p.Version, Arch: p.Arch, Source: p.Source, SourceVersion: p.SourceVersion})
			}
			byName := func(a, b rootfstest.Package) int { return strings.Compare(a.Name, b.Name) }
			slices.SortFunc(got, byName)
			slices.SortFunc(want, byName)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("after %s (-dpkg-query +got):\n%s", l.Name, diff)
			}
		}
		switch l.Name {
		case rootfstest.Packages:
			agreeOnPython(t, files)
		case rootfstest.App:
			agreeOnApp(t, files, contents)
		}
	}
}

// agreeOnPython: the Python packages that dpkg has installed are found, and are its own.
func agreeOnPython(t *testing.T, files map[string]layer.Result) {
	t.Helper()
	owned := map[string]bool{}
	for name, f := range files {
		if strings.HasPrefix(name, "var/lib/dpkg/info/") {
			for _, p := range f.Owns {
				owned[p] = true
			}
		}
	}
	found := 0
	for name, f := range files {
		if len(f.Packages) == 0 || f.Packages[0].Type != inventory.PyPI {
			continue
		}
		found++
		if !owned[name] {
			t.Errorf("%s of %v is not in dpkg's lists", name, f.Packages)
		}
	}
	if found < 5 {
		t.Errorf("found %d Python packages, want requests and what it needs", found)
	}
}

func agreeOnApp(t *testing.T, files map[string]layer.Result, contents map[string][]byte) {
	t.Helper()
	got := map[inventory.Type]map[string]string{inventory.PyPI: {}, inventory.NPM: {}, inventory.Go: {}}
	for _, f := range files {
		for _, p := range f.Packages {
			got[p.Type][p.Name] = p.Version
		}
	}
	info, err := buildinfo.Read(bytes.NewReader(contents[rootfstest.GoProgram]))
	if err != nil {
		t.Fatal(err)
	}
	modules := map[string]string{"stdlib": strings.TrimPrefix(info.GoVersion, "go")}
	for _, m := range info.Deps {
		modules[m.Path] = m.Version
	}
	if len(modules) < 3 {
		t.Errorf("the program has %v", modules)
	}
	want := map[inventory.Type]map[string]string{inventory.PyPI: rootfstest.Python, inventory.NPM: rootfstest.Node, inventory.Go: modules}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("in the application (-want +got):\n%s", diff)
	}
}
