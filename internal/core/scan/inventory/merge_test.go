package inventory_test

import (
	"slices"
	"strings"
	"testing"

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
