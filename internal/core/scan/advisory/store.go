package advisory

import (
	"context"
	"errors"
	"time"
)

// Store keeps advisories. Rows count when from_rev <= revision < to_rev of their source: an import writes rows that do not count
// yet, and says at its end that they do.
type Store interface {
	// AdvisorySources gives those that have advisories, in order of name.
	AdvisorySources(ctx context.Context) ([]Source, error)
	// BeginAdvisories makes its caller the only one who imports a source, until then or until the claim is renewed or ended. The
	// revision is one that no import has had. ErrBusy: somebody else is at it.
	BeginAdvisories(ctx context.Context, source string, now, until time.Time) (Claim, error)
	// AdvisoryHashes gives the hashes of those of a source's advisories that count, by id: of the ids, or, with none, of the first
	// limit ones after an id.
	AdvisoryHashes(ctx context.Context, source string, ids []string, after string, limit int) (map[string]string, error)
	// PutAdvisories writes rows that count from the claim's revision on, ends those that they replace and those that are to end, and
	// renews the claim, all at once. ErrLost: the claim is somebody else's by now, and nothing was written.
	PutAdvisories(ctx context.Context, c Claim, b Batch, until time.Time) error
	// EndAdvisories ends the claim. With the claim's revision in s, all that was written counts from now on; with the one before,
	// nothing of it does. The other members of s are kept in any case. The number of rows that count is set to what there are.
	EndAdvisories(ctx context.Context, c Claim, s Source) error
	// PruneAdvisories deletes rows of a source that count no more, or never will since their import ended in the middle, and that
	// nobody has still to judge by; at most so many. It tells how many that were.
	PruneAdvisories(ctx context.Context, source string, limit int) (int64, error)
}

// Errors of a Store.
var (
	ErrBusy = errors.New("another import of the same advisories is under way")
	ErrLost = errors.New("another import of the same advisories has taken over")
)

// Claim is the right to import a source.
type Claim struct {
	Source   Source // as it is; with nothing but its name where it has never been imported
	Revision int64
}

// Row is an advisory to write.
type Row struct {
	Advisory Advisory
	Hash     string
	Body     []byte // Encode
	Rating   Rating // its publisher's
}

// Batch is what one transaction writes.
type Batch struct {
	Rows []Row
	Ends []string // ids of advisories that are no more
}
