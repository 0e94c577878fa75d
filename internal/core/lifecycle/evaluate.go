package lifecycle

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Image is what a policy looks at. Of two that were pushed at one moment, the one that is listed later counts
// as the younger.
type Image struct {
	ID          int64
	Digest      oci.Digest
	Tags        []string
	Class       StorageClass // empty means Standard
	PushedAt    time.Time
	PulledAt    time.Time    // zero: never
	ArchivedAt  time.Time    // zero: never
	ActivatedAt time.Time    // when it came back from the archive; zero: never
	Children    []oci.Digest // of an index
	Subject     oci.Digest   // empty when it refers to nothing
}

// Reason says why a verdict is what it is.
type Reason string

// The reasons.
const (
	// Selected: the rule acts on the image.
	Selected Reason = "selected"
	// Shielded: the rule selects the image and leaves it where it is, being young enough or among the youngest
	// so many. No later rule may act on it, whatever that says.
	Shielded Reason = "shielded"
	// Unselected: no rule is about the image.
	Unselected Reason = "unselected"
	// Held: an index of the repository refers to the image. It is not counted, and stays as long as that does.
	Held Reason = "held"
	// Follows: the image refers to a subject in the repository, and what happens to that happens to it. It is
	// not counted either.
	Follows Reason = "follows"
)

// Verdict is what a policy says about one image.
type Verdict struct {
	Action Action // its Type is empty when the image stays as it is
	Rule   int32  // priority of the rule that decides, also for what follows the subject; 0 when none does
	Reason Reason
	Of     oci.Digest // Held: the index; Follows: the subject
}

// Acts tells whether something happens to the image.
func (v Verdict) Acts() bool { return v.Action.Type != "" }

// Evaluate gives the verdict on each image, in the order of images.
//
// Rules look at the same images, whatever other rules decide about them. An image belongs to the first rule that
// selects it, in order of priority: that rule acts on it or shields it from all later ones. So each image
// has one action at most. (ECR user guide, "How lifecycle policies work".)
func Evaluate(images []Image, p Policy, at time.Time) []Verdict {
	verdicts := make([]Verdict, len(images))
	places := make(map[oci.Digest]int, len(images))
	for i, img := range images {
		verdicts[i].Reason = Unselected
		places[img.Digest] = i
	}
	for _, img := range images {
		for _, child := range img.Children {
			if i, ok := places[child]; ok && verdicts[i].Reason != Held {
				verdicts[i] = Verdict{Reason: Held, Of: img.Digest}
			}
		}
	}
	for i, img := range images {
		if _, ok := places[img.Subject]; ok && img.Subject != img.Digest && verdicts[i].Reason != Held {
			verdicts[i] = Verdict{Reason: Follows, Of: img.Subject}
		}
	}
	order := youngestFirst(images)
	order = slices.DeleteFunc(order, func(i int) bool { return verdicts[i].Reason != Unselected })
	rules := make([]*applied, len(p.Rules))
	for i, r := range p.Rules {
		rules[i] = apply(r, at)
	}
	for _, i := range order {
		verdicts[i] = decide(rules, &images[i])
	}
	follow(images, places, verdicts)
	return verdicts
}

// applied is a rule at work. It sees the images youngest first.
type applied struct {
	Rule
	selects func(*Image) bool
	limit   time.Time // of what is just young enough
	count   int32     // images selected so far
}

func apply(r Rule, at time.Time) *applied {
	limit := time.Unix(at.Unix()-int64(r.Selection.CountNumber)*secondsPerDay, int64(at.Nanosecond()))
	return &applied{Rule: r, selects: r.Selection.matcher(), limit: limit}
}

// decide shows the next image to each rule and gives the verdict of the first that selects it. The later ones
// only count it.
func decide(rules []*applied, img *Image) Verdict {
	verdict := Verdict{Reason: Unselected}
	for _, r := range rules {
		mine := verdict.Reason == Unselected
		if !mine && r.Selection.CountType != CountMoreThan || !r.selects(img) {
			continue
		}
		r.count++
		switch {
		case mine && r.overdue(img):
			verdict = Verdict{Rule: r.Priority, Reason: Selected, Action: r.Action}
		case mine:
			verdict = Verdict{Rule: r.Priority, Reason: Shielded}
		}
	}
	return verdict
}

const secondsPerDay = 24 * 60 * 60

// overdue tells whether the image that the rule has counted last is beyond what it keeps.
func (r *applied) overdue(img *Image) bool {
	switch r.Selection.CountType {
	case CountMoreThan:
		return r.count > r.Selection.CountNumber
	case SincePushed:
		return img.since().Before(r.limit)
	case SincePulled:
		return img.used().Before(r.limit)
	case SinceTransitioned:
		return !img.ArchivedAt.IsZero() && img.ArchivedAt.Before(r.limit)
	}
	return false
}

// since is from when an image's age counts: its push, or its return from the archive.
func (i *Image) since() time.Time { return later(i.PushedAt, i.ActivatedAt) }

// used is when an image was last pulled, or, if it never was or not after its return from the archive, from
// when its age counts.
func (i *Image) used() time.Time {
	if i.PulledAt.IsZero() {
		return i.since()
	}
	return later(i.PulledAt, i.ActivatedAt)
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (i *Image) class() StorageClass { return cmp.Or(i.Class, Standard) }

// youngestFirst gives the places of images in order of age.
func youngestFirst(images []Image) []int {
	order := make([]int, len(images))
	for i := range order {
		order[i] = len(order) - 1 - i
	}
	slices.SortStableFunc(order, func(a, b int) int { return images[b].since().Compare(images[a].since()) })
	return order
}

// follow gives what refers to a subject the verdict of that, or of what that refers to in its turn.
func follow(images []Image, places map[oci.Digest]int, verdicts []Verdict) {
	heads := make(map[int]int) // from what follows to what it follows in the end
	for i := range images {
		head := i
		var path []int
		for verdicts[head].Reason == Follows {
			if known, ok := heads[head]; ok {
				head = known
				break
			}
			heads[head] = head // until it is known: so even a circle, which no digests can make, has an end
			path = append(path, head)
			head = places[images[head].Subject]
		}
		for _, j := range path {
			heads[j] = head
			verdicts[j].Rule = verdicts[head].Rule
			if done := verdicts[head].Action; done.Type != Transition || images[j].class() != done.Target {
				verdicts[j].Action = done
			}
		}
	}
}

// matcher makes the test whether the selection is about an image.
func (s Selection) matcher() func(*Image) bool {
	class := s.Class()
	terms := s.terms()
	return func(img *Image) bool {
		switch {
		case img.class() != class:
			return false
		case s.TagStatus == AnyTag:
			return true
		case s.TagStatus == Untagged:
			return len(img.Tags) == 0
		}
		for i := range terms {
			if !slices.ContainsFunc(img.Tags, terms[i].matches) {
				return false
			}
		}
		return len(img.Tags) > 0
	}
}

// term is a pattern cut at its asterisks, or a prefix with nothing after it.
type term struct {
	first  string
	middle []string
	last   string
	whole  bool // no asterisk: first is all
}

func (s Selection) terms() []term {
	var terms []term
	for _, p := range s.Prefixes {
		terms = append(terms, term{first: p})
	}
	for _, p := range s.Patterns {
		parts := strings.Split(p, "*")
		t := term{first: parts[0], whole: len(parts) == 1}
		if !t.whole {
			t.middle, t.last = parts[1:len(parts)-1], parts[len(parts)-1]
		}
		terms = append(terms, t)
	}
	return terms
}

// matches tells whether the whole tag fits.
func (t *term) matches(tag string) bool {
	if t.whole {
		return tag == t.first
	}
	rest, ok := strings.CutPrefix(tag, t.first)
	if !ok {
		return false
	}
	for _, part := range t.middle {
		if _, rest, ok = strings.Cut(rest, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(rest, t.last)
}
