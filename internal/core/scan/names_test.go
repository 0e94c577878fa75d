package scan_test

import (
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestNamesWithoutCase: where an ecosystem's names are the same in any case, an advisory is of a package however either is written.
func TestNamesWithoutCase(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.scanning(registry.Enhanced, registry.ScanOnPush)
		b.advise("NuGet", below("GHSA-1111-2222-3333", "NuGet", "", "newtonsoft.json", "13.0.1", criticalVector, "CVE-2026-0001"))
		b.advise("Packagist", below("GHSA-1111-2222-4444", "Packagist", "", "acme/tool", "2.0.0", criticalVector, "CVE-2026-0002"))
		file := func(kind inventory.Type, name, version string) inventory.File {
			return inventory.File{Path: "app/" + string(kind), Format: "dotnet", Packages: []inventory.Package{
				{Type: kind, Name: name, Version: version, Source: name, SourceVersion: version},
			}}
		}
		b.image("one", b.layer(content{Files: []inventory.File{file(inventory.NuGet, "Newtonsoft.Json", "12.0.3"), file(inventory.Composer, "Acme/Tool", "1.0.0")}}))
		b.work()
		r := b.report("one", scan.Query{})
		if len(r.Findings) != 2 || r.Findings[0].Packages[0].Name != "Newtonsoft.Json" {
			t.Errorf("found %+v", r.Findings)
		}
	})
}
