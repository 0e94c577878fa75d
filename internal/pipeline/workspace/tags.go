package workspace

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/hoopstat-haus/berth/internal/core/oci"
)

// Template is how a tag is made: text with placeholders in braces.
//
//	{app}      the app's name
//	{sha}      the commit, 40 hexadecimal digits
//	{sha8}     the first 8 of them
//	{branch}   the branch, each character that no tag has replaced by a dash, at most 40 of them
//	{date}     the day of the commit in UTC, 20261231
//
// A template with {sha} or {sha8} makes tags that stay where they are; all others move to each new image.
type Template string

// defaultTags are the guide's.
var defaultTags = []Template{"{app}-{sha}", "{app}-latest"}

var (
	placeholder  = regexp.MustCompile(`\{([^{}]*)\}`)
	placeholders = []string{"app", "sha", "sha8", "branch", "date"}
	noTagChars   = regexp.MustCompile(`[^a-zA-Z0-9_.-]+`)
)

const maxBranch = 40

// Values are what the placeholders of a template stand for.
type Values struct {
	App    string
	Commit string // 40 hexadecimal digits
	Branch string // may be empty, where there is none
	Date   time.Time
}

// Moves tells whether the tag goes to each new image, rather than stay with one commit's.
func (v Template) Moves() bool {
	return !strings.Contains(string(v), "{sha}") && !strings.Contains(string(v), "{sha8}")
}

// Expand makes the tag, or says why it would be none.
func (v Template) Expand(values Values) (string, error) {
	if values.Branch == "" && strings.Contains(string(v), "{branch}") {
		return "", fmt.Errorf("tag %s: the commit is on no branch", v)
	}
	tag := placeholder.ReplaceAllStringFunc(string(v), func(name string) string {
		switch name {
		case "{app}":
			return values.App
		case "{sha}":
			return values.Commit
		case "{sha8}":
			return values.Commit[:min(8, len(values.Commit))]
		case "{branch}":
			branch := noTagChars.ReplaceAllString(values.Branch, "-")
			return branch[:min(maxBranch, len(branch))]
		default: // {date}; no other passes check
			return values.Date.UTC().Format("20060102")
		}
	})
	if _, err := oci.ParseTag(tag); err != nil {
		return "", fmt.Errorf("tag %s makes %q, which is no tag: letters, digits, _ . and -, neither of the last two first, at most %d", v, tag, oci.MaxTag)
	}
	return tag, nil
}

// sample is as long as values get.
func sample(app string) Values {
	return Values{App: app, Commit: strings.Repeat("0123456789", 4), Branch: strings.Repeat("b", maxBranch), Date: time.Unix(0, 0)}
}

// check tells what is wrong with a template as such.
func (v Template) check() error {
	for _, m := range placeholder.FindAllStringSubmatch(string(v), -1) {
		if !slices.Contains(placeholders, m[1]) {
			return fmt.Errorf("no placeholder of the name {%s}%s", m[1], meant(m[1], placeholders))
		}
	}
	if strings.ContainsAny(placeholder.ReplaceAllString(string(v), ""), "{}") {
		return fmt.Errorf("a brace has no other; placeholders are {%s}", strings.Join(placeholders, "}, {"))
	}
	if !strings.Contains(string(v), "{app}") {
		return fmt.Errorf("{app} must be in it: all apps are in one repository, and would take the tag from each other")
	}
	_, err := v.Expand(sample("a"))
	return err
}

func (v *Template) read(s *source, path string, node ast.Node) {
	text, ok := s.text(path, node)
	if !ok {
		return
	}
	if err := Template(text).check(); err != nil {
		s.problem(node.GetToken(), "%s: %q: %v", path, text, err)
		return
	}
	*v = Template(text)
}

func (Template) schema() map[string]any {
	return pattern(`^([a-zA-Z0-9_.-]|\{(` + strings.Join(placeholders, "|") + `)\})*\{app\}([a-zA-Z0-9_.-]|\{(` + strings.Join(placeholders, "|") + `)\})*$`)
}
