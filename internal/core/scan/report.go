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
	Limit int
}

// Report is what is known of one image.
type Report struct {
	Repository  string
	Image       registry.Image
	Status      registry.Scan // as docs/design/scanning.md has it: by the inventory, and by which advisories there are now
	OS          inventory.OS
	Counts      Counts
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
