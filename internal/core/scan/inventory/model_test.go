package inventory_test

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// A stack of layers is written as one string for each layer, of entries with a comma between:
//
//	d a/b           a directory
//	f a/b p q       a file that an extractor finds the packages p and q in
//	x a/b           any other file
//	l a/b ../c      a symbolic link
//	r etc/os-release debian
//	w a/b           a/b of lower layers is removed
//	q a/b           what lower layers have in a/b is removed; q . is the root
type entry struct {
	kind byte
	path string
	rest []string
}

func parseEntries(layer string) []entry {
	var list []entry
	for text := range strings.SplitSeq(layer, ",") {
		if words := strings.Fields(text); len(words) > 1 {
			list = append(list, entry{words[0][0], strings.Trim(words[1], "."), words[2:]})
			if words[0] != "q" {
				list[len(list)-1].path = words[1]
			}
		}
	}
	return list
}

func (e entry) String() string {
	return strings.TrimSpace(string(e.kind) + " " + e.path + " " + strings.Join(e.rest, " "))
}

// ordered sorts the entries of a layer as archives have them: directories before what is in them, removals before what is put.
func ordered(entries []entry) []entry {
	const order = "dwqlfxr"
	entries = slices.Clone(entries)
	slices.SortStableFunc(entries, func(a, b entry) int {
		if d := strings.IndexByte(order, a.kind) - strings.IndexByte(order, b.kind); d != 0 {
			return d
		}
		return strings.Compare(a.path, b.path)
	})
	return entries
}

// node is a thing in the naive model: a tree that layers are unpacked into, one after the other, as container runtimes do.
type node struct {
	kind     byte // d, f, x, l, r
	layer    int  // which had an entry of it last
	children map[string]*node
	rest     []string // packages, target, or ID
}

func newDir(layer int) *node { return &node{kind: 'd', layer: layer, children: map[string]*node{}} }

// tree is the root, and what has been removed while the layer at hand was unpacked, and which links have been followed.
type tree struct {
	root     *node
	removed  map[string]bool
	followed map[*node]bool
}

var errEntry = errors.New("an entry that cannot be unpacked, or whose outcome hangs on the order in the archive")

func (t *tree) get(at string) *node {
	n := t.root
	for c := range strings.SplitSeq(at, "/") {
		if c == "" {
			continue
		}
		if n == nil || n.kind != 'd' {
			return nil
		}
		n = n.children[c]
	}
	return n
}

// real follows every link of a path. What is not there is taken as it is written.
func (t *tree) real(name string) (string, error) {
	done, todo := "", strings.Split(name, "/")
	for hops := 0; len(todo) > 0; {
		c := todo[0]
		todo = todo[1:]
		switch c {
		case "", ".":
			continue
		case "..":
			done = strings.TrimPrefix(path.Dir("/"+done), "/")
			continue
		}
		next := strings.TrimPrefix(done+"/"+c, "/")
		n := t.get(next)
		if n == nil || n.kind != 'l' {
			done = next
			continue
		}
		if hops++; hops > 30 {
			return "", errEntry
		}
		t.followed[n] = true
		if strings.HasPrefix(n.rest[0], "/") {
			done = ""
		}
		todo = append(strings.Split(n.rest[0], "/"), todo...)
	}
	return done, nil
}

func (t *tree) place(name string) (dir, base string, err error) {
	dir, base = path.Split(name)
	dir, err = t.real(dir)
	return dir, base, err
}

// mkdir makes a directory and those above it.
func (t *tree) mkdir(at string, layer int) (*node, error) {
	n := t.root
	for c := range strings.SplitSeq(at, "/") {
		if c == "" {
			continue
		}
		next := n.children[c]
		if next == nil {
			next = newDir(layer)
			n.children[c] = next
		}
		if next.kind != 'd' {
			return nil, errEntry
		}
		n = next
	}
	return n, nil
}

// purge removes what is of lower layers, and tells whether there is nothing else.
func (t *tree) purge(n *node, at string, layer int) bool {
	for name, c := range n.children {
		if t.purge(c, path.Join(at, name), layer) {
			delete(n.children, name)
		}
	}
	if n.layer == layer || len(n.children) > 0 {
		return false
	}
	t.removed[at] = true
	return true
}

// any tells whether something is true of a node, or of one in it.
func (n *node) any(is func(*node) bool) bool {
	if is(n) {
		return true
	}
	for _, c := range n.children {
		if c.any(is) {
			return true
		}
	}
	return false
}

func (t *tree) unpack(layer int, e entry) error {
	if e.kind == 'q' {
		at, err := t.real(e.path)
		if n := t.get(at); err == nil && n != nil && n.kind == 'd' {
			if n.any(func(n *node) bool { return t.followed[n] }) {
				return errEntry
			}
			for name, c := range n.children {
				if t.purge(c, path.Join(at, name), layer) {
					delete(n.children, name)
				}
			}
		}
		return err
	}
	dir, base, err := t.place(e.path)
	if err != nil {
		return err
	}
	at := path.Join(dir, base)
	if e.kind == 'w' {
		n := t.get(at)
		if n != nil && n.any(func(n *node) bool { return t.followed[n] }) {
			return errEntry
		}
		if n != nil && t.purge(n, at, layer) {
			delete(t.get(dir).children, base)
		}
		return nil
	}
	parent, err := t.mkdir(dir, layer-1000) // of no layer: it has no entry
	if err != nil {
		return err
	}
	there := parent.children[base]
	if there != nil && there.kind == 'd' && e.kind == 'd' {
		there.layer = layer
		return nil
	}
	if there != nil && there.any(func(n *node) bool { return n.layer == layer || t.followed[n] }) {
		return errEntry
	}
	n := &node{kind: e.kind, layer: layer, rest: e.rest}
	if e.kind == 'd' {
		n = newDir(layer)
	}
	parent.children[base] = n
	return nil
}

func (t *tree) walk(n *node, at string, visit func(at string, n *node)) {
	visit(at, n)
	for name, c := range n.children {
		t.walk(c, path.Join(at, name), visit)
	}
}

// flattened unpacks layers, and gives what is found in the end: "p a/b 0" is package p in the file a/b, of the lowest layer, and
// "os debian". Entries that cannot be unpacked are left out; kept are the rest.
func flattened(layers [][]entry) (found []string, kept [][]entry) {
	t := &tree{root: newDir(-1), followed: map[*node]bool{}}
	type state struct {
		files   map[string][]string
		removed map[string]bool
	}
	var states []state
	for i, layer := range layers {
		t.removed, t.followed = map[string]bool{}, map[*node]bool{}
		var ok []entry
		for _, e := range ordered(layer) {
			if t.unpack(i, e) == nil {
				ok = append(ok, e)
			}
		}
		kept = append(kept, ok)
		s := state{map[string][]string{}, t.removed}
		t.walk(t.root, "", func(at string, n *node) {
			if n.kind == 'f' {
				s.files[at] = n.rest
			}
		})
		states = append(states, s)
	}
	if len(states) == 0 {
		return nil, kept
	}
	for at, packages := range states[len(states)-1].files {
		for _, p := range packages {
			k := len(states) - 1
			for k > 0 && slices.Contains(states[k-1].files[at], p) && !states[k].removed[at] {
				k--
			}
			found = append(found, fmt.Sprintf("%s %s %d", p, at, k))
		}
	}
	for _, name := range inventory.OSReleasePaths() {
		at, err := t.real(name)
		if n := t.get(at); err == nil && n != nil && n.kind == 'r' {
			found = append(found, "os "+n.rest[0])
			break
		}
	}
	slices.Sort(found)
	return slices.Compact(found), kept
}

// facts are what the walk through a layer's archive would say of it.
func facts(layer []entry) inventory.Layer {
	var l inventory.Layer
	for _, e := range ordered(layer) {
		switch e.kind {
		case 'd':
			l.Dirs = append(l.Dirs, inventory.PathHash(e.path))
		case 'f':
			f := inventory.File{Path: e.path, Format: "fake"}
			for _, p := range e.rest {
				f.Packages = append(f.Packages, inventory.Package{Type: inventory.NPM, Name: p, Version: "1", Source: p, SourceVersion: "1"})
			}
			l.Files = append(l.Files, f)
		case 'x':
			l.Others = append(l.Others, inventory.PathHash(e.path))
		case 'l':
			l.Links = append(l.Links, inventory.Link{Path: e.path, Target: e.rest[0]})
		case 'r':
			l.Releases = append(l.Releases, inventory.Release{Path: e.path, OS: inventory.OS{ID: e.rest[0]}})
		case 'w':
			l.Whiteouts = append(l.Whiteouts, e.path)
		case 'q':
			l.Opaque = append(l.Opaque, e.path)
		}
	}
	slices.Sort(l.Others)
	slices.Sort(l.Dirs)
	return l
}

// merged is what Merge finds, as flattened gives it.
func merged(layers [][]entry) []string {
	var stack []inventory.Layer
	for _, l := range layers {
		stack = append(stack, facts(l))
	}
	img := inventory.Merge(stack)
	var found []string
	for _, p := range img.Packages {
		found = append(found, fmt.Sprintf("%s %s %d", p.Name, p.Path, p.Layer))
	}
	if img.OS.ID != "" {
		found = append(found, "os "+img.OS.ID)
	}
	slices.Sort(found)
	return found
}
