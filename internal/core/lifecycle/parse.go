package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/fault"
)

// Limits of a policy (ECR's API model and its user guide, "Lifecycle policy properties").
const (
	MinText      = 100   // characters
	MaxText      = 30720 // characters
	maxRules     = 50
	maxTagLists  = MaxText // entries of one list: the text's length bounds them
	maxWildcards = 4       // in a pattern
	minArchived  = 90      // days that an archived image is kept at least
)

// mismatch is what ECR says where members of a rule do not go together.
const mismatch = "instance failed to match exactly one schema (matched 0 out of 2)"

// Parse reads a policy as strictly as ECR: no unknown members, no nulls, no empty lists, and only what goes
// together. It answers fault.InvalidParameter in ECR's words. Beyond ECR's grammar a rule may have a member
// "berth": see Extension.
func Parse(text string) (Policy, error) {
	switch n := utf8.RuneCountInString(text); {
	case n < MinText:
		return Policy{}, fault.BadParameter("lifecyclePolicyText", fmt.Sprintf("Member must have length greater than or equal to %d", MinText))
	case n > MaxText:
		return Policy{}, fault.BadParameter("lifecyclePolicyText", fmt.Sprintf("Member must have length less than or equal to %d", MaxText))
	}
	v, err := decode(text)
	if err != nil {
		f := invalid("Could not map policyString into LifecyclePolicy.")
		f.Cause = err
		return Policy{}, f
	}
	top, err := members(v, []string{"rules"}, nil)
	if err != nil {
		return Policy{}, err
	}
	list, err := array(top["rules"], maxRules)
	if err != nil {
		return Policy{}, err
	}
	var p Policy
	for _, item := range list {
		r, err := parseRule(item)
		if err != nil {
			return Policy{}, err
		}
		p.Rules = append(p.Rules, r)
	}
	slices.SortStableFunc(p.Rules, func(a, b Rule) int { return cmp.Compare(a.Priority, b.Priority) })
	return p, checkTogether(p.Rules)
}

// invalid is ECR's sentence about a policy.
func invalid(format string, args ...any) *fault.Error {
	return fault.BadParameter("LifecyclePolicyText", "Lifecycle policy validation failure: "+fmt.Sprintf(format, args...))
}

func parseRule(v any) (Rule, error) {
	o, err := members(v, []string{"action", "rulePriority", "selection"}, []string{"berth", "description"})
	if err != nil {
		return Rule{}, err
	}
	var r Rule
	if r.Priority, err = positive(o["rulePriority"]); err != nil {
		return Rule{}, err
	}
	if d, there := o["description"]; there {
		s, ok := d.(string)
		if !ok {
			return Rule{}, wrongType(d, "string")
		}
		r.Description = &s
	}
	if r.Action, err = parseAction(o["action"]); err != nil {
		return Rule{}, err
	}
	if r.Selection, err = parseSelection(o["selection"]); err != nil {
		return Rule{}, err
	}
	if e, there := o["berth"]; there {
		if r.Berth, err = parseExtension(e); err != nil {
			return Rule{}, err
		}
	}
	return r, checkRule(r)
}

func parseAction(v any) (Action, error) {
	o, err := members(v, []string{"type"}, []string{"targetStorageClass"})
	if err != nil {
		return Action{}, err
	}
	target, there := o["targetStorageClass"]
	switch {
	case o["type"] == string(Expire) && !there:
		return Action{Type: Expire}, nil
	case o["type"] == string(Transition) && target == string(Archive):
		return Action{Type: Transition, Target: Archive}, nil
	}
	return Action{}, invalid(mismatch)
}

func parseSelection(v any) (Selection, error) {
	o, err := members(v, []string{"countNumber", "countType", "tagStatus"},
		[]string{"countUnit", "storageClass", "tagPatternList", "tagPrefixList"})
	if err != nil {
		return Selection{}, err
	}
	var s Selection
	if s.TagStatus, err = oneOf(o["tagStatus"], AnyTag, Tagged, Untagged); err != nil {
		return Selection{}, err
	}
	if list, there := o["tagPrefixList"]; there {
		if s.Prefixes, err = texts(list, maxTagLists); err != nil {
			return Selection{}, err
		}
	}
	if list, there := o["tagPatternList"]; there {
		if s.Patterns, err = texts(list, maxTagLists); err != nil {
			return Selection{}, err
		}
	}
	if class, there := o["storageClass"]; there {
		if s.Storage, err = oneOf(class, Archive, Standard); err != nil {
			return Selection{}, err
		}
	}
	if s.CountType, err = oneOf(o["countType"], CountMoreThan, SincePulled, SincePushed, SinceTransitioned); err != nil {
		return Selection{}, invalid(mismatch)
	}
	unit, there := o["countUnit"]
	switch counted := s.CountType == CountMoreThan; {
	case counted && there, !counted && unit != "days":
		return Selection{}, invalid(mismatch)
	case !counted:
		s.CountUnit = "days"
	}
	s.CountNumber, err = positive(o["countNumber"])
	return s, err
}

// checkRule holds a rule's members against each other.
func checkRule(r Rule) error {
	s := r.Selection
	lists := len(s.Prefixes) + len(s.Patterns)
	switch {
	case s.TagStatus == Tagged && lists == 0:
		return invalid("Must specify tagPrefixList or tagPatternList when tagStatus=TAGGED.")
	case s.TagStatus != Tagged && lists > 0:
		return invalid("Must not specify tagPrefixList or tagPatternList unless tagStatus=TAGGED.")
	case len(s.Prefixes) > 0 && len(s.Patterns) > 0:
		return invalid("Must specify only one of tagPrefixList and tagPatternList.")
	}
	for _, p := range s.Patterns {
		if strings.Count(p, "*") > maxWildcards {
			return invalid("A pattern in tagPatternList must have at most %d wildcards (*): %q", maxWildcards, p)
		}
	}
	if err := checkExtension(r); err != nil {
		return err
	}
	if s.CountType == SinceTransitioned {
		switch {
		case s.Storage != Archive || r.Action.Type != Expire:
			return invalid(mismatch)
		case s.CountNumber < minArchived:
			return invalid("Lifecycle policies cannot delete images archived for less than %d days.", minArchived)
		}
		return nil
	}
	if s.Class() != Standard || s.CountType == SincePulled && r.Action.Type != Transition && !r.berth().ExpireByPull {
		return invalid(mismatch)
	}
	return nil
}

// checkTogether holds the rules, in order of priority, against each other.
func checkTogether(rules []Rule) error {
	type selector struct {
		class StorageClass
		what  string
	}
	seen := map[selector]bool{}
	for i, r := range rules {
		class := r.Selection.Class()
		if i > 0 && rules[i-1].Priority == r.Priority {
			return invalid("Rule priorities must be unique. Found more than one rule with rulePriority %d.", r.Priority)
		}
		if seen[selector{class, string(AnyTag)}] {
			return invalid("Rule for tagStatus=ANY must have the lowest priority per storage class")
		}
		switch r.Selection.TagStatus {
		case AnyTag:
			seen[selector{class, string(AnyTag)}] = true
		case Untagged:
			if seen[selector{class, string(Untagged)}] {
				return invalid("Only one rule can select Untagged images per storage class.")
			}
			seen[selector{class, string(Untagged)}] = true
		case Tagged:
			for _, t := range slices.Concat(r.Selection.Prefixes, r.Selection.Patterns) {
				key := selector{class, "tag:" + t}
				if seen[key] {
					return invalid("Tag prefixes and patterns must be unique across rules per storage class. Found %q more than once.", t)
				}
				seen[key] = true
			}
		}
	}
	return nil
}
