package internal_test

import (
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

// markdownLink is a link to a file of the repository, with the part of the page that it leads to.
var markdownLink = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)

// TestPagesAreFound reads every page that people are meant to read: its links lead somewhere, and one leads to it.
func TestPagesAreFound(t *testing.T) {
	t.Parallel()
	pages := map[string]string{}
	tree := os.DirFS("..")
	err := fs.WalkDir(tree, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && len(name) > 1 && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return fs.SkipDir // also what Terraform and others fetch
		}
		if err != nil || d.IsDir() || path.Ext(name) != ".md" {
			return err
		}
		text, err := fs.ReadFile(tree, name)
		pages[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	linked := map[string]bool{"README.md": true, "CHANGELOG.md": true}
	for name, text := range pages {
		for _, m := range markdownLink.FindAllStringSubmatch(text, -1) {
			target := name
			if m[1] != "" {
				target = path.Join(path.Dir(name), m[1])
			}
			if _, err := fs.Stat(tree, target); err != nil {
				t.Errorf("%s links to %s, which is not there", name, target)
				continue
			}
			if m[2] != "" && !anchors(pages[target])[m[2]] {
				t.Errorf("%s links to %s%s, a heading that is not there", name, target, m[2])
			}
			if target != name {
				linked[target] = true
			}
		}
	}
	for name := range pages {
		if !linked[name] && !linked[path.Dir(name)] { // or to its folder, as to the decisions
			t.Errorf("no page links to %s", name)
		}
	}
}

// anchors gives what the headings of a page are linked by.
func anchors(text string) map[string]bool {
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "#") {
			continue
		}
		heading := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
		found["#"+strings.ReplaceAll(regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(heading, ""), " ", "-")] = true
	}
	return found
}
