package gc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/identity"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// mostNamed is how many of a kind an explanation names; it counts all.
const mostNamed = 20

// Facts is what the rows say about a digest: of a blob, of an image, or of both.
type Facts struct {
	Blob   *BlobFact // nil where there is no such blob
	Layers Several[LayerFact]
	Users  Several[ImageFact] // images that refer to the blob, in repositories that have it
	Images Several[ImageFact] // images of that digest
	Trash  Several[TrashFact] // images in the trash that have the blob or are of that digest
}

// Several are some of a number of things.
type Several[T any] struct {
	Some  []T
	Count int64
}

// BlobFact is a blob.
type BlobFact struct {
	Size      int64
	CreatedAt time.Time
	DueAt     time.Time // when it is looked at whether anything has it; zero: when something that has it goes
	DamagedAt time.Time
}

// LayerFact is a repository that has the blob.
type LayerFact struct {
	Repository string
	LinkedAt   time.Time
	DueAt      time.Time
	Hidden     bool // the last image that referred to it has gone
	Used       bool // an image of the repository refers to it
}

// ImageFact is an image.
type ImageFact struct {
	Repository string
	Digest     oci.Digest
	Tags       Several[string]
	Subject    oci.Digest // the image of the repository that it refers to and goes with; empty: none
	Index      oci.Digest // one index that holds it; empty: none
}

// TrashFact is a deleted image that can be restored.
type TrashFact struct {
	Repository string
	Digest     oci.Digest
	Actor      string // who deleted it
	TrashedAt  time.Time
	PurgeAt    time.Time
}

// Explanation is why something is still here.
type Explanation struct {
	Digest oci.Digest
	Facts
	Needed  bool     // for ever, as things are; not only for a time
	Reasons []string // sentences
}

// Explain tells why a blob or an image is still here (berth:ExplainDigest).
func (s *Service) Explain(ctx context.Context, caller identity.Caller, d oci.Digest) (Explanation, error) {
	if err := s.may(ctx, caller, actionExplain); err != nil {
		return Explanation{}, err
	}
	facts, err := s.Rows.Facts(ctx, d, mostNamed)
	if err != nil {
		return Explanation{}, fmt.Errorf("looking for what has %s: %w", d, err)
	}
	e := Explanation{Digest: d, Facts: facts}
	e.Needed = facts.Users.Count > 0 || facts.Images.Count > 0
	e.explainImages()
	e.explainBlob(s.bytesStay())
	for _, t := range facts.Trash.Some {
		what := "Image " + t.Digest.String()
		if t.Digest == d {
			what = "It"
		}
		e.say("%s is in the trash of repository %s since %s, when %s deleted it, and can be restored until %s.",
			what, t.Repository, moment(t.TrashedAt), t.Actor, moment(t.PurgeAt))
	}
	e.more(facts.Trash.Count, len(facts.Trash.Some), "in the trash")
	if len(e.Reasons) == 0 {
		e.say("Nothing here has it. If it was removed lately, its bytes go within %s of that.", s.bytesStay())
	}
	return e, nil
}

func (e *Explanation) say(format string, args ...any) {
	e.Reasons = append(e.Reasons, fmt.Sprintf(format, args...))
}

func (e *Explanation) more(count int64, named int, where string) {
	if rest := count - int64(named); rest > 0 {
		e.say("There are %d more %s.", rest, where)
	}
}

func (e *Explanation) explainImages() {
	for _, i := range e.Images.Some {
		e.say("It is an image of repository %s%s.", i.Repository, i.ties())
	}
	e.more(e.Images.Count, len(e.Images.Some), "such images, in other repositories")
}

// ties says what an image hangs on.
func (i ImageFact) ties() string {
	var ties []string
	if i.Tags.Count > 0 {
		tags := strings.Join(i.Tags.Some, ", ")
		if more := i.Tags.Count - int64(len(i.Tags.Some)); more > 0 {
			tags += fmt.Sprintf(" and %d more", more)
		}
		ties = append(ties, "tagged "+tags)
	} else {
		ties = append(ties, "untagged")
	}
	if i.Index != "" {
		ties = append(ties, "part of index "+i.Index.String())
	}
	if i.Subject != "" {
		ties = append(ties, "which goes with image "+i.Subject.String())
	}
	return ", " + strings.Join(ties, ", ")
}

func (e *Explanation) explainBlob(bytesStay time.Duration) {
	if e.Blob == nil {
		return
	}
	for _, i := range e.Users.Some {
		e.say("Image %s of repository %s refers to it%s.", i.Digest, i.Repository, i.ties())
	}
	e.more(e.Users.Count, len(e.Users.Some), "images that do")
	for _, l := range e.Layers.Some {
		switch {
		case l.Used:
		case l.DueAt.IsZero():
			e.say("Repository %s has it without an image, and nothing looks at that before the next walk finds it.", l.Repository)
		case l.Hidden:
			e.say("Repository %s has deleted its last image that referred to it, and keeps it until %s for pushes under way.", l.Repository, moment(l.DueAt))
		default:
			e.say("Repository %s got it at %s and no image refers to it yet; it waits for one until %s.", l.Repository, moment(l.LinkedAt), moment(l.DueAt))
		}
	}
	e.more(e.Layers.Count, len(e.Layers.Some), "repositories that have it")
	if e.Layers.Count == 0 && e.Trash.Count == 0 {
		at := "once the next walk finds it"
		if !e.Blob.DueAt.IsZero() {
			at = "in the next sweep after " + moment(e.Blob.DueAt)
		}
		e.say("Nothing has it any more: it goes %s, and its bytes %s later.", at, bytesStay)
	}
	if !e.Blob.DamagedAt.IsZero() {
		e.say("Its bytes are known to be damaged or lost since %s.", moment(e.Blob.DamagedAt))
	}
}

func moment(t time.Time) string { return t.Format(time.RFC3339) }
