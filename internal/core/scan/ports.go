package scan

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
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
	// WaitingScans counts the scans that are to be done now, up to a limit.
	WaitingScans(ctx context.Context, now time.Time, limit int) (int, error)
	// Unscanned lists images without a scan of a kind, or of which that has failed, in order of id, after one, at most limit.
	Unscanned(ctx context.Context, kind registry.ScanKind, after int64, limit int) ([]Unscanned, error)
	// ClaimOutdated takes an image that extractors of an earlier revision than one have read, and that is to be read again by now; others
	// find it only from the given time on. It tells whether there was one.
	ClaimOutdated(ctx context.Context, revision int, now, again time.Time) (Claim, bool, error)
	// SettleOutdated stores when an image is to be read again, if it still is to be, with the event that tells of it where there is one.
	SettleOutdated(ctx context.Context, imageID int64, again time.Time, told *event.Event) error
}

// Claim is a scan that is this caller's to do.
type Claim struct {
	ImageID     int64
	Kind        registry.ScanKind
	Attempts    int       // this one counts
	RequestedAt time.Time // when somebody asked for the scan
	DueAt       time.Time // when the claim lapses: it tells one claim of a scan from another
	Repository  registry.Repository
	Image       registry.Image // with tags and manifest
}

// Outcome is how a scan stands after an attempt.
type Outcome struct {
	Status      registry.ScanStatus
	Description string
	At          time.Time
	DueAt       time.Time // of the next attempt; zero: it has ended
	Attempts    int
}

// Unscanned is an image that has no scan, or one that has failed.
type Unscanned struct {
	Image      registry.Image // alone
	Repository registry.Repository
}

// ExceptionReads reads what somebody answers for.
type ExceptionReads interface {
	// Exceptions lists those of an image: its own, those of indexes that it is in, and the repository's; expired ones among them.
	Exceptions(ctx context.Context, repositoryID int64, d oci.Digest) ([]Exception, error)
	// HasExceptions tells whether there are any of any image of a repository.
	HasExceptions(ctx context.Context, repositoryID int64) (bool, error)
}

// ScanReads reads scans with what is known of their images.
type ScanReads interface {
	// SummaryRows gives the scans of a kind of images, by their ids, with what is known of the images; those without a scan are left out.
	SummaryRows(ctx context.Context, kind registry.ScanKind, imageIDs []int64) (map[int64]SummaryRow, error)
	// SetEcosystems lists the ecosystems, without release, that sets have packages of, by their ids, and whether they have any packages at all.
	SetEcosystems(ctx context.Context, setIDs []int64) (map[int64]SetEcosystems, error)
	// ImagesByID finds images with their tags and repositories, in order of id.
	ImagesByID(ctx context.Context, ids []int64) ([]Located, error)
	// Releases lists the releases of an ecosystem that advisories speak of; an empty one is all.
	Releases(ctx context.Context, ecosystem string) ([]string, error)
	// Named lists the advisories, also those that count no more, that speak of a vulnerability by that name or have it as their id.
	Named(ctx context.Context, vulnerability string) ([]NamedAdvisory, error)
}

// SummaryRow is a scan with what is known of its image.
type SummaryRow struct {
	Scan     registry.Scan
	Known    bool // there is an inventory; what follows is of it
	Problem  string
	SetID    int64
	OS       inventory.OS
	Counts   Counts
	Claimed  []string // see Inventory
	JudgedAt time.Time
}

// SetEcosystems is where the advisories of a set's packages are published.
type SetEcosystems struct {
	Names    []string // in order
	Packages bool     // it has packages
	Unlisted bool     // some of them, of an operating system, are of none: nobody publishes such advisories
}

// Located is an image with its repository.
type Located struct {
	Repository registry.Repository
	Image      registry.Image // with tags
}

// NamedAdvisory is an advisory by its row.
type NamedAdvisory struct {
	ID            int64
	Vulnerability string
}
