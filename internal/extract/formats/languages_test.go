package formats_test

import (
	"archive/zip"
	"bytes"
	"debug/buildinfo"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/osv-scalibr/extractor/filesystem/language/golang/gobinary"
	"github.com/google/osv-scalibr/extractor/filesystem/language/javascript/packagejson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/python/wheelegg"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// TestWants is which files are looked into, and which look like it and are not what is installed.
func TestWants(t *testing.T) {
	t.Parallel()
	const large = 1 << 20
	for _, tt := range []struct {
		format, path string
		mode         uint32
		want         bool
	}{
		{"dpkg", "var/lib/dpkg/status", 0o644, true},
		{"dpkg", "var/lib/dpkg/status-old", 0o644, false},
		{"dpkg", "backup/var/lib/dpkg/status", 0o644, false},
		{"dpkg", "var/lib/dpkg/status.d/base", 0o644, true},
		{"dpkg", "var/lib/dpkg/status.d/a/b", 0o644, false},
		{"apk", "lib/apk/db/installed", 0o644, true},
		{"apk", "usr/lib/apk/db/installed", 0o644, true},
		{"apk", "lib/apk/db/scripts.tar", 0o644, false},
		{"python", "usr/lib/python3/dist-packages/requests-2.28.1.dist-info/METADATA", 0o644, true},
		{"python", "app/requests.egg-info/PKG-INFO", 0o644, true},
		{"python", "app/a.egg/EGG-INFO/PKG-INFO", 0o644, true},
		{"python", "usr/lib/python3/dist-packages/python_apt-2.6.0.egg-info", 0o644, true},
		{"python", "app/METADATA", 0o644, false},
		{"python", "usr/share/python-wheels/pip-23.0.1-py3-none-any.whl", 0o644, false},
		{"node", "node_modules/lodash/package.json", 0o644, true},
		{"node", "app/node_modules/@babel/core/package.json", 0o644, true},
		{"node", "app/node_modules/a/node_modules/b/package.json", 0o644, true},
		{"node", "app/node_modules/.pnpm/ms@2.1.2/node_modules/ms/package.json", 0o644, true},
		{"node", "usr/share/nodejs/express/package.json", 0o644, true},
		{"node", "app/package.json", 0o644, false},
		{"node", "app/node_modules/a/dist/package.json", 0o644, false},
		{"node", "app/node_modules/@babel/core/esm/package.json", 0o644, false},
		{"node", "app/xnode_modules/a/package.json", 0o644, false},
		{"node", "node_modules/package.json", 0o644, false},
		{"gobinary", "usr/bin/tool", 0o755, true},
		{"gobinary", "usr/bin/tool", 0o644, false},
		{"gobinary", "usr/lib/libx.so.1", 0o644, true},
		{"gobinary", "usr/lib/libx.something", 0o644, false},
		{"java", "app/lib/x.JAR", 0o644, true},
		{"java", "app/lib/x.zip", 0o644, false},
		{"rpm", "var/lib/rpm/Packages", 0o644, true},
		{"rpm", "var/lib/rpm/__db.001", 0o644, false},
	} {
		if got := named(t, tt.format).Wants(tt.path, modeOf(tt.mode), large); got != tt.want {
			t.Errorf("%s wants %s (%o) = %v, want %v", tt.format, tt.path, tt.mode, got, tt.want)
		}
	}
	if named(t, "gobinary").Wants("usr/bin/script", 0o755, 100) {
		t.Error("gobinary wants what is too small to be a program")
	}
}

func TestPython(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		path, content string
		want          []inventory.Package
	}{
		"a wheel": {
			"p/Flask_SQLAlchemy-3.0.dist-info/METADATA",
			"Metadata-Version: 2.1\nName: Flask..SQL_Alchemy\nVersion: 3.0\nName: other\nSummary: x\n\nName: body\nVersion: 9\n",
			[]inventory.Package{{Type: inventory.PyPI, Name: "Flask..SQL_Alchemy", Version: "3.0", Source: "flask-sql-alchemy", SourceVersion: "3.0"}},
		},
		"version after a long line": {
			"p/a.egg-info/PKG-INFO", "Name: a\nDescription: " + strings.Repeat("long ", 30<<10) + "\nVersion: 1\n",
			[]inventory.Package{{Type: inventory.PyPI, Name: "a", Version: "1", Source: "a", SourceVersion: "1"}},
		},
		"no version": {"p/a.egg-info", "Name: a\n\nVersion: 1\n", nil},
		"an egg": {
			"p/a-1-py3.egg", zipped(map[string]string{"EGG-INFO/PKG-INFO": "Name: a\nVersion: 1\n", "a/METADATA": "Name: x\nVersion: 2\n"}),
			[]inventory.Package{{Type: inventory.PyPI, Name: "a", Version: "1", Source: "a", SourceVersion: "1"}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, "python", tt.path, []byte(tt.content))
			if diff := cmp.Diff(layer.Result{Fact: true, Packages: tt.want}, got); err != nil || diff != "" {
				t.Errorf("Read = %v (-want +got):\n%s", err, diff)
			}
		})
	}
	for file, path := range map[string]string{
		"distinfo_meta": "a.dist-info/METADATA", "egginfo": "a.egg-info", "egginfo_pkginfo": "a.egg-info/PKG-INFO", "pkginfo": "EGG-INFO/PKG-INFO",
		"malformed_pkginfo": "a.egg-info/PKG-INFO", "repeated_pkginfo": "a.egg-info/PKG-INFO", "mixed_case": "a.egg-info/PKG-INFO",
		"special_chars": "a.egg-info/PKG-INFO", "pyopenssl-26.0.0.dist-info": "a.dist-info/METADATA", "monotonic-1.6-py3.10.egg": "monotonic-1.6-py3.10.egg",
		"monotonic_no_pkginfo-1.6-py3.10.egg": "monotonic-1.6-py3.10.egg",
	} {
		content := fixture(t, "language/python/wheelegg/testdata/"+file)
		got, err := read(t, "python", "x/"+path, content)
		if diff := cmp.Diff(oracle(t, wheelegg.New, "x/"+path, content), namesOf(got.Packages)); err != nil || diff != "" {
			t.Errorf("of %s, Read = %v (-scalibr +got):\n%s", file, err, diff)
		}
	}
}

func TestNode(t *testing.T) {
	t.Parallel()
	const path = "app/node_modules/x/package.json"
	for name, tt := range map[string]struct {
		content string
		want    []string
		fails   bool
	}{
		"a package":                   {`{"name":"@a/b","version":"1.2.3"}`, []string{"@a/b 1.2.3"}, false},
		"with a mark":                 {"\ufeff" + `{"name":"b","version":"1"}`, []string{"b 1"}, false},
		"what npm would not have":     {`{"name":"b","version":"1","author":7,"dependencies":[],"contributes":1}`, []string{"b 1"}, false},
		"no version":                  {`{"type":"module"}`, nil, false},
		"a version that is no text":   {`{"name":"b","version":{"a":1}}`, nil, false},
		"no JSON":                     {`{"name":"b","version"`, nil, true},
		"JSON that is not an object":  {`[1]`, nil, true},
		"control characters in it":    {`{"name":"b\u0000","version":"1"}`, nil, true},
		"a version that is very long": {`{"name":"b","version":"` + strings.Repeat("1", 257) + `"}`, nil, true},
		"the longest version":         {`{"name":"b","version":"` + strings.Repeat("1", 256) + `"}`, []string{"b " + strings.Repeat("1", 256)}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, "node", path, []byte(tt.content))
			if !slices.Equal(namesOf(got.Packages), tt.want) || (err != nil) != tt.fails || !got.Fact {
				t.Errorf("Read = %+v, %v, want %v", got, err, tt.want)
			}
		})
	}
	for _, name := range []string{"package.json", "deps/accepts/package.json", "deps/acorn/package.json", "deps/window-size/package.json", "duplicate-keys.json", "not-vscode.json", "undici-package.json"} {
		content := fixture(t, "language/javascript/packagejson/testdata/"+name)
		got, err := read(t, "node", path, content)
		if diff := cmp.Diff(oracle(t, packagejson.New, path, content), namesOf(got.Packages)); err != nil || diff != "" {
			t.Errorf("of %s, Read = %v (-scalibr +got):\n%s", name, err, diff)
		}
	}
}

// TestGo compares with debug/buildinfo by its own words, and with osv-scalibr, which calls the toolchain "go" and knows no v.
func TestGo(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"binary_with_modules-linux-amd64", "binary_with_modules-windows-arm64", "binary_with_modules-darwin-arm64", "binary_with_module_replacement-linux-386", "nginx-ingress-controller"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			content := fixture(t, "language/golang/gobinary/testdata/"+name)
			got, err := read(t, "gobinary", "usr/bin/x", content)
			if err != nil {
				t.Fatal(err)
			}
			var ours []string
			for _, p := range got.Packages {
				name := p.Name
				if name == "stdlib" {
					name = "go"
				}
				ours = append(ours, name+" "+p.SourceVersion)
			}
			slices.Sort(ours)
			theirs := slices.DeleteFunc(oracle(t, gobinary.New, "usr/bin/x", content), func(p string) bool {
				return strings.HasSuffix(p, " (devel)") || strings.HasSuffix(p, " ")
			})
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("(-scalibr +got):\n%s", diff)
			}
			info, err := buildinfo.Read(bytes.NewReader(content))
			if err != nil {
				t.Fatal(err)
			}
			if i := slices.IndexFunc(got.Packages, func(p inventory.Package) bool { return p.Name == "stdlib" }); i < 0 || "go"+got.Packages[i].Version != info.GoVersion {
				t.Errorf("stdlib of %s is in %v", info.GoVersion, got.Packages)
			}
		})
	}
	got, err := read(t, "gobinary", "usr/bin/x", bytes.Repeat([]byte("no program"), 10_000))
	if err != nil || len(got.Packages) != 0 || got.Fact {
		t.Errorf("Read of no program = %+v, %v, want nothing", got, err)
	}
}

// TestLimits: what was found before a limit counts, and the error names it.
func TestLimits(t *testing.T) {
	t.Parallel()
	var status strings.Builder
	for i := range 20_001 {
		fmt.Fprintf(&status, "Package: p%d\nStatus: install ok installed\nVersion: 1\n\n", i)
	}
	got, err := read(t, "dpkg", "var/lib/dpkg/status", []byte(status.String()))
	if len(got.Packages) != 20_000 || !isLimit(err, "20000 packages") {
		t.Errorf("Read = %d packages, %v, want 20000 and the limit", len(got.Packages), err)
	}
	got, err = read(t, "dpkg", "var/lib/dpkg/status", []byte("Package: a\xff\nStatus: a b installed\nVersion: 1\n\nPackage: b\nStatus: a b installed\nVersion: 1\n"))
	if want := []string{"b 1"}; !slices.Equal(namesOf(got.Packages), want) || !isLimit(err, "name") {
		t.Errorf("Read = %v, %v, want %v and the limit", namesOf(got.Packages), err, want)
	}
}

// zipped is an archive.
func zipped(files map[string]string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range files {
		header := zip.FileHeader{Name: name, Method: zip.Deflate}
		if content == "" {
			header.Method = zip.Store
		}
		f, err := w.CreateHeader(&header)
		if err != nil {
			panic(err)
		}
		_, _ = f.Write([]byte(content))
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
	return b.String()
}
