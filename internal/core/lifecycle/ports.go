package lifecycle

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Store keeps what the work on policies needs beyond registry.Store. Where a row is asked for and is not there
// it answers registry.ErrNoRow.
type Store interface {
	// Images gives all images of a repository in order of push (id).
	Images(ctx context.Context, repositoryID int64) ([]Image, error)
	PolicyStore
	PreviewStore
}

// PolicyStore says which policy is to be evaluated when, and by whom.
type PolicyStore interface {
	// Touch makes a repository's policy due at a time, unless it is due earlier. No policy is no error.
	Touch(ctx context.Context, repositoryID int64, at time.Time) error
	// ClaimPolicy takes the policy that is due for the longest time and that nobody is at. It is the claim's
	// alone, and not due, until the given time.
	ClaimPolicy(ctx context.Context, now, until time.Time) (Claim, error)
	// FinishPolicy gives a claim back and makes the policy due at a time, or earlier if it was touched
	// meanwhile. Unless it has another text by now, it counts as evaluated at a time. A claim that has lapsed
	// changes nothing.
	FinishPolicy(ctx context.Context, c Claim, evaluatedAt, due time.Time) error
}

// Claim is a policy, or a preview, that is somebody's to work on until a time.
type Claim struct {
	ID           int64 // of a preview
	RepositoryID int64
	Repository   string // its name
	Text         string // of the policy
	Attempts     int    // of a preview: how often it was claimed, this time included
	Until        time.Time
}

// PreviewStore keeps the newest preview of each repository.
type PreviewStore interface {
	// StartPreview puts a preview in the place of the repository's last one and tells whether it did: it does not
	// where that is still in progress. It answers registry.ErrConflict when there is no such repository.
	StartPreview(ctx context.Context, repositoryID int64, text string, at time.Time) (bool, error)
	// ClaimPreview takes a preview in progress that nobody is at, the oldest first, without results.
	ClaimPreview(ctx context.Context, now, until time.Time) (Claim, error)
	// AddResults adds results to a claimed preview, in order, or answers registry.ErrConflict when the claim
	// has lapsed or the preview is gone.
	AddResults(ctx context.Context, c Claim, results []Result) error
	// EndPreview gives a claimed preview its outcome. A claim that has lapsed changes nothing.
	EndPreview(ctx context.Context, c Claim, status PreviewStatus, s Summary, at time.Time) error
	// Preview finds a repository's.
	Preview(ctx context.Context, repositoryID int64) (Preview, error)
	// Results lists in order of Seq, those after afterSeq, at most limit, which is more than 0.
	Results(ctx context.Context, previewID int64, tags registry.TagStatus, afterSeq int64, limit int) ([]Result, error)
	// ExpirePreviews takes the results from previews that ended before a time, at most limit of them, and marks them expired.
	ExpirePreviews(ctx context.Context, before time.Time, limit int) error
}

// PreviewStatus is how far a preview is.
type PreviewStatus string

// The statuses of a preview, in ECR's words.
const (
	InProgress PreviewStatus = "IN_PROGRESS"
	Complete   PreviewStatus = "COMPLETE"
	Expired    PreviewStatus = "EXPIRED" // it is too old to be of use, and its results are gone
	Failed     PreviewStatus = "FAILED"
)

// Preview is what a policy would do to a repository's images.
type Preview struct {
	ID      int64
	Text    string // of the policy, as it was sent or is stored
	Status  PreviewStatus
	EndedAt time.Time
	Summary Summary // of a complete preview
}

// Summary counts images.
type Summary struct {
	Expiring      int
	Transitioning int // to the archive
}

// Result is what a policy says about an image. Images to which it would do something come first.
type Result struct {
	Seq      int64 // 1 is the first
	Digest   oci.Digest
	Tags     []string
	PushedAt time.Time
	Class    StorageClass // where the image is now
	Action   ActionType   // empty when the image stays as it is
	Rule     int32        // 0: no rule decides
	Reason   Reason
	Why      string // the verdict in a sentence, of the time of the evaluation
}
