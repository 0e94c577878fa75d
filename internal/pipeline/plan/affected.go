package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Reason is one reason why a project is affected.
type Reason struct {
	Cause Cause
	Path  string   // a file that changed
	More  int      // how many files more changed for the same reason
	Of    string   // where a dependency changed, that project
	Via   []string // how it gets to that one, if not at once: the projects between
	Why   string   // what file says that it depends on that, and how
	Image bool     // whether what is in the image changed with it
}

// Affected is a project that changes affect.
type Affected struct {
	*Project
	Reasons []Reason
	Build   bool // an app of which what is in the image changed, or may have
}

// Question is what changed.
type Question struct {
	Paths      []string        // files that changed, were deleted, or had another name
	Settings   map[string]bool // projects of which berth.yaml says something else, and whether of the image
	Everything string          // why all are affected, if they are
}

// Affected gives the projects that changes affect, those before others that the others depend on.
func (g *Graph) Affected(q Question) []Affected {
	s := search{graph: g, direct: map[string]*direct{}, built: map[string]bool{}}
	s.find(q)
	order, cycles := g.Order()
	for {
		var all []Affected
		built := len(s.built)
		for _, p := range order {
			if a := s.affected(p); len(a.Reasons) > 0 {
				if a.Build {
					s.built[p.Name] = true
				}
				all = append(all, a)
			}
		}
		if len(cycles) == 0 || built == len(s.built) {
			return all
		}
	}
}

// direct is what changed of a project itself.
type direct struct {
	reasons []Reason
	paths   []string // the changed files that are its own or that it depends on
	whole   bool     // more than files changed
	tested  bool     // how it is tested changed
	known   map[string]bool
	images  map[string]bool // those of the paths that are in its image
}

// has tells whether a changed file is among the paths.
func (d *direct) has(name string) bool {
	if d.known == nil {
		d.known = make(map[string]bool, len(d.paths))
		for _, p := range d.paths {
			d.known[p] = true
		}
	}
	return d.known[name]
}

type search struct {
	graph  *Graph
	direct map[string]*direct
	built  map[string]bool // apps whose images are made again, of those that were looked at
}

// find looks for the projects that changes affect at once.
func (s *search) find(q Question) {
	type use struct {
		p  *Project
		in input
	}
	index := map[string][]use{}
	for _, p := range s.graph.projects {
		s.direct[p.Name] = &direct{}
		for _, in := range p.inputs {
			index[in.at] = append(index[in.at], use{p, in})
		}
		switch {
		case q.Everything != "":
			s.whole(p, Reason{Cause: Everything, Why: q.Everything, Image: true})
		case p.unreadable != "" && len(q.Paths) > 0:
			s.whole(p, Reason{Cause: Unreadable, Path: p.unreadable, Image: true})
		}
		if image, ok := q.Settings[p.Name]; ok {
			s.direct[p.Name].tested = true
			s.whole(p, Reason{Cause: Settings, Path: workspace.Name, Image: image})
		}
	}
	for _, name := range q.Paths {
		owner := s.graph.owner(name)
		for _, at := range above(name) {
			for _, u := range index[at] {
				if u.in.match == nil || u.in.match(name) {
					s.changed(u.p, owner, u.in, name)
				}
			}
		}
	}
}

func (s *search) whole(p *Project, why Reason) {
	d := s.direct[p.Name]
	d.reasons, d.whole = append(d.reasons, why), d.whole || why.Image
}

// changed notes that a file of an input changed. The owner is the project that the file is in, if it is in one.
func (s *search) changed(p, owner *Project, in input, name string) {
	image := true
	switch in.cause {
	case Files:
		if p.inputIs(name, Dockerfile) || p.inputIs(name, Dockerignore) {
			return // that says more
		}
		image = p.Kind == workspace.App && p.copies(name)
	case Copied:
		// A file of its own is said to be that, and one of a dependency as well.
		if within(name, p.Dir) || !p.takesItself(owner, name) {
			return
		}
	default: // others are in the image
	}
	d := s.direct[p.Name]
	if len(d.paths) == 0 || d.paths[len(d.paths)-1] != name {
		d.paths = append(d.paths, name)
	}
	if image {
		if d.images == nil {
			d.images = map[string]bool{}
		}
		d.images[name] = true
	}
	for i := range d.reasons {
		if r := &d.reasons[i]; r.Cause == in.cause && r.Why == in.why && r.Image == image {
			if r.Path != name {
				r.More++
			}
			return
		}
	}
	d.reasons = append(d.reasons, Reason{Cause: in.cause, Path: name, Why: in.why, Image: image})
}

func within(name, dir string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }

// inputIs tells whether a path is an input of a cause by itself.
func (p *Project) inputIs(name string, cause Cause) bool {
	return slices.ContainsFunc(p.inputs, func(in input) bool { return in.cause == cause && in.at == name })
}

func (p *Project) dependsOn(name string) bool {
	return slices.ContainsFunc(p.Dependencies, func(d Dependency) bool { return d.Name == name })
}

// dependencies gives the names of what it depends on.
func (p *Project) dependencies() []string {
	names := make([]string, len(p.Dependencies))
	for i, d := range p.Dependencies {
		names[i] = d.Name
	}
	return names
}

// near gives all that a project depends on, and what that does, but for what it has by the images alone that it is made
// from: of that, whatever those images have of it.
func (g *Graph) near(p *Project) map[string]bool {
	seen := map[string]bool{p.Name: true}
	for next := []*Project{p}; len(next) > 0; next = next[1:] {
		for _, d := range next[0].Dependencies {
			if on := g.byName[d.Name]; on != nil && !seen[d.Name] && (next[0] != p || p.made || p.named[d.Name]) {
				seen[d.Name] = true
				next = append(next, on)
			}
		}
	}
	delete(seen, p.Name)
	return seen
}

// takesItself tells whether a file outside its directory that the Dockerfile copies gets to the builder, and is not one
// of a project that it depends on.
func (p *Project) takesItself(owner *Project, name string) bool {
	return (owner == nil || !p.dependsOn(owner.Name)) && !p.ignore.out(name)
}

// copiesFrom tells whether the Dockerfile copies something of another project.
func (p *Project) copiesFrom(on *Project) bool {
	return slices.ContainsFunc(p.copied, func(in input) bool { return within(in.at, on.Dir) || within(on.Dir, in.at) })
}

// copies tells whether a file gets into the image as one that the Dockerfile copies, or may go into what it copies.
func (p *Project) copies(name string) bool {
	return p.made || slices.ContainsFunc(p.copied, func(in input) bool { return in.covers(name) }) && !p.ignore.out(name)
}

// TakesIgnored gives the first of the paths that git ignores of which the Dockerfile copies something, so that what is in the image
// is not of a commit alone, and "" if there is none. A path that ends with a slash is a directory with all that is in it. Where the
// Dockerfile copies what is neither in git nor there yet, that is said by a dot. It is not for several goroutines at once.
func (p *Project) TakesIgnored(paths []string) string {
	for _, name := range paths {
		clean := strings.TrimSuffix(name, "/")
		taken := slices.ContainsFunc(p.copied, func(in input) bool { return in.covers(clean) || clean != name && within(in.at, clean) })
		if taken && !p.ignore.out(clean) {
			return name
		}
	}
	if p.made {
		return "."
	}
	return ""
}

// affected gives the reasons of a project, its own and those of all that it depends on.
func (s *search) affected(p *Project) Affected {
	a := Affected{Project: p, Reasons: slices.Clone(s.direct[p.Name].reasons)}
	for i := range a.Reasons { // its test may make what the Dockerfile copies
		a.Reasons[i].Image = a.Reasons[i].Image || p.made && a.Reasons[i].Cause == Settings
	}
	if len(a.Reasons) > 0 && a.Reasons[0].Cause == Everything {
		a.Build = p.Kind == workspace.App
		return a
	}
	type step struct {
		p   *Project
		via []string
		why string
	}
	seen := map[string]bool{p.Name: true}
	near := s.graph.near(p)
	queue := []step{{p: p}}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, d := range at.p.Dependencies {
			on := s.graph.byName[d.Name]
			if on == nil || seen[d.Name] {
				continue
			}
			seen[d.Name] = true
			next := step{on, at.via, at.why}
			if at.p == p {
				next.why = d.Why
			} else {
				next.via = append(slices.Clone(at.via), at.p.Name)
			}
			if r, ok := s.depends(p, on, near[d.Name]); ok {
				r.Via, r.Why = next.via, next.why
				a.Reasons = append(a.Reasons, r)
			}
			queue = append(queue, next)
		}
	}
	s.rebased(&a)
	a.Build = p.Kind == workspace.App && slices.ContainsFunc(a.Reasons, func(r Reason) bool { return r.Image })
	return a
}

// rebased notes that an image changes with the one that it is made from, whatever of that the project's own builder sees.
func (s *search) rebased(a *Affected) {
	for _, base := range a.bases {
		if !s.built[base] {
			continue
		}
		found := false
		for i := range a.Reasons {
			if r := &a.Reasons[i]; r.Of == base || len(r.Via) > 0 && r.Via[0] == base {
				r.Image, found = true, true
			}
		}
		if !found { // what changed is a reason of its own, in which its image has no part
			i := slices.IndexFunc(a.Dependencies, func(d Dependency) bool { return d.Name == base })
			a.Reasons = append(a.Reasons, Reason{Cause: Depends, Of: base, Why: a.Dependencies[i].Why, Image: true})
		}
	}
}

// depends is the reason that a project has in another that changed, if it did. What is not near is in its image only
// where the Dockerfile copies it.
func (s *search) depends(p, on *Project, near bool) (Reason, bool) {
	d := s.direct[on.Name]
	if len(d.paths) == 0 && !d.whole && (!d.tested || !p.made) { // nothing, or how it is tested, which makes nothing
		return Reason{}, false
	}
	r := Reason{Cause: Depends, Of: on.Name, Path: d.reasons[0].Path, More: max(0, len(d.paths)-1), Image: near}
	if d.whole || p.made {
		return r, true
	}
	// Files that the Dockerfile could have copied and did not are not in the image. Where it copies nothing of that
	// project, it has it in another way, and nobody knows which files.
	some := p.copiesFrom(on)
	own := s.direct[p.Name]
	if !slices.ContainsFunc(d.paths, func(name string) bool { return !own.images[name] && (p.Kind == workspace.App || !own.has(name)) }) {
		return Reason{}, false // it has that reason itself, such as a file that a whole workspace shares
	}
	r.Image = slices.ContainsFunc(d.paths, func(name string) bool {
		switch {
		case !near || some && within(name, on.Dir):
			return p.copies(name)
		case within(name, on.Dir):
			return !p.ignore.out(name)
		default:
			return true
		}
	})
	return r, true
}

// Needs gives a project and all that it depends on, by others too: itself first, and each dependency with its own behind it. A name
// that is none of a project has none.
func (g *Graph) Needs(name string) []*Project {
	seen := map[string]bool{}
	var all []*Project
	var add func(name string)
	add = func(name string) {
		p := g.byName[name]
		if p == nil || seen[name] {
			return
		}
		seen[name] = true
		all = append(all, p)
		for _, d := range p.Dependencies {
			add(d.Name)
		}
	}
	add(name)
	return all
}

// Order gives all projects, each after those that it depends on, and the cycles in which that cannot be. Where it is
// all the same, names decide.
func (g *Graph) Order() (order []*Project, cycles [][]string) {
	for _, group := range g.groups((*Project).dependencies) {
		for _, name := range group {
			order = append(order, g.byName[name])
		}
		if len(group) > 1 {
			cycles = append(cycles, group)
		}
	}
	return order, cycles
}

// groups gives the projects in groups, by name, of those that get to each other by way of some others that each has. A
// group comes after all that it gets to.
func (g *Graph) groups(others func(*Project) []string) [][]string {
	t := tarjan{graph: g, others: others, number: map[string]int{}, low: map[string]int{}, open: map[string]bool{}}
	for _, p := range g.projects {
		if t.number[p.Name] == 0 {
			t.visit(p)
		}
	}
	for _, group := range t.groups {
		slices.Sort(group)
	}
	return t.groups
}

// tarjan finds such groups.
type tarjan struct {
	graph  *Graph
	others func(*Project) []string
	number map[string]int
	low    map[string]int
	open   map[string]bool
	stack  []string
	groups [][]string
}

func (t *tarjan) visit(p *Project) {
	n := len(t.number) + 1
	t.number[p.Name], t.low[p.Name], t.open[p.Name] = n, n, true
	t.stack = append(t.stack, p.Name)
	for _, name := range t.others(p) {
		on := t.graph.byName[name]
		switch {
		case on == nil:
		case t.number[on.Name] == 0:
			t.visit(on)
			t.low[p.Name] = min(t.low[p.Name], t.low[on.Name])
		case t.open[on.Name]:
			t.low[p.Name] = min(t.low[p.Name], t.number[on.Name])
		}
	}
	if t.low[p.Name] != n {
		return
	}
	i := slices.Index(t.stack, p.Name)
	group := slices.Clone(t.stack[i:])
	t.stack = t.stack[:i]
	for _, name := range group {
		t.open[name] = false
	}
	t.groups = append(t.groups, group)
}

// String says it in a line.
func (r Reason) String() string {
	name := Printable(r.Path)
	what := name + " changed"
	if r.More > 0 {
		what = name + and(r.More) + " changed"
	}
	switch r.Cause {
	case Everything:
		return "everything: " + Printable(r.Why)
	case Unreadable:
		return name + " cannot be read"
	case Settings:
		return name + " says something else of it"
	case Copied, Input:
		return what + " (" + Printable(r.Why) + ")"
	case Depends:
		text := r.Of + " changed: " + name
		if r.More > 0 {
			text += and(r.More)
		}
		if r.Path == "" {
			text = r.Of + " counts as changed"
		}
		if len(r.Via) > 0 {
			text += ", by way of " + strings.Join(r.Via, " and ")
		}
		return text + " (" + Printable(r.Why) + ")"
	default:
		return what
	}
}

// Printable is text that says nothing but what is read: it quotes what has characters that move a terminal's cursor, or
// begins as a command to a CI system does. Whoever can push names files, and writes what is quoted of them.
func Printable(text string) string {
	if strings.HasPrefix(text, "::") || strings.HasPrefix(text, "##[") || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}

func and(more int) string { return fmt.Sprintf(" and %d more", more) }
