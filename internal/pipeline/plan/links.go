package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// maxLinks is how many links a project may have a part in.
const maxLinks = 256

// follow has a project depend on what symbolic links among its inputs point to, on what it names by way of a link, and
// on the submodules in which it names something. What is found so may have links in turn.
func (r *reading) follow(p *Project) {
	links := r.tree.Links()
	names := sortedKeys(links)
	known := map[string]bool{}
	for i := 0; i < len(p.inputs); i++ { //nolint:intrange // there are more on the way
		in := p.inputs[i]
		for _, leaf := range above(path.Dir(in.at)) {
			if _, ok := slices.BinarySearch(r.files, leaf); !ok {
				continue
			}
			if to, ok := links[leaf]; ok {
				r.linked(p, known, leaf, path.Join(path.Dir(leaf), to, strings.TrimPrefix(in.at, leaf+"/")))
			} else {
				r.linked(p, known, leaf, leaf)
			}
		}
		if in.at == "." && in.match == nil { // what links point to is an input too
			continue
		}
		for _, link := range names {
			// A link from one of its own files to another says nothing that is not known.
			to := path.Join(path.Dir(link), links[link])
			if in.covers(link) && (in.cause != Files || !within(to, p.Dir)) {
				r.linked(p, known, link, to)
			}
		}
	}
}

// linked has a project depend on a path because of a link, or of a submodule that is at the path itself.
func (r *reading) linked(p *Project, known map[string]bool, link, to string) {
	if known[to] || len(known) > maxLinks || path.IsAbs(to) || to == ".." || strings.HasPrefix(to, "../") {
		return
	}
	if len(known) == maxLinks { // as of a link to what is behind itself
		r.unreadable(p, link, fmt.Errorf("more than %d symbolic links are to be followed", maxLinks))
		known[""] = true
		return
	}
	known[to] = true
	why := link + " is a link to it"
	if link == to {
		why = "the submodule has what it takes"
	}
	p.add(input{at: to, cause: Input, why: why})
	if owner := r.graph.owner(to); owner != nil {
		p.depend(owner.Name, link+": is a link to "+to)
	}
}
