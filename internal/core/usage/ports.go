package usage

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Grains are what a stored point may stand for.
const (
	Minute = time.Minute
	Hour   = time.Hour
	Day    = 24 * time.Hour
)

// Store is where points are.
type Store interface {
	// Count adds a batch's values to their minutes, hours and days, in one transaction, and tells whether it did: a batch whose round
	// somebody else has taken on changes nothing. Those of its events that have been counted before are left out. ErrTooManySeries: it would
	// make more series than it may, and nothing was stored.
	Count(ctx context.Context, b Batch) (counted bool, err error)
	// Points reads points, those of a metric mostly in order. One period may come in several points.
	Points(ctx context.Context, s Selection, each func(metric int, points []Point) error) error
	// Metrics lists metrics in the order of their ids.
	Metrics(ctx context.Context, l Listing) ([]Listed, error)
}

// Batch is what is counted at once.
type Batch struct {
	Datums []Datum
	Events []Counted // what events add
	At     time.Time // now
	Round  *Step     // the piece of a round that it is, or nil
	// MaxSeries is how many series clients may have altogether when the batch makes new ones, a little more when several do at once. 0: it
	// is the server's, which makes them of what there is.
	MaxSeries int
}

// ErrTooManySeries says that there is no room for more series of clients.
var ErrTooManySeries = errors.New("clients have as many series as they may")

// Counted is what an event adds.
type Counted struct {
	ID     int64 // of the outbox
	Datums []Datum
}

// Selection is points of metrics.
type Selection struct {
	Metrics []Metric
	Grain   time.Duration
	From    time.Time // inclusive
	To      time.Time // exclusive
}

// Filter selects metrics for a listing. What is empty selects all.
type Filter struct {
	Namespace, Name string
	Dimensions      []Dimension // all must be there; with an empty value, of any
	Exactly         bool        // and no other dimensions
	ActiveSince     time.Time   // they have points since then, to a quarter of an hour
}

// Listing is one page of metrics.
type Listing struct {
	Filter
	AfterID int64
	Limit   int
}

// Listed is a metric that has points.
type Listed struct {
	ID     int64
	Metric Metric // its Unit is one of those that it has points in
	LastAt time.Time
}

// Upkeep rolls points up, and forgets them.
type Upkeep interface {
	// RollUp packs at most limit of what was added to hours that began before a time, and tells whether there may be more.
	RollUp(ctx context.Context, before time.Time, limit int) (more bool, err error)
	// Forget removes what is too old of at most limit series, those after a place, and gives the place for the next call: empty when it has
	// come round.
	Forget(ctx context.Context, old Cutoffs, place string, limit int) (next string, err error)
	// ForgetEvents removes marks of events that were counted before a time and are not in the outbox any more.
	ForgetEvents(ctx context.Context, before time.Time, limit int) (more bool, err error)
	// ClaimRound gives the piece of a round that is to be done, if one is due or a round may begin, and makes it due again at a time, in case
	// whoever took it does not come back. A round is due too when its time is further off than rounds are apart: the clock has been set back.
	ClaimRound(ctx context.Context, name string, now, again time.Time, every time.Duration) (Step, bool, error)
	// EndStep stores how far a round is.
	EndStep(ctx context.Context, s Step) error
}

// Cutoffs are before when points are too old.
type Cutoffs struct{ Minutes, Hours, Days time.Time }

// Step is a piece of a round. It is taken when it is claimed, and done when the place is moved from Place to Next.
type Step struct {
	Name  string
	Began time.Time // the round
	Place string    // how far it was; empty at its beginning
	Next  string    // how far it is then; empty: it has ended
	DueAt time.Time // of the next piece, or the next round
}

// ImageRef names an image.
type ImageRef struct {
	Repository string
	Digest     oci.Digest
}

// Labeled is an image with what it says of itself.
type Labeled struct {
	Labels
	Indexes []oci.Digest // that it is in: the newest MaxIndexes of them
}

// MaxIndexes bounds how many indexes a pull is credited to, and an image's app looked for in: anybody who may push can put one image into
// thousands, and each pull would write so many rows.
const MaxIndexes = 100

// Images is what counting needs to know of images and of who pushes them.
type Images interface {
	// Labels gives what images say of themselves. Those that are not there are left out.
	Labels(ctx context.Context, images []ImageRef) (map[ImageRef]Labeled, error)
	// RepositoriesNamed gives those of some repositories that are there.
	RepositoriesNamed(ctx context.Context, names []string) (map[string]bool, error)
	// RoleARN gives the ARN of the role of a name, or the empty string where there is none.
	RoleARN(ctx context.Context, name string) (string, error)
}
