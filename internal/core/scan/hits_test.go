package scan_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// TestHits: every image that has a vulnerability, by whichever name, in pages, and no other.
func TestHits(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		b.advise("Debian", below("DEBIAN-CVE-2026-1001", "Debian", "12", "openssl", "4", criticalVector, "CVE-2026-1001"))
		var want []string
		for i := range 5 {
			b.image(fmt.Sprintf("old%d", i), b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1", "app", fmt.Sprintf("1.%d", i))}}))
			want = append(want, fmt.Sprintf("old%d", i))
		}
		b.image("new", b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "4.1")}}))
		b.work()
		for _, name := range []string{"CVE-2026-1001", "DEBIAN-CVE-2026-1001"} {
			var got []string
			for after := ""; ; {
				hits, next, err := b.service.Hits(t.Context(), root, name, after, 2)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range hits {
					got = append(got, h.Tags...)
					if h.Repository != repo || len(h.Packages) != 1 || h.Packages[0].Fixed != "4" {
						t.Errorf("a hit is %+v", h)
					}
				}
				if after = next; after == "" {
					break
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		}
		if hits, _, err := b.service.Hits(t.Context(), root, "CVE-1999-1", "", scan.MaxFindings); err != nil || len(hits) != 0 {
			t.Errorf("of what nobody has: %v, %v", hits, err)
		}
	})
}
