package gc

import (
	"context"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Stage is one of the steps by which things go.
type Stage int

// The stages, in the order in which one leads to the next.
const (
	Trash   Stage = iota // deleted images that can be restored
	Uploads              // uploads that were given up
	Layers               // layers of repositories
	Blobs
	Bytes // what the blob store holds under keys that no row names any more
	stages
)

// NumStages is how many there are.
const NumStages = int(stages)

// Stages says something of each stage.
type Stages [stages]bool

func (s Stage) String() string {
	return [stages]string{"trash", "uploads", "layers", "blobs", "bytes"}[s]
}

// Amount counts things, and bytes where they have any: what goes with a layer or blob is counted as bytes of its key.
type Amount = blob.Amount

// Deadlines say until when a thing counts as due.
type Deadlines struct {
	Now     time.Time
	Uploads time.Time // that had no byte since; the zero time: none is due
}

// Store keeps the rows that say what is needed.
type Store interface {
	// Update runs f in one transaction, again where it met a conflict.
	Update(ctx context.Context, f func(Tx) error) error
	// Due tells which stages have something to look at, at the cost of looking at one row of each.
	Due(ctx context.Context, d Deadlines) (Stages, error)
	// LayersDue lists layers that are due, the longest first.
	LayersDue(ctx context.Context, now time.Time, limit int) ([]Layer, error)
	Walking
	Looking
	Settings
}

// Looking tells people what is going on.
type Looking interface {
	// Waiting counts what each stage has before it. Of layers it counts those that no image refers to. NextAt of uploads is
	// when the longest forgotten one got its last byte.
	Waiting(ctx context.Context, d Deadlines) ([NumStages]Waiting, error)
	// Freed counts the blobs that nothing would have once all trash, layers and blobs that are due were gone.
	Freed(ctx context.Context, now time.Time) (Amount, error)
	// FreedBlobs lists those behind the digest given, in order.
	FreedBlobs(ctx context.Context, now time.Time, after oci.Digest, limit int) ([]Blob, error)
	// Facts tells what has a digest. It names at most limit things of a kind.
	Facts(ctx context.Context, d oci.Digest, limit int) (Facts, error)
}

// Known is what the rows say of a key that one of them names.
type Known struct {
	Upload bool   // an upload that is under way has it
	State  []byte // what the blob store noted of that
}

// Walking compares what the blob store holds with the rows, and finds rows that nothing would look at.
type Walking interface {
	// Known tells which of the keys a blob, an upload or the list of garbage names, all seen at one moment.
	Known(ctx context.Context, keys []blob.Key) (map[blob.Key]Known, error)
	// UndueLayers looks at layers in order, after the one given, at most limit of them, and names those to which no image of the
	// repository refers and that are never due; also the last that it looked at, and how many.
	UndueLayers(ctx context.Context, after Layer, limit int) (strays []Layer, last Layer, looked int, err error)
	// UndueBlobs does the same for blobs that no layer and no image in the trash has.
	UndueBlobs(ctx context.Context, after oci.Digest, limit int) (strays []oci.Digest, last oci.Digest, looked int, err error)
}

// Settings keeps documents by name.
type Settings interface {
	registry.SettingQueries
	// SwapSetting stores a document in the place of the one given, "" for none, if that is still there.
	SwapSetting(ctx context.Context, name registry.SettingName, from, to string, at time.Time) (bool, error)
}

// Tx is a transaction. On PostgreSQL it is READ COMMITTED: each call sees what was committed before the call.
type Tx interface {
	TrashTx
	LayerTx
	BlobTx
	GarbageTx
}

// TrashTx ends what has a time of its own.
type TrashTx interface {
	// TrashDue locks and names images in the trash whose time is over, but for those that somebody else has locked.
	TrashDue(ctx context.Context, now time.Time, limit int) ([]int64, error)
	// PurgeTrash removes images from the trash, and has their blobs looked at when due.
	PurgeTrash(ctx context.Context, ids []int64, due time.Time) error
	// ExpireUploads ends uploads that had no byte since a time, but for those that somebody else has locked, and gives what the
	// blob store knows of them.
	ExpireUploads(ctx context.Context, before time.Time, limit int) ([]blob.Upload, error)
}

// Layer is one of a repository.
type Layer struct {
	RepositoryID int64
	Digest       oci.Digest
	Used         bool // an image of the repository refers to it; in a transaction only
}

// LayerTx removes layers from repositories.
type LayerTx interface {
	// LockRepository holds off everybody who adds images or layers to it, until the transaction ends, and tells whether the
	// repository is there.
	LockRepository(ctx context.Context, id int64) (bool, error)
	// LayersOf gives those of the layers that are due still, and whether an image of the repository refers to them.
	LayersOf(ctx context.Context, repositoryID int64, ds []oci.Digest, now time.Time) ([]Layer, error)
	// UnlinkLayers takes layers from the repository and has their blobs looked at when due.
	UnlinkLayers(ctx context.Context, repositoryID int64, ds []oci.Digest, due time.Time) error
	// SettleLayers ends the hiding of layers, and has none looked at before the next image that refers to it goes.
	SettleLayers(ctx context.Context, repositoryID int64, ds []oci.Digest) error
	// DueLayers has layers looked at when due, unless they are to be looked at already.
	DueLayers(ctx context.Context, layers []Layer, due time.Time) error
}

// Blob is a row that says under which key the bytes of a digest are.
type Blob struct {
	Digest oci.Digest
	Key    blob.Key
	Size   int64
}

// BlobTx removes blobs.
type BlobTx interface {
	// BlobsDue locks blobs that are due, so that nobody comes to refer to them before the transaction ends, but for those that
	// somebody else has locked.
	BlobsDue(ctx context.Context, now time.Time, limit int) ([]Blob, error)
	// BlobsNeeded names those of the blobs that a layer or an image in the trash has, seen at one moment.
	BlobsNeeded(ctx context.Context, ds []oci.Digest) ([]oci.Digest, error)
	// DueBlobs has blobs looked at when due.
	DueBlobs(ctx context.Context, ds []oci.Digest, due time.Time) error
	// DeleteBlobs removes rows. It fails where something refers to one.
	DeleteBlobs(ctx context.Context, ds []oci.Digest) error
	// SettleBlobs has the blobs looked at no more, until something that has them goes.
	SettleBlobs(ctx context.Context, ds []oci.Digest) error
}

// GarbageTx keeps the list of keys whose bytes are to be removed.
type GarbageTx interface {
	// Discard puts keys on it, due at a time, but for those that are there.
	Discard(ctx context.Context, garbage []blob.Upload, due time.Time) error
	// ClaimGarbage takes keys that are due, which nobody else gets before the time given.
	ClaimGarbage(ctx context.Context, now, again time.Time, limit int) ([]blob.Upload, error)
	// ForgetGarbage takes keys off the list: their bytes are gone.
	ForgetGarbage(ctx context.Context, keys []blob.Key) error
}
