package scan_test

import (
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

func TestCover(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 26, 10, 0, 0, 0, time.UTC)
	installed := func(name, version string) scan.Affected {
		return scan.Affected{Found: inventory.Found{Package: inventory.Package{Type: inventory.Deb, Name: name, Version: version, Source: "openssl", SourceVersion: "3.0.1-1"}}}
	}
	finding := scan.Finding{
		Vulnerability: "CVE-2026-1", Advisories: []string{"DEBIAN-CVE-2026-1"}, Source: "openssl",
		Packages: []scan.Affected{installed("openssl", "3.0.1-1+b1"), installed("libssl3", "3.0.1-1+b1")},
	}
	e := func(change func(e *scan.Exception)) scan.Exception {
		one := scan.Exception{ID: 1, Vulnerability: "cve-2026-1", Status: "not_affected", ExpiresAt: now.Add(time.Hour)}
		change(&one)
		return one
	}
	as := func(id int64, name string, left time.Duration) scan.Exception {
		return e(func(e *scan.Exception) { e.ID, e.Package, e.ExpiresAt = id, name, now.Add(left) })
	}
	for name, tt := range map[string]struct {
		exceptions []scan.Exception
		want       int64 // its id
	}{
		"none":                    {nil, 0},
		"any package":             {[]scan.Exception{e(func(*scan.Exception) {})}, 1},
		"expired this moment":     {[]scan.Exception{e(func(e *scan.Exception) { e.ExpiresAt = now })}, 0},
		"another vulnerability":   {[]scan.Exception{e(func(e *scan.Exception) { e.Vulnerability = "CVE-2026-11" })}, 0},
		"by an alias":             {[]scan.Exception{e(func(e *scan.Exception) { e.Vulnerability, e.Aliases = "x", []string{"CVE-2026-1"} })}, 1},
		"by an advisory":          {[]scan.Exception{e(func(e *scan.Exception) { e.Vulnerability = "DEBIAN-CVE-2026-1" })}, 1},
		"affected":                {[]scan.Exception{e(func(e *scan.Exception) { e.Status = "affected" })}, 0},
		"the source":              {[]scan.Exception{as(1, "openssl", 1)}, 1},
		"one of the packages":     {[]scan.Exception{as(1, "libssl3", 1)}, 0},
		"another package":         {[]scan.Exception{as(1, "zlib", 1)}, 0},
		"another type":            {[]scan.Exception{e(func(e *scan.Exception) { e.Package, e.PackageType = "openssl", "npm" })}, 0},
		"the source's version":    {[]scan.Exception{e(func(e *scan.Exception) { e.Package, e.Version = "openssl", "3.0.1-1" })}, 1},
		"the installed version":   {[]scan.Exception{e(func(e *scan.Exception) { e.Package, e.Version = "openssl", "3.0.1-1+b1" })}, 1},
		"another version":         {[]scan.Exception{e(func(e *scan.Exception) { e.Package, e.Version = "openssl", "3.0.2" })}, 0},
		"the longest of several":  {[]scan.Exception{as(1, "", 1), as(2, "", 3), as(3, "", 2)}, 2},
		"the shortest link":       {[]scan.Exception{as(1, "libssl3", 1), as(2, "openssl", 0), as(3, "openssl", -1)}, 0},
		"together, the first end": {[]scan.Exception{as(1, "libssl3", 3), e(func(e *scan.Exception) { e.ID, e.Package, e.Version = 2, "openssl", "3.0.1-1" })}, 2},
	} {
		got := scan.Cover(tt.exceptions, finding, now)
		if (got == nil) != (tt.want == 0) || got != nil && got.ID != tt.want {
			t.Errorf("%s: %+v, want exception %d", name, got, tt.want)
		}
	}
}
