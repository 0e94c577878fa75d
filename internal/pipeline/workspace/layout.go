package workspace

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Kind is what a project is.
type Kind string

// The kinds. A utility is an app without a Dockerfile: it is tested, and never built.
const (
	App     Kind = "app"
	Utility Kind = "utility"
	Lib     Kind = "lib"
)

// Member is a project of the workspace with all that holds for it. Paths are clean and from the root.
type Member struct {
	Name        string
	Kind        Kind
	Dir         string
	Languages   []string // those that it has files of, in order
	Test        Command  // zero where none is given
	TestEnv     []EnvName
	TestTimeout Timeout // 0: any
	Platforms   []Platform
	Image       Build // of an app: context and Dockerfile are always set
	DependsOn   []string
	Inputs      []Glob
}

// manifests tell a project's language.
var manifests = map[string]string{
	"go.mod": "go", "package.json": "node", "pyproject.toml": "python", "setup.py": "python", "requirements.txt": "python", "Cargo.toml": "rust",
}

var memberName = regexp.MustCompile(`^[a-zA-Z0-9_][a-zA-Z0-9._-]*$`)

// Resolve finds the projects among the files of a tree, which are clean paths from the root of the workspace, and gives
// them by name. What does not fit the tree is reported as Problems.
func (f *File) Resolve(files []string) ([]Member, error) {
	s := &source{name: f.source.name, lines: f.source.lines, at: f.source.at}
	l := layout{file: f, source: s, exists: map[string]bool{}, dirs: directories(files), members: map[string]*Member{}}
	for _, name := range files {
		l.exists[name] = true
	}
	l.add("libs", f.Libs, Lib)
	l.add("apps", f.Apps, App)
	for _, name := range slices.Sorted(maps.Keys(f.Projects)) {
		l.apply(name, f.Projects[name])
	}
	for _, m := range l.members {
		l.complete(m)
	}
	l.checkNames()
	all := make([]Member, 0, len(l.members))
	for _, name := range slices.Sorted(maps.Keys(l.members)) {
		all = append(all, *l.members[name])
	}
	return all, s.err()
}

type layout struct {
	file    *File
	source  *source
	exists  map[string]bool     // files
	dirs    map[string][]string // directories, with the names of the files in each
	members map[string]*Member
}

// directories gives every directory that has a file in it or below, with the files in it.
func directories(files []string) map[string][]string {
	dirs := map[string][]string{}
	for _, name := range files {
		dir, base := path.Split(name)
		dir = strings.TrimSuffix(dir, "/")
		if dir == "" {
			dir = "."
		}
		dirs[dir] = append(dirs[dir], base)
		for dir != "." {
			dir = path.Dir(dir)
			if _, known := dirs[dir]; known {
				break
			}
			dirs[dir] = nil
		}
	}
	return dirs
}

// add finds the directories that a list of patterns stands for.
func (l *layout) add(key string, globs []Glob, kind Kind) {
	found := map[string]int{} // directory: which pattern
	for i, g := range globs {
		if out, ok := strings.CutPrefix(string(g), "!"); ok {
			maps.DeleteFunc(found, func(dir string, _ int) bool { return Glob(out).Match(dir) })
			continue
		}
		literal := strings.TrimSuffix(string(g), "/")
		if !g.IsPattern() {
			if literal == "." {
				l.source.wrong(fmt.Sprintf("%s[%d]", key, i), "the root is no project: apps and libraries are directories below it")
				continue
			}
			if _, ok := l.dirs[literal]; !ok {
				l.source.wrong(fmt.Sprintf("%s[%d]", key, i), "there is no directory %s with files that git knows", literal)
				continue
			}
			found[literal] = i
			continue
		}
		for dir := range l.dirs {
			if dir != "." && g.Match(dir) {
				if _, ok := found[dir]; !ok {
					found[dir] = i
				}
			}
		}
	}
	for _, dir := range slices.Sorted(maps.Keys(found)) {
		l.addMember(fmt.Sprintf("%s[%d]", key, found[dir]), dir, kind)
	}
}

func (l *layout) addMember(at, dir string, kind Kind) {
	name := path.Base(dir)
	if earlier, ok := l.members[name]; ok {
		if earlier.Dir == dir {
			l.source.wrong(at, "%s is both a library and an app", dir)
		} else {
			l.source.wrong(at, "%s and %s have one name: a project is called like its directory, so rename one", earlier.Dir, dir)
		}
		return
	}
	if !memberName.MatchString(name) {
		l.source.wrong(at, "%s: a project is called like its directory, and %q cannot be in a tag; rename it, or take it out with \"!%s\"", dir, name, dir)
		return
	}
	l.members[name] = &Member{Name: name, Kind: kind, Dir: dir}
}

// apply puts what is particular to a project in its place.
func (l *layout) apply(name string, p Project) {
	at := "projects." + name
	m, ok := l.members[name]
	if !ok {
		l.source.wrong(at+"#", "no app or library of the name %q%s", name, meant(name, slices.Sorted(maps.Keys(l.members))))
		return
	}
	if m.Kind == Lib && (len(p.Platforms) > 0 || p.Build.Context != "" || p.Build.Dockerfile != "" || p.Build.Target != "" || len(p.Build.Args) > 0 || p.Build.SBOM != "" || p.Build.Cache || p.Health != nil) {
		l.source.wrong(at+"#", "%s is a library, which is not built: platforms, build and health are for apps", name)
		return
	}
	m.Test, m.TestEnv, m.TestTimeout = p.Test, p.TestEnv, p.TestTimeout
	m.Platforms, m.Image, m.DependsOn, m.Inputs = p.Platforms, p.Build, p.DependsOn, p.Inputs
	for i, d := range p.DependsOn {
		switch {
		case d == name:
			l.source.wrong(fmt.Sprintf("%s.depends_on[%d]", at, i), "%s depends on itself", name)
		case l.members[d] == nil:
			l.source.wrong(fmt.Sprintf("%s.depends_on[%d]", at, i), "no app or library of the name %q%s", d, meant(d, slices.Sorted(maps.Keys(l.members))))
		}
	}
	if p.Build.Dockerfile != "" && !l.exists[p.Build.Dockerfile] {
		l.source.wrong(at+".build.dockerfile", "there is no file %s", p.Build.Dockerfile)
	}
	if _, ok := l.dirs[p.Build.Context]; p.Build.Context != "" && !ok {
		l.source.wrong(at+".build.context", "there is no directory %s with files that git knows", p.Build.Context)
	}
}

// complete fills in what holds where nothing is said.
func (l *layout) complete(m *Member) {
	for _, name := range l.dirs[m.Dir] {
		if language, ok := manifests[name]; ok && !slices.Contains(m.Languages, language) {
			m.Languages = append(m.Languages, language)
		}
	}
	slices.Sort(m.Languages)
	for _, language := range m.Languages {
		if m.Test.IsZero() {
			m.Test = l.file.Test[language]
		}
	}
	if m.Kind == Lib {
		return
	}
	if m.Image.Dockerfile == "" && l.exists[m.Dir+"/Dockerfile"] {
		m.Image.Dockerfile = m.Dir + "/Dockerfile"
	}
	if m.Image.Dockerfile == "" {
		m.Kind = Utility
		return
	}
	if m.Image.Context == "" {
		m.Image.Context = m.Dir
	}
	if len(m.Platforms) == 0 {
		m.Platforms = l.file.Platforms
	}
	for i, t := range l.file.Tags {
		if _, err := t.Expand(sample(m.Name)); err != nil {
			l.source.wrong(fmt.Sprintf("tags[%d]", i), "for %s: %v", m.Name, err)
		}
	}
}

// checkNames notes names of apps that there are not.
func (l *layout) checkNames() {
	var apps []string
	for _, name := range slices.Sorted(maps.Keys(l.members)) {
		if l.members[name].Kind != Lib {
			apps = append(apps, name)
		}
	}
	for i, e := range l.file.Gate.Exceptions {
		for j, app := range e.Apps {
			if m := l.members[app]; m == nil || m.Kind == Lib {
				l.source.wrong(fmt.Sprintf("gate.exceptions[%d].apps[%d]", i, j), "no app of the name %q%s", app, meant(app, apps))
			}
		}
	}
}
