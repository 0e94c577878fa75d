package advisory

import (
	"strings"

	"github.com/google/osv-scalibr/semantic"
)

// Ready is an Affected of which every version is parsed once, for many that it is asked about. It is not for several goroutines.
type Ready struct {
	affected  *Affected
	ecosystem string
	ranges    [][]readyEvent
}

type readyEvent struct {
	Event
	version *Version // nil where there is nothing to compare with: the beginning, and no limit
	mends   answer   // Fixed: whether no range has that version still

	// What compare said last: whoever asks whether a version is covered asks next whether it is mended.
	of  *Version
	n   int
	err error
}

// compare tells how a version stands to the event's.
func (e *readyEvent) compare(v *Version) (int, error) {
	if e.of != v {
		e.n, e.err = v.compareVersion(e.version)
		e.of = v
	}
	return e.n, e.err
}

// answer is a question's that is asked once.
type answer int

const (
	notAsked answer = iota
	yes
	no
)

// Ready makes it ready for an ecosystem. It must not change any more.
func (f *Affected) Ready(ecosystem string) *Ready {
	r := &Ready{affected: f, ecosystem: ecosystem, ranges: make([][]readyEvent, len(f.Ranges))}
	for i, given := range f.Ranges {
		events := make([]readyEvent, len(given.Events))
		for j, e := range given.Events {
			events[j].Event = e
			if e.Introduced != zero && e.Limit != anyVersion {
				events[j].version = NewVersion(ecosystem, e.version())
			}
		}
		r.ranges[i] = events
	}
	return r
}

// Covers is Affected's.
func (r *Ready) Covers(v *Version) (bool, error) {
	if r.affected.lists(v) {
		return true, nil
	}
	var unknown error
	for _, events := range r.ranges {
		in, err := covered(events, v)
		if in && err == nil {
			return true, nil
		}
		if err != nil {
			unknown = err
		}
	}
	return false, unknown
}

// covered tells whether a version is in a range.
func covered(events []readyEvent, v *Version) (bool, error) {
	in, limited, below := false, false, false
	for i := range events {
		e := &events[i]
		if e.version == nil {
			in, limited, below = in || e.Introduced == zero, limited || e.Limit == anyVersion, below || e.Limit == anyVersion
			continue
		}
		n, err := e.compare(v)
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

// Mended tells whether Fixed knows a version.
func (r *Ready) Mended(v *Version) bool {
	for _, events := range r.ranges {
		for i := range events {
			if r.mends(&events[i], v) {
				return true
			}
		}
	}
	return false
}

// Fixed is Affected's FixedFor.
func (r *Ready) Fixed(v *Version) string {
	var best *readyEvent
	for _, events := range r.ranges {
		for i := range events {
			e := &events[i]
			if !r.mends(e, v) {
				continue
			}
			if best != nil {
				if n, err := e.version.compareVersion(best.version); err != nil || n >= 0 {
					continue
				}
			}
			best = e
		}
	}
	if best == nil {
		return ""
	}
	return best.Event.Fixed
}

// mends tells whether an event is a version above another, from which on it is mended. In one range that is no use where another still
// has it.
func (r *Ready) mends(e *readyEvent, v *Version) bool {
	if e.Event.Fixed == "" {
		return false
	}
	if n, err := e.compare(v); err != nil || n >= 0 {
		return false
	}
	if e.mends == notAsked {
		if e.mends = yes; r.still(e.version) {
			e.mends = no
		}
	}
	return e.mends == yes
}

// still tells whether a version that mends one range is in another, or may be.
func (r *Ready) still(v *Version) bool {
	in, err := r.Covers(v)
	return in || err != nil
}

// compareVersion is compare, with one that is parsed once too.
func (v *Version) compareVersion(other *Version) (n int, err error) {
	if v.own != nil {
		return v.compareOwn(other)
	}
	if v.parsed == nil || other.parsed == nil {
		if n, err := v.compare(other.text); err != nil || v.parsed == nil {
			return n, err
		} else if !other.parse() {
			return n, nil
		}
	}
	defer func() {
		if recover() != nil {
			err = incomparable(v.ecosystem, v.text+" and "+other.text)
		}
	}()
	if v.plain {
		text, than := v.text, other.text
		if v.ecosystem == "Go" {
			text, than = strings.TrimPrefix(text, "v"), strings.TrimPrefix(than, "v")
		}
		if n, ok := compareNumbers(text, than); ok {
			return n, nil
		}
	}
	if n, err = v.parsed.Compare(other.parsed); err != nil {
		return 0, incomparable(v.ecosystem, other.text)
	}
	return n, nil
}

// parse parses, where that has not been needed yet, and tells whether it could.
func (v *Version) parse() (ok bool) {
	defer func() {
		if recover() != nil {
			v.parsed, ok = nil, false
		}
	}()
	if v.parsed == nil && isVersion(v.ecosystem, v.text) {
		if parsed, err := semantic.Parse(v.text, v.ecosystem); err == nil {
			v.parsed = parsed
		}
	}
	return v.parsed != nil
}
