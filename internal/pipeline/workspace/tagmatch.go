package workspace

import (
	"regexp"
	"strings"
)

// Matches tells whether the template may have made this tag for an app. A commit may be shorter than {sha} is now: tags that were
// made by hand often are.
func (v Template) Matches(app, tag string) bool {
	expression, rest := "^", string(v)
	at := 0
	for _, m := range placeholder.FindAllStringIndex(rest, -1) {
		expression += regexp.QuoteMeta(rest[at:m[0]])
		at = m[1]
		switch rest[m[0]:m[1]] {
		case "{app}":
			expression += regexp.QuoteMeta(app)
		case "{sha}", "{sha8}":
			expression += `[0-9a-f]{7,40}`
		case "{branch}":
			expression += `[a-zA-Z0-9_.-]+`
		default: // {date}; no other passes check
			expression += `[0-9]{8}`
		}
	}
	matched, err := regexp.MatchString(expression+regexp.QuoteMeta(rest[at:])+"$", tag)
	return err == nil && matched && strings.Contains(rest, "{app}")
}
