package shipped

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Artifact types of what is attached.
const (
	RecordType = "application/vnd.berth.ship.v1+json"    // to an image: what it was shipped for
	ClaimType  = "application/vnd.berth.release.v1+json" // to a board: who is moving the tag
	BoardType  = "application/vnd.berth.board.v1+json"
)

const (
	annotationShipApp   = "vnd.berth.ship.app"
	annotationCommit    = "vnd.berth.ship.commit"
	annotationCommitted = "vnd.berth.ship.committed"
	annotationShipped   = "vnd.berth.ship.branch"
	annotationAfter     = "vnd.berth.ship.after"
	annotationRun       = "vnd.berth.ship.run"
	annotationActor     = "vnd.berth.ship.actor"
	annotationGate      = "vnd.berth.ship.gate"
	annotationTag       = "vnd.berth.ship.tag"
	annotationImage     = "vnd.berth.ship.image"
	annotationDay       = "vnd.berth.ship.day"
)

// Lengths that annotations have at most.
const (
	maxName = 255
	maxRun  = 1024

	maxAfter   = 50 // commits
	afterWidth = 12 // digits of each
)

// Record says that an image went through everything that comes before its release, for a commit.
type Record struct {
	App       string
	Commit    string // 40 or 64 hexadecimal digits
	Committed time.Time
	Branch    string
	After     string    // as After words it, or empty
	Run       string    // URL or name of the run, or empty
	Actor     string    // or empty
	Gate      string    // what came of the check for vulnerabilities, or empty
	Written   time.Time // when it was pushed, by the clock of the run
}

// After words the newest commits of a commit's history, for runs in clones that have not got the commit. No more than fifty are said,
// by their first digits.
func After(commits []string) string {
	var all []string
	for _, c := range commits[:min(len(commits), maxAfter)] {
		all = append(all, c[:min(len(c), afterWidth)])
	}
	return strings.Join(all, " ")
}

// IsAfter tells whether a commit is said to be in the history of the record's.
func (r Record) IsAfter(commit string) bool {
	return len(commit) >= afterWidth && slices.Contains(strings.Fields(r.After), commit[:afterWidth])
}

// Claim says, on a board, that a run is about to have a tag name an image.
type Claim struct {
	Tag   string
	Image oci.Digest
	Record
}

// Annotations words a record.
func (r Record) Annotations() map[string]string {
	a := map[string]string{
		annotationShipApp: r.App, annotationCommit: r.Commit, annotationCommitted: r.Committed.UTC().Format(time.RFC3339),
		AnnotationCreated: r.Written.UTC().Format(time.RFC3339),
	}
	for name, text := range map[string]string{annotationShipped: r.Branch, annotationAfter: r.After, annotationRun: r.Run, annotationActor: r.Actor, annotationGate: r.Gate} {
		if text != "" {
			a[name] = text
		}
	}
	return a
}

// Annotations words a claim.
func (c Claim) Annotations() map[string]string {
	a := c.Record.Annotations()
	a[annotationTag], a[annotationImage] = c.Tag, c.Image.String()
	return a
}

// ParseRecord reads a record, and tells whether it is one.
func ParseRecord(a map[string]string) (Record, bool) {
	r := Record{
		App: word(a[annotationShipApp], maxName), Commit: commit(a[annotationCommit]), Committed: moment(a[annotationCommitted]),
		Branch: word(a[annotationShipped], maxName), Run: word(a[annotationRun], maxRun), Actor: word(a[annotationActor], maxName),
		After: word(a[annotationAfter], maxAfter*(afterWidth+1)), Gate: word(a[annotationGate], maxName), Written: moment(a[AnnotationCreated]),
	}
	return r, r.App != "" && r.Commit != "" && !r.Committed.IsZero() && !r.Written.IsZero()
}

// ParseClaim reads a claim, and tells whether it is one.
func ParseClaim(a map[string]string) (Claim, bool) {
	r, ok := ParseRecord(a)
	d, err := oci.ParseDigest(a[annotationImage])
	tag, tagErr := oci.ParseTag(a[annotationTag])
	return Claim{tag, d, r}, ok && err == nil && tagErr == nil
}

// Records lists what an image was shipped for, those first that were written first.
func (s *Store) Records(ctx context.Context, d oci.Digest) ([]Record, error) {
	found, err := s.Attached(ctx, d, RecordType)
	if err != nil {
		return nil, err
	}
	var all []Record
	for _, a := range found {
		if r, ok := ParseRecord(a.Annotations); ok {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b Record) int { return cmp.Or(a.Written.Compare(b.Written), cmp.Compare(a.Commit, b.Commit)) })
	return all, nil
}

// Board is where the runs say, before they move a tag, which image they want it to name: one for each tag and day of UTC, so that what
// is to be read stays short. It is a manifest that every run makes alike, so that all know its digest without asking.
func Board(tag string, day time.Time) (raw []byte, d oci.Digest) {
	empty := map[string]any{"mediaType": EmptyType, "digest": oci.FromBytes([]byte(Empty)), "size": len(Empty)}
	raw, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": oci.MediaTypeOCIManifest, "artifactType": BoardType, "config": empty, "layers": []any{empty},
		"annotations": map[string]string{annotationTag: tag, annotationDay: day.UTC().Format(time.DateOnly)},
	})
	if err != nil {
		panic(err) // strings and numbers
	}
	return raw, oci.FromBytes(raw)
}

// Empty is what an artifact without content has for one, and EmptyType its media type (image-spec, "Guidance for an Empty Descriptor").
const (
	Empty     = "{}"
	EmptyType = "application/vnd.oci.empty.v1+json"
)

// Claims lists what is said about a tag on a day's board.
func (s *Store) Claims(ctx context.Context, tag string, day time.Time) ([]Claim, error) {
	_, board := Board(tag, day)
	found, err := s.Attached(ctx, board, ClaimType)
	if err != nil {
		return nil, err
	}
	var all []Claim
	for _, a := range found {
		if c, ok := ParseClaim(a.Annotations); ok && c.Tag == tag {
			all = append(all, c)
		}
	}
	return all, nil
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// commit gives a commit's hash, or nothing.
func commit(text string) string {
	if (len(text) == 40 || len(text) == 64) && isHex(text) {
		return text
	}
	return ""
}

// key gives the hash that a key is, or nothing.
func key(text string) string {
	if len(text) >= 32 && len(text) <= 128 && isHex(text) {
		return text
	}
	return ""
}

// keys gives those of a list.
func keys(text string) []string {
	var all []string
	for one := range strings.FieldsSeq(text) {
		if k := key(one); k != "" {
			all = append(all, k)
		}
	}
	return all
}

func isHex(text string) bool { return strings.Trim(text, "0123456789abcdef") == "" }

// moment gives a time, or zero.
func moment(text string) time.Time {
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.Year() < 1970 || at.Year() > 9999 {
		return time.Time{}
	}
	return at.UTC()
}
