package inventory

import (
	"cmp"
	"fmt"
	"slices"
)

// MaxPackages is how many packages an image may have. What is above is left out, and told as a problem.
const MaxPackages = 100_000

// Merge puts the layers of an image together, the lowest first: what is in the image that they make.
//
// A file of a layer stands unless a layer above has something at its path, or something other than a directory at a path above it,
// or removes either, or hides the directory (image-spec, layer.md). Paths that lead through symbolic links of lower layers are what
// they lead to. A package is brought by the oldest layer from which on each state of its file has it, with no removal of the file
// between.
func Merge(layers []Layer) Image {
	m := merger{paths: newPaths(), facts: map[string]*fact{}, releases: map[string]OS{}}
	var img Image
	for i, l := range layers {
		if l.Problem != "" {
			img.Problems = append(img.Problems, fmt.Sprintf("layer %d of %d: %s", i+1, len(layers), l.Problem))
		}
		m.apply(i, l)
	}
	img.OS = m.os()
	img.Packages = m.packages(img.OS)
	if len(img.Packages) > MaxPackages {
		img.Packages = slices.Clip(img.Packages[:MaxPackages])
		img.Problems = append(img.Problems, fmt.Sprintf("more than %d packages", MaxPackages))
	}
	if m.paths.steps <= 0 {
		img.Problems = append(img.Problems, "too many symbolic links to follow")
	}
	return img
}

// merger is the image as far as it has been put together. All paths in it are real.
type merger struct {
	paths    *paths
	facts    map[string]*fact
	releases map[string]OS
}

// fact is what stands at a path that extractors have read: more than one file where more than one of them has.
type fact struct {
	files []*File
	since [][]int // of each package of each file
}

// apply puts a layer on top. Removals come before what the layer has itself, since they are of lower layers only.
func (m *merger) apply(i int, l Layer) {
	m.dropLinks(l)
	m.drop(m.veil(l))
	own := m.place(i, l)
	m.cover(i, l, own)
	for at, files := range own.files {
		m.put(i, at, files)
	}
	for at, os := range own.releases {
		m.releases[at] = os
	}
}

// dropLinks drops the links that the layer has directories in the place of, since what it has in these does not lead through the links
// any more. Those that go under their real path go first: they have lent others a name.
func (m *merger) dropLinks(l Layer) {
	for _, named := range []bool{false, true} {
		c := cover{layer: Layer{Dirs: l.Dirs}, real: !named, paths: m.paths}
		var gone []string
		for at := range m.paths.links {
			if c.replaces(at) {
				gone = append(gone, at)
			}
		}
		for _, at := range gone {
			delete(m.paths.links, at)
		}
		if len(gone) > 0 {
			m.paths.forget()
		}
	}
}

// drop drops what a layer removes.
func (m *merger) drop(v *veil) {
	if len(v.whiteouts)+len(v.opaque) == 0 {
		return
	}
	for at := range m.facts {
		if v.hides(at) {
			delete(m.facts, at)
		}
	}
	for at := range m.releases {
		if v.hides(at) {
			delete(m.releases, at)
		}
	}
	links := len(m.paths.links)
	for at := range m.paths.links {
		if v.hides(at) {
			delete(m.paths.links, at)
		}
	}
	if links != len(m.paths.links) {
		m.paths.forget()
	}
}

// placed is what a layer itself has, by real paths.
type placed struct {
	files    map[string][]*File
	releases map[string]OS
	taken    map[string]struct{} // by any of them, or by a link
	dirs     map[string]struct{} // that there must be, for them to be in
}

// place finds out where the things of a layer go, and puts its links there.
func (m *merger) place(i int, l Layer) placed {
	p := placed{map[string][]*File{}, map[string]OS{}, map[string]struct{}{}, map[string]struct{}{}}
	take := func(name string) (at string, ok bool) {
		if !clean(name) || name == "" {
			return "", false
		}
		at = m.paths.at(name)
		p.taken[at] = struct{}{}
		for dir, _ := split(at); dir != ""; dir, _ = split(dir) {
			if _, known := p.dirs[dir]; known {
				break
			}
			p.dirs[dir] = struct{}{}
		}
		return at, true
	}
	for _, e := range l.Links {
		if at, ok := take(e.Path); ok {
			m.paths.put(at, link{e.Target, i})
		}
	}
	for k := range l.Files {
		if at, ok := take(l.Files[k].Path); ok {
			p.files[at] = append(p.files[at], &l.Files[k])
		}
	}
	for _, r := range l.Releases {
		if at, ok := take(r.Path); ok {
			p.releases[at] = r.OS
		}
	}
	return p
}

// cover drops what the things of layer i replace. What stood where it has facts itself is left to put.
func (m *merger) cover(i int, l Layer, own placed) {
	c := cover{layer: l, own: own, paths: m.paths}
	for at := range m.facts {
		if _, again := own.files[at]; !again && c.replaces(at) {
			delete(m.facts, at)
		}
	}
	for at := range m.releases {
		if c.replaces(at) {
			delete(m.releases, at)
		}
	}
	changed := false
	for at, l := range m.paths.links {
		if l.layer < i && c.replaces(at) {
			delete(m.paths.links, at)
			changed = true
		}
	}
	if changed {
		m.paths.forget()
	}
}

// put has files stand at a path. Packages that stood there already keep the layer that brought them.
func (m *merger) put(i int, at string, files []*File) {
	before := map[Package]int{}
	if old := m.facts[at]; old != nil {
		for f, file := range old.files {
			for k, pkg := range file.Packages {
				if since, ok := before[pkg]; !ok || old.since[f][k] < since {
					before[pkg] = old.since[f][k]
				}
			}
		}
	}
	now := &fact{files: files}
	for _, file := range files {
		since := make([]int, len(file.Packages))
		for k, pkg := range file.Packages {
			since[k] = i
			if s, ok := before[pkg]; ok {
				since[k] = s
			}
		}
		now.since = append(now.since, since)
	}
	m.facts[at] = now
}

// os is what the os-release says that programs would read.
func (m *merger) os() OS {
	for _, name := range OSReleasePaths() {
		if os, ok := m.releases[m.paths.follow(m.paths.at(name))]; ok {
			return os
		}
	}
	return OS{}
}

// packages lists what stands, each package of a path once.
func (m *merger) packages(os OS) []Found {
	var list []Found
	ecosystems := map[Type][2]string{}
	for at, fact := range m.facts {
		for f, file := range fact.files {
			for k, pkg := range file.Packages {
				e, ok := ecosystems[pkg.Type]
				if !ok {
					e[0], e[1] = Ecosystem(pkg.Type, os)
					ecosystems[pkg.Type] = e
				}
				list = append(list, Found{
					Package: pkg, Ecosystem: e[0], Release: e[1],
					Path: at, Format: file.Format, Layer: fact.since[f][k], Owned: file.Owned,
				})
			}
		}
	}
	slices.SortFunc(list, func(a, b Found) int { return compare(&a, &b) })
	return slices.CompactFunc(list, func(a, b Found) bool { return a.Package == b.Package && a.Path == b.Path })
}

// compare orders packages as Image has them, and those that are alike in that by the rest, so that the order is always the same.
func compare(a, b *Found) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Source, b.Source), cmp.Compare(a.SourceVersion, b.SourceVersion),
		cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Format, b.Format),
	)
}
