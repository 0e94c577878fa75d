package scan_test

import (
	"fmt"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/storage/metadb/metadbtest"
)

// BenchmarkFindings asks for the first page of the findings of an image of 300 packages, 100 of which have two findings each.
func BenchmarkFindings(b *testing.B) {
	w := newBench(b, metadbtest.New(b))
	var all []advisory.Advisory
	var packages []string
	for i := range 300 {
		name := fmt.Sprintf("package-%d", i)
		packages = append(packages, name, "1.0-1")
		for k := range 2 {
			if i < 100 {
				all = append(all, below(fmt.Sprintf("DEBIAN-CVE-2026-%d", 1000+2*i+k), "Debian", "12", name, "1.0-2", criticalVector))
			}
		}
	}
	w.advise("Debian", all...)
	w.image("one", w.layer(content{OS: debian, Files: []inventory.File{dpkg(packages...)}}))
	w.work()
	for b.Loop() {
		r, err := w.service.Report(b.Context(), root, repo, registry.ImageID{Tag: "one"}, scan.Query{OfKind: true})
		if err != nil || len(r.Findings) != 100 || r.Next == "" {
			b.Fatalf("%d findings, %v", len(r.Findings), err)
		}
	}
}
