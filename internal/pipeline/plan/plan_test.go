package plan_test

import (
	"bytes"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

var update = flag.Bool("update", false, "rewrite what the stories expect")

// tree is files in memory. One that begins with -> is a link to what follows.
type tree map[string]string

func (t tree) Files() []string {
	var names []string
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t tree) Read(name string) ([]byte, error) {
	text, ok := t[name]
	if to, isLink := t.Links()[name]; isLink {
		return t.Read(path.Join(path.Dir(name), to))
	}
	if !ok {
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	return []byte(text), nil
}

func (t tree) Links() map[string]string {
	links := map[string]string{}
	for name, text := range t {
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			links[name] = strings.TrimSpace(to)
		}
	}
	return links
}

// read makes the graph of a tree.
func read(t *testing.T, files tree) *plan.Graph {
	t.Helper()
	file, err := workspace.Parse("berth.yaml", []byte(files["berth.yaml"]))
	if err != nil {
		t.Fatal(err)
	}
	members, err := file.Resolve(files.Files())
	if err != nil {
		t.Fatal(err)
	}
	return plan.Read(file, members, files)
}

// TestStories runs the stories in testdata. Each is a tree, after lines that say which paths change:
//
//	change PATH...
//
// and "want": what each project depends on, notes, and for each line of changes the projects that it affects, in order.
func TestStories(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(names) < 5 {
		t.Fatalf("stories: %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files, want := tree{}, ""
			for _, f := range archive.Files {
				if f.Name == "want" {
					want = string(f.Data)
					continue
				}
				files[f.Name] = string(f.Data)
			}
			got := tell(read(t, files), string(archive.Comment))
			if *update {
				archive.Files = slices.DeleteFunc(archive.Files, func(f txtar.File) bool { return f.Name == "want" })
				archive.Files = append(archive.Files, txtar.File{Name: "want", Data: []byte(got)})
				if err := os.WriteFile(name, txtar.Format(archive), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", name, diff)
			}
		})
	}
}

// tell says what a graph is, and what changes do.
func tell(g *plan.Graph, comment string) string {
	var b bytes.Buffer
	for _, p := range g.Projects() {
		for _, d := range p.Dependencies {
			fmt.Fprintf(&b, "%s depends on %s (%s)\n", p.Name, d.Name, d.Why)
		}
	}
	for _, note := range g.Notes() {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	order, cycles := g.Order()
	names := make([]string, len(order))
	for i, p := range order {
		names[i] = p.Name
	}
	fmt.Fprintf(&b, "order: %s\n", strings.Join(names, " "))
	for _, c := range cycles {
		fmt.Fprintf(&b, "cycle: %s\n", strings.Join(c, " "))
	}
	for line := range strings.Lines(comment) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "change" {
			continue
		}
		fmt.Fprintf(&b, "\n%s\n", strings.Join(words, " "))
		for _, a := range g.Affected(plan.Question{Paths: words[1:]}) {
			do := "test"
			if a.Build {
				do = "test and build"
			}
			for i, r := range a.Reasons {
				if i == 0 {
					fmt.Fprintf(&b, "  %s %s: %s\n", do, a.Name, r)
				} else {
					fmt.Fprintf(&b, "    %s\n", r)
				}
			}
		}
	}
	return b.String()
}
