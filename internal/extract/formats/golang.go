package formats

import (
	"context"
	"debug/buildinfo"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

// smallestProgram is less than what Go or Rust link the smallest program to.
const smallestProgram = 32 << 10

var sharedLibrary = regexp.MustCompile(`\.so(\.[0-9]+)*$`)

// wantsProgram wants what may be run, and libraries, which need not be marked so.
func wantsProgram(name string, mode fs.FileMode, size int64) bool {
	return size >= smallestProgram && (mode.Perm()&0o111 != 0 || sharedLibrary.MatchString(path.Base(name)))
}

// readGo reads what the linker has left in a Go program: its modules, and the toolchain, whose library is known as "stdlib". Versions
// of modules begin with v, as go version -m shows them; advisories have them without.
func readGo(_ context.Context, f layer.Input, found *found) error {
	info, err := buildinfo.Read(f.Content)
	if err != nil {
		return nil //nolint:nilerr // no Go program
	}
	found.Fact = true
	if version, semver := goVersion(info.GoVersion); version != "" {
		found.add(inventory.Package{Type: inventory.Go, Name: "stdlib", Version: version, SourceVersion: semver})
	}
	found.module(info.Main.Path, info.Main.Version)
	for _, m := range info.Deps {
		if m.Replace != nil {
			m = m.Replace
		}
		if !found.module(m.Path, m.Version) {
			break
		}
	}
	return nil
}

// module adds a Go module. One without a version is the main module as it was built, or comes from a directory.
func (f *found) module(name, version string) bool {
	if version == "(devel)" {
		return true
	}
	return f.add(inventory.Package{Type: inventory.Go, Name: name, Version: version, SourceVersion: strings.TrimPrefix(version, "v")})
}

var goRelease = regexp.MustCompile(`^go([0-9]+)\.([0-9]+)(?:\.([0-9]+))?(?:(alpha|beta|rc)([0-9]+))?`)

// goVersion takes what a toolchain calls itself ("go1.22.3", "go1.23rc1", "go1.22.3 X:boringcrypto", "devel go1.24-4bff0c8 Fri …"),
// and gives it without "go", and as the semantic version by which advisories know it: 1.22.3, 1.23.0-rc.1, 1.24.0-devel.
func goVersion(toolchain string) (version, semver string) {
	toolchain, devel := strings.CutPrefix(toolchain, "devel ")
	toolchain, _, _ = strings.Cut(toolchain, " ")
	m := goRelease.FindStringSubmatch(toolchain)
	if m == nil {
		return "", ""
	}
	semver = m[1] + "." + m[2] + "." + m[3]
	if m[3] == "" {
		semver += "0"
	}
	switch {
	case m[4] != "":
		semver += "-" + m[4] + "." + m[5]
	case devel:
		semver += "-devel"
	}
	return strings.TrimPrefix(toolchain, "go"), semver
}
