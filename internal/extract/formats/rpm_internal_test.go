package formats

import (
	"testing"

	rpmdb "github.com/erikvarga/go-rpmdb/pkg"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestRPMSource: what advisories know a package by is its source package, but for publishers who list what is built of it.
func TestRPMSource(t *testing.T) {
	t.Parallel()
	epoch := 1
	for name, tt := range map[string]struct {
		in   rpmdb.PackageInfo
		want inventory.Package
	}{
		"by source": {
			rpmdb.PackageInfo{Name: "python3-libs", Version: "3.9.18", Release: "1.el9", Arch: "x86_64", Vendor: "Rocky Enterprise Software Foundation", SourceRpm: "python3.9-3.9.18-1.el9.src.rpm"},
			inventory.Package{Type: inventory.RPM, Name: "python3-libs", Version: "3.9.18-1.el9", Source: "python3.9", SourceVersion: "3.9.18-1.el9", Arch: "x86_64"},
		},
		"by itself": {
			rpmdb.PackageInfo{Name: "openssl-libs", Version: "3.0.7", Release: "27.el9", Epoch: &epoch, Vendor: "AlmaLinux", SourceRpm: "openssl-3.0.7-27.el9.src.rpm"},
			inventory.Package{Type: inventory.RPM, Name: "openssl-libs", Version: "1:3.0.7-27.el9"},
		},
		"with another epoch and version than its source": {
			rpmdb.PackageInfo{Name: "perl-Errno", Version: "1.30", Release: "480.el9", Epoch: &epoch, SourceRpm: "perl-5.32.1-480.el9.src.rpm"},
			inventory.Package{Type: inventory.RPM, Name: "perl-Errno", Version: "1:1.30-480.el9", Source: "perl", SourceVersion: "1:5.32.1-480.el9"},
		},
		"no source": {
			rpmdb.PackageInfo{Name: "gpg-pubkey", Version: "8483c65d", Release: "5ccc5b19", SourceRpm: "(none)"},
			inventory.Package{Type: inventory.RPM, Name: "gpg-pubkey", Version: "8483c65d-5ccc5b19"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, rpmPackage(&tt.in)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
