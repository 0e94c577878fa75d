package layer_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/klauspost/compress/zstd"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

func npm(name, version string) inventory.Package {
	return inventory.Package{Type: inventory.NPM, Name: name, Version: version, Source: name, SourceVersion: version}
}

func lang(path string, packages ...inventory.Package) inventory.File {
	return inventory.File{Path: path, Format: "lang", Packages: packages}
}

var walkTests = map[string]struct {
	entries []entry
	want    inventory.Layer
}{
	"nothing": {},
	"paths of every sort": {
		[]entry{dir("./"), reg("./a.pkg", "x 1"), reg("/b/c.pkg", "y 2"), reg("d/../../e.pkg", "z 3"), dir("/etc/"), reg("etc//./passwd", "root"), node("dev/null")},
		inventory.Layer{
			Files:  []inventory.File{lang("a.pkg", npm("x", "1")), lang("b/c.pkg", npm("y", "2")), lang("e.pkg", npm("z", "3"))},
			Others: hashes("etc/passwd", "dev/null"), Dirs: hashes("etc"),
		},
	},
	"what a format finds nothing in is another path, unless it is a fact": {
		[]entry{reg("a.pkg", ""), reg("db/status", "")},
		inventory.Layer{Files: []inventory.File{{Path: "db/status", Format: "dpkg"}}, Others: hashes("a.pkg")},
	},
	"two formats read one file": {
		[]entry{reg("both.pkg", "x 1")},
		inventory.Layer{Files: []inventory.File{
			lang("both.pkg", npm("x", "1")),
			{Path: "both.pkg", Format: "lang2", Packages: []inventory.Package{{Type: inventory.PyPI, Name: "x", Version: "1", Source: "x", SourceVersion: "1"}}},
		}},
	},
	"whiteouts": {
		[]entry{reg("a/.wh.b", ""), reg(".wh.c", ""), reg("d/.wh..wh..opq", ""), reg(".wh..wh..opq", ""), reg(".wh..wh.plnk", ""), reg("a/.wh.", ""), reg("a/.wh...", ""), reg("a/.wh.b", "")},
		inventory.Layer{Whiteouts: []string{"a/b", "c"}, Opaque: []string{"", "d"}},
	},
	"symbolic links, as they are": {
		[]entry{ln("bin", "usr/bin"), ln("loop", "loop"), ln("out", "../../../etc"), ln("abs", "/etc/shadow")},
		inventory.Layer{Links: []inventory.Link{{Path: "abs", Target: "/etc/shadow"}, {Path: "bin", Target: "usr/bin"}, {Path: "loop", Target: "loop"}, {Path: "out", Target: "../../../etc"}}},
	},
	"the last entry of a path counts": {
		[]entry{reg("a.pkg", "x 1"), reg("./a.pkg", "x 2"), reg("b.pkg", "x 1"), reg("b.pkg", "")},
		inventory.Layer{Files: []inventory.File{lang("a.pkg", npm("x", "2"))}, Others: hashes("b.pkg")},
	},
	"whatever it is": {
		[]entry{reg("a.pkg", "x 1"), ln("a.pkg", "b"), reg("c.pkg", "x 1"), dir("c.pkg"), ln("d.pkg", "e"), reg("d.pkg", "x 1"), dir("e"), reg("e", ""), reg("f.pkg", "x 1"), node("f.pkg")},
		inventory.Layer{
			Files: []inventory.File{lang("d.pkg", npm("x", "1"))}, Links: []inventory.Link{{Path: "a.pkg", Target: "b"}},
			Dirs: hashes("c.pkg"), Others: hashes("e", "f.pkg"),
		},
	},
	"a directory that is replaced takes with it what was in it": {
		[]entry{reg("a/b/c.pkg", "x 1"), ln("a/b/l", "m"), ln("a", "elsewhere"), reg("d", ""), dir("d"), reg("d/e.pkg", "y 1")},
		inventory.Layer{Files: []inventory.File{lang("d/e.pkg", npm("y", "1"))}, Links: []inventory.Link{{Path: "a", Target: "elsewhere"}}, Dirs: hashes("d")},
	},
	"hard links have what the file has": {
		[]entry{reg("a.pkg", "x 1"), hard("b.pkg", "/a.pkg"), hard("c.pkg", "./b.pkg"), hard("plain", "a.pkg"), hard("shadow", "/etc/shadow")},
		inventory.Layer{
			Files:  []inventory.File{lang("a.pkg", npm("x", "1")), lang("b.pkg", npm("x", "1")), lang("c.pkg", npm("x", "1"))},
			Others: hashes("plain", "shadow"),
		},
	},
	"a hard link to what nobody has read is said": {
		[]entry{reg("store/1", strings.Repeat("x", 100<<10)), hard("a.pkg", "store/1"), hard("db/status", "/etc/shadow")},
		inventory.Layer{Others: hashes("store/1", "a.pkg", "db/status"), Problem: `"a.pkg" is a hard link to "store/1", which was not read`},
	},
	"a hard link gives a file a name that is wanted": {
		[]entry{
			reg("store/1", "{ 1\nx 1"), hard("b.pkg", "store/1"), hard("c.pkg", "b.pkg"), hard("plain", "store/1"), hard("d.pkg", "plain"),
			reg("store/2", "{ 2"), reg("store/2", "other"), hard("e.pkg", "store/2"),
		},
		inventory.Layer{
			Files:   []inventory.File{lang("b.pkg", npm("{", "1"), npm("x", "1")), lang("c.pkg", npm("{", "1"), npm("x", "1")), lang("d.pkg", npm("{", "1"), npm("x", "1"))},
			Others:  hashes("store/1", "store/2", "plain", "e.pkg"),
			Problem: `"e.pkg" is a hard link to "store/2", which was not read`,
		},
	},
	"os-release": {
		[]entry{reg("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n"), hard("etc/os-release", "usr/lib/os-release"), reg("opt/etc/os-release", "ID=no")},
		inventory.Layer{
			Releases: []inventory.Release{{Path: "etc/os-release", OS: inventory.OS{ID: "debian", VersionID: "12"}}, {Path: "usr/lib/os-release", OS: inventory.OS{ID: "debian", VersionID: "12"}}},
			Others:   hashes("opt/etc/os-release"),
		},
	},
	"files that packages of the system have brought": {
		[]entry{reg("usr/lib/a.pkg", "x 1"), reg("lib/b.pkg", "x 1"), reg("usr/c.pkg", "x 1"), reg("opt/d.pkg", "x 1"), reg("1.list", "own usr/lib/a.pkg\nown usr/lib/b.pkg\nown c.pkg\nown db/status"), reg("db/status", "libc 1")},
		inventory.Layer{
			Files: []inventory.File{
				{Path: "db/status", Format: "dpkg", Packages: []inventory.Package{{Type: inventory.Deb, Name: "libc", Version: "1", Source: "libc", SourceVersion: "1"}}},
				{Path: "lib/b.pkg", Format: "lang", Packages: []inventory.Package{npm("x", "1")}, Owned: true},
				lang("opt/d.pkg", npm("x", "1")),
				{Path: "usr/c.pkg", Format: "lang", Packages: []inventory.Package{npm("x", "1")}, Owned: true},
				{Path: "usr/lib/a.pkg", Format: "lang", Packages: []inventory.Package{npm("x", "1")}, Owned: true},
			},
			Others: hashes("1.list"),
		},
	},
	"a format that panics loses its file": {
		[]entry{reg("a.pkg", "panic at the \x1b[31mdisco"), reg("b.pkg", "x 1")},
		inventory.Layer{Files: []inventory.File{lang("b.pkg", npm("x", "1"))}, Others: hashes("a.pkg"), Problem: `reading "a.pkg" as lang: panic: at the  [31mdisco`},
	},
	"a broken database is a problem, a broken file of a language is not": {
		[]entry{reg("a.pkg", "x 1\nfail broken"), reg("db/status", "fail broken")},
		inventory.Layer{Files: []inventory.File{lang("a.pkg", npm("x", "1")), {Path: "db/status", Format: "dpkg"}}, Problem: `reading "db/status" as dpkg: broken`},
	},
	"names that no package has": {
		[]entry{reg("a.pkg", "a\x01 1\n\xff 1\nok 1\n"+strings.Repeat("n", 513)+" 1\nv "+strings.Repeat("1", 257))},
		inventory.Layer{Files: []inventory.File{lang("a.pkg", npm("ok", "1"))}, Problem: `a package in "a.pkg" has a name of more than 512 bytes, a version of more than 256, or characters that no name has`},
	},
}

func TestWalk(t *testing.T) {
	t.Parallel()
	for name, tt := range walkTests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := archive(t, tt.entries...)
			tt.want.DiffID = oci.FromBytes(b)
			slices.Sort(tt.want.Others)
			slices.Sort(tt.want.Dirs)
			for how, packed := range map[string][]byte{"tar": b, "gzip": gz(t, b), "zstd": zst(t, b)} {
				if diff := cmp.Diff(tt.want, walk(t, layer.Limits{}, packed), cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("%s (-want +got):\n%s", how, diff)
				}
			}
			if diff := cmp.Diff(tt.want, walk(t, layer.Limits{InMemory: 1}, b), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("with files on disk (-want +got):\n%s", diff)
			}
		})
	}
}

// TestPacking: what is around the tar, and after it.
func TestPacking(t *testing.T) {
	t.Parallel()
	b := archive(t, reg("a.pkg", "x 1"))
	skippable := append([]byte{0x5e, 0x2a, 0x4d, 0x18, 3, 0, 0, 0}, "abc"...)
	junk := slices.Concat(b, []byte("whatever follows"))
	random := iotestBytes(4 << 10)
	for name, tt := range map[string]struct {
		packed  []byte
		of      []byte // what the DiffID is of; nil: there is none
		found   int
		problem string
	}{
		"nothing at all":          {nil, []byte{}, 0, ""},
		"bytes after the end":     {junk, junk, 1, ""},
		"gzip of that":            {gz(t, junk), junk, 1, ""},
		"members":                 {gz(t, b[:700], b[700:], []byte("more")), slices.Concat(b, []byte("more")), 1, ""},
		"zstd frames":             {slices.Concat(skippable, zst(t, b[:700]), zst(t, b[700:])), b, 1, ""},
		"garbage":                 {random, nil, 0, `it is no tar, gzip or zstd stream (media type "")`},
		"a short text":            {[]byte("hello"), nil, 0, `it is no tar, gzip or zstd stream (media type "")`},
		"gzip of garbage":         {gz(t, random), random, 0, "reading the archive: archive/tar: invalid tar header"},
		"gzip that is cut off":    {gz(t, b)[:40], nil, 0, "unpacking: it is cut off"},
		"garbage after gzip":      {slices.Concat(gz(t, b), []byte("garbage and more")), nil, 1, "unpacking: gzip: invalid header"},
		"zstd that is cut off":    {zst(t, b)[:40], nil, 0, "unpacking: it is cut off"},
		"a tar that is cut off":   {b[:514], b[:514], 0, "reading the archive: it is cut off"},
		"garbage in the archive":  {slices.Concat(b[:1024], random), slices.Concat(b[:1024], random), 1, "reading the archive: archive/tar: invalid tar header"},
		"a frame with a window":   {zst(t, make([]byte, 2<<20), zstd.WithWindowSize(256<<20), zstd.WithSingleSegment(false)), nil, 0, "zstd asks for a window of more than 128 MiB"},
		"a frame in one piece":    {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 16, 0, 0, 0, 1, 0, 0}, nil, 0, "zstd asks for a window of more than 128 MiB"},
		"a frame of a dictionary": {[]byte{0x28, 0xb5, 0x2f, 0xfd, 0x01, 0x58, 0x07, 1, 0, 0}, nil, 0, "unpacking: unknown dictionary"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := walk(t, layer.Limits{}, tt.packed)
			want := oci.Digest("")
			if tt.of != nil {
				want = oci.FromBytes(tt.of)
			}
			if l.DiffID != want || len(l.Files) != tt.found || l.Problem != tt.problem {
				t.Errorf("Walk = %s with %d files and the problem %q, want %s, %d, %q", l.DiffID, len(l.Files), l.Problem, want, tt.found, tt.problem)
			}
		})
	}
}

// TestFailures are not the layer's.
func TestFailures(t *testing.T) {
	t.Parallel()
	b := gz(t, archive(t, reg("a.pkg", "x 1")))
	broken := errors.New("the bucket is gone")
	for _, at := range []int{0, 2, 50} {
		r := io.MultiReader(bytes.NewReader(b[:at]), iotest.ErrReader(broken))
		if l, err := layer.Walk(t.Context(), layer.Config{Formats: formats()}, "", r); !errors.Is(err, broken) {
			t.Errorf("Walk of a reader that fails after %d bytes = %+v, %v, want its error", at, l, err)
		}
	}
	if l, err := layer.Walk(t.Context(), layer.Config{Formats: formats(), TempDir: "/nowhere", Limits: layer.Limits{InMemory: 1}}, "", bytes.NewReader(b)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Walk without a place for temporary files = %+v, %v", l, err)
	}
}
