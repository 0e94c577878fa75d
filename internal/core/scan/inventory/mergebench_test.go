package inventory_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// debianLike is an image of five layers as the trials had it: a base, what apt installs, Python, Node, and a clean-up; 1,900 packages,
// 55,000 other files, 3,000 symbolic links.
func debianLike() []inventory.Layer {
	system := func(n int) inventory.File {
		f := inventory.File{Path: "var/lib/dpkg/status", Format: "dpkg"}
		for i := range n {
			name := fmt.Sprintf("lib%d", i)
			f.Packages = append(f.Packages, inventory.Package{Type: inventory.Deb, Name: name, Version: "1.2.3-4", Source: name, SourceVersion: "1.2.3-4", Arch: "amd64"})
		}
		return f
	}
	modules := func(l *inventory.Layer, in string, n int) {
		for i := range n {
			name := fmt.Sprintf("module%d", i)
			l.Files = append(l.Files, inventory.File{
				Path: fmt.Sprintf("%s/node_modules/%s/package.json", in, name), Format: "node",
				Packages: []inventory.Package{{Type: inventory.NPM, Name: name, Version: "1.0.0", Source: name, SourceVersion: "1.0.0"}},
			})
		}
	}
	layers := make([]inventory.Layer, 5)
	layers[0].Files = append(layers[0].Files, system(90))
	layers[1].Files = append(layers[1].Files, system(420))
	modules(&layers[1], "usr/share/nodejs", 1272)
	modules(&layers[2], "usr/local/lib/python3.11", 50)
	modules(&layers[3], "srv/app", 162)
	layers[4].Files = append(layers[4].Files, system(410))
	layers[0].Links = []inventory.Link{{Path: "bin", Target: "usr/bin"}, {Path: "etc/os-release", Target: "../usr/lib/os-release"}, {Path: "lib", Target: "usr/lib"}}
	layers[0].Releases = []inventory.Release{{Path: "usr/lib/os-release", OS: inventory.OS{ID: "debian", VersionID: "12"}}}
	for i := range layers {
		l := &layers[i]
		for k := range []int{8000, 35000, 2000, 9000, 1000}[i] {
			l.Others = append(l.Others, inventory.PathHash(fmt.Sprintf("usr/share/%d/%d", i, k)))
		}
		for k := range []int{500, 2300, 10, 200, 5}[i] {
			l.Links = append(l.Links, inventory.Link{Path: fmt.Sprintf("usr/lib/x86_64-linux-gnu/lib%d.%d.so", i, k), Target: fmt.Sprintf("lib%d.so.%d", k, k)})
			l.Dirs = append(l.Dirs, inventory.PathHash(fmt.Sprintf("usr/share/doc/%d/%d", i, k)))
		}
		slices.Sort(l.Others)
		slices.Sort(l.Dirs)
		slices.SortFunc(l.Files, func(a, b inventory.File) int { return slices.Compare([]byte(a.Path), []byte(b.Path)) })
	}
	layers[4].Whiteouts = []string{"var/cache/apt/pkgcache.bin", "usr/share/doc/a"}
	return layers
}

func BenchmarkMerge(b *testing.B) {
	layers := debianLike()
	b.ReportAllocs()
	for b.Loop() {
		if img := inventory.Merge(layers); len(img.Packages) != 410+1272+50+162 {
			b.Fatalf("%d packages", len(img.Packages))
		}
	}
}
