package ship

import (
	"maps"
	"slices"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// known is what the registry says of an image.
type known struct {
	digest oci.Digest
	inputs string   // the image key that it was built with, "" if it says none
	tests  []string // the test keys that passed
}

// work is what is to be done with one project.
type work struct {
	*plan.Project
	why    string   // why it is here
	from   []string // apps whose images its own is made from
	keys   plan.Keys
	tags   tags
	ships  bool   // its image is to be found or built, and released
	test   bool   // its test is to be run
	passed string // why its test need not be run
}

// facts are what decides.
type facts struct {
	affected map[string]plan.Affected
	keys     map[string]plan.Keys
	tags     map[string]tags
	images   map[string]known // by tag
	rebuild  bool             // also what was shipped, if it is affected
	offline  bool             // no registry was asked, and what is affected is built
}

// choose gives the projects that there is something to do with, in the graph's order: apps to be shipped, what is
// affected, and what those depend on, since an app is not shipped over a library whose test fails.
func choose(order []*plan.Project, f facts) []*work {
	byName := make(map[string]*work, len(order))
	for _, p := range order {
		w := &work{Project: p, from: slices.Compact(slices.Sorted(maps.Values(p.Bases()))), keys: f.keys[p.Name], tags: f.tags[p.Name]}
		a, affected := f.affected[p.Name]
		if p.Kind == workspace.App {
			w.ships, w.why = f.ships(w, a.Build)
		}
		if affected {
			w.why = a.Reasons[0].String()
		}
		w.test = affected || w.ships
		byName[p.Name] = w
	}
	for _, p := range order {
		if w := byName[p.Name]; w.test {
			require(w, byName)
		}
	}
	var all []*work
	for _, p := range order {
		if w := byName[p.Name]; w.test {
			all = append(all, w)
		}
	}
	return all
}

// require has all tested that a project depends on.
func require(w *work, byName map[string]*work) {
	for _, d := range w.Dependencies {
		if on := byName[d.Name]; on != nil && !on.test {
			on.test, on.why = true, w.Name+" depends on it"
			require(on, byName)
		}
	}
}

// ships tells whether an app's image is to be shipped, and why, where it is not a change that affects it.
func (f facts) ships(w *work, changed bool) (ships bool, why string) {
	key := w.keys.Image
	if f.offline || f.rebuild && changed {
		return changed, ""
	}
	var there, same int
	for _, tag := range w.tags.known {
		image, ok := f.images[tag]
		switch {
		case !ok:
			continue
		case image.inputs == "" || key == "":
			// Something else pushed it, or nobody knows what goes into it: only the change says something.
			return changed, ""
		case image.inputs == key:
			same++
		case slices.Contains(w.tags.move, tag):
			return true, "it changed and was not shipped"
		}
		there++
	}
	switch {
	case same > 0:
		// That it is of the same inputs says nothing of a run of an earlier commit that is about to release another image: one
		// that changed is released anew, by a record that such a run will find, unless this was done.
		return changed, ""
	case there > 0:
		return true, "it changed and was not shipped"
	case len(w.tags.known) == 0 && f.has(w.tags.stay, key): // no tag says what was released last
		return changed, ""
	}
	return true, "it has no image yet"
}

// has tells whether an image with a key is under one of the tags.
func (f facts) has(tags []string, key string) bool {
	_, ok := f.find(tags, key)
	return ok
}

// find gives the first image under the tags that was built with a key.
func (f facts) find(tags []string, key string) (known, bool) {
	for _, tag := range tags {
		if image, ok := f.images[tag]; ok && key != "" && image.inputs == key {
			return image, true
		}
	}
	return known{}, false
}

// settle says whose tests need not be run: those that passed for the same files. Where an image is to be built of what tests leave
// behind, those of its app and of all that this depends on are run all the same: what lies there may be of another commit.
func settle(all []*work, passed func(key string) bool, remains func(*work) bool) {
	byName := make(map[string]*work, len(all))
	for _, w := range all {
		byName[w.Name] = w
	}
	again := map[string]bool{}
	var run func(name string)
	run = func(name string) {
		if w := byName[name]; w != nil && !again[name] {
			again[name] = true
			for _, d := range w.Dependencies {
				run(d.Name)
			}
		}
	}
	for _, w := range all {
		if remains(w) {
			run(w.Name)
		}
	}
	for _, w := range all {
		if w.keys.Test != "" && !again[w.Name] && passed(w.keys.Test) {
			w.test, w.passed = false, "passed before, for the same files"
		}
	}
}

// released gives the image of each app that others are made from where this run makes none: the one of this commit's inputs, or else
// what a tag names, this branch's before the release branch's.
func (f facts) released() map[string]oci.Digest {
	all := map[string]oci.Digest{}
	for app, t := range f.tags {
		if image, ok := f.find(slices.Concat(t.stay, t.known), f.keys[app].Image); ok {
			all[app] = image.digest
			continue
		}
		for _, tag := range slices.Concat(t.stay, t.move, t.known) {
			if image, ok := f.images[tag]; ok {
				all[app] = image.digest
				break
			}
		}
	}
	return all
}
