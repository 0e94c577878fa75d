// Package scan is what is known about the vulnerabilities of the images in a registry.
//
// What an image has installed is read once, at push, by an [Extractor] that nothing from the image can get out of; advisories come
// from [advisory] sources; which of them hit which package is worked out for each version of each package once, whatever number of
// images have it, and again whenever advisories change, without touching a blob. docs/design/scanning.md is the design.
package scan

import (
	"context"
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Extractor reads the packages out of layers.
type Extractor interface {
	// Revision rises when the extractors find more than before.
	Revision() int
	// Extract reads a layer as it is stored: tar, or compressed with gzip or zstd, as its media type or its first bytes say. What is
	// wrong with the layer is the Layer's Problem; an error says that it could not be tried (no process, no disk), or that the
	// reader or ctx failed.
	Extract(ctx context.Context, blob oci.Descriptor, r io.Reader) (inventory.Layer, error)
}

// Count is how many findings there are of each severity.
type Count map[advisory.Severity]int

// Counts are the findings of a set of packages: System those of the operating system's packages (what basic scans tell), All those
// of languages too, without packages that the operating system's have brought.
type Counts struct {
	System Count `json:"system,omitempty"`
	All    Count `json:"all,omitempty"`
	// Fixable are those of All that a newer version of the package mends (Yes or Partial); Exploited those in CISA's catalogue.
	Fixable   int `json:"fixable,omitempty"`
	Exploited int `json:"exploited,omitempty"`
	// Unevaluated are packages whose version could not be compared with all that advisories say of them.
	Unevaluated int `json:"unevaluated,omitempty"`
}

// Change is a finding that has come or gone by news of advisories.
type Change struct {
	Vulnerability string            `json:"vulnerability"`
	Package       string            `json:"package"` // the name that advisories know
	Severity      advisory.Severity `json:"severity"`
}

// Changes are what a judgement changed in a set of packages.
type Changes struct {
	New   []Change `json:"new,omitempty"` // the worst first, at most MaxChanges
	Fixed []Change `json:"fixed,omitempty"`
	// MoreNew and MoreFixed are how many there are beyond these.
	MoreNew   int `json:"moreNew,omitempty"`
	MoreFixed int `json:"moreFixed,omitempty"`
}

// MaxChanges bounds each list of Changes.
const MaxChanges = 20

// Finding is a vulnerability in a package of an image: one for all advisories that are aliases of each other, and for all files
// that have the package.
type Finding struct {
	Vulnerability string // the CVE where there is one
	Advisories    []string
	Mends         []string // the CVEs that it is about, where it goes by the name of an erratum
	Severity      advisory.Severity
	Score         float64 // CVSS base, or 0
	Vectors       []advisory.Vector
	Word          string // the publisher's own word
	Summary       string
	Details       string
	URL           string
	References    []string
	Published     time.Time
	Modified      time.Time
	FirstSeen     time.Time
	KEV           *advisory.KEV
	EPSS          float64
	Percentile    float64

	Ecosystem string // with release: Debian:12, npm
	Source    string // the name that advisories know
	Packages  []Affected
	Fixable   Fixable
	Exception *Exception // nil: none holds
}

// Fixable tells whether newer versions mend a finding.
type Fixable string

// The answers; Partial: for some of the packages.
const (
	Yes     Fixable = "YES"
	No      Fixable = "NO"
	Partial Fixable = "PARTIAL"
)

// Affected is an installed package that a finding is about.
type Affected struct {
	inventory.Found
	Fixed       string     // the first version that mends it; empty: none is known
	LayerDigest oci.Digest // of the layer's blob
	Instruction string     // that made the layer, as the image's history says; empty: unknown
	FromBase    bool       // an image that this one is built on brought it
}

// Exception is somebody's word that a finding stops nothing, for a time.
type Exception struct {
	ID            int64
	Repository    string
	Digest        oci.Digest // of the image, or of an index that it is in; empty: every image of the repository
	Vulnerability string
	Aliases       []string // of the vulnerability
	Package       string   // a name; empty: any
	PackageType   string   // of package URLs; empty: any
	Version       string   // of the package; empty: any
	Status        string   // OpenVEX: not_affected, fixed
	Owner         string
	Reason        string
	Document      oci.Digest // of the artifact that says it
	CreatedAt     time.Time
	ExpiresAt     time.Time // from then on it does not hold
}
