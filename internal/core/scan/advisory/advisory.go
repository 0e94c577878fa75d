// Package advisory is what is known about vulnerable packages, in the OSV format (https://ossf.github.io/osv-schema/), and where such
// knowledge comes from: exports by URL, a directory, an archive.
//
// Everything in it comes from strangers: sizes are bounded, versions that cannot be compared are an answer of their own, and nothing
// panics.
package advisory

import "time"

// Severity is how bad it is, in ECR's words.
type Severity string

// The severities, from bad to good. Undefined: nobody has said.
const (
	Critical      Severity = "CRITICAL"
	High          Severity = "HIGH"
	Medium        Severity = "MEDIUM"
	Low           Severity = "LOW"
	Informational Severity = "INFORMATIONAL"
	Undefined     Severity = "UNDEFINED"
)

// Vector is a CVSS vector and what it scores.
type Vector struct {
	Version string  `json:"v"` // 2.0, 3.0, 3.1, 4.0
	Vector  string  `json:"t"`
	Score   float64 `json:"s"` // base score
}

// Advisory is what one publisher says of one vulnerability.
type Advisory struct {
	ID         string     `json:"id"` // of OSV: DEBIAN-CVE-2024-1, GHSA-…, CVE-…
	Aliases    []string   `json:"aliases,omitempty"`
	Related    []string   `json:"related,omitempty"` // CVEs that it mends together with others, as an erratum of a distribution does: at most MaxAliases
	Summary    string     `json:"summary,omitempty"`
	Details    string     `json:"details,omitempty"` // at most MaxDetails bytes
	Published  time.Time  `json:"published,omitzero"`
	Modified   time.Time  `json:"modified,omitzero"`
	Withdrawn  bool       `json:"withdrawn,omitempty"`
	URL        string     `json:"url,omitempty"`        // where to read more
	References []string   `json:"references,omitempty"` // at most MaxReferences
	Vectors    []Vector   `json:"vectors,omitempty"`    // newest version first
	Word       string     `json:"word,omitempty"`       // the publisher's own word of severity, as it is: unimportant, MODERATE
	Affected   []Affected `json:"affected,omitempty"`

	// Of other publishers, who speak of no package. KEV is CISA's known exploited vulnerabilities.
	KEV        *KEV    `json:"kev,omitempty"`
	EPSS       float64 `json:"epss,omitempty"`       // probability of exploitation within 30 days, 0 to 1
	Percentile float64 `json:"percentile,omitempty"` // of EPSS, 0 to 1
}

// Bounds of what is kept of an advisory.
const (
	MaxDetails    = 2 << 10
	MaxReferences = 20
	MaxAliases    = 256
)

// KEV is an entry of CISA's catalogue of known exploited vulnerabilities.
type KEV struct {
	Added      string `json:"added"` // days, as 2025-08-25
	Due        string `json:"due"`
	Ransomware bool   `json:"ransomware"`
}

// Affected is the versions of one package that are vulnerable.
type Affected struct {
	Ecosystem string   `json:"-"`           // OSV's, without release
	Release   string   `json:"-"`           // empty: every one
	Name      string   `json:"-"`           // normalised as inventory.Package.Source is
	Versions  []string `json:"v,omitempty"` // single ones
	Ranges    []Range  `json:"r,omitempty"` // ORed with them
	Vectors   []Vector `json:"c,omitempty"` // where they differ from the advisory's
	Word      string   `json:"w,omitempty"` // the distribution's own word for this package
}

// Range is a run of versions, in OSV's events, which are in order of version.
type Range struct {
	Events []Event `json:"e"`
}

// Event begins or ends a range; one of its members is set.
type Event struct {
	Introduced   string `json:"i,omitempty"` // 0: from the beginning
	Fixed        string `json:"f,omitempty"`
	LastAffected string `json:"l,omitempty"`
	Limit        string `json:"m,omitempty"`
}

// Sources that are not ecosystems: they speak of vulnerabilities, not of packages.
const (
	SourceKEV  = "kev"
	SourceEPSS = "epss"
	SourceCVSS = "cvss" // vectors by CVE, for publishers who give none
)

// Source is how far one source has come.
type Source struct {
	Name       string // an ecosystem of OSV, or one of the above
	Revision   int64
	Origin     string // where it was imported from
	Advisories int64
	ModifiedAt time.Time // when its publisher changed the newest of them
	ImportedAt time.Time
	CheckedAt  time.Time // when it was last looked whether there is something new
	Validator  string    // what a conditional request goes by
	JudgedRev  int64     // up to which revision images are judged by it
}
