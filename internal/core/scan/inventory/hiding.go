package inventory

import (
	"maps"
	"slices"
)

// veil is what a layer removes of the layers below it, by real paths.
type veil struct {
	whiteouts map[string]struct{}
	opaque    map[string]struct{}
	within    map[string]bool // of directories: whether what is in it is hidden
}

// remove drops what a layer removes of the layers below. Links that are removed lead nowhere any more, so each goes at
// once.
func (m *merger) remove(l Layer) {
	if len(l.Whiteouts)+len(l.Opaque) == 0 {
		return
	}
	v := &veil{map[string]struct{}{}, map[string]struct{}{}, map[string]bool{}}
	links := slices.Sorted(maps.Keys(m.paths.links))
	for _, name := range l.Whiteouts {
		if clean(name) && name != "" {
			at := m.paths.at(name)
			v.whiteouts[at] = struct{}{}
			m.paths.remove(at)
			m.paths.removeIn(at, links)
		}
	}
	for _, name := range l.Opaque {
		if clean(name) {
			at := m.paths.dir(name)
			v.opaque[at] = struct{}{}
			m.paths.removeIn(at, links)
		}
	}
	m.drop(v.hides)
}

// hides tells whether what is at a path is removed.
func (v *veil) hides(at string) bool {
	if _, ok := v.whiteouts[at]; ok {
		return true
	}
	dir, _ := split(at)
	return v.hidesIn(dir)
}

// hidesIn tells whether what is in a directory is removed.
func (v *veil) hidesIn(dir string) bool {
	if hidden, ok := v.within[dir]; ok {
		return hidden
	}
	_, hidden := v.opaque[dir]
	if !hidden && dir != "" {
		hidden = v.hides(dir)
	}
	v.within[dir] = hidden
	return hidden
}

// cover is what a layer replaces of the layers below it.
type cover struct {
	layer Layer
	own   placed
	paths *paths
	real  bool            // only what the layer calls by the real path
	gone  map[string]bool // of directories: whether there is something else in its place
}

// replaces tells whether what is at a path, which is no directory, is replaced.
func (c *cover) replaces(at string) bool {
	if _, ok := c.own.dirs[at]; ok {
		return true
	}
	dir, _ := split(at)
	return c.has(at, true) || c.replacesDir(dir)
}

// replacesDir tells whether a directory, or one that it is in, is replaced.
func (c *cover) replacesDir(dir string) bool {
	if dir == "" {
		return false
	}
	if gone, ok := c.gone[dir]; ok {
		return gone
	}
	parent, _ := split(dir)
	gone := c.has(dir, false) || c.replacesDir(parent)
	if c.gone == nil {
		c.gone = map[string]bool{}
	}
	c.gone[dir] = gone
	return gone
}

// has tells whether the layer has something at a path that is no directory, or, where dirs is set, a directory too.
func (c *cover) has(at string, dirs bool) bool {
	if _, ok := c.own.taken[at]; ok {
		return true
	}
	among := func(name string) bool {
		h := PathHash(name)
		if _, ok := slices.BinarySearch(c.layer.Others, h); ok {
			return true
		}
		_, ok := slices.BinarySearch(c.layer.Dirs, h)
		return ok && dirs
	}
	if c.real {
		return among(at)
	}
	dir, base := split(at)
	for _, form := range c.paths.forms(dir) {
		if among(join(form, base)) {
			return true
		}
	}
	return false
}
