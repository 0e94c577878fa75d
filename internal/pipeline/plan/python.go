package plan

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// tomlFile is a parsed file, or why it could not be parsed.
type tomlFile struct {
	table map[string]any
	err   error
}

// readTOML parses a file once for all who ask.
func (r *reading) readTOML(name string) (map[string]any, error) {
	if known, ok := r.tomls[name]; ok {
		return known.table, known.err
	}
	var f tomlFile
	text, err := r.tree.Read(name)
	if f.err = err; err == nil {
		f.err = toml.Unmarshal(text, &f.table)
	}
	r.tomls[name] = f
	return f.table, f.err
}

// dig follows keys through tables, and gives an empty table where there is none.
func dig(table map[string]any, keys ...string) map[string]any {
	for _, key := range keys {
		table, _ = table[key].(map[string]any)
	}
	return table
}

// tables gives what stands for a dependency: a table, or several of which one is taken.
func tables(value any) []map[string]any {
	switch v := value.(type) {
	case map[string]any:
		return []map[string]any{v}
	case []any:
		var all []map[string]any
		for _, each := range v {
			if t, ok := each.(map[string]any); ok {
				all = append(all, t)
			}
		}
		return all
	default:
		return nil
	}
}

// pyproject reads a pyproject.toml: path dependencies of Poetry, of uv and PDM, and of requirements.
func (r *reading) pyproject(p *Project, name string) error {
	f, err := r.readTOML(name)
	if err != nil {
		return err
	}
	poetry := dig(f, "tool", "poetry")
	groups := []map[string]any{dig(poetry, "dependencies"), dig(poetry, "dev-dependencies")}
	for _, group := range sortedKeys(dig(poetry, "group")) {
		groups = append(groups, dig(poetry, "group", group, "dependencies"))
	}
	for _, dependencies := range groups {
		r.pathDependencies(p, name, dependencies)
	}
	for _, requirement := range requirements(f) {
		r.requirement(p, name, requirement)
	}
	return r.uvSources(p, name, dig(f, "tool", "uv", "sources"))
}

// pathDependencies are those of the form name = {path = "../name"}.
func (r *reading) pathDependencies(p *Project, name string, dependencies map[string]any) {
	for _, dependency := range sortedKeys(dependencies) {
		for _, t := range tables(dependencies[dependency]) {
			if at, ok := t["path"].(string); ok {
				r.needs(p, name, at, fmt.Sprintf("%s is at %s", dependency, at))
			}
		}
	}
}

// requirements gives the strings of a pyproject.toml that are requirements.
func requirements(f map[string]any) []string {
	var all []string
	add := func(list any) {
		l, _ := list.([]any)
		for _, each := range l {
			if s, ok := each.(string); ok {
				all = append(all, s)
			}
		}
	}
	add(dig(f, "project")["dependencies"])
	for _, groups := range []map[string]any{dig(f, "project", "optional-dependencies"), dig(f, "dependency-groups"), dig(f, "tool", "pdm", "dev-dependencies")} {
		for _, group := range sortedKeys(groups) {
			add(groups[group])
		}
	}
	add(dig(f, "build-system")["requires"])
	return all
}

// byURL is a requirement at a file: "auth @ file:///${PROJECT_ROOT}/../auth", "-e file:../auth#egg=auth".
var byURL = regexp.MustCompile(`(?:@|^-e|^--editable[ =]|^)\s*file:([^\s;#]+)`)

// requirement follows a requirement that is a path.
func (r *reading) requirement(p *Project, name, requirement string) {
	if m := byURL.FindStringSubmatch(requirement); m != nil {
		target, rooted := strings.CutPrefix(strings.TrimPrefix(m[1], "//"), "/${PROJECT_ROOT}")
		if !rooted {
			target, rooted = strings.CutPrefix(target, "${PROJECT_ROOT}")
		}
		if rooted {
			target = strings.TrimPrefix(target, "/")
		}
		r.needs(p, name, target, "requires "+requirement)
	}
}

// requirements reads a requirements.txt: lines that are paths, and other such files.
func (r *reading) requirements(p *Project, name string) error {
	text, err := r.tree.Read(name)
	if err != nil {
		return err //nolint:wrapcheck // names the file
	}
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		for _, option := range []string{"-e", "--editable", "-r", "--requirement", "-c", "--constraint"} {
			if value, ok := strings.CutPrefix(line, option); ok && value != "" && strings.ContainsAny(value[:1], " =\t") {
				line = strings.TrimSpace(value[1:])
			}
		}
		target, _, _ := strings.Cut(line, " ")
		target, _, _ = strings.Cut(target, "[") // ../auth[extra]
		isPath := strings.HasPrefix(target, "./") || strings.HasPrefix(target, "../") || target == "." || target == ".."
		switch {
		case isPath:
			r.needs(p, name, target, "requires "+line)
		case strings.Contains(line, "file:"):
			r.requirement(p, name, line)
		}
	}
	return nil
}

// uvSources follows [tool.uv.sources]: paths, and members of the workspace around.
func (r *reading) uvSources(p *Project, name string, sources map[string]any) error {
	r.pathDependencies(p, name, sources)
	dir := path.Dir(name)
	root, members, err := r.uvWorkspace(dir)
	if err != nil {
		return err
	}
	if root != "" && root != dir && !slices.Contains(slices.Collect(maps.Values(members)), dir) {
		root, members = "", nil // around it, but not its own
	}
	if root != "" && root != dir {
		r.shares(p, root, "pyproject.toml", "uv.lock")
		shared, err := r.readTOML(path.Join(root, "pyproject.toml"))
		if err != nil {
			return err
		}
		all := map[string]any{} // the root's sources hold for each member, whose own come before
		maps.Copy(all, dig(shared, "tool", "uv", "sources"))
		maps.Copy(all, sources)
		sources = all
	}
	f, err := r.readTOML(name)
	if err != nil {
		return err
	}
	required := map[string]bool{}
	for _, requirement := range requirements(f) {
		required[normalized(requirementName.FindString(requirement))] = true
	}
	for _, source := range sortedKeys(sources) {
		for _, t := range tables(sources[source]) {
			at, ok := members[normalized(source)]
			if t["workspace"] == true && ok && required[normalized(source)] && at != dir {
				r.needsDir(p, name, at, source+" is of the workspace")
			}
		}
	}
	return nil
}

var (
	requirementName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*`)
	separators      = regexp.MustCompile(`[-_.]+`)
)

// normalized is a name as Python's packages are compared by it.
func normalized(name string) string { return separators.ReplaceAllString(strings.ToLower(name), "-") }

// uvWorkspace gives the root of the uv workspace that a directory belongs to, "" if there is none, and its members.
func (r *reading) uvWorkspace(dir string) (root string, members map[string]string, err error) {
	for _, at := range above(dir) {
		name := path.Join(at, "pyproject.toml")
		if !r.exists[name] {
			continue
		}
		f, err := r.readTOML(name)
		if err != nil {
			if at == dir {
				return "", nil, err
			}
			continue
		}
		described, ok := dig(f, "tool", "uv")["workspace"].(map[string]any)
		if !ok {
			continue
		}
		if r.uvMembers[at] == nil {
			r.uvMembers[at] = r.members(at, described)
		}
		return at, r.uvMembers[at], nil
	}
	return "", nil, nil
}

// members finds the members of a uv workspace, which has patterns for them and for those that are none.
func (r *reading) members(root string, described map[string]any) map[string]string {
	patterns := func(key string) []string {
		var all []string
		list, _ := described[key].([]any)
		for _, each := range list {
			if s, ok := each.(string); ok {
				all = append(all, s)
			}
		}
		return all
	}
	globs, excluded := patterns("members"), patterns("exclude")
	members := map[string]string{}
	for _, name := range r.files {
		if path.Base(name) != "pyproject.toml" {
			continue
		}
		dir := path.Dir(name)
		inside := dir
		if root != "." {
			var ok bool
			if inside, ok = strings.CutPrefix(dir, root+"/"); !ok {
				continue
			}
		}
		if !matchesGlobs(globs, inside) || matchesGlobs(excluded, inside) {
			continue
		}
		if f, err := r.readTOML(name); err == nil { // its own reading reports what is wrong with it
			called, _ := dig(f, "project")["name"].(string)
			members[normalized(called)] = dir
		}
	}
	return members
}
