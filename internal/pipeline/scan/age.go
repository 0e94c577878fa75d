package scan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
)

// Stale is how old advisories may be before people are warned of it.
const Stale = 3 * 24 * time.Hour

// Age is how long ago a source was last asked for news, or, where it never was, its advisories were imported. Ok is false where neither
// is known.
func (s Source) Age(now time.Time) (age time.Duration, ok bool) {
	at := s.ImportedAt
	if s.CheckedAt.After(at) {
		at = s.CheckedAt
	}
	return max(0, now.Sub(at)), !at.IsZero()
}

// Ages words how old the advisories are that images were judged by, each source once; empty where the registry does not say.
func Ages(now time.Time, reports ...Report) string {
	var said []string
	for _, s := range Sources(reports...) {
		if age, ok := s.Age(now); ok {
			said = append(said, plan.Printable(s.Name)+" "+duration(age)+" old")
		} else {
			said = append(said, plan.Printable(s.Name)+" of unknown age")
		}
	}
	return strings.Join(said, ", ")
}

// Sources are those of all reports, each once, by name.
func Sources(reports ...Report) []Source {
	var all []Source
	for _, r := range reports {
		all = append(all, r.Sources...)
	}
	slices.SortFunc(all, func(a, b Source) int { return strings.Compare(a.Name, b.Name) })
	return slices.CompactFunc(all, func(a, b Source) bool { return a.Name == b.Name })
}

func duration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d/time.Minute))
	case d < 2*day: //nolint:mnd // until then hours say more
		return fmt.Sprintf("%d h", int(d/time.Hour))
	default:
		return fmt.Sprintf("%d days", int(d/day))
	}
}

// Doubts says in sentences what keeps reports from being the whole truth: advisories that are old, or missing, versions that could not
// be compared, what could not be read.
func Doubts(now time.Time, reports ...Report) []string {
	var said []string
	for _, s := range Sources(reports...) {
		if age, ok := s.Age(now); ok && age > Stale {
			said = append(said, fmt.Sprintf("the advisories of %s are %s old: what became known since is not found", plan.Printable(s.Name), duration(age)))
		}
	}
	var missing []string
	unevaluated := 0
	for _, r := range reports {
		missing = append(missing, r.Missing...)
		unevaluated += r.Unevaluated
		for _, p := range r.Problems {
			said = append(said, "not all of "+r.name()+" was read: "+plan.Printable(p))
		}
	}
	slices.Sort(missing)
	for _, name := range slices.Compact(missing) {
		said = append(said, "there are packages of "+plan.Printable(name)+", and the registry has no advisories about those")
	}
	if unevaluated > 0 {
		said = append(said, fmt.Sprintf("the versions of %d packages cannot be compared with what advisories say", unevaluated))
	}
	return said
}

func (r Report) name() string {
	if r.Platform != "" {
		return plan.Printable(r.Platform)
	}
	return r.Digest.Short()
}
