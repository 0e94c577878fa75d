package scan

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/advisory"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// Query asks for findings, in the order of how soon somebody should look at them: known to be exploited, fixable, severity, EPSS, name.
type Query struct {
	After string // where the page before ended (Report.Next)
	Limit int    // DefaultFindings for 0, and MaxFindings at most
	// OfKind asks for what the registry's kind of scan tells: a basic one knows packages of the operating system only.
	OfKind bool
}

// How many findings a page has.
const (
	DefaultFindings = 100
	MaxFindings     = 1000
)

// Report is what is known of one image.
type Report struct {
	Repository  string
	Image       registry.Image
	Status      registry.Scan // as docs/design/scanning.md has it: by the inventory, and by which advisories there are now
	Read        bool          // the image's layers have been read, maybe not all of them: what is below says something
	OS          inventory.OS
	Counts      Counts // without findings that an exception holds for
	Suppressed  Counts // those
	Findings    []Finding
	Next        string // empty: no more
	ScannedAt   time.Time
	JudgedAt    time.Time
	Sources     []advisory.Source // of which there are packages in the image, and whose advisories count
	Missing     []string          // ecosystems that there are packages of, and no advisories
	Unevaluated int               // packages whose version could not be compared with what advisories say
	Base        *Base
	Problems    []string
}

// Updated is when the newest of the advisories were imported that count for the image; zero: there are none.
func (r Report) Updated() time.Time { return newest(r.Sources) }

func newest(sources []advisory.Source) time.Time {
	var at time.Time
	for _, s := range sources {
		if s.ImportedAt.After(at) {
			at = s.ImportedAt
		}
	}
	return at
}

// Summary is what a list says of an image's scan.
type Summary struct {
	Status   registry.Scan // as Report's
	Own      registry.Scan // what it is without what nothing but SBOMs tells of that nobody answers for
	Read     bool
	Unlisted bool // see SetEcosystems
	Counts   Counts
	JudgedAt time.Time
	Updated  time.Time // see Report.Updated
}

// Base is the image that another one is built on.
type Base struct {
	Repository string
	Digest     oci.Digest
	Tags       []string
	Layers     int // how many of the image's layers, from the lowest, are its
}

// Layer is a layer of an image.
type Layer struct {
	DiffID      oci.Digest
	Digest      oci.Digest // of the blob
	Instruction string     // empty: unknown
}

// Contents is all that an image has installed.
type Contents struct {
	Repository string
	Image      registry.Image
	Inventory  inventory.Image
	Layers     []Layer
	Base       *Base
	ScannedAt  time.Time
	Revision   int // of the extractors
}

// Hit is an image that has a vulnerability.
type Hit struct {
	Repository string
	Digest     oci.Digest
	Tags       []string
	Severity   advisory.Severity
	Packages   []Affected // without layer and path
	Runs       []string   // environments and applications that the image runs in: prod/web
	Exception  *Exception
}
