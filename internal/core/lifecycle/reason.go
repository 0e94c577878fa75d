package lifecycle

import (
	"fmt"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/core/registry"
)

// Ground is how a rule came to select or to shield an image.
type Ground struct {
	Count  CountType
	Number int32     // of images, or of days
	Rank   int32     // CountMoreThan: the image's place among those counted, 1 being the youngest
	Group  string    // the application in which it has that place, its best; empty unless the rule counts per application
	Since  time.Time // the others: from when the image's time counts; zero when it never began
}

// Due is from when on a rule that compares times acts on the image; it must be past, to the microsecond.
func (g Ground) Due() time.Time {
	return time.Unix(g.Since.Unix()+int64(g.Number)*secondsPerDay, int64(g.Since.Nanosecond())).UTC()
}

// Sentence says in plain words why the verdict is what it is, at the time of the evaluation.
func (v Verdict) Sentence(at time.Time) string {
	switch v.Reason {
	case Held:
		return fmt.Sprintf("The index %s refers to it: it stays as long as that does.", v.Of)
	case Follows:
		return fmt.Sprintf("It belongs to %s, %s.", v.Of, v.lot())
	case Pinned:
		if v.Of != "" {
			return fmt.Sprintf("It belongs to %s, which is deployed: it stays as long as that does.", v.Of)
		}
		why := registry.WhyPinned(v.Pins)
		return strings.ToUpper(why[:1]) + why[1:] + ": what is deployed stays."
	case Uncounted:
		return fmt.Sprintf("Rule %d counts images only, and this is none.", v.Rule)
	case Selected, Shielded:
		if v.Ground.Count == CountMoreThan {
			return v.counted()
		}
		return v.timed(at)
	case Unselected:
	}
	return "No rule selects it."
}

// lot tells what becomes of the subject of what follows.
func (v Verdict) lot() string {
	switch {
	case len(v.Pins) > 0:
		return "which is deployed"
	case v.Rule == 0:
		return "about which no rule decides"
	case v.Acts():
		return fmt.Sprintf("which rule %d %s", v.Rule, v.Action.Type.does())
	default:
		return fmt.Sprintf("about which rule %d decides", v.Rule)
	}
}

func (v Verdict) counted() string {
	g := v.Ground
	of, in := "", ""
	if g.Group != "" {
		of, in = " of each application", " of "+g.Group
	}
	best := ""
	if g.Group != "" && v.Reason == Selected {
		best = " at best"
	}
	return fmt.Sprintf("Rule %d keeps the youngest %d%s, and this is number %d%s%s.", v.Rule, g.Number, of, g.Rank, in, best)
}

func (v Verdict) timed(at time.Time) string {
	g := v.Ground
	event := map[CountType]string{SincePushed: "pushed", SincePulled: "used", SinceTransitioned: "archived"}[g.Count]
	rule := fmt.Sprintf("Rule %d is for what was %s more than %s ago", v.Rule, event, count(int64(g.Number), "day"))
	if g.Since.IsZero() {
		return rule + ", and it is not known when this was."
	}
	switch due := g.Due(); {
	case v.Reason == Selected:
		return fmt.Sprintf("%s, and this was %s ago.", rule, span(g.Since, at))
	case due.Equal(at):
		return rule + ", and this was just then."
	default:
		return fmt.Sprintf("%s, and this is too young by %s.", rule, span(at, due))
	}
}

// does is the action in a sentence about a rule.
func (a ActionType) does() string {
	if a == Transition {
		return "archives"
	}
	return "expires"
}

// span words the time between two times in its two largest units. A time.Duration would end after 292 years.
func span(from, to time.Time) string {
	left := to.Unix() - from.Unix()
	if to.Nanosecond() < from.Nanosecond() {
		left--
	}
	var words []string
	for _, u := range []struct {
		name string
		size int64 // in seconds
	}{{"day", secondsPerDay}, {"hour", 60 * 60}, {"minute", 60}, {"second", 1}} {
		n := left / u.size
		left %= u.size
		if n > 0 {
			words = append(words, count(n, u.name))
		}
		if len(words) == 2 || n == 0 && len(words) == 1 {
			break
		}
	}
	if len(words) == 0 {
		return "less than a second"
	}
	return strings.Join(words, " ")
}

func count(n int64, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
