package internal_test

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
)

// shownBy is how docs/design/security.md names a test: its package, below internal, and its name.
var shownBy = regexp.MustCompile("`([a-z0-9/]+)\\.((?:Test|Fuzz)[A-Za-z0-9_]+)`")

// checkThreatModel reads the page's tables of attacks. Each row ends with the tests that show the attack to fail; what is
// wrong with the rows is answered.
func checkThreatModel(page string, tree fs.FS) (rows int, problems []string) {
	inTable := false
	for i, line := range strings.Split(page, "\n") {
		complain := func(format string, args ...any) {
			problems = append(problems, fmt.Sprintf("line %d: ", i+1)+fmt.Sprintf(format, args...))
		}
		switch {
		case !strings.HasPrefix(line, "|"):
			inTable = false
			continue
		case strings.HasPrefix(line, "| Attack |"):
			inTable = true
			continue
		case !inTable || strings.HasPrefix(line, "|---"):
			continue
		}
		rows++
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 3 {
			complain("a row has three cells: attack, what stops it, tests: %s", line)
			continue
		}
		named := shownBy.FindAllStringSubmatch(cells[2], -1)
		if len(named) == 0 {
			complain("no test shows that this fails:%s", cells[0])
		}
		for _, name := range named {
			if !hasTest(tree, path.Join("internal", name[1]), name[2]) {
				complain("internal/%s has no test %s", name[1], name[2])
			}
		}
	}
	return rows, problems
}

// hasTest tells whether a directory has the test.
func hasTest(tree fs.FS, dir, name string) bool {
	files, err := fs.Glob(tree, dir+"/*_test.go")
	if err != nil {
		return false
	}
	for _, file := range files {
		text, err := fs.ReadFile(tree, file)
		if err == nil && strings.Contains("\n"+string(text), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}

// TestThreatModel holds docs/design/security.md to the tests that it names: no attack without one.
func TestThreatModel(t *testing.T) {
	t.Parallel()
	tree := os.DirFS("..")
	page, err := fs.ReadFile(tree, "docs/design/security.md")
	if err != nil {
		t.Fatal(err)
	}
	rows, problems := checkThreatModel(string(page), tree)
	for _, p := range problems {
		t.Error("docs/design/security.md: " + p)
	}
	if rows < 30 {
		t.Errorf("docs/design/security.md has %d attacks: this test looks in the wrong place", rows)
	}
}

func TestThreatModelIsRead(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{"internal/api/a/a_test.go": {Data: []byte("package a\n\nfunc TestReal(t *testing.T) {}\n")}}
	const head = "| Attack | What stops it | Shown by |\n|---|---|---|\n"
	for row, want := range map[string]string{
		"| one | a rule | `api/a.TestReal` |":                     "",
		"| one | a rule | hope |":                                 "no test shows that this fails: one",
		"| one | a rule |":                                        "three cells",
		"| one | a rule | `api/a.TestRea` |":                      "internal/api/a has no test TestRea",
		"| one | a rule | `api/b.TestReal` |":                     "internal/api/b has no test TestReal",
		"| one | a rule | `api/a.TestReal`, `api/a.TestUnreal` |": "has no test TestUnreal",
	} {
		rows, problems := checkThreatModel(head+row+"\n\n| Other | table |\n", tree)
		if got := strings.Join(problems, "; "); rows != 1 || (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %d rows, problems %q, want %q", row, rows, got, want)
		}
	}
}
