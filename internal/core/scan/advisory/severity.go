package advisory

import (
	"cmp"
	"slices"
	"strings"

	cvss20 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss40 "github.com/pandatix/go-cvss/40"
)

// maxVectors bounds those of one advisory, and maxVector the bytes of one.
const (
	maxVectors = 8
	maxVector  = 512
)

// ParseVector reads a CVSS vector of any version and works out its base score; false: it is none.
func ParseVector(s string) (v Vector, ok bool) {
	if len(s) > maxVector {
		return Vector{}, false
	}
	defer func() {
		if recover() != nil {
			v, ok = Vector{}, false
		}
	}()
	v.Vector = s
	switch {
	case strings.HasPrefix(s, "CVSS:4.0/"):
		c, err := cvss40.ParseVector(s)
		if err != nil {
			return Vector{}, false
		}
		v.Version, v.Score = "4.0", c.Score()
	case strings.HasPrefix(s, "CVSS:3.1/"):
		c, err := cvss31.ParseVector(s)
		if err != nil {
			return Vector{}, false
		}
		v.Version, v.Score = "3.1", c.BaseScore()
	case strings.HasPrefix(s, "CVSS:3.0/"):
		c, err := cvss30.ParseVector(s)
		if err != nil {
			return Vector{}, false
		}
		v.Version, v.Score = "3.0", c.BaseScore()
	default:
		s = strings.TrimSuffix(strings.TrimPrefix(s, "("), ")") // as NVD once wrote them
		c, err := cvss20.ParseVector(s)
		if err != nil {
			return Vector{}, false
		}
		v.Version, v.Score, v.Vector = "2.0", c.BaseScore(), s
	}
	return v, true
}

// vectors reads those of an entry, the newest version of CVSS first, and of one version the worst first.
func vectors(all []entrySeverity) []Vector {
	var good []Vector
	for _, s := range all {
		if v, ok := ParseVector(s.Score); ok && strings.HasPrefix(s.Type, "CVSS") && !slices.Contains(good, v) {
			good = append(good, v)
		}
		if len(good) == maxVectors {
			break
		}
	}
	slices.SortStableFunc(good, newest)
	return good
}

// Newest is the vector that counts, of some for one vulnerability: of the newest version of CVSS, and of these the worst.
func Newest(all []Vector) Vector { return slices.MinFunc(all, newest) }

// RateErratum is Rate for an erratum: without a score of its own it is as bad as the worst of what it mends, of which these are the
// vectors, but not better than its word.
func (a Advisory) RateErratum(entry Affected, others, mended []Vector) Rating {
	r := a.Rate(entry, others)
	if r.Vector != (Vector{}) || strings.EqualFold(entry.Word, "unimportant") {
		return r
	}
	for _, v := range mended {
		if s := v.Severity(); worse(s, r.Severity) || s == r.Severity && v.Score > r.Score {
			r = Rating{s, v.Score, v}
		}
	}
	return r
}

// worse tells whether a severity is worse than another.
func worse(a, b Severity) bool {
	order := []Severity{Critical, High, Medium, Low, Informational, Undefined}
	return slices.Index(order, a) < slices.Index(order, b)
}

func newest(a, b Vector) int {
	return cmp.Or(-cmp.Compare(a.Version, b.Version), -cmp.Compare(a.Score, b.Score))
}

// Severity is what a score means in ECR's words. CVSS 2 knows nothing above high.
func (v Vector) Severity() Severity {
	switch {
	case v.Score == 0:
		return Informational
	case v.Score < 4:
		return Low
	case v.Score < 7:
		return Medium
	case v.Score < 9 || v.Version == "2.0":
		return High
	}
	return Critical
}

// Rating is how bad a vulnerability is, and who says so.
type Rating struct {
	Severity Severity
	Score    float64 // CVSS base score, or 0
	Vector   Vector  // which the score is of; zero: a word, or nobody
}

// Rate says how bad it is for a package: by the CVSS score of the package's entry, of the advisory, or else of others for the same
// CVE, the newest version of CVSS first; else by the publisher's word. A distribution's word can only lower: unimportant is
// INFORMATIONAL whatever the score. UNDEFINED rather than a guess.
func (a Advisory) Rate(entry Affected, others []Vector) Rating {
	r := Rating{Severity: Undefined}
	for _, all := range [][]Vector{entry.Vectors, a.Vectors, others} {
		if len(all) > 0 {
			r.Vector = Newest(all)
			r.Severity, r.Score = r.Vector.Severity(), r.Vector.Score
			break
		}
	}
	if strings.EqualFold(entry.Word, "unimportant") {
		r.Severity = Informational
	}
	if r.Severity == Undefined {
		r.Severity = severityOf(cmp.Or(entry.Word, a.Word))
	}
	if r.Severity == Undefined && entry.Word != "" {
		r.Severity = severityOf(a.Word) // Debian's "not yet assigned"
	}
	if r.Severity == Undefined && strings.HasPrefix(a.ID, "MAL-") {
		r.Severity = Critical
	}
	return r
}

// severityOf reads a publisher's word.
func severityOf(word string) Severity {
	switch strings.Trim(strings.ToLower(word), "* ") { // Debian marks what it has worked out itself with stars
	case "critical", "emergency":
		return Critical
	case "high", "important":
		return High
	case "medium", "moderate":
		return Medium
	case "low":
		return Low
	case "unimportant", "negligible", "informational", "none":
		return Informational
	}
	return Undefined
}
