package inventory

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
)

// MaxPackages is how many packages an image may have. What is above is left out, and told as a problem.
const MaxPackages = 100_000

// maxWork bounds what is looked at to put layers on top of each other, in things that may be hidden by each: half a minute at worst. An image of
// 127 layers, which is as many as Docker makes, with 100,000 packages in the lowest comes to half of it.
const maxWork = 25_000_000

// Merge puts the layers of an image together, the lowest first: what is in the image that they make.
//
// A file of a layer stands unless a layer above has something at its path, or something other than a directory at a path above it,
// or removes either, or hides the directory (image-spec, layer.md). Paths that lead through symbolic links of lower layers are what
// they lead to. A package is brought by the oldest layer from which on each state of its file has it, with no removal of the file
// between.
func Merge(layers []Layer) Image { return merge(layers, maxWork) }

func merge(layers []Layer, work int) Image {
	m := merger{paths: newPaths(), facts: map[string]*fact{}, releases: map[string]OS{}}
	var img Image
	for i, l := range layers {
		if work -= len(m.facts) + len(m.paths.links); work < 0 {
			img.Problems = append(img.Problems, fmt.Sprintf("its layers, and what is in them, are too many: the lowest %d of %d were put together", i, len(layers)))
			break
		}
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
	m.remove(l)
	own := m.place(i, l)
	before := make(map[string]*fact, len(own.files))
	for at := range own.files {
		before[at] = m.facts[at]
	}
	m.cover(i, l, own)
	for at, files := range own.files {
		m.facts[at] = follow(before[at], i, files)
	}
	maps.Copy(m.releases, own.releases)
}

// dropLinks drops the links that the layer has directories in the place of, since what it has in these does not lead through the links
// any more. Those that go under their real path go first: they have lent others a name.
func (m *merger) dropLinks(l Layer) {
	if len(l.Dirs) == 0 {
		return
	}
	for _, named := range []bool{false, true} {
		c := cover{layer: Layer{Dirs: l.Dirs}, real: !named, paths: m.paths}
		m.paths.drop(func(at string, _ int) bool { return c.replaces(at) })
	}
}

// drop drops facts and releases.
func (m *merger) drop(gone func(at string) bool) {
	for at := range m.facts {
		if gone(at) {
			delete(m.facts, at)
		}
	}
	for at := range m.releases {
		if gone(at) {
			delete(m.releases, at)
		}
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

// cover drops what the things of layer i replace.
func (m *merger) cover(i int, l Layer, own placed) {
	c := cover{layer: l, own: own, paths: m.paths}
	m.drop(c.replaces)
	m.paths.drop(func(at string, layer int) bool { return layer < i && c.replaces(at) })
}

// follow is what stands at a path when layer i has files there. Packages that stood there before keep the layer that brought them.
func follow(before *fact, i int, files []*File) *fact {
	since := map[Package]int{}
	if before != nil {
		for f, file := range before.files {
			for k, pkg := range file.Packages {
				if s, ok := since[pkg]; !ok || before.since[f][k] < s {
					since[pkg] = before.since[f][k]
				}
			}
		}
	}
	now := &fact{files: files}
	for _, file := range files {
		layers := make([]int, len(file.Packages))
		for k, pkg := range file.Packages {
			layers[k] = i
			if s, ok := since[pkg]; ok {
				layers[k] = s
			}
		}
		now.since = append(now.since, layers)
	}
	return now
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
	Sort(list)
	return slices.CompactFunc(list, func(a, b Found) bool { return a.Package == b.Package && a.Path == b.Path })
}

// Sort puts packages in the order that Image has them in.
func Sort(list []Found) { slices.SortFunc(list, func(a, b Found) int { return compare(&a, &b) }) }

// compare orders packages as Image has them, and those that are alike in that by the rest, so that the order is always the same.
func compare(a, b *Found) int {
	return cmp.Or(
		cmp.Compare(a.Type, b.Type), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Path, b.Path),
		cmp.Compare(a.Arch, b.Arch), cmp.Compare(a.Source, b.Source), cmp.Compare(a.SourceVersion, b.SourceVersion),
		cmp.Compare(a.Layer, b.Layer), cmp.Compare(a.Format, b.Format),
	)
}
