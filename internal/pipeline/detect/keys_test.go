package detect_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// TestKeys has keys of a commit, which are the same in a clone and change with what is committed; of the working tree none.
func TestKeys(t *testing.T) {
	t.Parallel()
	r := monorepo(t)
	keys := func(r *repo, head string) map[string]plan.Keys {
		t.Helper()
		found, err := detect.Run(t.Context(), detect.Request{Dir: r.dir, Head: head, Keys: true})
		if err != nil {
			t.Fatal(err)
		}
		return found.Keys
	}
	first := keys(r, "HEAD")
	for _, p := range detectIn(t, r).Graph.Projects() {
		if k := first[p.Name]; k.Test == "" || k.Image == "" && p.Kind == workspace.App {
			t.Errorf("the keys of %s are %+v", p.Name, k)
		}
	}
	if diff := cmp.Diff(first, keys(r.clone(), "HEAD")); diff != "" {
		t.Errorf("in a clone they are others:\n%s", diff)
	}
	for name, k := range keys(r, "") {
		if k.Image != "" || k.Test != "" || k.TestUnknown == "" {
			t.Errorf("of the working tree's %s they are %+v", name, k)
		}
	}
	project := detectIn(t, r).Graph.Projects()[0]
	r.touch(project.Dir + "/README.md")
	if second := keys(r, "HEAD"); second[project.Name].Test == first[project.Name].Test || len(second) != len(first) {
		t.Errorf("the keys of %s are the same after a change", project.Name)
	}
	if diff := cmp.Diff(first, keys(r, "HEAD~1")); diff != "" {
		t.Errorf("of the commit before they are others than before:\n%s", diff)
	}
	if found := detectIn(t, r); found.Keys != nil || found.Repo == nil {
		t.Errorf("keys that nobody asked for: %v; the repository: %v", found.Keys, found.Repo)
	}
}

func detectIn(t *testing.T, r *repo) *detect.Result {
	t.Helper()
	found, err := detect.Run(t.Context(), detect.Request{Dir: r.dir})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
