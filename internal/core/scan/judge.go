package scan

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/event"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
	"github.com/hoopstat-haus/berth/internal/core/scan/match"
)

// Errors of the stores that a Judge works with.
var (
	// ErrJudged says that a judgement, or a cleaning, has come between what was read and what is to be written.
	ErrJudged = errors.New("judged meanwhile")
	// ErrNotHolder says that another replica judges now.
	ErrNotHolder = errors.New("another replica judges")
	// ErrLayerGone says that a layer is not stored any more: nothing had it for a long time. It is to be read again.
	ErrLayerGone = errors.New("what was known of a layer is gone")
)

// # How news are not lost
//
// Three invariants hold at every commit, whatever replicas do at the same time and wherever one of them stops:
//
//  1. A package is stored together with its matches, which are those of some revision of each source that is not below the source's
//     judged_rev. When judged_rev rises to R, the matches of every package are those of R or of a later revision, as far as these
//     differ.
//  2. Except between the phases of a judgement, the counts of each set are those that the matches of its members come to.
//  3. What is still to be done for a judgement is in Judgement and in the journal of what packages had before.
//
// What could break them is a Save that has read before, and writes after, a judgement (or a cleaning) has begun. So all of these share
// one row, Judgement. Its Epoch rises, in a transaction that waits for the writes of Saves that are under way, when a judgement
// begins, when it goes over from matches to sets, and when packages are removed. A Save reads the epoch first, then whatever it
// decides by, and writes in transactions that find the epoch the same (holding the row shared, so that it cannot rise before they
// have committed), or starts again. Hence:
//
//   - A package that is written before a judgement begins is there when that looks for packages. One that is written later was matched
//     by revisions that were read after the judgement had read its own, or the epoch would differ.
//   - A set that is written before a judgement goes over to sets has an id up to Judgement.Upto, and is counted anew. One that is
//     written later was counted by matches that were read when all had been written.
//
// A judgement writes matches and, in the same transaction, what they were into the journal, where the first word stands; whoever goes
// on with it after a crash finds some already written and no different, and the journal whole. It then goes through the sets in order
// of id, and stores with each batch how far it has come, so that no change is recorded twice. judged_rev rises at the very end.

// Judgement is how far judging has come. There is one.
type Judgement struct {
	Epoch   int64
	Phase   Phase
	Targets map[string]int64 // the revision of each source that the judgement under way goes by
	Began   int64            // its epoch when it began: images that were saved at a lower one are told what changes
	Upto    int64            // sets up to this id are counted anew
	Counted int64            // sets up to this id have been
	EndedAt time.Time        // when the last one ended
}

// Phase is what a judgement is doing.
type Phase string

// The phases.
const (
	Idle     Phase = ""
	Matching Phase = "match"
	Counting Phase = "sets"
)

// Revision is how far a source has come, and up to where images are judged by it.
type Revision struct{ Current, Judged int64 }

// Package is a version of a package as it is stored: once, whatever number of images have it.
type Package struct {
	ID        int64
	Ecosystem string // OSV's, without release; empty where no advisories are of such packages
	Release   string
	inventory.Package
	Packed []byte // match.Result
}

func (p Package) name() match.Name { return match.Name{Ecosystem: p.Ecosystem, Source: p.Source} }

// Set is what images with the same packages in the same layers share.
type Set struct {
	ID         int64
	Digest     string
	OS         inventory.OS
	Members    []byte // match.PackMembers
	Vulnerable []byte // match.PackIDs: those of them that are counted and that advisories hit
	Counts     Counts
	Encoded    string // Counts.Encode, in the place of Counts where sets are listed
	JudgedAt   time.Time
}

// StoredLayer is a layer whose facts are stored.
type StoredLayer struct {
	ID        int64
	DiffID    oci.Digest
	Revision  int // of the extractors
	Problem   string
	CreatedBy string // the instruction that made it, as the image says; not set where layers are listed by themselves
	Facts     []byte // inventory.Layer, encoded; not set where layers are listed
	ScannedAt time.Time
}

// Inventory is what is stored of an image.
type Inventory struct {
	ImageID   int64
	ChainID   string
	Layers    []StoredLayer // lowest first, without facts; ID 0: nothing is stored of it
	Problem   string        // why it is not all that the image has; empty: it is
	Claimed   []string      // ecosystems of which nothing but SBOMs tells that nobody answers for
	Revision  int           // of the extractors that have read it
	ScannedAt time.Time
	Set       Set
	JudgedAt  time.Time // by all news until then
}

// InventoryReads reads what is stored.
type InventoryReads interface {
	// Inventory finds an image's, or registry.ErrNoRow.
	Inventory(ctx context.Context, imageID int64) (Inventory, error)
	// PackagesByID finds packages with what is known of them, in order of id.
	PackagesByID(ctx context.Context, ids []int64) ([]Package, error)
	// Members gives the packed members of the sets of images, by their ids; those without an inventory are left out.
	Members(ctx context.Context, imageIDs []int64) (map[int64][]byte, error)
	// ImagesHit lists images (ids above after, rising) of which one of the packages, all of them hit by some advisory, is a member
	// that is counted.
	ImagesHit(ctx context.Context, packages []int64, after int64, limit int) ([]int64, error)
	// ChainImages finds the images with one of the chain IDs: the ids of at most limit of each, by chain ID.
	ChainImages(ctx context.Context, chainIDs []string, limit int) (map[string][]int64, error)
}

// LayerStore keeps what layers say.
type LayerStore interface {
	// LayersByBlob finds the layers that blobs have unpacked to, with their facts, by the digest of the blob. Those that extractors
	// of an earlier revision have read are left out.
	LayersByBlob(ctx context.Context, blobs []oci.Digest, revision int) (map[oci.Digest]StoredLayer, error)
	// LayersByID finds layers by id, with their facts.
	LayersByID(ctx context.Context, ids []int64) (map[int64]StoredLayer, error)
	// PutLayer stores what a blob has unpacked to, in the place of what extractors of an earlier revision have said of it, and gives
	// it its id. What those of the same revision have said without a problem stands.
	PutLayer(ctx context.Context, blob oci.Digest, l StoredLayer) (int64, error)
}

// PackageStore is what saving an image needs.
type PackageStore interface {
	// Judgement reads how far judging has come.
	Judgement(ctx context.Context) (Judgement, error)
	// FindPackages gives the ids of those that are stored, 0 for others, in the order of the list.
	FindPackages(ctx context.Context, ps []Package) ([]int64, error)
	// AddPackages stores packages with their matches, unless they are there, and gives their ids; ErrJudged.
	AddPackages(ctx context.Context, epoch int64, ps []Package) ([]int64, error)
	// PackagesByID as of InventoryReads.
	PackagesByID(ctx context.Context, ids []int64) ([]Package, error)
	// PutInventory stores an image's inventory in the place of the one it had, and its set unless there is one of its digest; ErrJudged,
	// ErrLayerGone, registry.ErrNoRow for an image that is not there.
	PutInventory(ctx context.Context, epoch int64, i Inventory) error
	// SetCounted tells whether there is a set of that digest.
	SetCounted(ctx context.Context, digest string) (bool, error)
}

// EntryStore reads advisories as they speak of packages.
type EntryStore interface {
	// Revisions lists how far each source has come.
	Revisions(ctx context.Context) (map[string]Revision, error)
	// Entries lists what advisories, those too that have been replaced, say of the names, in order of name and advisory.
	Entries(ctx context.Context, names []match.Name) ([]StoredEntry, error)
	// EntriesAfter lists those of all names that come after one, in that order, at most limit.
	EntriesAfter(ctx context.Context, after EntryKey, limit int) ([]StoredEntry, error)
	// Changed lists the vulnerabilities of which a source's advisories have come or gone between two revisions, in order, after the
	// given one.
	Changed(ctx context.Context, source string, from, to int64, after string, limit int) ([]string, error)
	// NamesOf lists the names that advisories, those too that have been replaced, of the vulnerabilities, or errata that mend one of
	// them, speak of, in any order.
	NamesOf(ctx context.Context, vulnerabilities []string) ([]match.Name, error)
	// VulnerabilitiesOf tells the vulnerability of advisories by id; those that are gone are left out.
	VulnerabilitiesOf(ctx context.Context, ids []int64) (map[int64]string, error)
}

// ScoreStore reads what advisories say of vulnerabilities as a whole.
type ScoreStore interface {
	// Scores lists the advisories, those too that have been replaced, of vulnerabilities that say how bad or how exploited they are:
	// that have a CVSS score, or are CISA's.
	Scores(ctx context.Context, vulnerabilities []string) ([]Score, error)
	// MendedScores lists the same of the CVEs that errata mend (advisory.Advisory.Mends), in order of erratum and CVE.
	MendedScores(ctx context.Context, advisories []int64) ([]MendedScore, error)
}

// EntryKey is the place of an entry among all.
type EntryKey struct {
	match.Name
	Advisory int64
	Seq      int64
}

// StoredEntry is a match.Entry with what tells whether it counts.
type StoredEntry struct {
	match.Entry
	Seq    int64
	Source string
	From   int64
	To     int64
}

// Score is what an advisory says of a vulnerability as a whole.
type Score struct {
	Vulnerability string
	Source        string
	Body          []byte // advisory.Encode
	From, To      int64
}

// MendedScore is what an advisory says of a vulnerability that an erratum mends.
type MendedScore struct {
	Advisory int64 // the erratum's
	Score
}

// JudgeStore is what judging needs. Whatever has a holder answers ErrNotHolder when that is not who judges any more.
type JudgeStore interface {
	// Claim makes somebody the one who judges until a time, if nobody else is. It tells whether it did.
	Claim(ctx context.Context, holder string, now, until time.Time) (bool, error)
	// Release ends that.
	Release(ctx context.Context, holder string) error
	// Begin begins a judgement up to the revisions of now, unless one is under way, and tells about it.
	Begin(ctx context.Context, holder string) (Judgement, error)
	// WriteMatches stores what advisories say of packages, and in the journal what they said.
	WriteMatches(ctx context.Context, holder string, until time.Time, changed []MatchChange) error
	// BeginCounting goes over to the sets.
	BeginCounting(ctx context.Context, holder string) (Judgement, error)
	// WriteSets stores the counts of sets, what has changed in them, and that those up to cursor are done.
	WriteSets(ctx context.Context, holder string, until, now time.Time, cursor int64, sets []SetChange) error
	// End clears the journal, in batches, and then sets the sources' judged_rev.
	End(ctx context.Context, holder string, now time.Time) error
}

// JudgeReads is what judging reads.
type JudgeReads interface {
	// PackagesNamed lists the packages of the names, in order of name, release and version.
	PackagesNamed(ctx context.Context, names []match.Name) ([]Package, error)
	// PackagesAfter lists packages in that order, those after one, at most limit.
	PackagesAfter(ctx context.Context, after Package, limit int) ([]Package, error)
	// Matched lists packages that advisories hit, by id, those after one, at most limit.
	Matched(ctx context.Context, after int64, limit int) ([]Package, error)
	// Journal lists packages whose matches the judgement under way has changed, by id, those after one, at most limit; Packed is what
	// there was before.
	Journal(ctx context.Context, after int64, limit int) ([]Package, error)
	// SetsAfter lists sets by id, those after one and up to another, at most limit: their members, vulnerable ones and counts,
	// encoded.
	SetsAfter(ctx context.Context, after, upto int64, limit int) ([]Set, error)
}

// MatchChange is a package of which advisories say something else than before.
type MatchChange struct {
	Package       int64
	Before, After []byte // match.Result
}

// SetChange is a set that has been counted anew.
type SetChange struct {
	ID         int64
	Vulnerable []byte
	Counts     string   // Counts.Encode
	Changes    *Changes // nil: nothing to tell
}

// TellStore is what telling of changes needs.
type TellStore interface {
	// TellChanges takes changes of sets that wait, and images of these that have not been told of them, at most limit; it records the
	// events that it is given for them, all in one transaction. It tells whether there was something to do. Changes that another
	// replica is at are left out.
	TellChanges(ctx context.Context, limit int, events func(Changes, []ToldImage) []event.Event) (bool, error)
}

// ToldImage is an image whose set has changed.
type ToldImage struct {
	Repository   string
	RepositoryID int64
	Digest       oci.Digest
	MediaType    string
	Tags         []string
}
