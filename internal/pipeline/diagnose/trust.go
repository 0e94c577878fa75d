package diagnose

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// statements are those of a policy: a list, or one alone.
type statements []statement

// statement is what is read of one.
type statement struct {
	Sid       string                      `json:"Sid"`
	Effect    string                      `json:"Effect"`
	Action    words                       `json:"Action"`
	NotAction words                       `json:"NotAction"`
	Principal json.RawMessage             `json:"Principal"`
	Condition map[string]map[string]words `json:"Condition"`
}

// words is a list of strings, or one alone.
type words []string

// UnmarshalJSON reads one or many.
func (s *statements) UnmarshalJSON(text []byte) error {
	var many []statement
	err := json.Unmarshal(text, &many)
	if err != nil {
		var one statement
		if json.Unmarshal(text, &one) != nil {
			return err //nolint:wrapcheck // encoding/json words it
		}
		many = []statement{one}
	}
	*s = many
	return nil
}

// UnmarshalJSON reads one or many, also of numbers and booleans.
func (w *words) UnmarshalJSON(text []byte) error {
	var many []any
	if json.Unmarshal(text, &many) != nil {
		var one any
		if err := json.Unmarshal(text, &one); err != nil {
			return err //nolint:wrapcheck // encoding/json words it
		}
		many = []any{one}
	}
	*w = nil
	for _, one := range many {
		*w = append(*w, fmt.Sprint(one))
	}
	return nil
}

// federated are the providers that a statement is about.
func (s statement) federated() []string {
	var named struct {
		Federated words `json:"Federated"`
	}
	if json.Unmarshal(s.Principal, &named) != nil {
		return nil // "*", or of another form
	}
	return named.Federated
}

// called is how a statement is told from others.
func (s statement) called(i int) string {
	if s.Sid != "" {
		return "statement " + s.Sid
	}
	return fmt.Sprintf("statement %d", i+1)
}

// trustVerdict is what a trust policy says of a token.
type trustVerdict struct {
	allowed bool
	why     []string // it is not
	unsure  []string // conditions about something else than the token
}

const byToken = "sts:AssumeRoleWithWebIdentity"

// judgeTrust compares a trust policy with the claims of a token: what a condition asks for, and what the token says. The provider is
// its ARN, claims have all their values by name.
func judgeTrust(document, providerARN string, claims map[string][]string) (trustVerdict, error) {
	var d struct {
		Statement statements `json:"Statement"`
	}
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		return trustVerdict{}, fmt.Errorf("it is no policy: %w", err)
	}
	_, issuer, _ := strings.Cut(providerARN, ":oidc-provider/")
	var nearest *trustVerdict
	var others []string
	wrongAction := ""
	for i, s := range d.Statement {
		if !slices.ContainsFunc(s.federated(), func(f string) bool { return f == providerARN || f == "*" }) {
			others = append(others, s.federated()...)
			continue
		}
		if !s.covers(byToken) {
			wrongAction = fmt.Sprintf("%s trusts the provider with %s, and a token needs %s", s.called(i), strings.Join(s.Action, ", "), byToken)
			continue
		}
		v := s.compare(issuer, claims)
		if s.Effect == "Deny" {
			if len(v.why) == 0 && len(v.unsure) == 0 {
				return trustVerdict{why: []string{s.called(i) + " denies it"}}, nil
			}
			continue
		}
		v.allowed = len(v.why) == 0
		if nearest == nil || len(v.why) < len(nearest.why) {
			nearest = &v
		}
	}
	switch {
	case nearest != nil:
		return *nearest, nil
	case wrongAction != "":
		return trustVerdict{why: []string{wrongAction}}, nil
	case len(others) > 0:
		return trustVerdict{why: []string{fmt.Sprintf("it trusts %s, and the token's provider is %s", strings.Join(others, ", "), providerARN)}}, nil
	default:
		return trustVerdict{why: []string{"it trusts no identity provider; the token's would be " + providerARN}}, nil
	}
}

// covers tells whether a statement is about an action.
func (s statement) covers(action string) bool {
	is := func(pattern string) bool { return like(strings.ToLower(pattern), strings.ToLower(action)) }
	if len(s.NotAction) > 0 {
		return !slices.ContainsFunc(s.NotAction, is)
	}
	return slices.ContainsFunc(s.Action, is)
}

// compare holds a statement's conditions against claims.
func (s statement) compare(issuer string, claims map[string][]string) (v trustVerdict) {
	for _, operator := range slices.Sorted(maps.Keys(s.Condition)) {
		for _, key := range slices.Sorted(maps.Keys(s.Condition[operator])) {
			claim, ours := strings.CutPrefix(strings.ToLower(key), strings.ToLower(issuer)+":")
			if !ours {
				v.unsure = append(v.unsure, key)
				continue
			}
			want := s.Condition[operator][key]
			got := claims[claim]
			fits, known := compareClaim(operator, want, got)
			switch {
			case !known:
				v.unsure = append(v.unsure, operator+" of "+key)
			case !fits:
				v.why = append(v.why, mismatch(operator, claim, want, got))
			}
		}
	}
	return v
}

// compareClaim evaluates one condition. Not known are operators that are not about text.
func compareClaim(operator string, want, got []string) (fits, known bool) {
	name, ifExists := strings.CutSuffix(operator, "IfExists")
	name, all := strings.CutPrefix(name, "ForAllValues:")
	name = strings.TrimPrefix(name, "ForAnyValue:")
	negative := strings.HasPrefix(name, "StringNot")
	var is func(want, got string) bool
	switch strings.Replace(name, "StringNot", "String", 1) {
	case "StringEquals":
		is = func(want, got string) bool { return want == got }
	case "StringEqualsIgnoreCase":
		is = strings.EqualFold
	case "StringLike":
		is = like
	default:
		return false, false
	}
	if len(got) == 0 {
		return ifExists || all || negative, true
	}
	one := func(g string) bool {
		return slices.ContainsFunc(want, func(w string) bool { return is(w, g) }) != negative
	}
	if all || negative {
		return !slices.ContainsFunc(got, func(g string) bool { return !one(g) }), true
	}
	return slices.ContainsFunc(got, one), true
}

// like matches * and ? of a policy.
func like(pattern, text string) bool {
	expression := regexp.QuoteMeta(pattern)
	expression = strings.ReplaceAll(strings.ReplaceAll(expression, `\*`, `.*`), `\?`, `.`)
	matched, err := regexp.MatchString("(?s)^"+expression+"$", text)
	return err == nil && matched
}

// mismatch words what a condition asks for and does not get, and why that may be.
func mismatch(operator, claim string, want, got []string) string {
	said := "has none"
	if len(got) > 0 {
		said = "says " + quoted(got)
	}
	text := fmt.Sprintf("%s wants %s to be %s, and the token %s", operator, claim, quoted(want), said)
	if strings.Contains(operator, "Not") {
		text = fmt.Sprintf("%s wants %s not to be %s, and the token %s", operator, claim, quoted(want), said)
	}
	for _, g := range got {
		for _, w := range want {
			if why := whyNot(operator, w, g); why != "" {
				return text + ": " + why
			}
		}
	}
	return text
}

func quoted(all []string) string {
	texts := make([]string, 0, len(all))
	for _, one := range all {
		texts = append(texts, fmt.Sprintf("%q", one))
	}
	return strings.Join(texts, " or ")
}

// ids are those of GitHub's immutable subjects, as in repo:ORG@123/REPO@456:ref:refs/heads/main.
var ids = regexp.MustCompile(`@\d+(/|:|$)`)

// whyNot gives the usual reasons.
func whyNot(operator, want, got string) string {
	plainWant, plainGot := ids.ReplaceAllString(want, "$1"), ids.ReplaceAllString(got, "$1")
	switch {
	case strings.Contains(operator, "Not"):
		return ""
	case strings.Contains(operator, "StringEquals") && strings.ContainsAny(want, "*?") && like(want, got):
		return "StringEquals takes * and ? for themselves; StringLike is meant"
	case strings.EqualFold(want, got):
		return "they differ in upper and lower case"
	case plainWant != want != (plainGot != got) && like(plainWant, plainGot):
		return "GitHub puts ids into the subjects of repositories that are new, renamed or transferred, as in repo:ORG@123/REPO@456"
	}
	wantRepo, wantRest, isWant := subject(plainWant)
	gotRepo, gotRest, isGot := subject(plainGot)
	switch {
	case !isWant || !isGot:
		return ""
	case !like(wantRepo, gotRepo):
		return fmt.Sprintf("it is for the repository %s, and this is %s", wantRepo, gotRepo)
	case strings.HasPrefix(gotRest, "environment:") && !strings.HasPrefix(wantRest, "environment:"):
		return "the job has an environment, which stands in the subject in the branch's place"
	case strings.HasPrefix(wantRest, "environment:") && !strings.HasPrefix(gotRest, "environment:"):
		return "the job has no environment: in the workflow"
	case gotRest == "pull_request":
		return "the run is of a pull request, whatever its branch is called"
	case strings.HasPrefix(gotRest, "ref:refs/tags/") && strings.HasPrefix(wantRest, "ref:refs/heads/"):
		return "the run is of a tag, and the policy is for a branch"
	case strings.HasPrefix(wantRest, "ref:") && !strings.HasPrefix(wantRest, "ref:refs/") && !strings.HasPrefix(wantRest, "ref:*"):
		return "a branch is written ref:refs/heads/" + strings.TrimPrefix(wantRest, "ref:")
	case strings.HasPrefix(gotRest, "ref:"):
		return "the run is of " + path.Clean(strings.TrimPrefix(gotRest, "ref:"))
	default:
		return ""
	}
}

// subject parts one of GitHub's.
func subject(s string) (repo, rest string, ok bool) {
	s, ok = strings.CutPrefix(s, "repo:")
	repo, rest, _ = strings.Cut(s, ":")
	return repo, rest, ok
}
