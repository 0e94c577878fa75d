package scan

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Work is the scans that wait, and those that somebody is at.
type Work interface {
	// ClaimScan takes the scan that has been due longest, makes it due again at the given time in case whoever took it does not come
	// back, counts the attempt, and tells whether there was one.
	ClaimScan(ctx context.Context, now, again time.Time) (Claim, bool, error)
	// KeepScan makes a claimed scan due at another time, and gives the claim as it now is, or tells that somebody else has it.
	KeepScan(ctx context.Context, c Claim, again time.Time) (Claim, bool, error)
	// SettleScan stores how a claimed scan stands, with the event that tells of it where there is one. It does nothing, and says so,
	// where somebody else has the scan by now, or the image is gone.
	SettleScan(ctx context.Context, c Claim, o Outcome, told *event.Event) (bool, error)
	// WaitingScans counts the scans that are to be done, up to a limit.
	WaitingScans(ctx context.Context, limit int) (int, error)
	// Unscanned lists images without a scan of a kind, in order of id, after one, at most limit.
	Unscanned(ctx context.Context, kind registry.ScanKind, after int64, limit int) ([]Unscanned, error)
}

// Claim is a scan that is this caller's to do.
type Claim struct {
	ImageID    int64
	Kind       registry.ScanKind
	Attempts   int       // this one counts
	DueAt      time.Time // when the claim lapses: it tells one claim of a scan from another
	Repository registry.Repository
	Image      registry.Image // with tags and manifest
}

// Outcome is how a scan stands after an attempt.
type Outcome struct {
	Status      registry.ScanStatus
	Description string
	At          time.Time
	DueAt       time.Time // of the next attempt; zero: it has ended
	Attempts    int
}

// Unscanned is an image that has no scan.
type Unscanned struct {
	Image      registry.Image // alone
	Repository registry.Repository
}

// LayerRows is what layers say, by the blob that they were read from.
type LayerRows interface {
	// LayerOfBlob finds the layer that a blob has unpacked to, or answers registry.ErrNoRow.
	LayerOfBlob(ctx context.Context, blob oci.Digest) (LayerRow, error)
	// PutLayer stores what a blob has unpacked to, in the place of what an older revision of the extractors found, and gives the row as it now is.
	PutLayer(ctx context.Context, blob oci.Digest, l LayerRow) (LayerRow, error)
	// LayersByID finds layers without their facts, in any order.
	LayersByID(ctx context.Context, ids []int64) ([]LayerRow, error)
}

// LayerRow is what is kept of a layer.
type LayerRow struct {
	ID        int64
	DiffID    oci.Digest
	Revision  int // of the extractors
	Problem   string
	CreatedBy string
	Facts     []byte // inventory.Layer, encoded
	ScannedAt time.Time
}
