package registry

import (
	"context"
	"errors"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/blob"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// ErrNoRow is what a query for one row answers when there is none. The registry turns it into the fault
// that fits; it never reaches a face.
var ErrNoRow = errors.New("no such row")

// ErrConflict is what a write answers when the row it depends on changed since it was read.
var ErrConflict = errors.New("row has changed")

// Store is the metadata database.
type Store interface {
	// Update runs f in a transaction and returns when its writes are durable, or with f's error and
	// nothing written. f may run more than once (a serialization failure, a batch that failed for another's
	// sake), so it touches nothing but tx and variables that it sets anew each time. Transactions of
	// several callers may share one commit.
	Update(ctx context.Context, f func(tx Tx) error) error
	// Read gives the queries outside a transaction: each sees the newest committed state.
	Read() Queries
}

// Queries reads. Inside Update it sees the transaction's own writes.
type Queries interface {
	RepositoryQueries
	ImageQueries
	TagQueries
	KinQueries
	LayerQueries
	SettingQueries
	TemplateQueries
	PolicyQueries
	AccessQueries
	PullExclusionQueries
	ScanQueries
	DeploymentQueries
	LifecycleQueries
	TrashQueries
	LookUps
}

// LookUps are the queries of every push and pull: one statement each, by the repository's name. ErrNoRow
// stands for a repository that is not there as well as for what is not in it; whoever gets it asks
// Repository, which tells the two apart.
type LookUps interface {
	// ImageIn finds an image alone: without tags, annotations and manifest.
	ImageIn(ctx context.Context, repository string, ref oci.Reference) (Image, error)
	// ManifestIn finds an image with its manifest, without tags and annotations.
	ManifestIn(ctx context.Context, repository string, ref oci.Reference) (Image, error)
	// LayerIn finds a layer.
	LayerIn(ctx context.Context, repository string, d oci.Digest) (Layer, error)
	// UploadIn finds an upload under way.
	UploadIn(ctx context.Context, repository, id string) (Upload, error)
}

// Tx reads and writes.
type Tx interface {
	Queries
	RepositoryWrites
	ImageWrites
	ArchiveWrites
	TagWrites
	LayerWrites
	UploadWrites
	GarbageWrites
	TrashWrites
	SettingWrites
	TemplateWrites
	PolicyWrites
	PullExclusionWrites
	ScanWrites
	LifecycleWrites
	EventWrites
}

// RepositoryQueries reads repositories.
type RepositoryQueries interface {
	// Repository finds one by name, or ErrNoRow. Inside Update the row is held, so that the repository
	// cannot be deleted before the transaction ends (others may hold it too).
	Repository(ctx context.Context, name string) (Repository, error)
	// Repositories lists in order of name, those after the given name, at most limit.
	Repositories(ctx context.Context, after string, limit int) ([]Repository, error)
	// ResourceTags lists a repository's resource tags in order of key.
	ResourceTags(ctx context.Context, repositoryID int64) ([]ResourceTag, error)
	// HasImages tells whether the repository has at least one.
	HasImages(ctx context.Context, repositoryID int64) (bool, error)
}

// RepositoryWrites changes repositories.
type RepositoryWrites interface {
	// LockRepository finds one by name, or ErrNoRow, and keeps every other transaction that calls
	// Repository or LockRepository on it waiting until this one ends. Whatever decides from what is in a
	// repository (a tag's target, an index's children) and then writes takes this lock first.
	LockRepository(ctx context.Context, name string) (Repository, error)
	// InsertRepository adds one and returns its id, or ErrConflict when the name is taken.
	InsertRepository(ctx context.Context, r Repository) (int64, error)
	// UpdateRepository stores all of r's settings.
	UpdateRepository(ctx context.Context, r Repository) error
	// DeleteRepository removes it with its images, tags, layers, uploads and resource tags, and returns the
	// uploads that were under way. Tag history stays. Blobs that it had are looked at, whether anything has them still, at due.
	DeleteRepository(ctx context.Context, id int64, due time.Time) ([]Upload, error)
	// SetResourceTags replaces a repository's resource tags.
	SetResourceTags(ctx context.Context, repositoryID int64, tags []ResourceTag) error
}

// ImageQueries reads images, with their tags unless it says otherwise.
type ImageQueries interface {
	// ImageByDigest finds one, or ErrNoRow.
	ImageByDigest(ctx context.Context, repositoryID int64, d oci.Digest) (Image, error)
	// ImageByTag finds one, or ErrNoRow.
	ImageByTag(ctx context.Context, repositoryID int64, tag string) (Image, error)
	// Images lists in order of push (id), those after q.AfterID, at most q.Limit.
	Images(ctx context.Context, repositoryID int64, q ImageQuery) ([]Image, error)
	// ImagesByDigest finds those of the digests that the repository has, each image alone, in any order.
	ImagesByDigest(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]Image, error)
	// IndexesOf lists the digests of the indexes that refer to d, in order.
	IndexesOf(ctx context.Context, repositoryID int64, d oci.Digest) ([]oci.Digest, error)
	// Referrers lists the images whose subject is d, in order of id, those after q.AfterID, at most q.Limit.
	// Annotations are filled in; since each may have megabytes of
	// them, a list of more than one has MaxAnnotations at most. It tells whether there are more.
	Referrers(ctx context.Context, repositoryID int64, d oci.Digest, q ReferrerQuery) ([]Image, bool, error)
}

// MaxAnnotations bounds the annotations of one list of referrers, in bytes.
const MaxAnnotations = 4 << 20

// ImageWrites changes images.
type ImageWrites interface {
	// InsertImage adds an image, which is active, with its manifest, references to blobs and children, and returns its id, or
	// ErrConflict when the repository has that digest. Its Tags are set by SetTag, in the same transaction: knowing of
	// them spares writing the image twice.
	InsertImage(ctx context.Context, repositoryID int64, img Image, refs References) (int64, error)
	// RaiseIndexSizes makes the size of each index of child at least as large as given.
	RaiseIndexSizes(ctx context.Context, repositoryID int64, child oci.Digest, size int64) error
	// VouchImage makes an image Vouched.
	VouchImage(ctx context.Context, id int64) error
	// DeleteImage removes an image, its references and its tags.
	DeleteImage(ctx context.Context, id int64) error
	// RecordPulls moves the last pull times forward, never back. Images that are gone are ignored.
	RecordPulls(ctx context.Context, pulls map[int64]time.Time) error
}

// TagQueries reads image tags and their history.
type TagQueries interface {
	// Tags lists those of images of the status, in order of name (by bytes), those after the given name, at most limit.
	Tags(ctx context.Context, repositoryID int64, status Status, after string, limit int) ([]Tag, error)
	// TagNames is Tags of active images without the images: the names alone.
	TagNames(ctx context.Context, repositoryID int64, after string, limit int) ([]string, error)
	// HasTags tells whether an image has at least n tags.
	HasTags(ctx context.Context, repositoryID, imageID int64, n int) (bool, error)
	// TagHistory lists what happened to a tag, newest first, before beforeID (0: from the newest), at most
	// limit. It goes by the repository's name and outlives the repository.
	TagHistory(ctx context.Context, repository, tag string, beforeID int64, limit int) ([]TagChange, error)
	// TagPointedTo tells whether a tag has ever pointed to an image, by its history.
	TagPointedTo(ctx context.Context, repository, tag string, d oci.Digest) (bool, error)
}

// TagWrites changes image tags.
type TagWrites interface {
	// SetTag points a tag, new or not, to an image that is active.
	SetTag(ctx context.Context, repositoryID int64, tag string, imageID int64, at time.Time) error
	// DeleteTag removes a tag. One that is not there is no error.
	DeleteTag(ctx context.Context, repositoryID int64, tag string) error
	// RecordTagChanges adds to the history, in order.
	RecordTagChanges(ctx context.Context, changes []TagChange) error
}

// LayerQueries reads layers: blobs as a repository's own.
type LayerQueries interface {
	// Layer finds one of the repository's, or ErrNoRow.
	Layer(ctx context.Context, repositoryID int64, d oci.Digest) (Layer, error)
	// Layers finds those of the digests that the repository has, in any order.
	Layers(ctx context.Context, repositoryID int64, ds []oci.Digest) ([]Layer, error)
	// LayerInUse tells whether an image of the repository refers to the digest.
	LayerInUse(ctx context.Context, repositoryID int64, d oci.Digest) (bool, error)
	// ImagesWithLayer lists the active images of the repository that refer to the digest, each alone, newest first, at most limit.
	ImagesWithLayer(ctx context.Context, repositoryID int64, d oci.Digest, limit int) ([]Image, error)
	// RepositoriesWithLayer lists the names of repositories that have the layer, and do not hide it, in order, at most limit.
	RepositoriesWithLayer(ctx context.Context, d oci.Digest, limit int) ([]string, error)
}

// LayerWrites changes layers.
type LayerWrites interface {
	// LinkLayer records that the store holds d, of size bytes, under key, unless it knows d already, and
	// makes it a layer of the repository, which is not hidden, and is looked at when it is due. It returns the layer as it now is
	// (its Key is another one when d was known already) and whether the repository had it, for all to see, before.
	LinkLayer(ctx context.Context, repositoryID int64, l Layer) (Layer, bool, error)
	// KeepLayer sees to it that a layer which is not hidden is looked at no earlier than a time, and tells whether there is one.
	KeepLayer(ctx context.Context, repositoryID int64, d oci.Digest, until time.Time) (bool, error)
	// HideLayers hides the layers that no image of the repository but the one given refers to, and has them looked at when due.
	HideLayers(ctx context.Context, repositoryID, imageID int64, due time.Time) error
	// ShowLayers ends the hiding of layers.
	ShowLayers(ctx context.Context, repositoryID int64, ds []oci.Digest) error
	// MoveBlob records that a blob's bytes, whole, are under another key now, if they were under the one given before,
	// and tells whether they were.
	MoveBlob(ctx context.Context, d oci.Digest, from, to blob.Key) (bool, error)
	// UnlinkLayer takes a layer from the repository; whether anything else has the blob is looked at when due.
	UnlinkLayer(ctx context.Context, repositoryID int64, d oci.Digest, due time.Time) error
}

// UploadWrites changes uploads under way.
type UploadWrites interface {
	// InsertUpload adds one.
	InsertUpload(ctx context.Context, u Upload) error
	// SaveUpload stores an upload's progress if its stored size still is fromSize; otherwise ErrConflict.
	SaveUpload(ctx context.Context, u Upload, fromSize int64) error
	// DeleteUpload removes one and tells whether it was there.
	DeleteUpload(ctx context.Context, repositoryID int64, id string) (bool, error)
}

// Repository is a named set of images with its settings.
type Repository struct {
	ID         int64
	Name       string
	CreatedAt  time.Time
	Mutability Mutability
	Exclusions []string // wildcard filters of tags to which the opposite mutability applies
	ScanOnPush bool
	// TrashWindow is how long its deleted images stay restorable; nil: as long as Config says, 0: not at all.
	TrashWindow *time.Duration
}

// ResourceTag is a key and value on a repository, not to be confused with an image's tag.
type ResourceTag struct{ Key, Value string }

// Image is a manifest with its tags.
type Image struct {
	ID              int64
	Digest          oci.Digest
	MediaType       string
	ArtifactType    string     // of the manifest, or its config's media type
	ConfigMediaType string     // empty for an index
	Subject         oci.Digest // empty when it refers to nothing
	Size            int64      // bytes: config and layers; for an index, the largest of its images
	ManifestSize    int64      // bytes
	PushedAt        time.Time
	LastPulledAt    time.Time // zero when never pulled
	Archived        bool
	ArchivedAt      time.Time // when it last went into the archive, zero when never
	ActivatedAt     time.Time // when it last came back from there
	Vouched         bool      // a document about findings: whoever put it here may speak for those of the repository (vouches.go)
	Tags            []string  // in order
	Annotations     map[string]string
	Manifest        []byte // as it came
}

// References is what an image's manifest points to.
type References struct {
	Blobs    []oci.Digest // config and layers
	Hidden   []oci.Digest // of Blobs, those that the repository hides
	Children []oci.Digest // manifests of an index
}

// ImageQuery selects a page of images.
type ImageQuery struct {
	Tagged  TagStatus
	Status  Status
	AfterID int64
	Limit   int
}

// ReferrerQuery selects a page of referrers.
type ReferrerQuery struct {
	ArtifactTypes []string // one of these; none is any
	Status        Status
	AfterID       int64
	Limit         int
}

// TagStatus selects images by whether they have a tag.
type TagStatus int

// The tag statuses.
const (
	AnyTagStatus TagStatus = iota
	OnlyTagged
	OnlyUntagged
)

// Selects tells whether an image with tags, or without, is among what the status selects.
func (s TagStatus) Selects(tagged bool) bool { return s == AnyTagStatus || tagged == (s == OnlyTagged) }

// Tag is a name for an image.
type Tag struct {
	Name   string
	Digest oci.Digest
	SetAt  time.Time // when it was last pointed somewhere
}

// TagChange is one entry of a tag's history. An empty From is a new tag, an empty To a deleted one.
type TagChange struct {
	ID         int64
	Repository string
	Tag        string
	From, To   oci.Digest
	At         time.Time
	Actor      string // the caller's ARN
}

// Layer is a blob as one repository's own.
type Layer struct {
	Digest   oci.Digest
	Size     int64
	Key      blob.Key
	LinkedAt time.Time
	Archived bool // images of the repository refer to it, and all of them are archived
	// Hidden: no image of the repository refers to it any more, and nobody has uploaded it since. It is still there, for a
	// push that was told so before; to everybody else it is gone.
	Hidden bool
	// DueAt is when it is looked at whether an image refers to it; zero: when the next image that does goes.
	DueAt     time.Time
	DamagedAt time.Time // since when its bytes are known to be lost, or not what they should be; zero: they are not
}

// Upload is a layer that is still arriving.
type Upload struct {
	ID           string
	RepositoryID int64
	Actor        string // who started it: see uploader
	StartedAt    time.Time
	UpdatedAt    time.Time
	Blob         blob.Upload
	Algorithm    oci.Algorithm // of HashState
	HashState    []byte        // the running hash over Blob.Size bytes, as encoding.BinaryMarshaler gave it
	LastPart     int64         // bytes of the newest part that came by ECR's layer API, 0 otherwise
	SmallPart    bool          // a part that has a successor was smaller than 5 MiB (ECR's layer API)
}
