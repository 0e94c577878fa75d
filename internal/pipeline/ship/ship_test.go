package ship_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/ship"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

const dockerfile = "FROM scratch\nCOPY . /\n"

// newApps makes a monorepo of two apps, of which one has a test, and a library that neither image has.
func newApps(t *testing.T) *yard {
	t.Helper()
	y := newYard(t)
	y.commit(
		"berth.yaml", "repository: "+repository+"\napps: [apps/*]\nprojects:\n  api: {test: test ! -e broken}\n",
		"apps/web/Dockerfile", dockerfile, "apps/web/page", "hello",
		"apps/api/Dockerfile", dockerfile, "apps/api/code", "one",
	)
	return y
}

// did is what a run did with each project, in a line.
func did(s *report.Summary) []string {
	var all []string
	for _, p := range s.Projects {
		line := p.Name + " " + string(p.Outcome) + ":"
		for _, step := range p.Steps {
			line += " " + string(step.Step) + " " + string(step.Outcome) + ","
		}
		all = append(all, strings.Trim(line, ",:"))
	}
	slices.Sort(all)
	return all
}

func (y *yard) mustShip(what string, change func(*ship.Request), want ...string) *report.Summary {
	y.tb.Helper()
	s, err := y.ship(change)
	if err != nil {
		y.tb.Fatalf("%s: %v", what, err)
	}
	if got := did(s); !slices.Equal(got, want) {
		y.tb.Errorf("%s: it did\n  %s\nwant\n  %s", what, strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
	return s
}

const tested = " done: test done, build done, push done, scan done, release done"

func TestShip(t *testing.T) {
	y := newApps(t)
	first := y.mustShip("a first commit", nil, "api"+tested, "web"+tested)
	if first.Outcome != report.Done || y.tag("web-latest") == "" || y.tag("web-latest") != y.tag("web-"+first.Commit) {
		t.Errorf("after the first: %s, web-latest is %q", first.Outcome, y.tag("web-latest"))
	}
	if again := y.mustShip("again", nil, "api nothing: test skipped, build skipped, push skipped", "web nothing: test skipped, build skipped, push skipped"); again.Outcome != report.Nothing {
		t.Errorf("again: %s", again.Outcome)
	}
	old := y.tag("api-latest")

	// A test that fails keeps its app alone back, and the next commit, which is about something else, does not lose it.
	y.commit("apps/api/broken", "yes", "apps/web/page", "hello again")
	y.mustShip("a failing test", nil, "api failed: test failed, build skipped", "web"+tested)
	y.commit("apps/web/page", "and again")
	y.mustShip("a commit that is not about it", nil, "api failed: test failed, build skipped", "web"+tested)
	if y.tag("api-latest") != old {
		t.Error("api-latest moved though its test fails")
	}
	y.commit("apps/api/broken", "", "apps/api/code", "two")
	y.mustShip("mended", nil, "api"+tested)

	// The files are again those of the first commit: that image is there.
	y.commit("apps/api/code", "one")
	back := y.mustShip("changed back", nil, "api done: push done, scan done, release done, test skipped, build skipped")
	if y.tag("api-latest") != old || y.tag("api-"+back.Commit) != old {
		t.Errorf("changed back: api-latest is %s, want %s", y.tag("api-latest"), old)
	}
}

func TestShipOfBranchesAndPullRequests(t *testing.T) {
	y := newApps(t)
	y.mustShip("main", nil, "api"+tested, "web"+tested)
	latest := y.tag("web-latest")
	y.git("switch", "--quiet", "--create", "feature")
	commit := y.commit("apps/web/page", "a feature")
	y.mustShip("a branch", nil, "web"+tested)
	if y.tag("web-"+commit) == "" || y.tag("web-latest") != latest {
		t.Errorf("a branch: web-%s is %q, and web-latest moved from %s to %s", commit, y.tag("web-"+commit), latest, y.tag("web-latest"))
	}
	y.mustShip("a branch again", nil, "web nothing: test skipped, build skipped, push skipped")

	commit = y.commit("apps/web/page", "another")
	pull := func(r *ship.Request) {
		r.Run = ci.Run{System: "GitHub Actions", PullRequest: true, Branch: "main", DefaultBranch: "main", Commit: commit}
	}
	s := y.mustShip("a pull request from a branch that is called main", pull, "web done: test done, build done")
	if y.tag("web-"+commit) != "" || y.tag("web-latest") != latest || !slices.ContainsFunc(s.Notes, func(n string) bool { return strings.Contains(n, "pull request") }) {
		t.Errorf("a pull request pushed: %v", s.Notes)
	}
	y.mustShip("no push", func(r *ship.Request) { r.NoPush = true }, "web done: build done, test skipped")
	y.mustShip("what would be done", func(r *ship.Request) { r.DryRun = true }, "web skipped: test skipped, build skipped, release skipped")
}

func TestShipRefuses(t *testing.T) {
	y := newApps(t)
	if err := os.WriteFile(filepath.Join(y.dir, "apps", "web", "page"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := y.ship(nil)
	if dirty, ok := errors.AsType[*ship.ErrDirty](err); !ok || !slices.Equal(dirty.Paths, []string{"apps/web/page"}) {
		t.Errorf("a tree with changes: %v", err)
	}
	y.mustShip("a tree with changes, not pushed", func(r *ship.Request) { r.NoPush = true }, "api done: test done, build done", "web done: test done, build done")
	if len(y.built) != 2 {
		t.Errorf("built %v", y.built)
	}
	y.git("checkout", "--quiet", ".")
	if _, err := y.ship(func(r *ship.Request) { r.Apps = []string{"wbe"} }); !errors.Is(err, ship.ErrNoApp) {
		t.Errorf("an app that is not there: %v", err)
	}
	// A test that changes what is committed.
	y.commit("berth.yaml", "repository: "+repository+"\napps: [apps/*]\nprojects:\n  web: {test: echo more >> page}\n")
	y.mustShip("a test that changes files", func(r *ship.Request) { r.Apps = []string{"web"} }, "web failed: test done, build failed")
	if y.tag("web-latest") != "" {
		t.Error("what a test changed was shipped")
	}
}

func TestShipStopsAtTheGate(t *testing.T) {
	y := newApps(t)
	strict := func(r *ship.Request) { r.Unscanned = workspace.Fail }
	s := y.mustShip("no scanner", strict, "api found: test done, build done, push done, scan found", "web found: test done, build done, push done, scan found")
	if s.Outcome != report.Found || y.tag("web-latest") != "" || y.tag("web-"+s.Commit) == "" {
		t.Errorf("stopped by the gate: %s, web-latest is %q", s.Outcome, y.tag("web-latest"))
	}
	y.mustShip("let pass", nil, "api done: push done, scan done, release done, test skipped, build skipped", "web done: push done, scan done, release done, test skipped, build skipped")
}

// TestShipFromAnotherApp: what is made from another app's image gets the one that was just pushed, and is made anew with it.
func TestShipFromAnotherApp(t *testing.T) {
	y := newYard(t)
	y.commit(
		"berth.yaml", "repository: "+repository+"\napps: [apps/*]\n",
		"apps/base/Dockerfile", dockerfile, "apps/base/file", "1",
		"apps/top/Dockerfile", "FROM base\nCOPY own /\n", "apps/top/own", "1",
	)
	y.mustShip("both", nil, "base"+tested, "top"+tested)
	before := y.tag("top-latest")
	y.commit("apps/base/file", "2")
	y.mustShip("the base", nil, "base"+tested, "top"+tested)
	if y.tag("top-latest") == before {
		t.Error("an image was not made anew with the one that it is made from")
	}
	base := y.tag("base-latest")
	y.commit("apps/top/own", "2")
	s := y.mustShip("the other", nil, "base nothing: test skipped", "top"+tested)
	if y.tag("base-latest") != base || s.Outcome != report.Done {
		t.Errorf("the base moved to %s", y.tag("base-latest"))
	}
}

// TestShipWithACache: the release branch writes the cache in the registry, and others read it.
func TestShipWithACache(t *testing.T) {
	y := newYard(t)
	y.commit(
		"berth.yaml", "repository: "+repository+"\napps: [apps/*]\nprojects:\n  web: {build: {cache: true}}\n",
		"apps/web/Dockerfile", dockerfile, "apps/web/page", "1",
	)
	y.mustShip("main", nil, "web"+tested)
	y.git("switch", "--quiet", "--create", "feature")
	y.commit("apps/web/page", "2")
	y.mustShip("a branch", nil, "web"+tested)
	for i, readOnly := range []bool{false, true} {
		if s := y.specs[i]; !strings.HasSuffix(s.Cache, "/"+repository+":web-buildcache") || s.CacheReadOnly != readOnly {
			t.Errorf("build %d has the cache %q, read only: %v, want that to be %v", i, s.Cache, s.CacheReadOnly, readOnly)
		}
	}
}
