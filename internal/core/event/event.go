// Package event is what happened in a registry, and how its other parts hear of it: the outbox.
//
// The transaction that changes something records the [Event] with it, so that an event is there exactly when
// the change is. A [Dispatcher] hands events on to the [Handler]s of the other parts (signing, replication,
// scanning, metering …), at least once and mostly in order. A handler that fails gets the event again later,
// and so do its neighbours: handling the same event twice does what handling it once does. Before any handler has an event, it is in the feed that
// programs outside read (core/feed), with its number there.
package event

import (
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Kind says what happened.
type Kind string

// The kinds.
const (
	// ImagePushed: a manifest came in that the repository did not have, or tags were pointed to one.
	ImagePushed Kind = "image.pushed"
	// ImageDeleted: an image is gone, with the tags it had.
	ImageDeleted Kind = "image.deleted"
	// ImageUntagged: tags are gone, and their image stays.
	ImageUntagged Kind = "image.untagged"
	// ImageArchived: an image's storage class is archive now.
	ImageArchived Kind = "image.archived"
	// ImageRestored: an archived image is active again.
	ImageRestored Kind = "image.restored"
	// ImageScanned: a scan of an image has ended, good or bad.
	ImageScanned Kind = "image.scanned"
	// RepositoryCreated and RepositoryDeleted say what their names say.
	RepositoryCreated Kind = "repository.created"
	RepositoryDeleted Kind = "repository.deleted"
	// ExceptionExpired: what somebody answered for, so that a finding stopped nothing, does not hold any more. Reason says which and whose.
	ExceptionExpired Kind = "exception.expired"
	// FindingsChanged: news of advisories changed what is known of an image's vulnerabilities.
	FindingsChanged Kind = "image.findings.changed"
	// ImageReplicated: sending an image to another registry has ended. Reason is a code where it failed.
	ImageReplicated Kind = "image.replicated"
	// UpstreamSynced: an upstream registry was asked for an image, and it is here now, or Reason says why not.
	UpstreamSynced Kind = "upstream.synced"
	// EventsMissed: Count events were not kept until a receiver came back for them. It is told to that receiver alone.
	EventsMissed Kind = "events.missed"
	// ImagePulled: somebody pulled an image, Count times since the last such event.
	ImagePulled Kind = "image.pulled"
	// Served: what was asked for lately, in sum. It is for metering, and goes to nobody outside.
	Served Kind = "requests.served"
	// Noticed: somebody is to be told something: an alarm changed, a budget is used up.
	Noticed Kind = "notice"
)

// Source is by what way an image came in.
type Source string

// The sources.
const (
	Push        Source = "push"         // somebody pushed it
	PullThrough Source = "pull-through" // it was fetched from an upstream registry
	Replication Source = "replication"  // another registry sent it
	Signing     Source = "signing"      // this registry made it
	Scan        Source = "scan"         // this registry made it: an SBOM
	Restore     Source = "restore"      // it was deleted, and came back from the trash, or a tag of it did
)

// Event is one thing that happened. Which members are set goes by Kind.
type Event struct {
	ID           int64 // of the outbox, rising
	Kind         Kind
	At           time.Time
	Actor        string // the caller's ARN
	Repository   string
	RepositoryID int64
	Digest       oci.Digest // of the image
	Tags         []string   // that were set, or are gone
	New          bool       // ImagePushed: the repository did not have the image before
	MediaType    string     // of the image
	ArtifactType string
	Subject      oci.Digest     // of the image; empty when it refers to nothing
	Source       Source         // ImagePushed
	Reason       string         // a sentence that says why, where whoever did it gave one
	ScanStatus   string         // ImageScanned: COMPLETE, FAILED …
	Severities   map[string]int // ImageScanned: how many findings there are of each severity
	Findings     *Findings      `json:",omitempty"` // FindingsChanged
	Count        int64          `json:",omitempty"` // ImagePulled
	Traffic      []Traffic      `json:",omitempty"` // Served
	Notice       *Notice        `json:",omitempty"` // Noticed
	Copy         *Copy          `json:",omitempty"` // ImageReplicated
	Upstream     *Upstream      `json:",omitempty"` // UpstreamSynced

	Attempts int // how often handing it on has failed
}

// Kinds are those that go into the feed, in the order that they are shown in.
func Kinds() []Kind {
	return []Kind{
		ImagePushed, ImagePulled, ImageDeleted, ImageUntagged, ImageArchived, ImageRestored, ImageScanned, FindingsChanged, ImageReplicated,
		UpstreamSynced, ExceptionExpired, RepositoryCreated, RepositoryDeleted,
	}
}

// Outward tells whether events of the kind go into the feed, for programs outside. The others are Berth's own affair: what has been served is
// metering's, and a notice says itself whom it is for.
func (k Kind) Outward() bool { return k != Served && k != Noticed }

// Copy is an image on its way to another registry.
type Copy struct {
	Region, Account string // where it goes
	Failed          bool
}

// Upstream is an upstream registry that was asked.
type Upstream struct {
	Prefix string // of the rule
	URL    string // of the registry, as rules name it
	Failed bool
	Code   string // of a failure: a fault
}

// Findings are vulnerabilities that an image is known to have since now, and that it is known not to have.
type Findings struct {
	New       []Finding `json:",omitempty"` // the worst first, some of them
	Fixed     []Finding `json:",omitempty"` // as New
	MoreNew   int       `json:",omitempty"` // how many there are beside those
	MoreFixed int       `json:",omitempty"`
}

// Finding is a vulnerability in packages of one name.
type Finding struct {
	Vulnerability string
	Package       string // the name that advisories know
	Severity      string // in ECR's words
}

// Traffic is requests that agree in all but their numbers, in one minute.
type Traffic struct {
	Minute     time.Time
	Service    string     `json:",omitempty"` // ecr …
	Operation  string     `json:",omitempty"` // PutImage …
	Fault      string     `json:",omitempty"` // empty: it was done
	Repository string     `json:",omitempty"`
	Digest     oci.Digest `json:",omitempty"` // of a pulled image
	Principal  string     `json:",omitempty"` // an ARN: a role stands for all of its sessions
	Calls      int64      `json:",omitempty"`
	Pulls      int64      `json:",omitempty"`
	BytesIn    int64      `json:",omitempty"`
	BytesOut   int64      `json:",omitempty"`
}

// Notice is a message for people or programs, and whom it is for.
type Notice struct {
	Targets []string // names of the configuration's targets, or ARNs of topics that it maps to them
	Subject string   // one line
	Text    string   // some lines
	// Detail is the same for programs, a JSON object: of an alarm what Amazon SNS would carry.
	Detail string
}
