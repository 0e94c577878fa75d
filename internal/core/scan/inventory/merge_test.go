package inventory_test

import (
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestMerge(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		layers []string
		want   []string
	}{
		"one layer":             {[]string{"f a/s p q"}, []string{"p a/s 0", "q a/s 0"}},
		"a package more":        {[]string{"f s p", "f s p q"}, []string{"p s 0", "q s 1"}},
		"a package less":        {[]string{"f s p q", "f s p"}, []string{"p s 0"}},
		"gone and back":         {[]string{"f s p", "f s q", "f s p"}, []string{"p s 2"}},
		"removed":               {[]string{"f s p", "w s"}, nil},
		"removed and back":      {[]string{"f s p", "w s", "f s p"}, []string{"p s 2"}},
		"removed and put":       {[]string{"f s p", "w s,f s p"}, []string{"p s 1"}},
		"parent removed":        {[]string{"f a/b/s p,f a/c q", "w a/b"}, []string{"q a/c 0"}},
		"parent removed, put":   {[]string{"f a/b/s p,f a/b/c q", "w a,d a/b,f a/b/s p"}, []string{"p a/b/s 1"}},
		"opaque":                {[]string{"f a/s p,f a/b/s p,f s p", "d a,q a,f a/c p"}, []string{"p a/c 1", "p s 0"}},
		"opaque root":           {[]string{"f a/s p,r etc/os-release debian", "q .,f b p"}, []string{"p b 1"}},
		"opaque hides its own?": {[]string{"f a/s p", "q a,f a/s p", "f b q"}, []string{"p a/s 1", "q b 2"}},
		"replaced by another":   {[]string{"f a/s p", "x a/s"}, nil},
		"replaced, back":        {[]string{"f a/s p", "x a/s", "f a/s p"}, []string{"p a/s 2"}},
		"directory replaced":    {[]string{"f a/b/s p", "x a"}, nil},
		"directory for a link":  {[]string{"f a/b/s p,f c/s q", "l a c"}, []string{"q c/s 0"}},
		"directory for a fact":  {[]string{"f a/b/s p", "f a q"}, []string{"q a 1"}},
		"fact for a directory":  {[]string{"f a p", "d a"}, nil},
		"fact without packages": {[]string{"f a p", "f a", "f a p"}, []string{"p a 2"}},

		"usrmerge":               {[]string{"l lib usr/lib,f usr/lib/s p", "f lib/s p q"}, []string{"p usr/lib/s 0", "q usr/lib/s 1"}},
		"usrmerge, other":        {[]string{"l lib usr/lib,f usr/lib/s p,f usr/lib/t q", "x lib/s"}, []string{"q usr/lib/t 0"}},
		"usrmerge, removed":      {[]string{"l lib usr/lib,f usr/lib/s p", "w lib/s"}, nil},
		"usrmerge, opaque":       {[]string{"l lib usr/lib,f usr/lib/a/s p", "d lib/a,q lib/a"}, nil},
		"usrmerge, in a layer":   {[]string{"l lib usr/lib,f lib/s p", "f usr/lib/s p q"}, []string{"p usr/lib/s 0", "q usr/lib/s 1"}},
		"merged late":            {[]string{"f lib/s p", "w lib,l lib usr/lib,f usr/lib/s p"}, []string{"p usr/lib/s 1"}},
		"link replaced by a dir": {[]string{"l lib usr/lib,f usr/lib/s p", "d lib,x lib/s,f lib/t q"}, []string{"p usr/lib/s 0", "q lib/t 1"}},
		"link removed":           {[]string{"l lib usr/lib,f usr/lib/s p", "w lib,x lib/s"}, []string{"p usr/lib/s 0"}},
		"two links on the way":   {[]string{"l a b,l b/c ../d,f d/s p", "x a/c/s"}, nil},
		"absolute":               {[]string{"l a/b /c,f c/s p", "f a/b/s q"}, []string{"q c/s 1"}},
		"above the root":         {[]string{"l a ../../c,f c/s p", "x a/s"}, nil},
		"to the root":            {[]string{"l a /,f c/s p", "x a/c/s"}, nil},
		"loop":                   {[]string{"l a b,l b a,f c p", "f d q"}, []string{"p c 0", "q d 1"}},
		"link into itself":       {[]string{"l a/b .,f a/s p", "x a/b/s"}, nil},

		"release":          {[]string{"r etc/os-release debian,r usr/lib/os-release other"}, []string{"os debian"}},
		"release, link":    {[]string{"l etc/os-release ../usr/lib/os-release,r usr/lib/os-release debian"}, []string{"os debian"}},
		"release, newer":   {[]string{"l etc/os-release ../usr/lib/os-release,r usr/lib/os-release debian", "r usr/lib/os-release newer"}, []string{"os newer"}},
		"release, removed": {[]string{"r etc/os-release debian,r usr/lib/os-release other", "w etc/os-release"}, []string{"os other"}},
		"release, none":    {[]string{"r etc/os-release debian", "w etc"}, nil},
		"release, masked":  {[]string{"r etc/os-release debian", "x etc/os-release"}, nil},
		"release, dangles": {[]string{"l etc/os-release ../nowhere,r usr/lib/os-release debian"}, []string{"os debian"}},

		// Found by TestMergeIsFlattening.
		"opaque where a link was":     {[]string{"l b .,r etc/os-release debian", "w b,q b"}, []string{"os debian"}},
		"opaque in what is removed":   {[]string{"l c/c ..,f a/a p", "w c,q c/c"}, []string{"p a/a 0"}},
		"through a link to itself":    {[]string{"l a .,f a/b p", "d a/a/b"}, nil},
		"a fact where a release was":  {[]string{"r etc/os-release debian", "f etc/os-release"}, nil},
		"removed in what is removed":  {[]string{"l a/a ..", "d a,f c p", "d a,w a,w a/a/c"}, []string{"p c 1"}},
		"a link removed in directory": {[]string{"l a/b ../c,f c/s p", "w a,x a/b/s"}, []string{"p c/s 0"}},
	}
	for name, tt := range tests {
		var layers [][]entry
		for _, l := range tt.layers {
			layers = append(layers, parseEntries(l))
		}
		naive, kept := flattened(layers)
		for i := range layers {
			if len(kept[i]) != len(layers[i]) && name != "loop" {
				t.Errorf("%s: the model unpacks %v of %v", name, kept[i], layers[i])
			}
		}
		if !slices.Equal(naive, tt.want) {
			t.Errorf("%s: the model finds %q, want %q", name, naive, tt.want)
		}
		if got := merged(layers); !slices.Equal(got, tt.want) {
			t.Errorf("%s: Merge finds %q, want %q", name, got, tt.want)
		}
	}
}

// TestMergeIsFlattening has stacks of layers, of all that layers may do to each other, merged and unpacked.
func TestMergeIsFlattening(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		layers := rapid.SliceOfN(rapid.Custom(drawLayer), 1, 6).Draw(t, "layers")
		want, kept := flattened(layers)
		if diff := cmp.Diff(want, merged(kept)); diff != "" {
			var text []string
			for _, l := range kept {
				var entries []string
				for _, e := range l {
					entries = append(entries, e.String())
				}
				text = append(text, "\""+strings.Join(entries, ",")+"\"")
			}
			t.Fatalf("{%s}: (-unpacked +Merge)\n%s", strings.Join(text, ", "), diff)
		}
	})
}

func drawLayer(t *rapid.T) []entry {
	var (
		part     = rapid.SampledFrom([]string{"a", "b", "c"})
		name     = rapid.Custom(func(t *rapid.T) string { return strings.Join(rapid.SliceOfN(part, 1, 3).Draw(t, "parts"), "/") })
		anywhere = rapid.OneOf(name, name, name, name, rapid.SampledFrom([]string{"etc", "usr/lib", "etc/os-release", "usr/lib/os-release"}))
		target   = rapid.OneOf(name, rapid.SampledFrom([]string{".", "..", "/", "/a", "../b", "../../c", "/b/c", "usr/lib", "../usr/lib/os-release"}))
		packages = rapid.SliceOfN(rapid.SampledFrom([]string{"p", "q"}), 0, 2)
	)
	var layer []entry
	for range rapid.IntRange(0, 7).Draw(t, "n") {
		e := entry{kind: rapid.SampledFrom([]byte("ddffffxxllwwqr")).Draw(t, "kind"), path: anywhere.Draw(t, "path")}
		switch e.kind {
		case 'f':
			e.rest = packages.Draw(t, "packages")
		case 'l':
			e.rest = []string{target.Draw(t, "target")}
		case 'r':
			e.path = rapid.SampledFrom(inventory.OSReleasePaths()).Draw(t, "release")
			e.rest = []string{rapid.SampledFrom([]string{"debian", "alpine"}).Draw(t, "id")}
		case 'q':
			if rapid.IntRange(0, 9).Draw(t, "root") == 0 {
				e.path = ""
			}
		}
		if !slices.ContainsFunc(layer, func(o entry) bool { return conflict(o, e) || conflict(e, o) }) {
			layer = append(layer, e)
		}
	}
	return layer
}

// conflict tells whether no archive has both: two things at one path, something in what is no directory.
func conflict(a, b entry) bool {
	removal := func(e entry) bool { return e.kind == 'w' || e.kind == 'q' }
	switch {
	case a.path == b.path:
		return a.kind == b.kind || !removal(a) && !removal(b) || (a.kind == 'q') != (b.kind == 'q') && a.kind != 'd' && b.kind != 'd' && a.kind != 'w' && b.kind != 'w'
	case !strings.HasPrefix(b.path, a.path+"/"):
		return false
	case a.kind == 'f', a.kind == 'x', a.kind == 'r':
		return true
	case a.kind == 'l':
		return b.kind == 'd' || removal(b)
	}
	return false
}

// TestMergeOfTwoFormats: a program may be read by more than one extractor.
func TestMergeOfTwoFormats(t *testing.T) {
	t.Parallel()
	file := func(format string, names ...string) inventory.File {
		f := inventory.File{Path: "bin/a", Format: format, Owned: format == "rust"}
		for _, n := range names {
			f.Packages = append(f.Packages, inventory.Package{Type: inventory.Go, Name: n, Version: "1", Source: n, SourceVersion: "1"})
		}
		return f
	}
	img := inventory.Merge([]inventory.Layer{
		{Files: []inventory.File{file("gobinary", "p", "q"), file("rust", "r")}, Problem: "a limit"},
		{Files: []inventory.File{file("gobinary", "q", "r", "s", "s"), file("rust")}},
	})
	var got []string
	for _, p := range img.Packages {
		got = append(got, fmt.Sprint(p.Name, " ", p.Format, " ", p.Layer, " ", p.Owned))
	}
	if want := []string{"q gobinary 0 false", "r gobinary 0 false", "s gobinary 1 false"}; !slices.Equal(got, want) {
		t.Errorf("Merge finds %q, want %q", got, want)
	}
	if !slices.Equal(img.Problems, []string{"layer 1 of 2: a limit"}) {
		t.Errorf("problems are %q", img.Problems)
	}
}

// TestMergeOfHostileLayers: what is no path counts for nothing, and no layers take more than seconds.
func TestMergeOfHostileLayers(t *testing.T) {
	t.Parallel()
	var l inventory.Layer
	for _, name := range []string{"", "/", "/a", "a/", ".", "..", "../a", "a//b", "a/../b", "./a"} {
		l.Files = append(l.Files, inventory.File{Path: name, Packages: []inventory.Package{{Type: inventory.NPM, Name: name}}})
		l.Links = append(l.Links, inventory.Link{Path: name, Target: "x"})
		l.Releases = append(l.Releases, inventory.Release{Path: name})
		l.Whiteouts, l.Opaque = append(l.Whiteouts, name), append(l.Opaque, name)
	}
	if img := inventory.Merge([]inventory.Layer{l, l}); len(img.Packages) > 0 || len(img.Problems) > 0 {
		t.Errorf("what is no path is %+v", img)
	}

	// Links that lead from one to the next, with targets as long as there are.
	l = inventory.Layer{}
	long := strings.Repeat("../", 1000)
	for i := range 20_000 {
		l.Links = append(l.Links, inventory.Link{Path: fmt.Sprintf("l%05d", i), Target: fmt.Sprintf("%sl%05d", long, i+1)})
		l.Files = append(l.Files, inventory.File{Path: fmt.Sprintf("l%05d/f", i)})
	}
	l.Others = []uint64{1}
	began := time.Now()
	img := inventory.Merge([]inventory.Layer{l, l, l})
	if took := time.Since(began); len(img.Problems) != 1 || !strings.Contains(img.Problems[0], "symbolic links") {
		t.Errorf("after %s, problems are %q", took, img.Problems)
	}

	var packages []inventory.Package
	for i := range inventory.MaxPackages + 1 {
		packages = append(packages, inventory.Package{Type: inventory.NPM, Name: strconv.Itoa(i)})
	}
	img = inventory.Merge([]inventory.Layer{{Files: []inventory.File{{Path: "a", Packages: packages}}}})
	if len(img.Packages) != inventory.MaxPackages || !slices.Equal(img.Problems, []string{"more than 100000 packages"}) {
		t.Errorf("%d packages, problems %q", len(img.Packages), img.Problems)
	}
}

// FuzzMerge has any stack of layers merged as unpacking would do it.
func FuzzMerge(f *testing.F) {
	f.Add("l lib usr/lib,f usr/lib/s p;x lib/s;d lib,f lib/t q")
	f.Add("l a .,f a/b p;d a/a/b;w a,q .,r etc/os-release debian")
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 300 {
			return
		}
		var layers [][]entry
		for layer := range strings.SplitSeq(text, ";") {
			var kept []entry
			for _, e := range parseEntries(layer) {
				if !e.sane() || slices.ContainsFunc(kept, func(o entry) bool { return conflict(o, e) || conflict(e, o) }) {
					return
				}
				kept = append(kept, e)
			}
			layers = append(layers, kept)
		}
		want, kept := flattened(layers)
		if diff := cmp.Diff(want, merged(kept)); diff != "" {
			t.Errorf("%v: (-unpacked +Merge)\n%s", kept, diff)
		}
	})
}

// sane tells whether an entry is one that an archive may have.
func (e entry) sane() bool {
	const most = 12 // links to themselves give a file no end of names, of which the longest are not looked at
	switch {
	case strings.IndexByte("dflxrwq", e.kind) < 0, e.path == "" && e.kind != 'q', len(e.path) > most && e.kind != 'r':
		return false
	case e.kind == 'l' && (len(e.rest) != 1 || len(e.rest[0]) > most), e.kind == 'r' && (len(e.rest) != 1 || !slices.Contains(inventory.OSReleasePaths(), e.path)):
		return false
	}
	return e.path == "" || fs.ValidPath(e.path) && e.path != "."
}

// TestMergeIsBounded: thousands of layers above one with thousands of packages are not all put on top of each other, and that is said.
func TestMergeIsBounded(t *testing.T) {
	t.Parallel()
	const packages, above = 100, 50
	var lowest inventory.Layer
	for i := range packages {
		name := fmt.Sprint("p", i)
		lowest.Files = append(lowest.Files, inventory.File{
			Path: "app/node_modules/" + name + "/package.json", Format: "node",
			Packages: []inventory.Package{{Type: inventory.NPM, Name: name, Version: "1", Source: name, SourceVersion: "1"}},
		})
	}
	layers := []inventory.Layer{lowest}
	for range above {
		layers = append(layers, inventory.Layer{Whiteouts: []string{"tmp/x"}})
	}
	if img := inventory.MergeWithin(layers, packages*above); len(img.Problems) > 0 || len(img.Packages) != packages {
		t.Errorf("within the bound there are %d packages and the problems %q", len(img.Packages), img.Problems)
	}
	if img := inventory.MergeWithin(layers, packages*above-1); len(img.Packages) != packages || len(img.Problems) != 1 || !strings.Contains(img.Problems[0], "lowest 50 of 51") {
		t.Errorf("beyond the bound there are %d packages and the problems %q", len(img.Packages), img.Problems)
	}
}
