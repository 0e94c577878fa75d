// Package discover describes a monorepo that has no berth.yaml yet: it looks which directories are apps and libraries,
// and writes the file.
package discover

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// ErrNothing is that no directory looks like an app.
var ErrNothing = errors.New("no directory looks like an app")

// Found is what a monorepo looks like.
type Found struct {
	Repository string
	Apps, Libs []string          // patterns
	Test       map[string]string // by language
	Contexts   map[string]string // of apps whose Dockerfile copies from elsewhere than its own directory
	Doubtful   []string          // apps of which that cannot be told
	Twice      []string          // directories that are called like others, and are left out
}

// A directory is an app if it has a Dockerfile, or if its parent is called like places for apps are and it has a
// manifest; it is a library if it has a manifest alone.
var (
	appPlaces = []string{"apps", "applications", "services", "functions", "lambdas", "jobs", "cmd"}
	libPlaces = []string{"libs", "lib", "libraries", "packages", "pkgs", "shared", "crates", "modules"}
	manifests = map[string]string{"go.mod": "go", "package.json": "node", "pyproject.toml": "python", "setup.py": "python", "requirements.txt": "python", "Cargo.toml": "rust"}
)

// Look describes a tree. The repository's name is taken from the remote's URL, or from the directory's name.
func Look(tree plan.Tree, origin, directory string) (Found, error) {
	f := Found{Repository: repositoryName(origin, directory), Test: map[string]string{}, Contexts: map[string]string{}}
	projects := map[string]bool{} // directories, and whether each is an app
	for _, name := range tree.Files() {
		dir, base := path.Split(name)
		dir = strings.TrimSuffix(dir, "/")
		if dir == "" || hidden(dir) {
			continue
		}
		language, ok := manifests[base]
		switch {
		case base == "Dockerfile":
			projects[dir] = true
		case ok:
			projects[dir] = projects[dir] || slices.Contains(appPlaces, path.Base(path.Dir(dir)))
			if f.Test[language] == "" || language == "python" {
				f.Test[language] = testOf(tree, language, name, f.Test[language])
			}
		}
	}
	f.outermost(projects)
	f.group(projects)
	if len(f.Apps) == 0 {
		return f, ErrNothing
	}
	f.contexts(tree, projects)
	return f, nil
}

// hidden tells whether a directory is somebody else's, or for tests.
func hidden(dir string) bool {
	for part := range strings.SplitSeq(dir, "/") {
		if strings.HasPrefix(part, ".") || slices.Contains([]string{"node_modules", "vendor", "testdata", "examples", "third_party"}, part) {
			return true
		}
	}
	return false
}

// testOf is how projects of a language are usually tested.
func testOf(tree plan.Tree, language, manifest, before string) string {
	switch language {
	case "go":
		return "go test ./..."
	case "node":
		return "npm test --if-present"
	case "rust":
		return "cargo test"
	}
	if text, err := tree.Read(manifest); err == nil && strings.Contains(string(text), "pytest") {
		return "python3 -m pytest"
	}
	if before != "" {
		return before
	}
	return "python3 -m unittest discover"
}

// outermost leaves out what is inside of another project, since it is a part of it. A library with apps two
// directories below is no project but the place in which they share a manifest, such as a workspace of npm.
func (f *Found) outermost(projects map[string]bool) {
	for dir, app := range projects {
		for at := path.Dir(path.Dir(dir)); app && at != "."; at = path.Dir(at) {
			if outer, ok := projects[at]; ok && !outer {
				delete(projects, at)
			}
		}
	}
	for dir := range projects {
		for at := path.Dir(dir); at != "."; at = path.Dir(at) {
			if _, ok := projects[at]; ok {
				delete(projects, dir)
				break
			}
		}
	}
}

// group makes patterns of directories: all that are in one, if they are of one kind.
func (f *Found) group(projects map[string]bool) {
	places := map[string][]string{}
	for dir := range projects {
		places[path.Dir(dir)] = append(places[path.Dir(dir)], dir)
	}
	names := map[string]string{}
	for _, place := range slices.Sorted(maps.Keys(places)) {
		dirs := places[place]
		slices.Sort(dirs)
		apps := slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return !projects[dir] })
		base := path.Base(place)
		switch {
		case place == ".":
			f.Apps = append(f.Apps, apps...)
			f.Libs = append(f.Libs, slices.DeleteFunc(slices.Clone(dirs), func(dir string) bool { return projects[dir] })...)
		case len(apps) == 0 || slices.Contains(libPlaces, base) && len(apps) < len(dirs):
			f.Libs = append(f.Libs, place+"/*")
		default:
			f.Apps = append(f.Apps, place+"/*")
		}
		for _, dir := range dirs {
			if other, ok := names[path.Base(dir)]; ok {
				f.Twice = append(f.Twice, fmt.Sprintf("%s is called like %s: it is left out until one of them is renamed", dir, other))
				f.leaveOut(place, dir)
				continue
			}
			names[path.Base(dir)] = dir
		}
	}
}

func (f *Found) leaveOut(place, dir string) {
	for _, list := range []*[]string{&f.Apps, &f.Libs} {
		if i := slices.Index(*list, place+"/*"); i >= 0 {
			*list = append(*list, "!"+dir)
		}
		*list = slices.DeleteFunc(*list, func(g string) bool { return g == dir })
	}
}

// contexts finds the apps whose Dockerfiles copy from the root.
func (f *Found) contexts(tree plan.Tree, projects map[string]bool) {
	for _, dir := range slices.Sorted(maps.Keys(projects)) {
		if !projects[dir] || !has(tree, dir+"/Dockerfile") {
			continue
		}
		switch context := plan.ContextOf(tree, dir+"/Dockerfile"); context {
		case dir:
		case "":
			f.Doubtful = append(f.Doubtful, path.Base(dir))
		default:
			f.Contexts[path.Base(dir)] = context
		}
	}
}

func has(tree plan.Tree, name string) bool {
	_, ok := slices.BinarySearch(tree.Files(), name)
	return ok
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

// repositoryName is owner/name of a remote such as git@example.com:owner/name.git, or what a directory is called.
func repositoryName(origin, directory string) string {
	_, rest, ok := strings.Cut(origin, "://")
	if ok {
		_, rest, ok = strings.Cut(rest, "/")
	} else {
		_, rest, ok = strings.Cut(origin, ":")
	}
	if !ok {
		rest = directory
	}
	var parts []string
	for part := range strings.SplitSeq(strings.TrimSuffix(strings.Trim(rest, "/"), ".git"), "/") {
		if part = strings.Trim(notInName.ReplaceAllString(strings.ToLower(part), "-"), "-"); part != "" {
			parts = append(parts, part)
		}
	}
	name := strings.Join(parts[max(0, len(parts)-2):], "/")
	if _, err := oci.ParseRepositoryName(name); err != nil {
		return "images"
	}
	return name
}

// Text is the file that says so.
func (f Found) Text() []byte {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# The pipeline's description of this monorepo. Every key is explained by: berth config schema")
	line("repository: %s", f.Repository)
	line("")
	list := func(key string, globs []string) {
		line("%s:", key)
		for _, g := range globs {
			line("  - %s", quoted(g))
		}
	}
	list("apps", f.Apps)
	if len(f.Libs) > 0 {
		list("libs", f.Libs)
	}
	line("")
	line("# {sha} is the commit; a tag without it moves to each new image.")
	list("tags", []string{"{app}-{sha}", "{app}-latest"})
	if len(f.Test) > 0 {
		line("")
		line("# How projects are tested, by language; projects.NAME.test says it of one.")
		line("test:")
		for _, language := range slices.Sorted(maps.Keys(f.Test)) {
			line("  %s: %s", language, f.Test[language])
		}
	}
	if len(f.Contexts) > 0 {
		line("")
		line("# Their Dockerfiles copy from the root.")
		line("projects:")
		for _, app := range slices.Sorted(maps.Keys(f.Contexts)) {
			line("  %s:", quoted(app))
			line("    build:")
			line("      context: %s", quoted(f.Contexts[app]))
		}
	}
	line("")
	line("# What a scan may not find.")
	line("gate:")
	line("  severity: %s", workspace.Critical)
	return []byte(b.String())
}

var plainYAML = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_./-]*(/\*)?$`)

// quoted makes a YAML string.
func quoted(s string) string {
	if plainYAML.MatchString(s) && !slices.Contains([]string{"true", "false", "null", "yes", "no", "on", "off"}, strings.ToLower(s)) {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
