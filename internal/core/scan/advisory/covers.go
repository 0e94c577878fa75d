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
	return f.CoversVersion(NewVersion(ecosystem, version))
}

// CoversVersion is Covers, for a version that much is asked about.
func (f *Affected) CoversVersion(v *Version) (bool, error) {
	if f.lists(v) {
		return true, nil
	}
	var unknown error
	for i := range f.Ranges {
		in, err := f.Ranges[i].has(v)
		if in && err == nil {
			return true, nil
		}
		if err != nil {
			unknown = err
		}
	}
	return false, unknown
}

// lists tells whether a version is one of the single ones. Go's have a v where they are installed, and none in advisories.
func (f *Affected) lists(v *Version) bool {
	if slices.Contains(f.Versions, v.text) {
		return true
	}
	bare, ok := strings.CutPrefix(v.text, "v")
	return ok && v.ecosystem == "Go" && slices.Contains(f.Versions, bare)
}

// has tells whether a version is in the range.
func (r *Range) has(v *Version) (bool, error) {
	in, limited, below := false, false, false
	for _, e := range r.Events {
		switch {
		case e.Introduced == zero:
			in = true
			continue
		case e.Limit == anyVersion:
			limited, below = true, true
			continue
		}
		n, err := v.compare(e.version())
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

// FixedFor is the lowest version above a covered one from which on it is mended, or empty where none is known.
func (f Affected) FixedFor(ecosystem, version string) string {
	v := NewVersion(ecosystem, version)
	best := ""
	for i := range f.Ranges {
		for _, e := range f.Ranges[i].Events {
			if e.Fixed == "" {
				continue
			}
			if n, err := v.compare(e.Fixed); err != nil || n >= 0 {
				continue
			}
			if best != "" {
				if n, err := Compare(ecosystem, e.Fixed, best); err != nil || n >= 0 {
					continue
				}
			}
			// Mended in one range is no use where another still has it.
			if still, err := f.Covers(ecosystem, e.Fixed); still || err != nil {
				continue
			}
			best = e.Fixed
		}
	}
	return best
}
