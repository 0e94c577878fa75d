package workspace

import (
	"regexp"
	"strings"
)

// Matches tells whether the template may have made this tag for an app. A commit may be shorter than {sha} is now: tags that were
// made by hand often are.
func (v Template) Matches(app, tag string) bool {
	matched, err := regexp.MatchString(v.expression(app), tag)
	return err == nil && matched && strings.Contains(string(v), "{app}")
}

// Commit gives the commit, or the beginning of it, that a tag has if the template may have made it for an app; "" if it has none.
func (v Template) Commit(app, tag string) string {
	expression, err := regexp.Compile(v.expression(app))
	if err != nil || v.Moves() || !v.Matches(app, tag) {
		return ""
	}
	return expression.FindStringSubmatch(tag)[1]
}

// expression is what the tags of an app are like. Its first group is the commit, if there is one.
func (v Template) expression(app string) string {
	expression, rest := "^", string(v)
	at := 0
	for _, m := range placeholder.FindAllStringIndex(rest, -1) {
		expression += regexp.QuoteMeta(rest[at:m[0]])
		at = m[1]
		switch rest[m[0]:m[1]] {
		case "{app}":
			expression += regexp.QuoteMeta(app)
		case "{sha}", "{sha8}":
			expression += `([0-9a-f]{7,40})`
		case "{branch}":
			expression += `[a-zA-Z0-9_.-]+`
		default: // {date}; no other passes check
			expression += `[0-9]{8}`
		}
	}
	return expression + regexp.QuoteMeta(rest[at:]) + "$"
}
