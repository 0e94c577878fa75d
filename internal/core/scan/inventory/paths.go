package inventory

import (
	"path"
	"slices"
	"strings"
)

const (
	// maxHops is how many symbolic links the kernel follows in one path (path_resolution(7)).
	maxHops = 40
	// maxSteps bounds the work of following links in one merge: a usual image takes 100,000 steps, this many some two seconds.
	maxSteps = 20_000_000
	// maxForms is how many names a directory may go by. Where it has more, a file that is replaced by one of the rest stays.
	maxForms = 16
	maxQueue = 256 // to find them
)

// link is a symbolic link that stands.
type link struct {
	target string
	layer  int
}

// paths knows where paths lead, by the symbolic links that stand. A path without a link on its way is called real.
type paths struct {
	links  map[string]link // by real path
	steps  int             // left
	dirs   map[string]string
	looked map[string]struct{} // where a link, if there were one, would have changed dirs
	names  map[string][]string // of directories, by real path
	to     map[string][]string // links, by the real path of what they lead to
}

func newPaths() *paths {
	return &paths{links: map[string]link{}, steps: maxSteps, dirs: map[string]string{}, looked: map[string]struct{}{}}
}

// forget says that links are not what they were.
func (p *paths) forget() {
	clear(p.dirs)
	clear(p.looked)
	p.names, p.to = nil, nil
}

// put adds a link at a real path.
func (p *paths) put(at string, l link) {
	_, replaces := p.links[at]
	_, changes := p.looked[at]
	p.links[at] = l
	switch {
	case replaces || changes:
		p.forget()
	case p.to != nil: // the usual case: nothing leads elsewhere than before
		if to := p.follow(at); to != at {
			p.to[to] = append(p.to[to], at)
			clear(p.names)
		}
	}
}

// remove removes the link at a real path, if there is one.
func (p *paths) remove(at string) {
	if _, ok := p.links[at]; ok {
		delete(p.links, at)
		p.forget()
	}
}

// removeIn removes the links in a directory, of which all are the sorted list.
func (p *paths) removeIn(dir string, sorted []string) {
	within := dir + "/"
	if dir == "" {
		within = ""
	}
	before := len(p.links)
	i, _ := slices.BinarySearch(sorted, within)
	for ; i < len(sorted) && strings.HasPrefix(sorted[i], within); i++ {
		delete(p.links, sorted[i])
	}
	if len(p.links) != before {
		p.forget()
	}
}

// drop removes links, by their real paths and layers.
func (p *paths) drop(gone func(at string, layer int) bool) {
	var list []string
	for at, l := range p.links {
		if gone(at, l.layer) {
			list = append(list, at)
		}
	}
	for _, at := range list {
		delete(p.links, at)
	}
	if len(list) > 0 {
		p.forget()
	}
}

// at gives the real path of what is called name: links on the way are followed, one at the end is not.
func (p *paths) at(name string) string {
	dir, base := split(name)
	return join(p.dir(dir), base)
}

// dir gives the real path of the directory that is called name.
func (p *paths) dir(name string) string {
	if name == "" {
		return ""
	}
	if d, ok := p.dirs[name]; ok {
		return d
	}
	d := p.follow(p.at(name))
	p.dirs[name] = d
	return d
}

// follow gives the real path of what is at a real path, which may be a link itself. A loop leads nowhere but to itself.
func (p *paths) follow(at string) string {
	l, ok := p.look(at)
	if !ok {
		return at
	}
	var (
		cur, _ = split(at)
		rest   = l.target
		hops   = 1
	)
	if strings.HasPrefix(rest, "/") {
		cur = ""
	}
	for rest != "" && hops <= maxHops && p.steps > 0 {
		var next string
		next, rest, _ = strings.Cut(rest, "/")
		p.steps--
		switch next {
		case "", ".":
			continue
		case "..":
			cur, _ = split(cur)
			continue
		}
		cur = join(cur, next)
		if l, ok := p.look(cur); ok {
			hops++
			cur, _ = split(cur)
			if strings.HasPrefix(l.target, "/") {
				cur = ""
			}
			rest = l.target + "/" + rest
		}
	}
	if strings.Trim(rest, "/") != "" || hops > maxHops {
		return at
	}
	return cur
}

func (p *paths) look(at string) (link, bool) {
	p.looked[at] = struct{}{}
	l, ok := p.links[at]
	return l, ok
}

// forms gives the names that a directory goes by, its real path first: with lib a link to usr/lib, lib/x is a name of usr/lib/x. Links
// that lead to where they are themselves make no end of names, so the shortest are given.
func (p *paths) forms(dir string) []string {
	if p.to == nil {
		p.aliases()
	}
	if f, ok := p.names[dir]; ok {
		return f
	}
	if len(p.to[dir]) == 0 {
		p.names[dir] = p.formsIn(dir)
		return p.names[dir]
	}
	type step struct{ at, rest string } // at: a real path; rest: how it goes on from there
	forms := []string{dir}
	for queue := []step{{at: dir}}; len(queue) > 0 && len(queue) < maxQueue && len(forms) < maxForms && p.steps > 0; queue = queue[1:] {
		p.steps--
		s := queue[0]
		if s.at == "" && !slices.Contains(forms, s.rest) {
			forms = append(forms, s.rest)
		}
		for _, l := range p.to[s.at] {
			parent, base := split(l)
			queue = append(queue, step{parent, join(base, s.rest)})
		}
		if s.at != "" {
			parent, base := split(s.at)
			queue = append(queue, step{parent, join(base, s.rest)})
		}
	}
	p.names[dir] = forms
	return forms
}

// formsIn gives the forms of a directory that no link leads to: those of the one that it is in, and on.
func (p *paths) formsIn(dir string) []string {
	if dir == "" {
		return []string{""}
	}
	parent, base := split(dir)
	above := p.forms(parent)
	forms := make([]string, len(above))
	for i, f := range above {
		forms[i] = join(f, base)
	}
	return forms
}

// aliases sorts links by where they lead.
func (p *paths) aliases() {
	p.names, p.to = map[string][]string{}, map[string][]string{}
	for at := range p.links {
		if to := p.follow(at); to != at {
			p.to[to] = append(p.to[to], at)
		}
	}
	for _, list := range p.to {
		slices.Sort(list)
	}
}

// split cuts the last component off a path; the parent of one component is "", the root.
func split(name string) (dir, base string) {
	if i := strings.LastIndexByte(name, '/'); i >= 0 {
		return name[:i], name[i+1:]
	}
	return "", name
}

func join(dir, base string) string {
	switch {
	case dir == "":
		return base
	case base == "":
		return dir
	}
	return dir + "/" + base
}

// clean tells whether a path is as the paths of a Layer are; "" is the root.
func clean(name string) bool {
	return name != "." && name != ".." && !strings.HasPrefix(name, "/") && !strings.HasPrefix(name, "../") && (name == "" || path.Clean(name) == name)
}
