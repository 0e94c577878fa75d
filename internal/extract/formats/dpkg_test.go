package formats_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/osv-scalibr/extractor/filesystem/os/apk"
	"github.com/google/osv-scalibr/extractor/filesystem/os/dpkg"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/layer"
)

func TestDpkg(t *testing.T) {
	t.Parallel()
	const status = `Package: openssl
Status: install ok installed
Priority: optional
Architecture: amd64
Multi-Arch: foreign
Version: 3.0.15-1~deb12u1
Description: Secure Sockets Layer toolkit
 Version: 9
 .
 Package: not-one

package: libc6
status: install ok installed
source: glibc
architecture: amd64
version: 2.36-9+deb12u10

Package: libpam-runtime
Status: install ok half-configured
Source: pam (1.5.2-6+deb12u1)
Architecture: all
Version: 1.5.2-6+deb12u1+b2

Package: gone
Status: deinstall ok config-files
Version: 1

Package: never
Status: install ok not-installed
Version: 1

Package: nameless-version
Status: install ok installed

Version: 3
Status: install ok installed

Package: of-no-status
Version: 1

:
garbage
Package: last
Status: hold ok installed
Version: 1:2.0-1`
	got, err := read(t, "dpkg", "var/lib/dpkg/status", []byte(status))
	want := layer.Result{Fact: true, Packages: []inventory.Package{
		{Type: inventory.Deb, Name: "openssl", Version: "3.0.15-1~deb12u1", Source: "openssl", SourceVersion: "3.0.15-1~deb12u1", Arch: "amd64"},
		{Type: inventory.Deb, Name: "libc6", Version: "2.36-9+deb12u10", Source: "glibc", SourceVersion: "2.36-9+deb12u10", Arch: "amd64"},
		{Type: inventory.Deb, Name: "libpam-runtime", Version: "1.5.2-6+deb12u1+b2", Source: "pam", SourceVersion: "1.5.2-6+deb12u1", Arch: "all"},
		{Type: inventory.Deb, Name: "last", Version: "1:2.0-1", Source: "last", SourceVersion: "1:2.0-1"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Read = %v (-want +got):\n%s", err, diff)
	}
}

func TestDpkgOfSinglePackages(t *testing.T) {
	t.Parallel()
	got, err := read(t, "dpkg", "var/lib/dpkg/status.d/base", []byte("Package: base-files\nVersion: 12.4\nArchitecture: amd64\n"))
	want := layer.Result{Fact: true, Packages: []inventory.Package{
		{Type: inventory.Deb, Name: "base-files", Version: "12.4", Source: "base-files", SourceVersion: "12.4", Arch: "amd64"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Read = %v (-want +got):\n%s", err, diff)
	}
}

// TestOwned is about the formats that tell which files packages of the operating system have brought.
func TestOwned(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		format, path, content string
		want                  []string
	}{
		"dpkg's list": {
			"dpkg", "var/lib/dpkg/info/libc6:amd64.list", "/.\n/usr\n/usr/lib/../lib/a b.so\n\n/etc/x\r\n../../y\n",
			[]string{"usr", "usr/lib/a b.so", "etc/x", "y"},
		},
		"sums of a single package": {
			"dpkg", "var/lib/dpkg/status.d/base.md5sums", "d41d8cd98f00b204e9800998ecf8427e  usr/share/x\nnothing\n",
			[]string{"usr/share/x"},
		},
		"apk": {
			"apk", "lib/apk/db/installed", "C:Q1x\nP:musl\nV:1.2.4-r2\nF:lib\nR:ld-musl-x86_64.so.1\na:0:0:755\nF:usr/bin\nR:ldd\n\nP:none\nR:root\n\n",
			[]string{"lib/ld-musl-x86_64.so.1", "usr/bin/ldd", "root"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := read(t, tt.format, tt.path, []byte(tt.content))
			if diff := cmp.Diff(tt.want, got.Owns); err != nil || diff != "" {
				t.Errorf("Read = %v, owns (-want +got):\n%s", err, diff)
			}
		})
	}
	if named(t, "dpkg").Wants("var/lib/dpkg/info/libc6:amd64.postinst", 0o644, 1) {
		t.Error("dpkg wants a script")
	}
}

// TestDpkgAgrees compares with osv-scalibr.
func TestDpkgAgrees(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"empty", "nopackage", "noversion", "single", "statusfield", "trailingnewlines", "transitional", "valid"} {
		content := fixture(t, "os/dpkg/testdata/dpkg/"+name)
		got, err := read(t, "dpkg", "var/lib/dpkg/status", content)
		want := oracle(t, dpkg.New, "var/lib/dpkg/status", content)
		if name == "statusfield" { // its files are there
			want = append(want, "wantinstall_unpacked 1.0")
			slices.Sort(want)
		}
		if diff := cmp.Diff(want, namesOf(got.Packages)); err != nil || diff != "" {
			t.Errorf("of %s, Read = %v (-scalibr +got):\n%s", name, err, diff)
		}
	}
	content := fixture(t, "os/dpkg/testdata/dpkg/status.d/foo")
	got, err := read(t, "dpkg", "var/lib/dpkg/status.d/foo", content)
	if diff := cmp.Diff(oracle(t, dpkg.New, "var/lib/dpkg/status.d/foo", content), namesOf(got.Packages)); err != nil || diff != "" || len(got.Packages) != 1 {
		t.Errorf("of status.d, Read = %v (-scalibr +got):\n%s", err, diff)
	}
}

func TestAPK(t *testing.T) {
	t.Parallel()
	const installed = `C:Q1f5
P:libcrypto3
V:3.1.4-r5
A:x86_64
o:openssl
c:b784a22cad0c452586b438cb7a597d846fc09ff4
F:lib
R:libcrypto.so.3

P:alone
V:1-r0`
	got, err := read(t, "apk", "lib/apk/db/installed", []byte(installed))
	want := layer.Result{Fact: true, Owns: []string{"lib/libcrypto.so.3"}, Packages: []inventory.Package{
		{Type: inventory.APK, Name: "libcrypto3", Version: "3.1.4-r5", Source: "openssl", SourceVersion: "3.1.4-r5", Arch: "x86_64"},
		{Type: inventory.APK, Name: "alone", Version: "1-r0", Source: "alone", SourceVersion: "1-r0"},
	}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Read = %v (-want +got):\n%s", err, diff)
	}
	for _, name := range []string{"installed", "single", "no-origin", "different-arch", "empty"} {
		content := fixture(t, "os/apk/testdata/"+name)
		got, err := read(t, "apk", "lib/apk/db/installed", content)
		if diff := cmp.Diff(oracle(t, apk.New, "lib/apk/db/installed", content), namesOf(got.Packages)); err != nil || diff != "" {
			t.Errorf("of %s, Read = %v (-scalibr +got):\n%s", name, err, diff)
		}
	}
}

// TestLongLines: what is too long is passed over, not an end to reading.
func TestLongLines(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 200<<10)
	status := "Package: a\nStatus: install ok installed\nDepends: " + long + "\nVersion: 1\n\nPackage: b\nStatus: install ok installed\nVersion: 2\nDepends: " + long
	got, err := read(t, "dpkg", "var/lib/dpkg/status", []byte(status))
	if want := []string{"a 1", "b 2"}; err != nil || !slices.Equal(namesOf(got.Packages), want) {
		t.Errorf("Read = %v, %v, want %v", namesOf(got.Packages), err, want)
	}
}
