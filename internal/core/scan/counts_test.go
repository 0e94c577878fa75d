package scan_test

import (
	"encoding/json"
	"math/rand/v2"
	"testing"

	"github.com/hoopstat-haus/berth/internal/core/scan"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
)

// TestCountsAreWrittenAsJSON compares what Encode writes with json.Marshal: what is stored was once written by that, and is compared.
func TestCountsAreWrittenAsJSON(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // not a secret
	count := func() scan.Count {
		var c scan.Count
		for _, s := range []advisory.Severity{advisory.Critical, advisory.High, advisory.Medium, advisory.Low, advisory.Informational, advisory.Undefined} {
			if r.IntN(2) == 0 {
				if c == nil {
					c = scan.Count{}
				}
				c[s] = r.IntN(2000)
			}
		}
		return c
	}
	for range 1000 {
		c := scan.Counts{System: count(), All: count(), Fixable: r.IntN(3), Exploited: r.IntN(3), Unevaluated: r.IntN(3)}
		want, err := json.Marshal(c)
		if got := c.Encode(); err != nil || got != string(want) {
			t.Fatalf("%+v is written as %s, want %s, %v", c, got, want, err)
		}
	}
}
