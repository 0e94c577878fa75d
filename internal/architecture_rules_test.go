package internal_test

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

type rules struct {
	layers           []layer
	free             []string
	groups           []string
	confined         []confinement
	reserved         []reservation
	fileLines        int
	functionLines    int
	interfaceMethods int
	exceptions       []exception
}

// layer is what the packages below a prefix may import of ours.
type layer struct {
	prefix string
	may    []string
}

// confinement is a package of others that only some of ours may import.
type confinement struct {
	pkg  string
	only []string
	why  string
}

// reservation is some names of a package that only some of ours may mention.
type reservation struct {
	pkg   string
	names []string
	only  []string
	why   string
}

// exception is a finding that is accepted: its words, and the reason.
type exception struct{ what, reason string }

// problem is a broken rule: where, what (the words that an exception repeats), and what the rule is.
type problem struct{ where, what, rule string }

func (p problem) String() string { return fmt.Sprintf("%s: %s: %s", p.where, p.what, p.rule) }

// check gives every broken rule but the excepted, and the exceptions that excuse nothing any more.
func (r rules) check(packages []pkg) []problem {
	var found []problem
	for _, p := range packages {
		found = append(found, r.checkPlace(p)...)
		found = append(found, r.checkImports(p)...)
		found = append(found, r.checkNames(p)...)
		found = append(found, r.checkSizes(p)...)
	}
	for _, e := range r.exceptions {
		excused := func(p problem) bool { return p.what == e.what }
		if e.reason == "" {
			found = append(found, problem{"exceptions", e.what, "an exception needs its reason"})
		}
		if !slices.ContainsFunc(found, excused) {
			found = append(found, problem{"exceptions", e.what, "this excuses nothing: remove it"})
		}
		found = slices.DeleteFunc(found, excused)
	}
	slices.SortStableFunc(found, func(a, b problem) int { return cmp.Or(cmp.Compare(a.where, b.where), cmp.Compare(a.what, b.what)) })
	return found
}

// checkPlace finds packages that are nowhere in the tables, in a group folder, or without a comment.
func (r rules) checkPlace(p pkg) []problem {
	var found []problem
	if !p.documented {
		found = append(found, problem{p.path, p.path + " has no package comment", "it says what the package is for"})
	}
	if p.testsOnly {
		return found
	}
	if slices.Contains(r.groups, p.path) {
		return append(found, problem{p.path, p.path + " holds Go files", "a group folder holds packages only"})
	}
	if _, ok := r.layer(p.path); !ok && !r.isFree(p.path) {
		found = append(found, problem{p.path, p.path + " is in no layer", "give it a line in the table of layers"})
	}
	return found
}

func (r rules) checkImports(p pkg) []problem {
	if r.isFree(p.path) {
		return nil
	}
	var found []problem
	l, _ := r.layer(p.path)
	for _, i := range p.imports {
		add := func(rule string) {
			found = append(found, problem{i.where, p.path + " imports " + i.name, rule})
		}
		if i.ours && !r.mayImport(l, p.path, i.name) {
			add(l.describe())
		}
		for _, c := range r.confined {
			// The first that fits counts: a narrower line stands before a wider one.
			if i.ours || !within(i.name, c.pkg) {
				continue
			}
			if !withinAny(p.path, c.only) {
				add(c.why)
			}
			break
		}
	}
	return found
}

func (r rules) mayImport(l layer, from, to string) bool {
	if r.isFree(to) {
		return false
	}
	if room(from) != "" && room(from) == room(to) {
		return true
	}
	return slices.ContainsFunc(l.may, func(pattern string) bool {
		if prefix, ok := strings.CutSuffix(pattern, "/..."); ok {
			return within(to, prefix)
		}
		return to == pattern
	})
}

func (r rules) checkNames(p pkg) []problem {
	if r.isFree(p.path) {
		return nil
	}
	var found []problem
	for _, m := range p.mentions {
		for _, v := range r.reserved {
			if m.pkg == v.pkg && slices.Contains(v.names, m.name) && !withinAny(p.path, v.only) {
				found = append(found, problem{m.where, p.path + " mentions " + m.pkg + "." + m.name, v.why})
			}
		}
	}
	return found
}

func (r rules) checkSizes(p pkg) []problem {
	var found []problem
	over := func(items []sized, limit int, unit string) {
		for _, s := range items {
			if s.size > limit {
				found = append(found, problem{
					s.where, p.path + ": " + s.name + " is too large",
					fmt.Sprintf("%d %s, at most %d", s.size, unit, limit),
				})
			}
		}
	}
	over(p.files, r.fileLines, "lines")
	over(p.functions, r.functionLines, "lines")
	over(p.interfaces, r.interfaceMethods, "methods of its own")
	return found
}

// layer finds the layer with the longest prefix.
func (r rules) layer(path string) (layer, bool) {
	var best layer
	for _, l := range r.layers {
		if within(path, l.prefix) && len(l.prefix) > len(best.prefix) {
			best = l
		}
	}
	return best, best.prefix != ""
}

func (l layer) describe() string {
	if len(l.may) == 0 {
		return l.prefix + " may import nothing of ours"
	}
	return l.prefix + " may import " + strings.Join(l.may, ", ")
}

// isFree tells whether a package is for tests or measurements.
func (r rules) isFree(p string) bool {
	return withinAny(p, r.free) || within(p, "internal") && strings.HasSuffix(path.Base(p), "test")
}

// room is the first three parts of a path below core, api, storage, remote or pipeline, the second otherwise:
// the folder that a subject or a technology has for itself.
func room(p string) string {
	parts := strings.Split(p, "/")
	n := 2
	if len(parts) > 1 && slices.Contains([]string{"core", "api", "storage", "remote", "pipeline"}, parts[1]) {
		n = 3
	}
	if len(parts) < n {
		return ""
	}
	return strings.Join(parts[:n], "/")
}

func within(p, prefix string) bool {
	return p == prefix || strings.HasPrefix(p, prefix+"/")
}

func withinAny(p string, prefixes []string) bool {
	return slices.ContainsFunc(prefixes, func(prefix string) bool { return within(p, prefix) })
}
