package advisory_test

import (
	"math/rand/v2"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// TestReadyAgrees compares what is parsed once with what is parsed each time.
func TestReadyAgrees(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	versions := []string{"0", "1.0.0", "1.2", "v1.2.3", "1.2.3-rc1", "2.0.0+x", "1:1.0-1", "1.0~rc1-1", "(devel)", "", "a:1", "1.10.0", "1.9.0", "2!1.0", "1.0.post1", "x"}
	one := func() string { return versions[r.IntN(len(versions))] }
	for range 20000 {
		ecosystem := []string{"npm", "Go", "PyPI", "Debian", "Alpine", "AlmaLinux", "Maven", "crates.io"}[r.IntN(8)]
		var a advisory.Affected
		for range r.IntN(3) {
			var g advisory.Range
			for range 1 + r.IntN(3) {
				g.Events = append(g.Events, []advisory.Event{{Introduced: one()}, {Fixed: one()}, {LastAffected: one()}, {Limit: one()}, {Introduced: "0"}, {Limit: "*"}}[r.IntN(6)])
			}
			a.Ranges = append(a.Ranges, g)
		}
		if r.IntN(3) == 0 {
			a.Versions = []string{one()}
		}
		ready := a.Ready(ecosystem)
		for range 4 {
			v := one()
			want, wantErr := a.Covers(ecosystem, v)
			got, err := ready.Covers(advisory.NewVersion(ecosystem, v))
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%s %q in %+v: %v, %v; want %v, %v", ecosystem, v, a, got, err, want, wantErr)
			}
			if got, want := ready.Mended(advisory.NewVersion(ecosystem, v)), a.FixedFor(ecosystem, v) != ""; got != want {
				t.Fatalf("%s %q in %+v: mended: %v, want %v", ecosystem, v, a, got, want)
			}
		}
	}
}
