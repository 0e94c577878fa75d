package ship

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/core/oci"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const sha = "0123456789abcdef0123456789abcdef01234567"

func TestExpand(t *testing.T) {
	t.Parallel()
	usual := []workspace.Template{"{app}-{sha}", "{app}-latest"}
	for name, c := range map[string]struct {
		templates []workspace.Template
		at        place
		want      tags
	}{
		"the release branch": {
			usual,
			place{branch: "main", release: "main"},
			tags{stay: []string{"web-" + sha}, move: []string{"web-latest"}, known: []string{"web-latest"}},
		},
		"another branch": {
			usual,
			place{branch: "feature", release: "main"},
			tags{stay: []string{"web-" + sha}, known: []string{"web-latest"}},
		},
		"on no branch":             {usual, place{release: "main"}, tags{stay: []string{"web-" + sha}, known: []string{"web-latest"}}},
		"no release branch":        {usual, place{}, tags{stay: []string{"web-" + sha}, known: []string{"web-latest"}}},
		"no branches at all":       {usual, place{branch: ""}, tags{stay: []string{"web-" + sha}, known: []string{"web-latest"}}},
		"the branch's own":         {[]workspace.Template{"{app}-{branch}"}, place{branch: "fix/a", release: "main"}, tags{move: []string{"web-fix-a"}, known: []string{"web-fix-a"}}},
		"the branch's, on none":    {[]workspace.Template{"{app}-{branch}"}, place{release: "main"}, tags{}},
		"a day's, elsewhere":       {[]workspace.Template{"{app}-{date}"}, place{branch: "x", release: "main"}, tags{}},
		"a day's":                  {[]workspace.Template{"{app}-{date}"}, place{branch: "main", release: "main"}, tags{move: []string{"web-20261126"}, known: []string{"web-20261126"}}},
		"the commit of the branch": {[]workspace.Template{"{app}-{branch}-{sha8}"}, place{branch: "x"}, tags{stay: []string{"web-x-01234567"}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.at.commit, c.at.time = sha, time.Date(2026, 11, 26, 23, 59, 0, 0, time.UTC)
			got, err := expand(c.templates, "web", c.at)
			if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(tags{})); err != nil || diff != "" {
				t.Errorf("expand: %v (-want +got):\n%s", err, diff)
			}
		})
	}
}

func TestHistory(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("f", 40)
	got := history([]workspace.Template{"{app}-{sha}", "{app}-{sha8}", "{app}-latest", "{app}-{branch}-{sha}"}, "web", []string{sha, other, sha})
	want := []string{"web-" + sha, "web-01234567", "web-" + other, "web-ffffffff"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("history (-want +got):\n%s", diff)
	}
}

// app makes a project; needs are the names of what it depends on.
func project(name string, kind workspace.Kind, needs ...string) *plan.Project {
	p := &plan.Project{Member: workspace.Member{Name: name, Kind: kind}}
	for _, n := range needs {
		p.Dependencies = append(p.Dependencies, plan.Dependency{Name: n})
	}
	return p
}

func TestChoose(t *testing.T) {
	t.Parallel()
	order := []*plan.Project{
		project("money", workspace.Lib), project("base", workspace.App, "money"), project("tool", workspace.Utility, "money"), project("web", workspace.App, "base"),
	}
	changed := func(build bool, names ...string) map[string]plan.Affected {
		all := map[string]plan.Affected{}
		for _, n := range names {
			all[n] = plan.Affected{Reasons: []plan.Reason{{Cause: plan.Files, Path: n + "/x"}}, Build: build}
		}
		return all
	}
	moved := func(app string) tags {
		return tags{stay: []string{app + "-sha"}, move: []string{app + "-latest"}, known: []string{app + "-latest"}}
	}
	shipped := map[string]known{"base-latest": {inputs: "k-base"}, "web-latest": {inputs: "k-web"}}
	for name, c := range map[string]struct {
		facts
		want []string
	}{
		"nothing": {facts{images: shipped}, nil},
		"a library's test": {
			facts{images: shipped, affected: changed(false, "money")},
			[]string{"money test: money/x changed"},
		},
		"what changed back": {
			facts{images: shipped, affected: changed(true, "base")},
			[]string{"money test: base depends on it", "base test ship: base/x changed"},
		},
		"the change of a run that failed": {
			facts{images: map[string]known{"base-latest": {inputs: "k-base"}, "web-latest": {inputs: "old"}}},
			[]string{"money test: base depends on it", "base test: web depends on it", "web test ship: it changed and was not shipped"},
		},
		"never shipped": {
			facts{images: map[string]known{"web-latest": {inputs: "k-web"}}},
			[]string{"money test: base depends on it", "base test ship: it has no image yet"},
		},
		"pushed by something else": {
			facts{images: map[string]known{"base-latest": {}, "web-latest": {}}, affected: changed(true, "web")},
			[]string{"money test: base depends on it", "base test: web depends on it", "web test ship: web/x changed"},
		},
		"nobody knows what goes in, and it did not change": {
			facts{images: shipped, keys: map[string]plan.Keys{"base": {}, "web": {Image: "k-web"}}}, nil,
		},
		"nobody knows what goes in, and it changed": {
			facts{images: shipped, keys: map[string]plan.Keys{"base": {}, "web": {Image: "k-web"}}, affected: changed(true, "base")},
			[]string{"money test: base depends on it", "base test ship: base/x changed"},
		},
		"built again": {
			facts{images: shipped, affected: changed(true, "web"), rebuild: true},
			[]string{"money test: base depends on it", "base test: web depends on it", "web test ship: web/x changed"},
		},
		"the registry is not asked": {
			facts{offline: true, affected: changed(true, "base", "tool")},
			[]string{"money test: base depends on it", "base test ship: base/x changed", "tool test: tool/x changed"},
		},
		"another branch, unchanged since the release": {
			facts{images: shipped, tags: map[string]tags{"base": {stay: []string{"base-sha"}, known: []string{"base-latest"}}, "web": moved("web")}}, nil,
		},
		"another branch's own tag is old": {
			facts{
				images: map[string]known{"base-latest": {inputs: "k-base"}, "base-fix": {inputs: "old"}, "web-latest": {inputs: "k-web"}},
				tags:   map[string]tags{"base": {move: []string{"base-fix"}, known: []string{"base-latest", "base-fix"}}, "web": moved("web")},
			},
			[]string{"money test: base depends on it", "base test ship: it changed and was not shipped"},
		},
		"another branch's, where the release is older": {
			facts{
				images: map[string]known{"base-latest": {inputs: "old"}, "base-fix": {inputs: "k-base"}, "web-latest": {inputs: "k-web"}},
				tags:   map[string]tags{"base": {move: []string{"base-fix"}, known: []string{"base-latest", "base-fix"}}, "web": moved("web")},
			}, nil,
		},
		"no tag moves, and this commit's is there": {
			facts{images: map[string]known{"base-sha": {inputs: "k-base"}, "web-latest": {inputs: "k-web"}}, tags: map[string]tags{"base": {stay: []string{"base-sha"}}, "web": moved("web")}}, nil,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.keys == nil {
				c.keys = map[string]plan.Keys{"base": {Image: "k-base"}, "web": {Image: "k-web"}}
			}
			if c.tags == nil {
				c.tags = map[string]tags{"base": moved("base"), "web": moved("web")}
			}
			var got []string
			for _, w := range choose(order, c.facts) {
				text := w.Name
				if w.test {
					text += " test"
				}
				if w.ships {
					text += " ship"
				}
				got = append(got, text+": "+w.why)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("choose (-want +got):\n%s", diff)
			}
		})
	}
}

func TestSettle(t *testing.T) {
	t.Parallel()
	order := []*plan.Project{
		project("deep", workspace.Lib), project("money", workspace.Lib, "deep"), project("web", workspace.App, "money"),
		project("tool", workspace.Utility, "deep"), project("other", workspace.App, "tool"),
	}
	passed := func(names ...string) func(string) bool {
		return func(key string) bool { return slices.Contains(names, key) }
	}
	for name, c := range map[string]struct {
		passed  func(string) bool
		remains func(*work) bool
		want    string // whose tests are run
	}{
		"none passed":      {passed(), func(*work) bool { return false }, "deep money web tool other"},
		"some passed":      {passed("deep", "tool"), func(*work) bool { return false }, "money web other"},
		"all passed":       {passed("deep", "money", "web", "tool", "other"), func(*work) bool { return false }, ""},
		"one leaves files": {passed("deep", "money", "web", "tool", "other"), func(w *work) bool { return w.Name == "web" }, "deep money web"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var all []*work
			for _, p := range order {
				all = append(all, &work{Project: p, test: true, ships: p.Kind == workspace.App, keys: plan.Keys{Test: p.Name}})
			}
			settle(all, c.passed, c.remains)
			var got []string
			for _, w := range all {
				if w.test != (w.passed == "") {
					t.Errorf("%s: test %v, passed %q", w.Name, w.test, w.passed)
				}
				if w.test {
					got = append(got, w.Name)
				}
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("tests that are run: %v, want %s", got, c.want)
			}
		})
	}
}

func TestReleased(t *testing.T) {
	t.Parallel()
	keys := map[string]plan.Keys{"base": {Image: "k"}}
	branch := tags{stay: []string{"base-sha"}, move: []string{"base-fix"}, known: []string{"base-fix", "base-latest"}}
	for name, c := range map[string]struct {
		facts
		want oci.Digest
	}{
		"none": {facts{keys: keys, tags: map[string]tags{"base": branch}}, ""},
		"the branch's, of the same inputs": {
			facts{keys: keys, tags: map[string]tags{"base": branch}, images: map[string]known{"base-fix": {digest: "new", inputs: "k"}, "base-latest": {digest: "main's", inputs: "old"}}}, "new",
		},
		"the release's, of the same inputs": {
			facts{keys: keys, tags: map[string]tags{"base": branch}, images: map[string]known{"base-fix": {digest: "old", inputs: "old"}, "base-latest": {digest: "main's", inputs: "k"}}}, "main's",
		},
		"pushed by something else": {
			facts{keys: keys, tags: map[string]tags{"base": branch}, images: map[string]known{"base-fix": {digest: "theirs", inputs: ""}, "base-latest": {digest: "main's", inputs: ""}}}, "theirs",
		},
		"the commit's, where no tag moves": {
			facts{keys: keys, tags: map[string]tags{"base": {stay: []string{"base-sha"}}}, images: map[string]known{"base-sha": {digest: "this", inputs: "k"}}}, "this",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := c.released()["base"]; got != c.want {
				t.Errorf("released: %q, want %q", got, c.want)
			}
		})
	}
}
