package discover_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/discover"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

type tree map[string]string

func (tree) Links() map[string]string { return nil }

func (t tree) Files() []string {
	var names []string
	for name := range t {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (t tree) Read(name string) ([]byte, error) { return []byte(t[name]), nil }

// of makes a tree of files with nothing in them.
func of(names ...string) tree {
	t := tree{}
	for _, name := range names {
		t[name] = ""
	}
	return t
}

func TestLook(t *testing.T) {
	t.Parallel()
	const copying = "FROM scratch\nCOPY libs/a /a\n"
	for _, tt := range []struct {
		name                  string
		tree                  tree
		apps, libs            string
		contexts              map[string]string
		doubtful, twice, kind string
	}{
		{name: "the usual", tree: of("apps/a/Dockerfile", "apps/b/go.mod", "libs/c/package.json"), apps: "apps/*", libs: "libs/*", kind: "a app, b utility, c lib", doubtful: "a"},
		{name: "other names", tree: of("services/a/Dockerfile", "packages/b/package.json", "crates/c/Cargo.toml"), apps: "services/*", libs: "crates/* packages/*", kind: "a app, b lib, c lib", doubtful: "a"},
		{name: "by what is in them", tree: of("deploy/a/Dockerfile", "common/b/pyproject.toml"), apps: "deploy/*", libs: "common/*", kind: "a app, b lib", doubtful: "a"},
		{name: "at the root", tree: of("web/Dockerfile", "web/package.json", "auth/go.mod", "Dockerfile", "go.mod"), apps: "web", libs: "auth", kind: "auth lib, web app", doubtful: "web"},
		{name: "deep", tree: of("src/go/apps/a/Dockerfile", "src/go/libs/b/go.mod"), apps: "src/go/apps/*", libs: "src/go/libs/*", kind: "a app, b lib", doubtful: "a"},
		{name: "an app in parts", tree: of("apps/a/Dockerfile", "apps/a/frontend/package.json", "apps/a/db/Dockerfile"), apps: "apps/*", kind: "a app", doubtful: "a"},
		{name: "a manifest around them", tree: of("js/package.json", "js/apps/a/Dockerfile", "js/libs/b/package.json"), apps: "js/apps/*", libs: "js/libs/*", kind: "a app, b lib", doubtful: "a"},
		{name: "what is somebody else's", tree: of("apps/a/Dockerfile", "vendor/x/go.mod", "apps/a/node_modules/y/package.json", ".github/z/Dockerfile", "libs/b/testdata/w/go.mod"), apps: "apps/*", kind: "a app", doubtful: "a"},
		{name: "two of a name", tree: of("apps/a/Dockerfile", "libs/a/go.mod"), apps: "apps/*", libs: "libs/* !libs/a", kind: "a app", twice: "libs/a is called like apps/a: it is left out until one of them is renamed", doubtful: "a"},
		{name: "from the root", tree: tree{"apps/a/Dockerfile": copying, "apps/b/Dockerfile": "FROM scratch\nCOPY x* /\n", "apps/b/xy": "", "apps/c/Dockerfile": "FROM scratch\nCOPY dist /\n", "libs/a1/go.mod": "", "libs/a": ""}, apps: "apps/*", libs: "libs/*", kind: "a app, a1 lib, b app, c app", contexts: map[string]string{"a": "."}, doubtful: "c"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			found, err := discover.Look(tt.tree, "", "Mono Repo")
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(found.Apps, " "); got != tt.apps {
				t.Errorf("apps are %q, want %q", got, tt.apps)
			}
			if got := strings.Join(found.Libs, " "); got != tt.libs {
				t.Errorf("libs are %q, want %q", got, tt.libs)
			}
			if tt.contexts == nil {
				tt.contexts = map[string]string{}
			}
			if diff := cmp.Diff(tt.contexts, found.Contexts); diff != "" {
				t.Errorf("contexts (-want +got):\n%s", diff)
			}
			if got := strings.Join(found.Doubtful, " "); got != tt.doubtful {
				t.Errorf("doubtful are %q, want %q", got, tt.doubtful)
			}
			if got := strings.Join(found.Twice, " "); got != tt.twice {
				t.Errorf("twice is %q, want %q", got, tt.twice)
			}
			file, err := workspace.Parse("berth.yaml", found.Text())
			if err != nil {
				t.Fatalf("%v:\n%s", err, found.Text())
			}
			members, err := file.Resolve(tt.tree.Files())
			if err != nil {
				t.Fatalf("%v:\n%s", err, found.Text())
			}
			var kinds []string
			for _, m := range members {
				kinds = append(kinds, m.Name+" "+string(m.Kind))
			}
			if got := strings.Join(kinds, ", "); got != tt.kind {
				t.Errorf("projects are %q, want %q", got, tt.kind)
			}
		})
	}
	if _, err := discover.Look(of("README.md", "libs/a/go.mod"), "", "x"); !errors.Is(err, discover.ErrNothing) {
		t.Errorf("Look at libraries alone = %v, want nothing", err)
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ origin, directory, want string }{
		{"https://github.com/Hoopstat-Haus/Haus.git", "x", "hoopstat-haus/haus"},
		{"git@github.com:hoopstat-haus/haus.git", "x", "hoopstat-haus/haus"},
		{"ssh://git@example.com:22/group/sub/name", "x", "sub/name"},
		{"", "My Repo_1", "my-repo-1"},
		{"/srv/git/x.git", "yy", "yy"},
		{"https://example.com/", "y", "images"},
		{"", "ü", "images"},
	} {
		found, _ := discover.Look(of("apps/a/Dockerfile"), tt.origin, tt.directory)
		if found.Repository != tt.want {
			t.Errorf("the repository of %q in %q is %q, want %q", tt.origin, tt.directory, found.Repository, tt.want)
		}
	}
}

// TestText quotes what YAML would take for something else.
func TestText(t *testing.T) {
	t.Parallel()
	files := tree{"apps/1.0/Dockerfile": "FROM scratch\nCOPY x /", "x": "", "apps/true/Dockerfile": "FROM scratch\nCOPY x /", "on/Dockerfile": "", "a: b/go.mod": "", "#c/go.mod": ""}
	found, err := discover.Look(files, "", "prod")
	if err != nil {
		t.Fatal(err)
	}
	found.Libs = nil // such names are none of a project, but the file must be one
	file, err := workspace.Parse("berth.yaml", found.Text())
	if err != nil {
		t.Fatalf("%v:\n%s", err, found.Text())
	}
	if _, err := file.Resolve(files.Files()); err != nil {
		t.Errorf("%v:\n%s", err, found.Text())
	}
}
