// Package plan reads what each project of a monorepo depends on, and tells which projects changed paths affect, why,
// and in which order they come. It is pure: files come from a Tree, and it runs nothing.
//
// Dependencies are read from the files that the tools of each language go by, and from Dockerfiles. Where a file
// cannot be read, its project counts as affected by everything, and a note says so: too much is built, never too little.
//
// What changes a project is not always in its image: files that the Dockerfile does not copy, or that .dockerignore
// keeps out, have it tested and not built.
package plan

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Tree is the files of a monorepo, by clean paths from its root.
type Tree interface {
	// Files gives the paths of all files, in order.
	Files() []string
	// Read gives what is in one.
	Read(name string) ([]byte, error)
	// Links gives those that are symbolic links, and what each says.
	Links() map[string]string
}

// Project is a project with what it depends on.
type Project struct {
	workspace.Member
	Dependencies []Dependency // by name

	inputs     []input
	copied     []input         // those of the inputs that are what the Dockerfile copies
	ignore     *ignore         // what of the context does not get to the builder
	images     []string        // of which the Dockerfile takes something, as it names them
	bases      []string        // apps whose images it is made from
	references []string        // and what its Dockerfile calls each of these images
	named      map[string]bool // the dependencies that are not just such apps
	unreadable string          // the file that could not be read, if one could not
	made       bool            // the Dockerfile copies what is not in the tree, such as dist/, so something makes it from what is
}

// Bases gives the apps whose images a project's is made from, by what its Dockerfile calls each, with the ARGs put in.
func (p *Project) Bases() map[string]string {
	all := make(map[string]string, len(p.bases))
	for i, app := range p.bases {
		all[p.references[i]] = app
	}
	return all
}

// Dependency is a project that another depends on.
type Dependency struct {
	Name string
	Why  string // the file that says so, and how
}

// Graph is the projects of a monorepo.
type Graph struct {
	files    []string   // of the tree
	projects []*Project // by name
	byName   map[string]*Project
	byDir    map[string]*Project
	notes    []string
}

// Read makes the graph. The file is the workspace's, whose projects the members are.
func Read(file *workspace.File, members []workspace.Member, tree Tree) *Graph {
	g := &Graph{files: tree.Files(), byName: make(map[string]*Project, len(members)), byDir: make(map[string]*Project, len(members))}
	r := newReading(g, file, tree)
	for _, m := range members {
		p := &Project{Member: m}
		g.projects = append(g.projects, p)
		g.byName[m.Name] = p
		g.byDir[m.Dir] = p
	}
	for _, p := range g.projects {
		r.project(p)
	}
	g.notes = slices.Compact(g.notes)
	return g
}

// Projects gives all, by name.
func (g *Graph) Projects() []*Project { return g.projects }

// Notes are what could not be read, and what is odd about the dependencies.
func (g *Graph) Notes() []string { return g.notes }

func (g *Graph) note(format string, args ...any) {
	g.notes = append(g.notes, fmt.Sprintf(format, args...))
}

// reading is what reading the files of all projects shares.
type reading struct {
	graph     *Graph
	file      *workspace.File
	tree      Tree
	files     []string
	exists    map[string]bool // files, and directories
	ignores   map[string]*ignore
	packages  map[string]*nodeRoot
	modules   map[string]*goWork
	tomls     map[string]tomlFile
	images    []imagePattern
	uvMembers map[string]map[string]string // by root: names of packages, and where they are
}

func newReading(g *Graph, file *workspace.File, tree Tree) *reading {
	r := &reading{
		graph: g, file: file, tree: tree, files: tree.Files(), exists: map[string]bool{},
		ignores: map[string]*ignore{}, packages: map[string]*nodeRoot{}, modules: map[string]*goWork{}, tomls: map[string]tomlFile{},
		uvMembers: map[string]map[string]string{},
	}
	r.exists["."] = true
	for _, name := range r.files {
		for ; !r.exists[name]; name = path.Dir(name) {
			r.exists[name] = true
		}
	}
	return r
}

// below gives the files in a directory and deeper.
func (r *reading) below(dir string) []string { return below(r.files, dir) }

func below(files []string, dir string) []string {
	from, _ := slices.BinarySearch(files, dir+"/")
	until, _ := slices.BinarySearch(files, dir+"0") // 0 comes after the slash
	return files[from:until]
}

// under gives the file that a path is, or those in the directory and deeper.
func under(files []string, at string) []string {
	if at == "." {
		return files
	}
	if i, ok := slices.BinarySearch(files, at); ok {
		return files[i : i+1]
	}
	return below(files, at)
}

// owner is the project that a path is in, nil if it is in none.
func (g *Graph) owner(name string) *Project {
	for ; name != "."; name = path.Dir(name) {
		if p := g.byDir[name]; p != nil {
			return p
		}
	}
	return nil
}

// readers are what the files of a name say.
func readers() map[string]func(*reading, *Project, string) error {
	return map[string]func(*reading, *Project, string) error{
		"go.mod": (*reading).goMod, "package.json": (*reading).packageJSON, "pyproject.toml": (*reading).pyproject, "Cargo.toml": (*reading).cargo,
	}
}

// project reads the files of one project.
func (r *reading) project(p *Project) {
	p.add(input{at: p.Dir, cause: Files})
	named := readers()
	goFiles := false
	for _, name := range r.below(p.Dir) {
		base := path.Base(name)
		goFiles = goFiles || strings.HasSuffix(base, ".go")
		read := named[base]
		if read == nil && strings.HasPrefix(base, "requirements") && strings.HasSuffix(base, ".txt") {
			read = (*reading).requirements
		}
		if read == nil || strings.Contains(name, "/node_modules/") || strings.Contains(name, "/vendor/") || strings.Contains(name, "/testdata/") {
			continue
		}
		if err := read(r, p, name); err != nil {
			r.unreadable(p, name, err)
		}
	}
	if goFiles && !r.exists[p.Dir+"/go.mod"] {
		r.goPackages(p)
	}
	for _, name := range p.DependsOn {
		p.depend(name, workspace.Name+": depends_on")
	}
	for _, g := range p.Inputs {
		p.add(globInput(g))
	}
	if p.Image.Dockerfile != "" {
		if err := r.dockerfile(p); err != nil {
			r.unreadable(p, p.Image.Dockerfile, err)
		}
	}
	r.follow(p)
	slices.SortStableFunc(p.Dependencies, func(a, b Dependency) int { return strings.Compare(a.Name, b.Name) })
	p.Dependencies = slices.CompactFunc(p.Dependencies, func(a, b Dependency) bool { return a.Name == b.Name })
}

func (r *reading) unreadable(p *Project, name string, err error) {
	p.unreadable = name
	text, _, _ := strings.Cut(err.Error(), "\n")
	if !strings.HasPrefix(text, name+":") {
		text = name + ": " + text
	}
	r.graph.note("%s; so %s counts as affected by everything", text, p.Name)
}

func (p *Project) add(in input) { p.inputs = append(p.inputs, in) }

func (p *Project) depend(on, why string) {
	if on != p.Name {
		if p.named == nil {
			p.named = map[string]bool{}
		}
		p.named[on] = true
		p.Dependencies = append(p.Dependencies, Dependency{on, why})
	}
}

// needs notes that a project needs a path, as one of its files says. The path is from the directory of that file.
func (r *reading) needs(p *Project, file, target, how string) {
	target = strings.ReplaceAll(target, `\`, "/")
	if path.IsAbs(target) {
		r.graph.note("%s: %s, which is outside the workspace and is not watched", file, how)
		return
	}
	name := path.Join(path.Dir(file), target)
	if name == ".." || strings.HasPrefix(name, "../") {
		r.graph.note("%s: %s, which is outside the workspace and is not watched", file, how)
		return
	}
	if !r.exists[name] {
		r.graph.note("%s: %s, and there is no %s", file, how, name)
	}
	switch owner := r.graph.owner(name); {
	case owner == p:
	case owner != nil:
		p.depend(owner.Name, file+": "+how)
	default:
		p.add(input{at: name, cause: Input, why: file + ": " + how})
	}
}

// shares has a project affected by files that a whole workspace of its language shares, such as a lock file.
func (r *reading) shares(p *Project, dir string, names ...string) {
	for _, base := range names {
		if name := path.Join(dir, base); r.graph.owner(name) != p {
			p.add(input{at: name, cause: Input, why: "its workspace shares it"})
		}
	}
}

// above gives a directory and those above it, up to the root.
func above(dir string) []string {
	dirs := []string{dir}
	for dir != "." {
		dir = path.Dir(dir)
		dirs = append(dirs, dir)
	}
	return dirs
}

// sortedKeys gives the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
