// Package fsck checks that what the registry has is there and whole: that every blob has its bytes, and the right ones, that
// images have their layers and indexes their images, that manifests are what their digests say, and that nothing lies in
// the blob store that no row knows.
//
// A [Check] is a row. A job ([Service.Once]) claims it, works through what there is in order, and notes how far it is, so
// that after a crash another process goes on there. What it finds is confirmed by a second look, and becomes a
// [Finding]. An error of the store is no finding: it is tried again, and if it stays the check says that it is
// incomplete. The scrub ([Service.ScrubOnce]) is a check that starts by itself, reads everything once in a period, and
// takes the whole period for it.
//
// Blobs whose bytes are lost or wrong are marked, by the scrub and by checks that are to repair. A marked layer is not
// there for those who push, so that the next push of it sends its bytes, which heals it, and reading it is a fault that
// says so. Nothing is deleted but bytes that no row knows, and not while they are young. docs/operate/integrity.md
// is for those who run it.
package fsck

import (
	"context"
	"log/slog"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/policy"
)

// The permissions that the operations ask for, on any resource.
const (
	StartCheck    policy.Action = "berth:StartCheck"
	DescribeCheck policy.Action = "berth:DescribeCheck"
	StopCheck     policy.Action = "berth:StopCheck"
)

// State is how far a check is.
type State string

// The states. Incomplete: it is over, and could not read everything.
const (
	Running    State = "RUNNING"
	Complete   State = "COMPLETE"
	Incomplete State = "INCOMPLETE"
	Stopped    State = "STOPPED"
)

// Phase is what a check is looking at. It goes through them in this order.
type Phase string

// The phases: blobs by digest, images by id, the blob store by its own order.
const (
	Blobs  Phase = "BLOBS"
	Images Phase = "IMAGES"
	Store  Phase = "STORE"
)

// Check is one going through everything.
type Check struct {
	ID        int64  // in order of start
	Actor     string // ARN
	Scrub     bool   // it started by itself
	Repair    bool   // do what can be done about findings
	Quick     bool   // look at sizes only, and read nothing
	Rate      int64  // bytes per second that it reads at most; 0: as fast as it can
	State     State
	Reason    string // why it is Incomplete
	StartedAt time.Time
	EndedAt   time.Time // zero while it is Running

	// Where it is. Cursor is a place in the phase's order.
	Phase    Phase
	Cursor   string
	Progress Progress
	Census   blob.Census // of the blob store, in which a check is at its end
	// What there was to do when it began.
	TotalBlobs, TotalBytes int64

	Attempts int       // that came to nothing, in a row, on what comes after Cursor
	DueAt    time.Time // from when on somebody may take it up; while somebody works on it, a little later than now

	// Of its findings, which those who read checks are told.
	Problems int // all but Restored ones
	Repaired int // of Problems, those about which everything was done
}

// Progress counts what a check has looked at.
type Progress struct {
	Blobs  int64
	Bytes  int64 // of those blobs, read or, by a quick check, not
	Images int64
	Things int64 // in the blob store
}

// Kind is what is wrong.
type Kind string

// The kinds. The first three are damage to a blob.
const (
	Lost         Kind = "LOST"          // a blob has no bytes
	WrongSize    Kind = "WRONG_SIZE"    // it has more or fewer than it should
	WrongContent Kind = "WRONG_CONTENT" // its bytes do not hash to its digest

	BadManifest  Kind = "BAD_MANIFEST"  // a manifest's bytes do not hash to its digest
	MissingLayer Kind = "MISSING_LAYER" // an image refers to a layer that its repository does not have
	MissingImage Kind = "MISSING_IMAGE" // an index refers to an image that its repository does not have
	Stray        Kind = "STRAY"         // bytes in the store that no row knows, or a thing that is not of the store's making
	StrayPart    Kind = "STRAY_PART"    // a piece of an upload that no row knows
	Unread       Kind = "UNREAD"        // something could not be looked at, after several attempts
	Restored     Kind = "RESTORED"      // a blob that was marked as damaged is whole: no problem
)

// Deed is what was done about a finding.
type Deed string

// The deeds. Marked does not bring bytes back: it lets the next push do it.
const (
	Nothing   Deed = ""
	Marked    Deed = "MARKED"
	Unmarked  Deed = "UNMARKED"
	Discarded Deed = "DISCARDED" // made garbage, which is removed soon
)

// Finding is one thing that a check found.
type Finding struct {
	ID         int64
	Kind       Kind
	Name       string     // a digest, a name in the blob store, or REPOSITORY@DIGEST; one finding of a check has a kind and name
	Digest     oci.Digest // of the blob, or of what is missing
	Key        blob.Key   // of the bytes
	Repository string     // of the image that is not whole
	Size       int64      // bytes; of a blob, those that it should have
	Detail     string     // in words
	Needs      []string   // some of the images, and repositories, that need the blob: REPOSITORY@DIGEST or REPOSITORY
	Done       Deed
	At         time.Time
}

// Checks is where checks and findings are.
type Checks interface {
	// StartCheck adds one and gives it with its id, or registry.ErrConflict when another of its sort (scrub or not) runs.
	StartCheck(ctx context.Context, c Check) (Check, error)
	// Check finds one by id, or the newest that is no scrub, or the newest scrub, where id is 0; or registry.ErrNoRow.
	Check(ctx context.Context, id int64, scrub bool) (Check, error)
	// Findings lists a check's in order of id, after an id, at most limit.
	Findings(ctx context.Context, check, after int64, limit int) ([]Finding, error)
	// StopCheck ends one that runs, and tells whether it ran.
	StopCheck(ctx context.Context, id int64, at time.Time) (bool, error)
	// ClaimCheck takes one that runs and is due, and makes it due again at the given time. It tells whether there was one.
	ClaimCheck(ctx context.Context, scrub bool, now, again time.Time) (Check, bool, error)
	// SaveCheck stores how far a claimed check is, and what was found (again, maybe), if it runs still and is due at
	// the time given, else it answers registry.ErrConflict: somebody stopped it, or took it over.
	SaveCheck(ctx context.Context, c Check, due time.Time, found []Finding) error
	// PurgeChecks removes those that ended before a time, but for the newest of each sort.
	PurgeChecks(ctx context.Context, before time.Time) error
}

// Contents is what the database says that there is.
type Contents interface {
	// TotalBlobs counts blobs and their bytes.
	TotalBlobs(ctx context.Context) (blobs, bytes int64, err error)
	// BlobsAfter lists blobs in order of digest.
	BlobsAfter(ctx context.Context, after oci.Digest, limit int) ([]Blob, error)
	// FindBlob finds one, or registry.ErrNoRow.
	FindBlob(ctx context.Context, d oci.Digest) (Blob, error)
	// NeededBy names images that refer to a blob, and repositories that have it and no such image, as Finding.Needs has them.
	NeededBy(ctx context.Context, d oci.Digest, limit int) ([]string, error)
	// ImagesAfter lists images in order of id.
	ImagesAfter(ctx context.Context, after int64, limit int) ([]Image, error)
	// KnownKeys tells what the keys belong to; those that it does not name belong to nothing.
	KnownKeys(ctx context.Context, keys []blob.Key) (map[blob.Key]Owner, error)
}

// Repairs is what can be done.
type Repairs interface {
	// MarkDamaged marks a blob whose bytes are under that key, and tells whether it is marked now.
	MarkDamaged(ctx context.Context, d oci.Digest, key blob.Key, at time.Time) (bool, error)
	// MarkWhole takes the mark from a blob whose bytes are under that key, and tells whether there was one.
	MarkWhole(ctx context.Context, d oci.Digest, key blob.Key) (bool, error)
	// DiscardStray makes garbage of bytes under a key that nothing knows, and tells whether nothing did.
	DiscardStray(ctx context.Context, key blob.Key, size int64, due time.Time) (bool, error)
}

// Blob is a row.
type Blob struct {
	Digest    oci.Digest
	Size      int64
	Key       blob.Key
	DamagedAt time.Time // zero: it is not known to be
}

// Image is a row, with what it refers to in vain.
type Image struct {
	ID         int64
	Repository string
	Digest     oci.Digest
	Manifest   []byte
	// Copy: its repository is, or was, a copy of an upstream registry's, to which layers and images come when somebody
	// asks for them.
	Copy   bool
	Layers []oci.Digest // that its repository lacks
	Images []oci.Digest // that its repository lacks
}

// Owner is what a key belongs to.
type Owner string

// The owners.
const (
	ABlob    Owner = "blob"
	AnUpload Owner = "upload"
	Garbage  Owner = "garbage"
)

// Registry is what is asked of the registry.
type Registry interface {
	// May answers nil when the caller may do the action.
	May(ctx context.Context, caller identity.Caller, action policy.Action, repository string) error
}

// Config is what a Service needs. Notify, ScrubPeriod and ScrubRate may be zero.
type Config struct {
	Registry Registry
	Checks   Checks
	Contents Contents
	Repairs  Repairs
	Blobs    blob.Store // a blob.Walker too, or what no row knows is not found
	Now      func() time.Time
	Logger   *slog.Logger
	Notify   func()          // called when a check was started
	Self     identity.Caller // who scrubs

	ScrubPeriod time.Duration // in which everything is read once; 0: there is no scrub
	ScrubRate   int64         // bytes per second that the scrub reads at most; 0: as the period asks
}

// Service checks.
type Service struct{ Config }

// New makes a Service.
func New(c Config) *Service {
	now := c.Now
	c.Now = func() time.Time { return now().UTC().Truncate(time.Microsecond) }
	return &Service{c}
}
