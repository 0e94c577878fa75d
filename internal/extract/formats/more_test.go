package formats_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	cpb "github.com/google/osv-scalibr/binary/proto/config_go_proto"
	"github.com/google/osv-scalibr/extractor/filesystem"
	"github.com/google/osv-scalibr/extractor/filesystem/language/dotnet/depsjson"
	"github.com/google/osv-scalibr/extractor/filesystem/language/java/archive"
	"github.com/google/osv-scalibr/extractor/filesystem/language/php/composerlock"
	"github.com/google/osv-scalibr/extractor/filesystem/language/ruby/gemspec"
	"github.com/google/osv-scalibr/extractor/filesystem/language/rust/cargoauditable"
	"github.com/google/osv-scalibr/extractor/filesystem/os/rpm"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// TestAgrees compares the rest with osv-scalibr, which is asked for the whole file.
func TestAgrees(t *testing.T) {
	t.Parallel()
	const (
		java, ruby, rust  = "language/java/archive/testdata/", "language/ruby/gemspec/testdata/", "language/rust/cargoauditable/testdata/"
		dotnet, php, rpms = "language/dotnet/depsjson/testdata/", "language/php/composerlock/testdata/", "os/rpm/testdata/"
	)
	for _, tt := range []struct {
		format, file, path string
		create             func(*cpb.PluginConfig) (filesystem.Extractor, error)
		least              int
	}{
		{"rpm", rpms + "Packages", "var/lib/rpm/Packages", rpm.New, 148},
		{"rpm", rpms + "Packages.db", "usr/lib/sysimage/rpm/Packages.db", rpm.New, 137},
		{"rpm", rpms + "rpmdb.sqlite", "var/lib/rpm/rpmdb.sqlite", rpm.New, 141},
		{"rpm", rpms + "Packages_epoch", "var/lib/rpm/Packages", rpm.New, 1},
		{"java", java + "simple.jar", "app/simple.jar", archive.New, 1},
		{"java", java + "complex.jar", "app/complex.jar", archive.New, 2},
		{"java", java + "guava-31.1-jre.jar", "app/guava-31.1-jre.jar", archive.New, 1},
		{"java", java + "no_pom_properties-2.4.0.jar", "app/no_pom_properties-2.4.0.jar", archive.New, 1},
		{"java", java + "org.eclipse.sisu.inject-0.3.5.jar", "app/org.eclipse.sisu.inject-0.3.5.jar", archive.New, 1},
		{"java", java + "com.google.src.yolo-0.1.2.jar", "app/com.google.src.yolo-0.1.2.jar", archive.New, 1},
		{"java", java + "pom_missing_group_id-2.4.0.jar", "app/pom_missing_group_id-2.4.0.jar", archive.New, 1},
		{"java", java + "empty.jar", "app/empty.jar", archive.New, 0},
		{"ruby", ruby + "rss-0.2.9.gemspec", "usr/lib/ruby/gems/3.1.0/specifications/rss-0.2.9.gemspec", gemspec.New, 1},
		{"ruby", ruby + "yaml-0.2.1.gemspec", "usr/lib/ruby/gems/3.1.0/specifications/default/yaml-0.2.1.gemspec", gemspec.New, 1},
		{"ruby", ruby + "empty.gemspec", "a/specifications/empty.gemspec", gemspec.New, 0},
		{"rust", rust + "no_deps/no_deps", "usr/bin/x", cargoauditable.New, 1},
		{"rust", rust + "uses_serde_json/uses_serde_json", "usr/bin/x", cargoauditable.New, 11},
		{"dotnet", dotnet + "editor.deps.json", "app/x.deps.json", depsjson.New, 0},
		{"dotnet", dotnet + "valid", "app/x.deps.json", depsjson.New, 2},
		{"php", php + "one-package.json", "app/vendor/composer/installed.json", composerlock.New, 1},
		{"php", php + "two-packages-alt.json", "app/vendor/composer/installed.json", composerlock.New, 2},
		{"php", php + "empty.json", "app/vendor/composer/installed.json", composerlock.New, 0},
	} {
		t.Run(tt.format+" "+tt.file, func(t *testing.T) {
			t.Parallel()
			content := fixture(t, tt.file)
			got, err := read(t, tt.format, tt.path, content)
			if err != nil || len(got.Packages) < tt.least {
				t.Errorf("Read = %d packages, %v, want %d", len(got.Packages), err, tt.least)
			}
			theirs := slices.DeleteFunc(oracle(t, tt.create, tt.path, content), func(p string) bool {
				return strings.Contains(p, "unknown") || p == "TestLibrary 1.0.0" // what could not be told; the program itself
			})
			ours := namesOf(got.Packages)
			if tt.format == "rpm" {
				ours = withoutEpochs(ours)
			}
			if diff := cmp.Diff(theirs, ours); diff != "" {
				t.Errorf("(-scalibr +got):\n%s", diff)
			}
		})
	}
}

// withoutEpochs is how osv-scalibr writes versions of RPM.
func withoutEpochs(all []string) []string {
	for i, p := range all {
		name, version, _ := strings.Cut(p, " ")
		if _, after, ok := strings.Cut(version, ":"); ok {
			all[i] = name + " " + after
		}
	}
	slices.Sort(all)
	return all
}

// TestRPM is about what osv-scalibr does not tell: epochs, source packages, files.
func TestRPM(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]inventory.Package{
		"rpmdb.sqlite": {
			{Type: inventory.RPM, Name: "openssl-libs", Version: "1:3.0.7-6.el9_2", Source: "openssl", SourceVersion: "1:3.0.7-6.el9_2", Arch: "x86_64"},
		},
		"Packages": {
			{Type: inventory.RPM, Name: "openssl-libs", Version: "1:1.0.2k-19.el7", Source: "openssl", SourceVersion: "1:1.0.2k-19.el7", Arch: "x86_64"},
		},
	} {
		got, err := read(t, "rpm", "var/lib/rpm/"+file, fixture(t, "os/rpm/testdata/"+file))
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range want {
			i := slices.IndexFunc(got.Packages, func(p inventory.Package) bool { return p.Name == w.Name })
			if i < 0 {
				t.Errorf("%s has no %s in %v", file, w.Name, got.Packages)
			} else if diff := cmp.Diff(w, got.Packages[i]); diff != "" {
				t.Errorf("of %s (-want +got):\n%s", file, diff)
			}
		}
		if !slices.Contains(got.Owns, "usr/bin/bash") {
			t.Errorf("%s does not own usr/bin/bash, but %d paths", file, len(got.Owns))
		}
	}
	if _, err := read(t, "rpm", "var/lib/rpm/rpmdb.sqlite-wal", []byte("pages")); !isLimit(err, "not in the database yet") {
		t.Errorf("Read of a write-ahead log = %v, want a limit", err)
	}
	if named(t, "rpm").Wants("var/lib/rpm/rpmdb.sqlite-wal", 0o644, 0) {
		t.Error("rpm wants a write-ahead log without anything")
	}
}

// TestRPMBelievesNoLength: a database that says that a package has gigabytes is not given them.
func TestRPMBelievesNoLength(t *testing.T) {
	t.Parallel()
	content := fixture(t, "os/rpm/testdata/Packages.db")
	slot := 0
	for i := 32; slot == 0; i += 16 {
		if binary.LittleEndian.Uint32(content[i+4:]) != 0 {
			slot = i
		}
	}
	blob := int(binary.LittleEndian.Uint32(content[slot+8:])) * 16
	binary.LittleEndian.PutUint32(content[blob+12:], 1<<31)
	if got, err := read(t, "rpm", "var/lib/rpm/Packages.db", content); err == nil || !strings.Contains(err.Error(), "larger than") || len(got.Packages) != 0 {
		t.Errorf("Read = %d packages, %v, want that it is broken", len(got.Packages), err)
	}
}

// TestRPMEndsInTime: this database makes go-rpmdb go on for minutes.
func TestRPMEndsInTime(t *testing.T) {
	t.Parallel()
	content := fixture(t, "os/rpm/testdata/timeout/Packages")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := named(t, "rpm").Read(ctx, layer.Input{Path: "var/lib/rpm/Packages", Size: int64(len(content)), Content: bytes.NewReader(content)})
	if err == nil {
		t.Error("Read = nil, want that time is over, or that the database is broken")
	}
}

func TestDotnetAndPHP(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		format, path, content string
		want                  []string
	}{
		".NET": {
			"dotnet", "app/shop.deps.json", "\ufeff" + `{"libraries": {"Shop/1.0.0": {"type": "project"}, "Newtonsoft.Json/12.0.1": {"type": "package"},
				"runtimepack.Microsoft.NETCore.App.Runtime.linux-x64/8.0.1": {"type": "runtimepack"}, "odd": {}}}`,
			[]string{"Microsoft.NETCore.App.Runtime.linux-x64 8.0.1", "Newtonsoft.Json 12.0.1"},
		},
		"Composer 1": {"php", "vendor/composer/installed.json", `[{"name": "a/b", "version": "v1.0"}]`, []string{"a/b v1.0"}},
		"Composer 2": {"php", "vendor/composer/installed.json", `{"packages": [{"name": "a/b", "version": "1.0"}], "dev": true}`, []string{"a/b 1.0"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, tt.format, tt.path, []byte(tt.content))
			if diff := cmp.Diff(tt.want, namesOf(got.Packages)); err != nil || diff != "" || !got.Fact {
				t.Errorf("Read = %v (-want +got):\n%s", err, diff)
			}
		})
	}
	if named(t, "ruby").Wants("usr/lib/ruby/gems/3.1.0/gems/rake-13/rake.gemspec", 0o644, 9) {
		t.Error("ruby wants what a gem has in itself")
	}
	if named(t, "php").Wants("app/composer.lock", 0o644, 9) {
		t.Error("php wants a lock file")
	}
}

// TestJavaNames: an archive that Maven has not built tells little of itself.
func TestJavaNames(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ file, manifest, want string }{
		{"spring-core-5.3.9.jar", "Implementation-Title: spring-core\nImplementation-Version: 5.3.9\n", "org.springframework:spring-core 5.3.9"},
		{"tomcat-embed-core-9.0.65.jar", "Implementation-Title: Apache Tomcat\n", "org.apache.tomcat.embed:tomcat-embed-core 9.0.65"},
		{"catalina.jar", "Implementation-Title: Apache Tomcat\nImplementation-Version: 9.0.65\n", "org.apache.tomcat:tomcat-catalina 9.0.65"},
		{"commons-logging-1.2.jar", "", "commons-logging:commons-logging 1.2"},
		{"kafka_2.13-2.8.0.jar", "Implementation-Vendor-Id: org.apache.kafka\n", "org.apache.kafka:kafka 2.13-2.8.0"},
		{"guava-31.1-jre.jar", "Bundle-SymbolicName: com.example.\n guava;singleton:=true\n", "com.example:guava 31.1-jre"},
		{"org.eclipse.sisu.inject-0.3.5.jar", "", "org.eclipse.sisu:org.eclipse.sisu.inject 0.3.5"},
		{"guava-r09.jar", "", "guava:guava r09"},
		{"app.jar", "Implementation-Title: tool\nImplementation-Version: 1.4 1855 April 22 2006\n", "tool:tool 1.4"},
		{"app.jar", "Implementation-Title: ${name} of it\nBundle-Version: 2\n\nImplementation-Title: part\n", "app:app 2"},
		{"app.jar", "Created-By: somebody\n", ""},
		{"app.jar", "", ""},
		{"a b-1.jar", "", ""},
	} {
		got, err := read(t, "java", "lib/"+tt.file, []byte(zipped(map[string]string{"META-INF/MANIFEST.MF": "Manifest-Version: 1.0\n" + tt.manifest})))
		if names := strings.Join(namesOf(got.Packages), ", "); err != nil || names != tt.want {
			t.Errorf("Read of %s with %q = %q, %v, want %q", tt.file, tt.manifest, names, err, tt.want)
		}
	}
}

func TestGem(t *testing.T) {
	t.Parallel()
	for content, want := range map[string]string{
		"# -*- encoding: utf-8 -*-\n# stub: rake 13.0.6 ruby lib\n\nGem::Specification.new do |s|\n  s.name = \"rake\".freeze\n  s.version = \"13.0.6\"\n": "rake 13.0.6",
		"Gem::Specification.new do |s|\n  s.version = Gem::Version.new('1.0.pre')\n  s.name = 'a'\n  s.add_dependency 'b'":                                 "a 1.0.pre",
		"  s.name = 'a'\n  s.version = '1'":                                         "",
		"Gem::Specification.new do |s|\n  s.name = 'a'\n  s.version = A::VERSION\n": "",
	} {
		got, err := read(t, "ruby", "usr/local/bundle/specifications/x.gemspec", []byte(content))
		if names := strings.Join(namesOf(got.Packages), ", "); err != nil || names != want {
			t.Errorf("Read of %q = %q, %v, want %q", content, names, err, want)
		}
	}
}

// TestJavaNested: archives in archives, stored and compressed, and what ends them.
func TestJavaNested(t *testing.T) {
	t.Parallel()
	properties := func(artifact string) string { return "groupId=org.example\nartifactId=" + artifact + "\nversion=1.0\n" }
	const pom = "META-INF/maven/org.example/x/pom.properties"
	inner := zipped(map[string]string{pom: properties("inner")})
	middle := zipped(map[string]string{pom: properties("middle"), "lib/inner.jar": inner})
	outer := zipped(map[string]string{pom: properties("outer"), "BOOT-INF/lib/middle.jar": middle, "x/not.jar": "no archive"})
	got, err := read(t, "java", "app/outer.jar", []byte(outer))
	want := []string{"org.example:inner 1.0", "org.example:middle 1.0", "org.example:outer 1.0"}
	if diff := cmp.Diff(want, namesOf(got.Packages)); diff != "" || err == nil || errors.Is(err, layer.ErrLimit) {
		t.Errorf("Read = %v, want a nested archive that is none (-want +got):\n%s", err, diff)
	}

	deep := zipped(map[string]string{pom: properties("deepest")})
	for range 6 {
		deep = zipped(map[string]string{pom: properties("deep"), "a.jar": deep})
	}
	got, err = read(t, "java", "app/deep.jar", []byte(deep))
	if !isLimit(err, "5 deep") || len(got.Packages) != 6 {
		t.Errorf("Read = %d packages, %v, want 6 and the limit", len(got.Packages), err)
	}

	bomb := zipped(map[string]string{pom: properties("bomb"), "a.jar": strings.Repeat("\x00", 65<<20)})
	got, err = read(t, "java", "app/bomb.jar", []byte(bomb))
	if !isLimit(err, "nested archives at one time") || len(got.Packages) != 1 {
		t.Errorf("Read = %d packages, %v, want 1 and the limit", len(got.Packages), err)
	}

	long := zipped(map[string]string{pom: properties("long"), "META-INF/MANIFEST.MF": strings.Repeat("A: b\n", 1<<20)})
	got, err = read(t, "java", "app/long.jar", []byte(long))
	if !isLimit(err, "bytes") || len(got.Packages) != 1 {
		t.Errorf("Read = %d packages, %v, want 1 and the limit", len(got.Packages), err)
	}

	many := map[string]string{}
	for i := range 200_000 {
		many[strings.Repeat("d/", 20)+string(rune('a'+i%26))+time.Duration(i).String()] = ""
	}
	if _, err = read(t, "java", "app/many.jar", []byte(zipped(many))); !isLimit(err, "directory") {
		t.Errorf("Read of an archive of 200,000 entries = %v, want the limit", err)
	}
}
