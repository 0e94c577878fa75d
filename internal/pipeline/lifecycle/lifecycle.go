// Package lifecycle previews what a lifecycle policy would do to a repository, and what that is worth: how many
// bytes only the images have that would go, and what those cost a month. It is a customer of any ECR: it uses
// Amazon's public operations and nothing else.
//
// What counts is in weigh.go and rules.go and knows no network; client.go asks for what they need.
package lifecycle

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Image is one image of a repository. What its manifest says is empty where Read is false.
type Image struct {
	Digest   oci.Digest
	Tags     []string
	PushedAt time.Time
	Archived bool  // or on its way out of the archive: not to be read in any case
	Size     int64 // bytes of its config and layers, shared with others or not, as the registry lists it

	Read         bool // the manifest was read
	ManifestSize int64
	Blobs        []Blob       // config and layers, each once
	Children     []oci.Digest // of an index
	Subject      oci.Digest   // empty when it refers to nothing
}

// Blob is a layer or a configuration. A descriptor has more, which a hundred thousand images should not keep in memory.
type Blob struct {
	Digest oci.Digest
	Size   int64
}

// Action is what a policy does to an image.
type Action string

// The actions.
const (
	Expire  Action = "expire"
	Archive Action = "archive"
)

// Decision is what a preview says about one image.
type Decision struct {
	Digest oci.Digest
	Action Action
	Rule   int32 // its priority
}

// Affected is an image to which something would happen.
type Affected struct {
	Image
	Decision
	Reason string
}
