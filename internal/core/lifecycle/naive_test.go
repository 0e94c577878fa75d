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
	"github.com/hoopstat-haus/berth/internal/core/registry"
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
		for _, t := range i.Tags {
			there = there && strings.HasPrefix(t, "sha256-"+string(i.Subject[len("sha256:"):])) // a name of its own
		}
		return there && !held[i.Digest]
	}
	identified := make([]map[oci.Digest]bool, len(p.Rules))
	candidates := make([]map[oci.Digest]bool, len(p.Rules))
	attached := make([]map[oci.Digest]bool, len(p.Rules)) // what the rule leaves to the image that its tags tell
	for n, r := range p.Rules {
		identified[n], candidates[n], attached[n] = map[oci.Digest]bool{}, map[oci.Digest]bool{}, map[oci.Digest]bool{}
		var found []lifecycle.Image
		for place, i := range images {
			if held[i.Digest] || follows(i) {
				continue
			}
			if r.Berth != nil && r.Berth.CountImagesOnly && naiveNoImage(i) {
				s, there := in[naiveSigned(i)]
				if there && s.Digest != i.Digest && (naiveSelects(r.Selection, i) || naiveSelects(r.Selection, s)) {
					attached[n][i.Digest] = true
				}
				continue
			}
			if i.Kind == lifecycle.KindDeployment && r.Selection.CountType == lifecycle.CountMoreThan {
				continue
			}
			if !naiveSelects(r.Selection, i) {
				continue
			}
			if r.Berth != nil && r.Berth.CountPer != nil && len(naiveApps(r, i)) == 0 {
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
			if naiveOver(r.Selection, i, rank, at) && naiveOverEverywhere(r, found, i) {
				candidates[n][i.Digest] = true
			}
		}
	}
	result := map[oci.Digest]string{}
	for n, r := range p.Rules {
		for d := range candidates[n] {
			mine := func(m map[oci.Digest]bool) bool { return m[d] }
			if !slices.ContainsFunc(identified[:n], mine) && !slices.ContainsFunc(attached[:n], mine) {
				result[d] = fmt.Sprintf("%s %d", r.Action.Type, r.Priority)
			}
		}
	}
	stays := naiveDeployed(images)
	leader := func(i lifecycle.Image) oci.Digest {
		if follows(i) {
			return i.Subject
		}
		for n := range p.Rules {
			if identified[n][i.Digest] {
				break
			}
			if attached[n][i.Digest] {
				return naiveSigned(i)
			}
		}
		return ""
	}
	for _, i := range images {
		subject := i
		for steps := 0; leader(subject) != "" && steps <= len(images); steps++ {
			subject = in[leader(subject)]
		}
		done := result[subject.Digest]
		if subject.Digest != i.Digest && done != "" && !(strings.HasPrefix(done, "transition") && i.Class == lifecycle.Archive) {
			result[i.Digest] = done
		}
	}
	for d := range stays {
		delete(result, d)
	}
	return result
}

// naiveDeployed gives what is deployed and all that stays for its sake: what it is made of, what refers to it, and what has a tag
// made of its digest.
func naiveDeployed(images []lifecycle.Image) map[oci.Digest]bool {
	stays := map[oci.Digest]bool{}
	for grown := true; grown; {
		grown = false
		for _, i := range images {
			for _, s := range images {
				belongs := stays[s.Digest] && (slices.Contains(s.Children, i.Digest) || i.Subject == s.Digest)
				for _, t := range i.Tags {
					m := naiveFiled.FindStringSubmatch(t)
					belongs = belongs || m != nil && stays[oci.Digest("sha256:"+m[1])] && "sha256:"+m[1] == string(s.Digest)
				}
				if (belongs || len(i.Pins) > 0) && !stays[i.Digest] {
					stays[i.Digest], grown = true, true
				}
			}
		}
	}
	return stays
}

// naiveNoImage tells what a rule that counts images only leaves out.
func naiveNoImage(i lifecycle.Image) bool {
	switch {
	case i.Kind == lifecycle.KindBuildCache, i.Kind == lifecycle.KindAttestation, i.Kind == lifecycle.KindSignature, i.Kind == lifecycle.KindDeployment:
		return true
	case i.Kind == lifecycle.KindIndex && len(i.Children) == 0, i.Subject != "":
		return true
	}
	for _, t := range i.Tags {
		if !naiveFiled.MatchString(t) {
			return false
		}
	}
	return len(i.Tags) > 0
}

var naiveFiled = regexp.MustCompile(`^sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?$`)

// naiveSigned gives the one image that all tags tell.
func naiveSigned(i lifecycle.Image) oci.Digest {
	one := map[string]bool{}
	for _, t := range i.Tags {
		m := naiveFiled.FindStringSubmatch(t)
		if m == nil {
			return ""
		}
		one["sha256:"+m[1]] = true
	}
	for d := range one {
		if len(one) == 1 {
			return oci.Digest(d)
		}
	}
	return ""
}

// naiveApps gives the applications for which a rule counts an image.
func naiveApps(r lifecycle.Rule, i lifecycle.Image) map[string]bool {
	apps := map[string]bool{}
	for _, t := range i.Tags {
		one := lifecycle.Selection{TagStatus: lifecycle.Tagged}
		fits := false
		for _, p := range r.Selection.Prefixes {
			one.Prefixes, one.Patterns = []string{p}, nil
			fits = fits || naiveSelects(one, lifecycle.Image{Tags: []string{t}})
		}
		for _, p := range r.Selection.Patterns {
			one.Prefixes, one.Patterns = nil, []string{p}
			fits = fits || naiveSelects(one, lifecycle.Image{Tags: []string{t}})
		}
		words := strings.Split(t, r.Berth.CountPer.Separator)
		app := words[0]
		if r.Berth.CountPer.TagsUpTo == lifecycle.LastSeparator {
			app = strings.Join(words[:len(words)-1], r.Berth.CountPer.Separator)
		}
		if fits && len(words) > 1 && app != "" && !naiveFiled.MatchString(t) {
			apps[app] = true
		}
	}
	return apps
}

// naiveOverEverywhere tells whether in each of its applications so many younger images are there that this one
// is beyond what is kept.
func naiveOverEverywhere(r lifecycle.Rule, youngestFirst []lifecycle.Image, i lifecycle.Image) bool {
	if r.Berth == nil || r.Berth.CountPer == nil {
		return true
	}
	for app := range naiveApps(r, i) {
		younger := 0
		for _, other := range youngestFirst {
			if other.Digest == i.Digest {
				break
			}
			if naiveApps(r, other)[app] {
				younger++
			}
		}
		if younger < int(r.Selection.CountNumber) {
			return false
		}
	}
	return true
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
		i := lifecycle.Image{Digest: drawnDigest(n), PushedAt: since("pushed", noon.AddDate(0, 0, -4))}
		tags := rapid.SampledFrom([][]string{{"a", "ab", "abc", "b", "ba", "v1", "v2"}, {"a-1", "a-2", "a-b-1", "b-1", "b-2"}}).Draw(t, "names")
		i.Tags = rapid.SliceOfNDistinct(rapid.SampledFrom(tags), 0, 3, rapid.ID).Draw(t, "tags")
		switch rapid.IntRange(0, 9).Draw(t, "kind") {
		case 0:
			i.Kind = rapid.SampledFrom([]lifecycle.Kind{lifecycle.KindBuildCache, lifecycle.KindAttestation, lifecycle.KindSignature, lifecycle.KindIndex, lifecycle.KindDeployment}).Draw(t, "which")
		case 1, 2: // of an image that need not be there, nor be another, nor be an image
			of := drawnDigest(rapid.IntRange(0, 12).Draw(t, "signs"))
			tag := "sha256-" + of.Hex() + rapid.SampledFrom([]string{"", ".sig", ".att", ".sbom", ".other"}).Draw(t, "as")
			i.Tags = append(i.Tags[:min(len(i.Tags), rapid.IntRange(0, 1).Draw(t, "others"))], tag)
		}
		if rapid.IntRange(0, 7).Draw(t, "runs") == 0 {
			i.Pins = []registry.Pin{{App: "web", Environment: "prod", Kind: registry.Deployed, Place: 1}}
		}
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

func drawnDigest(n int) oci.Digest { return oci.Digest(fmt.Sprintf("sha256:%064x", n)) }

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
	selection, action, extension := "", expire, ""
	if tagStatus == "tagged" {
		kind := rapid.SampledFrom([]string{"tagPrefixList", "tagPatternList"}).Draw(t, "list")
		terms := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"a", "a*", "*b", "a*c", "b*", "v*", "*", "*a*", "*-*", "a-*", "sha256-*"}), 1, 2, rapid.ID).Draw(t, "terms")
		selection = fmt.Sprintf(`%q:["%s"],`, kind, strings.Join(terms, `","`))
	}
	number := rapid.IntRange(1, 4).Draw(t, "number")
	countType := rapid.SampledFrom([]string{"imageCountMoreThan", "sinceImagePushed", "sinceImagePulled", "sinceImageTransitioned"}).Draw(t, "count type")
	switch countType {
	case "sinceImagePulled":
		action = archive
		if rapid.Bool().Draw(t, "expires") {
			action, extension = expire, `{"expireByPull":true}`
		}
	case "sinceImageTransitioned":
		selection += `"storageClass":"archive",`
		number += 89
	case "imageCountMoreThan":
		extension = drawCounting(t, tagStatus)
		fallthrough
	default:
		action = rapid.SampledFrom([]string{expire, archive}).Draw(t, "action")
	}
	if countType != "imageCountMoreThan" {
		selection += `"countUnit":"days",`
	}
	return extended(rule(priority, tagStatus, fmt.Sprintf(`%s"countType":%q,"countNumber":%d`, selection, countType, number), action), extension)
}

func drawCounting(t *rapid.T, tagStatus string) string {
	var all []string
	if tagStatus == "tagged" && rapid.Bool().Draw(t, "per application") {
		all = append(all, fmt.Sprintf(`"countPer":{"tagsUpTo":%q,"separator":%q}`,
			rapid.SampledFrom([]string{"first", "last"}).Draw(t, "up to"), rapid.SampledFrom([]string{"-", "-", "b"}).Draw(t, "separator")))
	}
	if rapid.Bool().Draw(t, "images only") {
		all = append(all, `"countImagesOnly":true`)
	}
	if len(all) == 0 {
		return ""
	}
	return "{" + strings.Join(all, ",") + "}"
}
