package scan_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
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

// countedReads counts what is asked of advisories.
type countedReads struct {
	scan.AdvisoryReads
	asked *int
}

func (c countedReads) Heads(ctx context.Context, ids []int64) (map[int64]scan.Head, error) {
	*c.asked++
	return c.AdvisoryReads.Heads(ctx, ids)
}

func (c countedReads) Bodies(ctx context.Context, ids []int64) (map[int64]advisory.Advisory, error) {
	*c.asked++
	return c.AdvisoryReads.Bodies(ctx, ids)
}

func (c countedReads) AffectedBy(ctx context.Context, ids []int64) (map[int64][]advisory.Affected, error) {
	*c.asked++
	return c.AdvisoryReads.AffectedBy(ctx, ids)
}

func (c countedReads) Mended(ctx context.Context, ids []int64) (map[int64][]string, error) {
	*c.asked++
	return c.AdvisoryReads.Mended(ctx, ids)
}

func (c countedReads) Others(ctx context.Context, vulnerabilities, sources []string) ([]scan.Other, error) {
	*c.asked++
	return c.AdvisoryReads.Others(ctx, vulnerabilities, sources)
}

// TestHitsReadAdvisoriesOnce: whatever number of images there are.
func TestHitsReadAdvisoriesOnce(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, b *bench) {
		asked := 0
		c := b.config()
		c.Advisories = countedReads{c.Advisories, &asked}
		b.service = scan.New(c)
		b.advise("Debian", below("DEBIAN-CVE-2026-1001", "Debian", "12", "openssl", "4", criticalVector, "CVE-2026-1001"))
		for i := range 7 {
			b.image(fmt.Sprintf("old%d", i), b.layer(content{OS: debian, Files: []inventory.File{dpkg("openssl", "3.0.1", "app", fmt.Sprintf("1.%d", i))}}))
		}
		b.work()
		asked = 0
		hits, _, err := b.service.Hits(t.Context(), root, "CVE-2026-1001", "", 100)
		if err != nil || len(hits) != 7 || asked != 3 {
			t.Errorf("for %d images advisories are asked for %d times, %v; want 3", len(hits), asked, err)
		}
	})
}
