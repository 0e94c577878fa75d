package plan_test

import (
	"bytes"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// TestKeysAgreeWithAffected changes one or two files of random monorepos, where who depends on whom stays: the keys of
// just those images change that are to be built, and those of just the tests of projects that are affected, but for what
// only builders see.
func TestKeysAgreeWithAffected(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		files := randomMonorepo(rt)
		g, err := graphOf(files)
		if err != nil {
			rt.Fatal(err)
		}
		before := g.Keys(files.id)
		changes := [][]string{}
		for _, name := range files.Files() {
			changes = append(changes, []string{name})
		}
		names := rapid.SampledFrom(files.Files())
		changes = append(changes, []string{names.Draw(rt, "one"), names.Draw(rt, "other")})
		for _, changed := range changes {
			after := g.Keys(func(name string) (string, bool) {
				id, ok := files.id(name)
				if slices.Contains(changed, name) {
					id += " changed"
				}
				return id, ok
			})
			slices.Sort(changed)
			compareKeys(rt, g, files, changed, before, after)
		}
	})
}

func compareKeys(rt *rapid.T, g *plan.Graph, files tree, changed []string, before, after map[string]plan.Keys) {
	affected := map[string]plan.Affected{}
	for _, a := range g.Affected(plan.Question{Paths: changed}) {
		affected[a.Name] = a
	}
	for _, p := range g.Projects() {
		a, isAffected := affected[p.Name]
		was, is := before[p.Name], after[p.Name]
		if (was.Test == "") != (was.TestUnknown != "") || p.Kind == workspace.App && (was.Image == "") != (was.ImageUnknown != "") {
			rt.Fatalf("%s has keys and reasons for having none, or neither: %+v", p.Name, was)
		}
		if p.Kind == workspace.App && was.ImageUnknown != "" && !a.Build || was.TestUnknown != "" && !isAffected {
			rt.Fatalf("%s\nof %s nothing is known, and %v does not affect it: %+v", show(files), p.Name, changed, was)
		}
		if differs := was.Image != is.Image; differs != a.Build && was.ImageUnknown == "" {
			rt.Fatalf("%s\n%v changed: the key of %s's image changed: %v, and it is to be built: %v (%v)", show(files), changed, p.Name, differs, a.Build, a.Reasons)
		}
		forBuilders := slices.ContainsFunc(changed, func(name string) bool { return strings.Contains(path.Base(name), "ocker") })
		if differs := was.Test != is.Test; differs != isAffected && was.TestUnknown == "" && (differs || !forBuilders) {
			rt.Fatalf("%s\n%v changed: the key of %s's test changed: %v, and it is affected: %v (%v)", show(files), changed, p.Name, differs, isAffected, a.Reasons)
		}
	}
}

// randomMonorepo has all that decides about keys: what Dockerfiles copy and how, what is ignored, images of others,
// dependencies and cycles of them, inputs, links, projects in each other, and files that cannot be read.
func randomMonorepo(rt *rapid.T) tree {
	files := tree{"shared/a": "", "shared/b": "", "README.md": "", "go.work": "go 1.26\n"}
	var yaml strings.Builder
	yaml.WriteString("repository: prod\napps: [apps/*, apps/b/nested]\nlibs: [libs/*]\nprojects:\n")
	projects := []string{"apps/a", "apps/b", "apps/b/nested", "apps/c", "libs/x", "libs/y", "libs/z"}
	sources := append([]string{".", "*", "*/*", "src", "dist", "shared", "shared/*", "README.md", "apps/*/src", "libs/**", "libs/x/src/f", "../..", "link", "$UNKNOWN"}, projects...)
	froms := []string{"scratch", "scratch", "scratch", "alpine:3", "a", "registry.example.com/prod:b-latest", "prod:c-latest"}
	ignored := []string{"*", "**/t", "!libs", "src", "apps/*/src", "shared/a", "libs/x", "README.md", "!apps/a/src/f"}
	some := func(what string, from []string, most int) []string {
		return rapid.SliceOfNDistinct(rapid.SampledFrom(from), 0, most, rapid.ID[string]).Draw(rt, what)
	}
	chance := func(what string, of int) bool { return rapid.IntRange(1, of).Draw(rt, what) == 1 }
	for _, dir := range projects {
		name := path.Base(dir)
		files[dir+"/src/f"], files[dir+"/t"], files[dir+"/README.md"] = "", "", ""
		if chance(name+" unreadable", 12) {
			files[dir+"/package.json"] = "{"
		}
		if chance(name+" link", 5) {
			files[dir+"/link"] = "-> " + rapid.SampledFrom([]string{"../../shared/a", "src/f", "../../libs/x", "../../nowhere", "link"}).Draw(rt, name+" links")
		}
		var on []string
		for _, other := range some(name+" depends", projects, 2) {
			if other != dir {
				on = append(on, path.Base(other))
			}
		}
		inputs := some(name+" inputs", []string{"shared", "shared/*", "**/t", "libs/x/src", "apps/a/t", "go.work"}, 1)
		fmt.Fprintf(&yaml, "  %s:\n    depends_on: [%s]\n    inputs: [%s]\n", name, strings.Join(on, ", "), quoted(inputs))
		if strings.HasPrefix(dir, "libs/") || chance(name+" utility", 6) {
			continue
		}
		dockerfile, context := dir+"/Dockerfile", dir
		if chance(name+" Dockerfile", 4) {
			dockerfile = "docker/" + name + ".Dockerfile"
		}
		if !chance(name+" context", 3) {
			context = "."
		}
		fmt.Fprintf(&yaml, "    build: {dockerfile: %s, context: %s}\n", dockerfile, context)
		text := "FROM " + rapid.SampledFrom(froms).Draw(rt, name+" from") + "\n"
		for _, source := range some(name+" copies", sources, 3) {
			text += "COPY " + source + " /x/\n"
		}
		if chance(name+" takes", 5) {
			text += "COPY --from=" + rapid.SampledFrom(froms).Draw(rt, name+" takes from") + " /y /y\n"
		}
		files[dockerfile] = text
		if chance(name+" .dockerignore", 3) {
			files[dockerfile+".dockerignore"] = strings.Join(some(name+" ignores", ignored, 3), "\n") + "\n"
		}
		if chance(name+" .dockerignore of the context", 4) {
			files[path.Join(context, ".dockerignore")] = strings.Join(some(name+" context ignores", ignored, 3), "\n") + "\n"
		}
	}
	files["berth.yaml"] = yaml.String()
	return files
}

func quoted(texts []string) string {
	all := make([]string, len(texts))
	for i, s := range texts {
		all[i] = fmt.Sprintf("%q", s)
	}
	return strings.Join(all, ", ")
}

// show prints a tree.
func show(files tree) string {
	var b strings.Builder
	for _, name := range files.Files() {
		fmt.Fprintf(&b, "-- %s --\n%s\n", name, files[name])
	}
	return b.String()
}

// FuzzPreimage writes two lists of lists: what is written is the same if and only if they are.
func FuzzPreimage(f *testing.F) {
	f.Add("a,b;c", "a;b,c")
	f.Add("", ";")
	f.Add(",", "\x00\x00\x00\x00\x00\x00\x00\x01a")
	lists := func(text string) (all [][]string) {
		for list := range strings.SplitSeq(text, ";") {
			all = append(all, strings.Split(list, ","))
		}
		return all
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if same := bytes.Equal(plan.Preimage("x", lists(a)), plan.Preimage("x", lists(b))); same != (a == b) {
			t.Errorf("%q and %q are written the same: %v", a, b, same)
		}
		if bytes.Equal(plan.Preimage(a, nil), plan.Preimage(b, nil)) != (a == b) {
			t.Errorf("the kinds %q and %q are written the same", a, b)
		}
	})
}

// TestKeysInAnyOrder lists the files in another order on the way, as maps do, and gets the same keys.
func TestKeysInAnyOrder(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		files := randomMonorepo(rt)
		var last map[string]plan.Keys
		for range 3 {
			g, err := graphOf(files)
			if err != nil {
				rt.Fatal(err)
			}
			keys := g.Keys(files.id)
			if diff := cmp.Diff(last, keys); last != nil && diff != "" {
				rt.Fatalf("%s\nkeys differ from one time to the next:\n%s", show(files), diff)
			}
			last = keys
		}
	})
}
