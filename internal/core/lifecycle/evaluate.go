package lifecycle

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Image is what a policy looks at. Of two that were pushed at one moment, the one that is listed later counts
// as the younger.
type Image struct {
	ID          int64
	Digest      oci.Digest
	Tags        []string
	Class       StorageClass // empty means Standard
	Kind        Kind         // only rules with Extension.CountImagesOnly look at it
	PushedAt    time.Time
	PulledAt    time.Time      // zero: never
	ArchivedAt  time.Time      // zero: never
	ActivatedAt time.Time      // when it came back from the archive; zero: never
	Children    []oci.Digest   // of an index
	Subject     oci.Digest     // empty when it refers to nothing
	Pins        []registry.Pin // the deployments that keep it, for its own sake
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
	// Follows: the image refers to a subject in the repository and has no name of its own (registry.Named), and what happens to
	// that happens to it. It is not counted either. To a rule that counts images only, an image whose tags are made of another's digest does so, too.
	Follows Reason = "follows"
	// Pinned: the image is deployed, or belongs to one that is. Rules count it as any other, and none acts on it.
	Pinned Reason = "pinned"
	// Uncounted: the first rule that would select the image counts images only, and it is none. No other rule selects it.
	Uncounted Reason = "uncounted"
)

// Verdict is what a policy says about one image.
type Verdict struct {
	Action Action // its Type is empty when the image stays as it is
	Rule   int32  // priority of the rule that decides, also for what follows the subject; 0 when none does
	Reason Reason
	Ground Ground         // Selected and Shielded: how the rule decides
	Of     oci.Digest     // Held: the index; Follows: the subject; Pinned: the image that is deployed, where it is another one
	Pins   []registry.Pin // Pinned, and what follows that: the deployments
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
		if _, ok := places[img.Subject]; ok && img.refers() && verdicts[i].Reason != Held {
			verdicts[i] = Verdict{Reason: Follows, Of: img.Subject}
		}
	}
	order := youngestFirst(images)
	order = slices.DeleteFunc(order, func(i int) bool { return verdicts[i].Reason != Unselected })
	rules, imagesOnly := applyAll(p.Rules, at)
	for _, i := range order {
		var by byProduct
		if imagesOnly {
			by = lookAt(images, i, places)
		}
		verdicts[i] = decide(rules, &images[i], by)
	}
	pin(images, places, verdicts)
	follow(images, places, verdicts)
	return verdicts
}

// applied is a rule at work. It sees the images youngest first.
type applied struct {
	Rule
	selects    func(*Image) bool
	limit      time.Time // of what is just young enough
	count      int32     // images selected so far
	groups     *groups   // nil: all are counted together
	imagesOnly bool
}

// applyAll sets rules to work, and tells whether one of them counts images only.
func applyAll(rules []Rule, at time.Time) (all []*applied, imagesOnly bool) {
	all = make([]*applied, len(rules))
	for i, r := range rules {
		all[i] = apply(r, at)
		imagesOnly = imagesOnly || all[i].imagesOnly
	}
	return all, imagesOnly
}

func apply(r Rule, at time.Time) *applied {
	limit := time.Unix(at.Unix()-int64(r.Selection.CountNumber)*secondsPerDay, int64(at.Nanosecond()))
	a := &applied{Rule: r, selects: r.Selection.matcher(), limit: limit, imagesOnly: r.berth().CountImagesOnly}
	if per := r.berth().CountPer; per != nil {
		a.groups = &groups{per: *per, terms: r.Selection.terms(), seen: map[string]*group{}}
	}
	return a
}

// decide shows the next image to each rule and gives the verdict of the first that selects it. The later ones
// only count it.
func decide(rules []*applied, img *Image, by byProduct) Verdict {
	verdict := Verdict{Reason: Unselected}
	for _, r := range rules {
		mine := verdict.Reason == Unselected || verdict.Reason == Uncounted
		switch {
		case r.imagesOnly && by.is:
			if mine {
				verdict = r.leave(img, by, verdict)
			}
			continue
		case img.Kind == KindDeployment && r.Selection.CountType == CountMoreThan: // whose image is gone
			if mine {
				verdict = r.leave(img, byProduct{}, verdict)
			}
			continue
		}
		if !mine && r.Selection.CountType != CountMoreThan || !r.selects(img) {
			continue
		}
		g, ok := r.look(img)
		switch {
		case !ok || !mine:
		case r.overdue(g):
			verdict = Verdict{Rule: r.Priority, Reason: Selected, Action: r.Action, Ground: g}
		default:
			verdict = Verdict{Rule: r.Priority, Reason: Shielded, Ground: g}
		}
	}
	return verdict
}

const secondsPerDay = 24 * 60 * 60

// leave gives the verdict on what the rule does not count. If it is about an image, and the rule selects one of the
// two, that image's fate is its own; so a signature goes with its image though only that has the rule's tags.
func (r *applied) leave(img *Image, by byProduct, verdict Verdict) Verdict {
	selected := r.selects(img)
	switch {
	case by.of != nil && (selected || r.selects(by.of)):
		return Verdict{Reason: Follows, Of: by.of.Digest}
	case selected && verdict.Reason == Unselected:
		return Verdict{Rule: r.Priority, Reason: Uncounted}
	}
	return verdict
}

// look counts an image that fits the selection, and finds what the rule decides by; or tells that the rule is not
// about it, because it counts by application and the image is of none.
func (r *applied) look(img *Image) (Ground, bool) {
	g := Ground{Count: r.Selection.CountType, Number: r.Selection.CountNumber}
	switch {
	case r.groups != nil:
		g.Rank, g.Group = r.groups.rank(img)
		return g, g.Rank > 0
	case g.Count == CountMoreThan:
		r.count++
		g.Rank = r.count
	case g.Count == SincePushed:
		g.Since = img.since()
	case g.Count == SincePulled:
		g.Since = img.used()
	case g.Count == SinceTransitioned:
		g.Since = img.ArchivedAt
	}
	return g, true
}

// overdue tells whether an image is beyond what the rule keeps.
func (r *applied) overdue(g Ground) bool {
	if g.Count == CountMoreThan {
		return g.Rank > g.Number
	}
	return !g.Since.IsZero() && g.Since.Before(r.limit)
}

// groups counts images by application.
type groups struct {
	per   CountPer
	terms []term // of the tags that count
	seen  map[string]*group
}

type group struct {
	count int32
	last  *Image
}

// rank counts an image once in each of its applications, and gives the best place that it has in one. What is
// beyond the number in all of them is so at its best place; no application has the place 0.
func (g *groups) rank(img *Image) (best int32, name string) {
	for _, tag := range img.Tags {
		app, ok := g.application(tag)
		if !ok {
			continue
		}
		in := g.seen[app]
		if in == nil {
			in = &group{}
			g.seen[app] = in
		}
		if in.last == img {
			continue
		}
		in.last = img
		in.count++
		if best == 0 || in.count < best {
			best, name = in.count, app
		}
	}
	return best, name
}

// application gives the application that a tag names, if it is a tag that the rule is about.
func (g *groups) application(tag string) (string, bool) {
	app, ok := g.per.application(tag)
	return app, ok && slices.ContainsFunc(g.terms, func(t term) bool { return t.matches(tag) })
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
			head = places[verdicts[head].Of]
		}
		for _, j := range path {
			heads[j] = head
			verdicts[j].Rule, verdicts[j].Pins = verdicts[head].Rule, verdicts[head].Pins
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
			if !terms[i].matchesAny(img.Tags) {
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

// matchesAny tells whether one of the tags fits. Most do not, and nearly all of these show it at once.
func (t *term) matchesAny(tags []string) bool {
	n := len(t.first)
	for _, tag := range tags {
		if len(tag) >= n && tag[:n] == t.first && t.matches(tag) {
			return true
		}
	}
	return false
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
