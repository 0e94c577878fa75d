package lifecycle

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Rules are a policy's rules by priority. A reader of what a server has accepted, it checks nothing.
type Rules map[int32]Rule

// Rule is one rule of a policy, as far as a sentence about it goes.
type Rule struct {
	Priority    int32  `json:"rulePriority"`
	Description string `json:"description"`
	Selection   struct {
		TagStatus    string   `json:"tagStatus"`
		Prefixes     []string `json:"tagPrefixList"`
		Patterns     []string `json:"tagPatternList"`
		StorageClass string   `json:"storageClass"`
		CountType    string   `json:"countType"`
		CountUnit    string   `json:"countUnit"`
		CountNumber  int64    `json:"countNumber"`
	} `json:"selection"`
	more []string // members of the selection that are not above, with their values
}

// known are the members that Rule.Selection has.
var known = []string{"tagStatus", "tagPrefixList", "tagPatternList", "storageClass", "countType", "countUnit", "countNumber"}

// ReadRules reads a policy's text.
func ReadRules(text string) (Rules, error) {
	var policy struct {
		Rules []json.RawMessage `json:"rules"`
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	rules := Rules{}
	for _, raw := range policy.Rules {
		var r Rule
		var members struct {
			Selection map[string]json.RawMessage `json:"selection"`
		}
		if err := json.Unmarshal(raw, &r); err != nil {
			return nil, fmt.Errorf("reading a rule of the policy: %w", err)
		}
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, fmt.Errorf("reading a rule of the policy: %w", err)
		}
		for _, name := range slices.Sorted(maps.Keys(members.Selection)) {
			if !slices.Contains(known, name) {
				r.more = append(r.more, name+" "+string(members.Selection[name]))
			}
		}
		rules[r.Priority] = r
	}
	return rules, nil
}

// same tells whether two texts are one policy, though perhaps not letter by letter.
func (rs Rules) same(other Rules) bool { return reflect.DeepEqual(rs, other) }

// byPulls tells whether a rule goes by when an image was last pulled.
func (rs Rules) byPulls() bool {
	for _, r := range rs {
		if r.Selection.CountType == "sinceImagePulled" {
			return true
		}
	}
	return false
}

// Words says which images the rule is about and from when on or beyond how many, such as "tagged v*, all but the newest 10".
func (r Rule) Words() string {
	s := r.Selection
	var parts []string
	switch s.TagStatus {
	case "tagged":
		parts = append(parts, "tagged "+strings.Join(r.patterns(), " and "))
	case "any":
		parts = append(parts, "any image")
	default:
		parts = append(parts, s.TagStatus)
	}
	if s.StorageClass == "archive" {
		parts = append(parts, "in the archive")
	}
	switch s.CountType {
	case "imageCountMoreThan":
		if s.CountNumber == 1 {
			parts = append(parts, "all but the newest")
		} else {
			parts = append(parts, fmt.Sprintf("all but the newest %d", s.CountNumber))
		}
	case "sinceImagePushed":
		parts = append(parts, "pushed over "+r.age())
	case "sinceImagePulled":
		parts = append(parts, "last pulled, or never and pushed, over "+r.age())
	case "sinceImageTransitioned":
		parts = append(parts, "archived over "+r.age())
	default:
		parts = append(parts, fmt.Sprintf("%s %d", s.CountType, s.CountNumber))
	}
	return strings.Join(append(parts, r.more...), ", ")
}

func (r Rule) patterns() []string {
	all := slices.Clone(r.Selection.Patterns)
	for _, p := range r.Selection.Prefixes {
		all = append(all, p+"*")
	}
	return all
}

func (r Rule) age() string {
	unit := r.Selection.CountUnit
	if r.Selection.CountNumber == 1 {
		unit = strings.TrimSuffix(unit, "s")
	}
	return fmt.Sprintf("%d %s ago", r.Selection.CountNumber, unit)
}

// reason says why a decision is about an image. Where the image refers to another that the same rule decides about, that
// is the reason: on its own it would not count.
func (rs Rules) reason(img Image, d Decision, decided map[oci.Digest]Decision) string {
	if of, ok := decided[img.Subject]; ok && of.Rule == d.Rule && img.Subject != "" {
		return "goes with " + img.Subject.Short() + ", to which it refers"
	}
	r, ok := rs[d.Rule]
	if !ok {
		return "the policy has no such rule any more"
	}
	words := r.Words()
	if r.Description != "" {
		words += " (" + oneLine(r.Description) + ")"
	}
	return words
}

// oneLine keeps a description from breaking a table.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
