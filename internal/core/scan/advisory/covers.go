package advisory

import (
	"slices"
	"strings"
)

// zero is the version before all others, in introduced events; anyVersion the limit beyond all.
const (
	zero       = "0"
	anyVersion = "*"
)

// version is that of the member that is set.
func (e Event) version() string {
	for _, v := range []string{e.Introduced, e.Fixed, e.LastAffected, e.Limit} {
		if v != "" {
			return v
		}
	}
	return ""
}

// sortEvents puts the events in order of version, which they need not have. Those of which one cannot be compared stay as they are:
// the range cannot be evaluated then.
func sortEvents(ecosystem string, events []Event) {
	sorted := slices.Clone(events)
	failed := false
	slices.SortStableFunc(sorted, func(a, b Event) int {
		if x, y := a.Introduced == zero, b.Introduced == zero; x || y {
			switch {
			case x && y:
				return 0
			case x:
				return -1
			}
			return 1
		}
		if a.Limit != "" || b.Limit != "" {
			return 0 // they are asked for apart, and may be *
		}
		n, err := Compare(ecosystem, a.version(), b.version())
		failed = failed || err != nil
		return n
	})
	if !failed {
		copy(events, sorted)
	}
}

// Covers tells whether a version is affected: it is listed, or in one of the ranges, as OSV's evaluation has it
// (https://ossf.github.io/osv-schema/#evaluation). ErrIncomparable: nobody can tell.
func (f Affected) Covers(ecosystem, version string) (bool, error) {
	return f.Ready(ecosystem).Covers(NewVersion(ecosystem, version))
}

// lists tells whether a version is one of the single ones. Go's have a v where they are installed, and none in advisories.
func (f *Affected) lists(v *Version) bool {
	if slices.Contains(f.Versions, v.text) {
		return true
	}
	bare, ok := strings.CutPrefix(v.text, "v")
	return ok && v.ecosystem == "Go" && slices.Contains(f.Versions, bare)
}

// FixedFor is the lowest version above a covered one from which on it is mended, or empty where none is known.
func (f Affected) FixedFor(ecosystem, version string) string {
	return f.Ready(ecosystem).Fixed(NewVersion(ecosystem, version))
}
