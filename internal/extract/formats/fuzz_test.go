package formats_test

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// fuzz has a format read anything.
func fuzz(f *testing.F, format, path string, seeds ...[]byte) {
	f.Helper()
	for _, seed := range seeds {
		f.Add(seed)
	}
	reader := named(f, format)
	f.Fuzz(func(t *testing.T, content []byte) { readAnything(t, reader, path, content) })
}

// fuzzPatched has a format read a large file of which a part is anything.
func fuzzPatched(f *testing.F, format, path string, file []byte, offsets ...uint32) {
	f.Helper()
	for _, offset := range append(offsets, 0) {
		f.Add(offset, []byte("\x00\xff\x7f\x01"))
	}
	reader := named(f, format)
	f.Fuzz(func(t *testing.T, offset uint32, patch []byte) {
		content := bytes.Clone(file)
		copy(content[int(offset)%len(content):], patch)
		readAnything(t, reader, path, content)
	})
}

// readAnything: reading ends, and what it gives is within the bounds that others rely upon.
func readAnything(t *testing.T, reader layer.Format, path string, content []byte) {
	t.Helper()
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
			if text == "" || len(text) > most || !utf8.ValidString(text) || strings.ContainsFunc(text, unicode.IsControl) {
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

// FuzzNDB and FuzzSQLite are RPM's. Berkeley DB is not tried, of which go-rpmdb's reader panics in a goroutine of its own: that ends the
// process, which is why the process is nobody else's.
func FuzzNDB(f *testing.F) {
	fuzzPatched(f, "rpm", "var/lib/rpm/Packages.db", fixture(f, "os/rpm/testdata/Packages.db")[:1<<20], 32, 64, 4096, 100_000)
}

func FuzzSQLite(f *testing.F) {
	fuzzPatched(f, "rpm", "var/lib/rpm/rpmdb.sqlite", fixture(f, "os/rpm/testdata/rpmdb.sqlite"), 16, 100, 4096, 100_000, 5_000_000)
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
	fuzzPatched(f, "gobinary", "usr/bin/a", fixture(f, "language/golang/gobinary/testdata/binary_with_module_replacement-linux-386"), 16, 52, 1<<20)
}

func FuzzRust(f *testing.F) {
	fuzzPatched(f, "rust", "usr/bin/a", fixture(f, "language/rust/cargoauditable/testdata/no_deps/no_deps"), 16, 64, 4096)
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
