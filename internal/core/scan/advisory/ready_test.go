package advisory_test

import (
	"math/rand/v2"
	"slices"
	"strings"
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
			want, wantErr := covers(a, ecosystem, v)
			got, err := ready.Covers(advisory.NewVersion(ecosystem, v))
			if got != want || (err == nil) != (wantErr == nil) {
				t.Fatalf("%s %q in %+v: %v, %v; want %v, %v", ecosystem, v, a, got, err, want, wantErr)
			}
			fixed := fixedFor(a, ecosystem, v)
			if got, want := ready.Mended(advisory.NewVersion(ecosystem, v)), fixed != ""; got != want {
				t.Fatalf("%s %q in %+v: mended: %v, want %v", ecosystem, v, a, got, want)
			}
			if got := a.FixedFor(ecosystem, v); got != fixed {
				t.Fatalf("%s %q in %+v: fixed in %q, want %q", ecosystem, v, a, got, fixed)
			}
		}
	}
}

// covers evaluates as OSV's text does, and parses each version each time.
func covers(a advisory.Affected, ecosystem, version string) (bool, error) {
	bare, v := strings.CutPrefix(version, "v")
	if slices.Contains(a.Versions, version) || v && ecosystem == "Go" && slices.Contains(a.Versions, bare) {
		return true, nil
	}
	var unknown error
	for _, r := range a.Ranges {
		in, err := within(r, ecosystem, version)
		if in && err == nil {
			return true, nil
		}
		if err != nil {
			unknown = err
		}
	}
	return false, unknown
}

func within(r advisory.Range, ecosystem, version string) (bool, error) {
	in, limited, below := false, false, false
	for _, e := range r.Events {
		switch {
		case e.Introduced == "0":
			in = true
			continue
		case e.Limit == "*":
			limited, below = true, true
			continue
		}
		n, err := advisory.Compare(ecosystem, version, e.Introduced+e.Fixed+e.LastAffected+e.Limit) // one is set
		switch {
		case err != nil:
			return false, err
		case e.Introduced != "" && n >= 0:
			in = true
		case e.Fixed != "" && n >= 0, e.LastAffected != "" && n > 0:
			in = false
		case e.Limit != "":
			limited, below = true, below || n < 0
		}
	}
	return in && (below || !limited), nil
}

// fixedFor asks of each version that mends a range whether it is above, below the best so far, and in no other range.
func fixedFor(a advisory.Affected, ecosystem, version string) string {
	best := ""
	for _, r := range a.Ranges {
		for _, e := range r.Events {
			if e.Fixed == "" {
				continue
			}
			if n, err := advisory.Compare(ecosystem, version, e.Fixed); err != nil || n >= 0 {
				continue
			}
			if best != "" {
				if n, err := advisory.Compare(ecosystem, e.Fixed, best); err != nil || n >= 0 {
					continue
				}
			}
			if still, err := covers(a, ecosystem, e.Fixed); still || err != nil {
				continue
			}
			best = e.Fixed
		}
	}
	return best
}
