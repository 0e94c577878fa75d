package layer

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

// kind is what stands at a path.
type kind uint8

const (
	directory kind = iota
	other          // a hash of it is all that is kept
	kept           // it is in files or links
)

// mark says that an entry is of a path. There may be hundreds of thousands, so it is small.
type mark struct {
	path  uint64 // PathHash
	entry uint32
	kind  kind
}

// file is what was learnt of a regular file that Formats have read.
type file struct {
	entry   uint32
	files   []inventory.File
	release *inventory.OS
}

type link struct {
	target string
	entry  uint32
}

// facts are what has been found in a layer so far.
type facts struct {
	marks     []mark
	files     map[string]file
	links     map[string]link
	read      map[uint64]outcome // by PathHash
	whiteouts map[string]struct{}
	opaques   map[string]struct{}
	owned     []uint64 // PathHash
	packages  int
	text      int64 // bytes that are kept
	problems  []string
	named     map[string]struct{} // kinds of problems
}

func newFacts() facts {
	return facts{
		files: map[string]file{}, links: map[string]link{}, read: map[uint64]outcome{},
		whiteouts: map[string]struct{}{}, opaques: map[string]struct{}{}, named: map[string]struct{}{},
	}
}

// problem names what is wrong with the layer: the first of each kind.
func (f *facts) problem(kind, text string) {
	if _, ok := f.named[kind]; !ok && len(f.problems) < maxProblems {
		f.named[kind] = struct{}{}
		f.problems = append(f.problems, text)
	}
}

const maxProblems = 8

func (w *walker) mark(name string, k kind) {
	w.marks = append(w.marks, mark{inventory.PathHash(name), w.entry, k})
}

// forget drops what an earlier entry of the path has brought.
func (w *walker) forget(name string) {
	delete(w.files, name)
	delete(w.links, name)
	hash := inventory.PathHash(name)
	delete(w.read, hash)
	delete(w.aside.at, hash)
}

func (w *walker) remove(name string) {
	if _, ok := w.whiteouts[name]; !ok && w.room(name) {
		w.whiteouts[name] = struct{}{}
	}
}

func (w *walker) opaque(name string) {
	if _, ok := w.opaques[name]; !ok && w.room(name) {
		w.opaques[name] = struct{}{}
	}
}

// room tells whether there is room for a fact with these texts.
func (w *walker) room(texts ...string) bool {
	const fact, escaped = 64, 5 // bytes, about: of a fact itself, and of what JSON makes of a character longer
	n := int64(fact)
	for _, t := range texts {
		n += int64(len(t))
		for _, c := range []byte(t) {
			if c < ' ' || c == '"' || c == '\\' || c == 0x7f {
				n += escaped
			}
		}
	}
	if w.text+n > w.Limits.Kept {
		w.problem("kept", fmt.Sprintf("its paths, links and packages are more than %s", size(w.Limits.Kept)))
		return false
	}
	w.text += n
	return true
}

// layer puts what was found in order.
func (w *walker) layer() inventory.Layer {
	slices.SortFunc(w.marks, func(a, b mark) int { return cmp.Or(cmp.Compare(a.path, b.path), cmp.Compare(a.entry, b.entry)) })
	slices.Sort(w.owned)
	var l inventory.Layer
	for i, m := range w.marks {
		if i+1 < len(w.marks) && w.marks[i+1].path == m.path {
			continue // a later entry is of the same path
		}
		switch m.kind {
		case directory:
			l.Dirs = append(l.Dirs, m.path)
		case other:
			l.Others = append(l.Others, m.path)
		case kept:
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.files)) {
		f := w.files[name]
		if w.replaced(name, f.entry) {
			continue
		}
		for _, file := range f.files {
			file.Owned = w.brought(file)
			l.Files = append(l.Files, file)
		}
		if f.release != nil {
			l.Releases = append(l.Releases, inventory.Release{Path: name, OS: *f.release})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.links)) {
		if k := w.links[name]; !w.replaced(name, k.entry) {
			l.Links = append(l.Links, inventory.Link{Path: name, Target: k.target})
		}
	}
	l.Whiteouts = slices.Sorted(maps.Keys(w.whiteouts))
	l.Opaque = slices.Sorted(maps.Keys(w.opaques))
	l.Problem = strings.Join(w.problems, "; ")
	return l
}

// replaced tells whether a later entry puts something else where a directory above a path was.
func (w *walker) replaced(name string, entry uint32) bool {
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		// The last mark of a path that is not later than any entry: the one before where the next path begins.
		hash := inventory.PathHash(dir)
		i, _ := slices.BinarySearchFunc(w.marks, hash, func(m mark, h uint64) int { return cmp.Compare(m.path, h) })
		for ; i < len(w.marks) && w.marks[i].path == hash; i++ {
			if w.marks[i].entry > entry && w.marks[i].kind != directory {
				return true
			}
		}
	}
	return false
}

// brought tells whether a package of the operating system has brought a file of a language. Distributions whose /bin, /sbin and /lib
// are links into /usr list some files by the one name, and some by the other.
func (w *walker) brought(f inventory.File) bool {
	const usr = "usr/"
	if !slices.ContainsFunc(f.Packages, func(p inventory.Package) bool { return !p.Type.System() }) {
		return false
	}
	names := []string{f.Path, usr + f.Path}
	if short, ok := strings.CutPrefix(f.Path, usr); ok {
		names[1] = short
	}
	return slices.ContainsFunc(names, func(name string) bool {
		_, ok := slices.BinarySearch(w.owned, inventory.PathHash(name))
		return ok
	})
}

// why is what an error says, as part of a Problem.
func why(err error) string {
	text := strings.ReplaceAll(err.Error(), io.ErrUnexpectedEOF.Error(), "it is cut off")
	return strings.ToValidUTF8(clip(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)), "\uFFFD")
}

// quoted writes a stranger's text so that it can be printed anywhere.
func quoted(s string) string { return strconv.QuoteToASCII(clip(s)) }

// clip keeps it short.
func clip(s string) string {
	const most = 160
	if len(s) <= most {
		return s
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}
