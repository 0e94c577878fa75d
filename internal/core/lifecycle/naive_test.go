package lifecycle_test

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/core/lifecycle"
	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// naive decides as the user guide tells it, step by step: what each rule identifies, which of those it would act
// on, and then, rule by rule, what no earlier rule has identified. It knows nothing of the evaluator's ways.
func naive(images []lifecycle.Image, p lifecycle.Policy, at time.Time) map[oci.Digest]string {
	in := map[oci.Digest]lifecycle.Image{}
	held := map[oci.Digest]bool{}
	for _, i := range images {
		in[i.Digest] = i
	}
	for _, i := range images {
		for _, c := range i.Children {
			held[c] = true
		}
	}
	follows := func(i lifecycle.Image) bool {
		_, there := in[i.Subject]
		return there && !held[i.Digest]
	}
	identified := make([]map[oci.Digest]bool, len(p.Rules))
	candidates := make([]map[oci.Digest]bool, len(p.Rules))
	for n, r := range p.Rules {
		identified[n], candidates[n] = map[oci.Digest]bool{}, map[oci.Digest]bool{}
		var found []lifecycle.Image
		for place, i := range images {
			if held[i.Digest] || follows(i) || !naiveSelects(r.Selection, i) {
				continue
			}
			identified[n][i.Digest] = true
			i.ID = int64(place)
			found = append(found, i)
		}
		sort.Slice(found, func(a, b int) bool {
			x, y := naiveAge(found[a], at), naiveAge(found[b], at)
			return x < y || x == y && found[a].ID > found[b].ID
		})
		for rank, i := range found {
			if naiveOver(r.Selection, i, rank, at) {
				candidates[n][i.Digest] = true
			}
		}
	}
	result := map[oci.Digest]string{}
	for n, r := range p.Rules {
		for d := range candidates[n] {
			earlier := slices.ContainsFunc(identified[:n], func(m map[oci.Digest]bool) bool { return m[d] })
			if !earlier {
				result[d] = fmt.Sprintf("%s %d", r.Action.Type, r.Priority)
			}
		}
	}
	for _, i := range images {
		subject := i
		for follows(subject) {
			subject = in[subject.Subject]
		}
		done := result[subject.Digest]
		if subject.Digest != i.Digest && done != "" && !(strings.HasPrefix(done, "transition") && i.Class == lifecycle.Archive) {
			result[i.Digest] = done
		}
	}
	return result
}

func naiveSelects(s lifecycle.Selection, i lifecycle.Image) bool {
	if (s.Storage == lifecycle.Archive) != (i.Class == lifecycle.Archive) {
		return false
	}
	switch s.TagStatus {
	case lifecycle.Untagged:
		return len(i.Tags) == 0
	case lifecycle.AnyTag:
		return true
	}
	var wanted []string
	for _, p := range s.Prefixes {
		wanted = append(wanted, "^"+regexp.QuoteMeta(p)+".*$")
	}
	for _, p := range s.Patterns {
		wanted = append(wanted, "^"+strings.ReplaceAll(regexp.QuoteMeta(p), `\*`, ".*")+"$")
	}
	met := 0
	for _, w := range wanted {
		if slices.ContainsFunc(i.Tags, regexp.MustCompile(w).MatchString) {
			met++
		}
	}
	return met == len(wanted)
}

func naiveAge(i lifecycle.Image, at time.Time) time.Duration {
	if i.ActivatedAt.After(i.PushedAt) {
		return at.Sub(i.ActivatedAt)
	}
	return at.Sub(i.PushedAt)
}

func naiveOver(s lifecycle.Selection, i lifecycle.Image, rank int, at time.Time) bool {
	keep := time.Duration(s.CountNumber) * 24 * time.Hour
	switch s.CountType {
	case lifecycle.CountMoreThan:
		return rank >= int(s.CountNumber)
	case lifecycle.SincePushed:
		return naiveAge(i, at) > keep
	case lifecycle.SincePulled:
		switch {
		case i.ActivatedAt.After(i.PulledAt), i.PulledAt.IsZero():
			return naiveAge(i, at) > keep
		default:
			return at.Sub(i.PulledAt) > keep
		}
	case lifecycle.SinceTransitioned:
		return at.Sub(i.ArchivedAt) > keep
	}
	panic("no such count type")
}

func TestEvaluateAgreesWithTheNaive(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		images := drawImages(t)
		p := drawPolicy(t)
		want := naive(images, p, noon)
		acted := 0
		for i, v := range lifecycle.Evaluate(images, p, noon) {
			got := ""
			if v.Acts() {
				acted++
				got = fmt.Sprintf("%s %d", v.Action.Type, v.Rule)
			}
			if w := want[images[i].Digest]; got != w {
				t.Errorf("%+v\ngot %q (%s), want %q\npolicy %s", images[i], got, describe(v), w, p.Text())
			}
		}
		if acted != len(want) {
			t.Errorf("%d images are acted on, want %d", acted, len(want))
		}
	})
}

func drawImages(t *rapid.T) []lifecycle.Image {
	// Ages of whole and half days, so that some are equal and some lie on a limit.
	since := func(what string, then time.Time) time.Time {
		return noon.Add(-time.Duration(rapid.IntRange(0, int(noon.Sub(then)/(12*time.Hour))).Draw(t, what)) * 12 * time.Hour)
	}
	images := make([]lifecycle.Image, rapid.IntRange(1, 12).Draw(t, "images"))
	for n := range images {
		i := lifecycle.Image{Digest: oci.Digest(fmt.Sprintf("d%d", n)), PushedAt: since("pushed", noon.AddDate(0, 0, -4))}
		i.Tags = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "ab", "abc", "b", "ba", "v1", "v2"}), 0, 3, rapid.ID).Draw(t, "tags")
		if rapid.Bool().Draw(t, "was pulled") {
			i.PulledAt = since("pulled", i.PushedAt)
		}
		switch rapid.IntRange(0, 4).Draw(t, "archive") {
		case 0:
			i.Class, i.ArchivedAt = lifecycle.Archive, noon.AddDate(0, 0, -rapid.IntRange(88, 93).Draw(t, "archived"))
		case 1:
			i.ActivatedAt = since("activated", i.PushedAt)
		}
		// An image refers to earlier ones only, as digests demand.
		if n > 0 && rapid.IntRange(0, 3).Draw(t, "refers") == 0 {
			other := images[rapid.IntRange(0, n-1).Draw(t, "to")].Digest
			if rapid.Bool().Draw(t, "as subject") {
				i.Subject = other
			} else {
				i.Children = []oci.Digest{other}
			}
		}
		images[n] = i
	}
	return images
}

// drawPolicy makes a policy that Parse accepts, or accepts after the rules that stand in each other's way are
// left out.
func drawPolicy(t *rapid.T) lifecycle.Policy {
	for {
		var rules []string
		for n := range rapid.IntRange(1, 5).Draw(t, "rules") {
			rules = append(rules, drawRule(t, n+1))
			if _, err := lifecycle.Parse(long(document(rules...))); err != nil {
				rules = rules[:len(rules)-1]
			}
		}
		if p, err := lifecycle.Parse(long(document(rules...))); err == nil {
			return p
		}
	}
}

func drawRule(t *rapid.T, priority int) string {
	tagStatus := rapid.SampledFrom([]string{"tagged", "tagged", "tagged", "untagged", "any"}).Draw(t, "tag status")
	selection, action := "", expire
	if tagStatus == "tagged" {
		kind := rapid.SampledFrom([]string{"tagPrefixList", "tagPatternList"}).Draw(t, "list")
		terms := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "a*", "*b", "a*c", "b*", "v*", "*", "*a*"}), 1, 2, rapid.ID).Draw(t, "terms")
		selection = fmt.Sprintf(`%q:["%s"],`, kind, strings.Join(terms, `","`))
	}
	number := rapid.IntRange(1, 4).Draw(t, "number")
	countType := rapid.SampledFrom([]string{"imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"}).Draw(t, "count type")
	switch countType {
	case "sinceImagePulled":
		action = archive
	case "sinceImageTransitioned":
		selection += `"storageClass":"archive",`
		number += 89
	default:
		action = rapid.SampledFrom([]string{expire, archive}).Draw(t, "action")
	}
	if countType != "imageCountMoreThan" {
		selection += `"countUnit":"days",`
	}
	return rule(priority, tagStatus, fmt.Sprintf(`%s"countType":%q,"countNumber":%d`, selection, countType, number), action)
}
