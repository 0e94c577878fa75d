package replicate

import (
	"context"
	"io"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Status is how far an image is on its way to a destination.
type Status string

// The statuses, in ECR's words.
const (
	InProgress Status = "IN_PROGRESS"
	Complete   Status = "COMPLETE"
	Failed     Status = "FAILED"
)

// Want is an image that is to be sent to a destination, with the tags that gave the occasion. Several wants
// of one image and destination add up.
type Want struct {
	Repository  string
	Digest      oci.Digest
	Tags        []string
	Destination Destination
	// Backfill is a want of a backfill's, which goes when the backfill is stopped.
	Backfill bool
	// IfNew leaves an image alone that was, or is, on its way to the destination.
	IfNew bool
}

// Row is an image on its way to a destination, or there.
type Row struct {
	ID          int64
	Repository  string
	Digest      oci.Digest
	Destination Destination
	Tags        []string // to be sent with it, if they still point to it then
	Status      Status
	FailureCode string // of Failed, such as AccessDenied
	Attempts    int    // that failed since it was wanted last
	// Version rises with each want. Whoever worked on an older one has not done what was wanted since.
	Version int64
	DueAt   time.Time // zero: nothing is to be done
}

// Store is where the rows are. Storage implements it; any number of replicas may claim from one.
type Store interface {
	// Want makes rows, or makes them due again.
	Want(ctx context.Context, wants []Want, at time.Time) error
	// LookAgain makes the rows of an image (or, where the digest is empty, of a repository) due that are there,
	// so that somebody sees whether the image is still there.
	LookAgain(ctx context.Context, repository string, d oci.Digest, at time.Time) error
	// Claim takes the row that is longest due, of a destination that is not among the resting ones, and keeps it
	// from others until a time. Without such a row it answers registry.ErrNoRow.
	Claim(ctx context.Context, now, until time.Time, resting []Destination) (Row, error)
	// Extend moves the end of a claim.
	Extend(ctx context.Context, id int64, until time.Time) error
	// Settle ends a claim with what came of it, unless the row was wanted again since: it then is due at once.
	// What is complete or failed is so for the backfills too that wait for it.
	Settle(ctx context.Context, r Row, s Settlement) error
	// Forget removes a row whose image is gone, unless it was wanted again since. For the backfills that wait
	// for it, it has failed.
	Forget(ctx context.Context, r Row, now time.Time) error
	// Rows lists those of an image, in order of destination.
	Rows(ctx context.Context, repository string, d oci.Digest) ([]Row, error)
}

// Settlement is what came of an attempt.
type Settlement struct {
	Status      Status
	FailureCode string
	Dropped     []string // tags that the destination does not let move
	SubFailures []string // failure codes of an index's images
	Attempts    int
	DueAt       time.Time // of InProgress: when to try again
	// Incomplete is an image that is InProgress because parts of it are not here yet. Backfills do not wait for it.
	Incomplete bool
	Now        time.Time
	// Event is recorded with it, if there is one.
	Event *event.Event
}

// Remote is a destination. An error that is no [Refused] may pass: the attempt is made again.
type Remote interface {
	// Prepare makes the repository, if it is missing, and tells what it lacks of an image.
	Prepare(ctx context.Context, repository string, d oci.Digest, layers []oci.Digest) (Lack, error)
	// PutLayer sends a layer's bytes.
	PutLayer(ctx context.Context, repository string, d oci.Digest, size int64, body io.Reader) error
	// PutImage sends a manifest, and tells which tags the repository does not let move.
	PutImage(ctx context.Context, img Image) (dropped []string, err error)
}

// Lack is what a destination lacks of an image.
type Lack struct {
	Image  bool
	Layers []oci.Digest
}

// Image is a manifest on its way out.
type Image struct {
	Repository string
	Digest     oci.Digest
	MediaType  string
	Manifest   []byte
	Tags       []string
}

// Refused is what a destination will not take, however often it is asked.
type Refused struct {
	Code    string // in ECR's style: AccessDenied, LimitExceeded …
	Message string
}

// Error gives code and message.
func (r *Refused) Error() string { return r.Code + ": " + r.Message }
