package formats_test

import (
	"bytes"
	"context"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// fuzz has a format read anything: it ends, and what it gives is within the bounds that others rely upon.
func fuzz(f *testing.F, format, path string, seeds ...[]byte) {
	f.Helper()
	for _, seed := range seeds {
		f.Add(seed)
	}
	reader := named(f, format)
	f.Fuzz(func(t *testing.T, content []byte) {
		if format == "rpm" && isBerkeley(content) {
			t.Skip()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		got, err := reader.Read(ctx, layer.Input{Path: path, Mode: 0o755, Size: int64(len(content)), Content: bytes.NewReader(content)})
		if ctx.Err() != nil {
			t.Errorf("it takes too long: %v", err)
		}
		if len(got.Packages) > 20_000 || len(got.Owns) > 500_000 {
			t.Errorf("%d packages, %d paths", len(got.Packages), len(got.Owns))
		}
		for _, p := range got.Packages {
			for text, most := range map[string]int{
				p.Name: inventory.MaxName, p.Source: inventory.MaxName, p.Version: inventory.MaxVersion, p.SourceVersion: inventory.MaxVersion,
			} {
				bad := func(r rune) bool { return unicode.IsControl(r) }
				if text == "" || len(text) > most || !utf8.ValidString(text) || bytes.ContainsFunc([]byte(text), bad) {
					t.Errorf("%q in %+v", text, p)
				}
			}
			if p.Type == "" {
				t.Errorf("%+v has no type", p)
			}
		}
		for _, name := range got.Owns {
			if name == "" || name[0] == '/' || len(name) > 4096 {
				t.Errorf("owns %q", name)
			}
		}
	})
}

func FuzzDpkg(f *testing.F) {
	fuzz(f, "dpkg", "var/lib/dpkg/status", fixture(f, "os/dpkg/testdata/dpkg/valid"), fixture(f, "os/dpkg/testdata/dpkg/statusfield"), fixture(f, "os/dpkg/testdata/dpkg/invalid"))
}

func FuzzDpkgList(f *testing.F) {
	fuzz(f, "dpkg", "var/lib/dpkg/info/a.list", []byte("/.\n/usr\n/usr/lib/../lib/a b.so\n"))
}

func FuzzAPK(f *testing.F) {
	fuzz(f, "apk", "lib/apk/db/installed", fixture(f, "os/apk/testdata/installed"), fixture(f, "os/apk/testdata/invalid"))
}

// FuzzRPM leaves out Berkeley DB, of which go-rpmdb's reader panics in a goroutine of its own: that ends the process, which is why the
// process is nobody else's.
func FuzzRPM(f *testing.F) {
	const most = 256 << 10 // the whole ones are large
	var seeds [][]byte
	for _, name := range []string{"Packages.db", "rpmdb.sqlite"} {
		seeds = append(seeds, fixture(f, "os/rpm/testdata/"+name)[:most])
	}
	fuzz(f, "rpm", "var/lib/rpm/Packages", seeds...)
}

// isBerkeley tells by its magic number, in either order of bytes.
func isBerkeley(content []byte) bool {
	return len(content) >= 16 && (bytes.Equal(content[12:16], []byte{0x61, 0x15, 0x06, 0}) || bytes.Equal(content[12:16], []byte{0, 0x06, 0x15, 0x61}))
}

func FuzzPython(f *testing.F) {
	fuzz(f, "python", "a.dist-info/METADATA", fixture(f, "language/python/wheelegg/testdata/distinfo_meta"), fixture(f, "language/python/wheelegg/testdata/malformed_pkginfo"))
}

func FuzzEgg(f *testing.F) {
	fuzz(f, "python", "a.egg", fixture(f, "language/python/wheelegg/testdata/monotonic-1.6-py3.10.egg"))
}

func FuzzNode(f *testing.F) {
	fuzz(f, "node", "node_modules/a/package.json", fixture(f, "language/javascript/packagejson/testdata/package.json"))
}

func FuzzGo(f *testing.F) {
	fuzz(f, "gobinary", "usr/bin/a", fixture(f, "language/golang/gobinary/testdata/binary_with_module_replacement-linux-386"))
}

func FuzzRust(f *testing.F) {
	fuzz(f, "rust", "usr/bin/a", fixture(f, "language/rust/cargoauditable/testdata/no_deps/no_deps"))
}

func FuzzJava(f *testing.F) {
	const dir = "language/java/archive/testdata/"
	fuzz(f, "java", "a-1.jar", fixture(f, dir+"complex.jar"), fixture(f, dir+"nested_at_10.jar"), fixture(f, dir+"com.google.src.yolo-0.1.2.jar"))
}

func FuzzRuby(f *testing.F) {
	fuzz(f, "ruby", "a/specifications/a.gemspec", fixture(f, "language/ruby/gemspec/testdata/rss-0.2.9.gemspec"))
}

func FuzzDotnet(f *testing.F) {
	fuzz(f, "dotnet", "a.deps.json", fixture(f, "language/dotnet/depsjson/testdata/valid"))
}

func FuzzPHP(f *testing.F) {
	fuzz(f, "php", "vendor/composer/installed.json", fixture(f, "language/php/composerlock/testdata/two-packages-alt.json"), []byte(`[{"name":"a/b","version":"1"}]`))
}
