package inventory_test

import (
	"slices"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestEcosystem(t *testing.T) {
	t.Parallel()
	os := func(id, version string) inventory.OS { return inventory.OS{ID: id, VersionID: version} }
	tests := []struct {
		t    inventory.Type
		os   inventory.OS
		want string // ecosystem:release; empty: none
	}{
		{inventory.Deb, os("debian", "12"), "Debian:12"},
		{inventory.Deb, os("debian", ""), ""}, // unstable: of no release
		{inventory.Deb, os("ubuntu", "24.04"), "Ubuntu:24.04:LTS"},
		{inventory.Deb, os("ubuntu", "24.10"), "Ubuntu:24.10"},
		{inventory.Deb, os("ubuntu", "23.04"), "Ubuntu:23.04"},
		{inventory.Deb, os("echo", "1"), "Echo:"},
		{inventory.Deb, os("raspbian", "12"), ""}, // has versions of its own
		{inventory.APK, os("alpine", "3.20.3"), "Alpine:v3.20"},
		{inventory.APK, os("alpine", "3.20"), "Alpine:v3.20"},
		{inventory.APK, os("alpine", "3.21_alpha20240807"), ""}, // edge
		{inventory.APK, os("alpine", "3"), ""},
		{inventory.APK, os("wolfi", "20230201"), "Wolfi:"},
		{inventory.APK, os("chainguard", "20230214"), "Chainguard:"},
		{inventory.APK, os("minimos", "20241031"), "MinimOS:"},
		{inventory.APK, os("alpaquita", "23"), "Alpaquita:23"},
		{inventory.RPM, os("almalinux", "9.4"), "AlmaLinux:9"},
		{inventory.RPM, os("almalinux", "9"), "AlmaLinux:9"},
		{inventory.RPM, os("rocky", "9.3"), "Rocky Linux:9"},
		{inventory.RPM, os("rhel", "9.4"), "Red Hat:9"},
		{inventory.RPM, os("sles", "15.5"), "SUSE:15.5"},
		{inventory.RPM, os("opensuse-leap", "15.6"), "openSUSE:Leap 15.6"},
		{inventory.RPM, os("opensuse-tumbleweed", "20240801"), "openSUSE:Tumbleweed"},
		{inventory.RPM, os("azurelinux", "3.0"), "Azure Linux:3"},
		{inventory.RPM, os("mariner", "2.0"), "Azure Linux:2"},
		{inventory.RPM, os("photon", "5.0"), "Photon OS:5.0"},
		{inventory.RPM, os("mageia", "9"), "Mageia:9"},
		{inventory.RPM, inventory.OS{ID: "openEuler", VersionID: "24.03", PrettyName: "openEuler 24.03 (LTS-SP1)"}, "openEuler:24.03-LTS-SP1"},
		{inventory.RPM, os("openEuler", "24.03"), "openEuler:24.03"},
		{inventory.RPM, os("amzn", "2023"), ""}, // in the inventory only
		{inventory.RPM, os("fedora", "40"), ""},
		{inventory.RPM, os("debian", "12"), ""}, // not its kind
		{inventory.Deb, inventory.OS{}, ""},
		{inventory.PyPI, inventory.OS{}, "PyPI:"},
		{inventory.NPM, os("debian", "12"), "npm:"},
		{inventory.Go, os("amzn", "2"), "Go:"},
		{inventory.Maven, inventory.OS{}, "Maven:"},
		{inventory.Gem, inventory.OS{}, "RubyGems:"},
		{inventory.Cargo, inventory.OS{}, "crates.io:"},
		{inventory.NuGet, inventory.OS{}, "NuGet:"},
		{inventory.Composer, inventory.OS{}, "Packagist:"},
		{"weird", os("debian", "12"), ""},
	}
	for _, tt := range tests {
		ecosystem, release := inventory.Ecosystem(tt.t, tt.os)
		got := ecosystem + ":" + release
		if ecosystem == "" && release == "" {
			got = ""
		}
		if got != tt.want {
			t.Errorf("Ecosystem(%s, %+v) = %q, want %q", tt.t, tt.os, got, tt.want)
		}
		if got := inventory.Supported(tt.os); tt.t.System() && tt.os.ID != "debian" && got != (tt.want != "") {
			t.Errorf("Supported(%+v) = %v", tt.os, got)
		}
		// What advisories write is what images get.
		if release != "" && inventory.ReleaseOf(ecosystem, release) != release {
			t.Errorf("ReleaseOf(%q, %q) = %q", ecosystem, release, inventory.ReleaseOf(ecosystem, release))
		}
	}
	if inventory.Supported(inventory.OS{}) || !inventory.Supported(os("debian", "12")) || inventory.Supported(os("amzn", "2023")) {
		t.Error("Supported: want Debian, and neither nothing nor Amazon Linux")
	}
}

func TestReleaseOf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ ecosystem, written, want string }{
		{"Debian", "12", "12"},
		{"Ubuntu", "22.04:LTS", "22.04:LTS"},
		{"Ubuntu", "Pro:22.04:LTS", "Pro:22.04:LTS"},
		{"Red Hat", "enterprise_linux:9::appstream", "9"},
		{"Red Hat", "enterprise_linux:10.1", "enterprise_linux:10.1"},
		{"Red Hat", "enterprise_linux:8", "8"},
		{"Red Hat", "rhel_eus:9.2::baseos", "rhel_eus:9.2::baseos"},
		{"SUSE", "Linux Enterprise Server 15 SP5", "15.5"},
		{"SUSE", "Linux Enterprise Module for Basesystem 15 SP6", "15.6"},
		{"SUSE", "Linux Enterprise Server 12 SP5-LTSS", "12.5"},
		{"SUSE", "Linux Enterprise Server 16.0", "16.0"},
		{"SUSE", "Linux Enterprise Server 15", "15"},
		{"SUSE", "Package Hub 15 SP5", "Package Hub 15 SP5"},
		{"openSUSE", "Leap 15.5", "Leap 15.5"},
		{"Rocky Linux", "9", "9"},
		{"Azure Linux", "3", "3"},
		{"npm", "", ""},
	} {
		if got := inventory.ReleaseOf(tt.ecosystem, tt.written); got != tt.want {
			t.Errorf("ReleaseOf(%q, %q) = %q, want %q", tt.ecosystem, tt.written, got, tt.want)
		}
	}
}

func TestPURL(t *testing.T) {
	t.Parallel()
	debian, rhel := inventory.OS{ID: "debian", VersionID: "12"}, inventory.OS{ID: "rhel", VersionID: "9.4"}
	for _, tt := range []struct {
		pkg  inventory.Package
		os   inventory.OS
		want string
	}{
		{inventory.Package{Type: inventory.Deb, Name: "libssl3", Version: "3.0.11-1~deb12u2", Arch: "amd64"}, debian, "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12"},
		{inventory.Package{Type: inventory.Deb, Name: "g++", Version: "4:12.2.0-3"}, debian, "pkg:deb/debian/g%2B%2B@4:12.2.0-3?distro=debian-12"},
		{inventory.Package{Type: inventory.Deb, Name: "a", Version: "1"}, inventory.OS{}, "pkg:deb/a@1"},
		{inventory.Package{Type: inventory.APK, Name: "musl", Version: "1.2.5-r0", Arch: "x86_64"}, inventory.OS{ID: "wolfi"}, "pkg:apk/wolfi/musl@1.2.5-r0?arch=x86_64&distro=wolfi"},
		{inventory.Package{Type: inventory.RPM, Name: "openssl", Version: "1:3.0.7-27.el9", Arch: "x86_64"}, rhel, "pkg:rpm/redhat/openssl@3.0.7-27.el9?arch=x86_64&distro=rhel-9.4&epoch=1"},
		{inventory.Package{Type: inventory.RPM, Name: "zlib", Version: "1.2"}, inventory.OS{ID: "opensuse-leap", VersionID: "15.6"}, "pkg:rpm/opensuse/zlib@1.2?distro=opensuse-leap-15.6"},
		{inventory.Package{Type: inventory.PyPI, Name: "Zope.Interface", Source: "zope-interface", Version: "1.0"}, debian, "pkg:pypi/zope-interface@1.0"},
		{inventory.Package{Type: inventory.NPM, Name: "@babel/core", Version: "7.0.0-beta+1"}, debian, "pkg:npm/%40babel/core@7.0.0-beta%2B1"},
		{inventory.Package{Type: inventory.NPM, Name: "JSONStream", Version: "1.3.5"}, debian, "pkg:npm/JSONStream@1.3.5"},
		{inventory.Package{Type: inventory.Go, Name: "github.com/BurntSushi/toml", Version: "1.3.2"}, debian, "pkg:golang/github.com/BurntSushi/toml@1.3.2"},
		{inventory.Package{Type: inventory.Go, Name: "stdlib", Version: "1.26.3"}, debian, "pkg:golang/stdlib@1.26.3"},
		{inventory.Package{Type: inventory.Maven, Name: "org.apache:log4j", Version: "2.0"}, debian, "pkg:maven/org.apache/log4j@2.0"},
		{inventory.Package{Type: inventory.Composer, Name: "symfony/http-kernel", Version: "v5.0"}, debian, "pkg:composer/symfony/http-kernel@v5.0"},
		{inventory.Package{Type: inventory.Gem, Name: "rails", Version: "7"}, debian, "pkg:gem/rails@7"},
		{inventory.Package{Type: inventory.Cargo, Name: "ein?&#", Version: ""}, debian, "pkg:cargo/ein%3F%26%23"},
	} {
		if got := inventory.PURL(inventory.Found{Package: tt.pkg}, tt.os); got != tt.want {
			t.Errorf("PURL(%+v) = %q, want %q", tt.pkg, got, tt.want)
		}
	}
}

func TestChainIDs(t *testing.T) {
	t.Parallel()
	a, b, c := oci.FromBytes([]byte("a")), oci.FromBytes([]byte("b")), oci.FromBytes([]byte("c"))
	ab := oci.FromBytes([]byte(a + " " + b))
	want := []oci.Digest{a, ab, oci.FromBytes([]byte(ab + " " + c))}
	if got := inventory.ChainIDs([]oci.Digest{a, b, c}); !slices.Equal(got, want) {
		t.Errorf("ChainIDs = %v, want %v", got, want)
	}
	if got := inventory.ChainIDs(nil); len(got) != 0 {
		t.Errorf("ChainIDs of nothing = %v", got)
	}
}
