package match

import (
	"slices"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// version is a version that has been parsed; parsed is nil where it could not be.
type version struct {
	text   string
	parsed semantic.Version
}

func newVersion(ecosystem, text string) (v version) {
	v.text = text
	if len(text) > inventory.MaxVersion {
		return v
	}
	defer func() {
		if recover() != nil { // a stranger's text in somebody else's parser
			v.parsed = nil
		}
	}()
	if parsed, err := semantic.Parse(text, ecosystem); err == nil {
		v.parsed = parsed
	}
	return v
}

// compare is below, at or above 0; false: they cannot be compared.
func (v version) compare(w version) (c int, ok bool) {
	if v.parsed == nil || w.parsed == nil {
		return 0, false
	}
	defer func() {
		if recover() != nil {
			c, ok = 0, false
		}
	}()
	c, err := v.parsed.Compare(w.parsed)
	return c, err == nil
}

// ranges is an advisory.Affected, made ready to be compared with.
type ranges struct {
	versions []string
	events   [][]edge
	broken   bool
}

type edge struct {
	kind    int
	version version
	zero    bool // from the beginning
}

const (
	introduced = iota
	fixed
	lastAffected
	limit
)

func newRanges(ecosystem string, a advisory.Affected) *ranges {
	r := &ranges{versions: a.Versions}
	for _, given := range a.Ranges {
		edges := make([]edge, 0, len(given.Events))
		for _, e := range given.Events {
			switch {
			case e.Introduced != "":
				edges = append(edges, edge{kind: introduced, zero: e.Introduced == "0", version: newVersion(ecosystem, e.Introduced)})
			case e.Fixed != "":
				edges = append(edges, edge{kind: fixed, version: newVersion(ecosystem, e.Fixed)})
			case e.LastAffected != "":
				edges = append(edges, edge{kind: lastAffected, version: newVersion(ecosystem, e.LastAffected)})
			case e.Limit != "":
				edges = append(edges, edge{kind: limit, version: newVersion(ecosystem, e.Limit)})
			}
		}
		r.events = append(r.events, edges)
	}
	return r
}

// affect tells whether a version is affected, whether a newer one mends it, and whether it could be compared with all.
func (r *ranges) affect(v version) (affected, fixable, comparable bool) {
	comparable = !r.broken
	affected = slices.Contains(r.versions, v.text)
	for _, edges := range r.events {
		in, mended, ok := within(edges, v)
		comparable = comparable && (ok || affected)
		affected = affected || in
		fixable = fixable || mended
	}
	return affected, affected && fixable, comparable || affected
}

func within(edges []edge, v version) (in, mended, ok bool) {
	for _, e := range edges {
		c := 1
		if !e.zero {
			if c, ok = v.compare(e.version); !ok {
				return false, false, false
			}
		} else if v.parsed == nil {
			return false, false, false
		}
		switch e.kind {
		case introduced:
			in = in || c >= 0
		case fixed:
			in, mended = in && c < 0, mended || c < 0
		case lastAffected:
			in = in && c <= 0
		case limit:
			in = in && c < 0
		}
	}
	return in, mended, true
}

// severity is how bad what an entry says is: by the score of the entry, of the advisory, of any other advisory of the vulnerability.
func severity(e Entry, a advisory.Affected) advisory.Severity {
	switch {
	case strings.EqualFold(a.Word, "unimportant"):
		return advisory.Informational
	case len(a.Vectors) > 0:
		return byScore(int(a.Vectors[0].Score*10 + 0.5))
	case e.Score > 0 || e.Severity == advisory.Informational:
		return e.Severity
	case e.Elsewhere > 0:
		return byScore(e.Elsewhere)
	}
	return e.Severity
}

func byScore(tenths int) advisory.Severity {
	switch {
	case tenths <= 0:
		return advisory.Informational
	case tenths < 40:
		return advisory.Low
	case tenths < 70:
		return advisory.Medium
	case tenths < 90:
		return advisory.High
	}
	return advisory.Critical
}
