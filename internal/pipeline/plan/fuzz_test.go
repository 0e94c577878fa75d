package plan_test

import (
	"strings"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// FuzzRead puts a text where each file is that is read of a project. Whatever it says, the graph is made, a change to
// the project's own file affects it, and one to berth.yaml's neighbour does not make it panic.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		"FROM scratch\nCOPY . /\n", "FROM a AS b\nARG X=1\nCOPY --from=b ${X} /\nRUN --mount=type=bind,source=.. true\nCOPY <<E /\nE\n", "FROM ${A}\nADD *[ /\n",
		"*\n!x\n**/y\n[", "module a\nrequire b v1.0.0\nreplace b => ../../libs/a\n", "go 1.26\nuse ./apps/a\n", `{"name": "a", "workspaces": ["**", "!x"], "dependencies": {"a": "file:..", "b": "workspace:x@"}}`,
		"[project]\nname = 'a'\ndependencies = ['a @ file:..']\n[tool.uv]\nworkspace = {members = ['*']}\nsources = {a = {workspace = true}}\n",
		"-e ..\n-r ../../x\nfile:///${PROJECT_ROOT}/..\n", "[workspace]\nmembers = ['*']\n[dependencies]\na = {path = '..', workspace = true}\n", "packages:\n- '**'\n",
		"package a\nimport \"a/libs/a\"\n",
	} {
		f.Add(seed)
	}
	file, err := workspace.Parse("berth.yaml", []byte("repository: prod\napps: [apps/*]\nlibs: [libs/*]\nprojects: {a: {build: {context: .}}}\n"))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Count(text, "[")+strings.Count(text, "{") > 500 {
			t.Skip("deeper than the parsers of YAML bear")
		}
		files := tree{"libs/b/x": "", ".dockerignore": text, "go.work": text, "go.mod": text, "package.json": text, "pnpm-workspace.yaml": text, "pyproject.toml": text, "Cargo.toml": text}
		for _, name := range []string{"Dockerfile", "go.mod", "package.json", "pyproject.toml", "requirements.txt", "Cargo.toml"} {
			files["apps/a/"+name], files["libs/b/sub/"+name] = text, text
		}
		files["apps/c/main.go"] = text
		members, err := file.Resolve(files.Files())
		if err != nil {
			t.Fatal(err)
		}
		g := plan.Read(file, members, files)
		for name, k := range g.Keys(files.id) {
			if (k.Test == "") != (k.TestUnknown != "") || strings.ContainsAny(k.TestUnknown+k.ImageUnknown, "\n\x1b") {
				t.Errorf("with %q the keys of %s are %+v", text, name, k)
			}
		}
		affected := g.Affected(plan.Question{Paths: []string{"apps/a/go.mod", "elsewhere"}})
		for _, a := range affected {
			for _, r := range a.Reasons {
				if s := r.String(); s == "" || strings.ContainsAny(s, "\n\x1b") {
					t.Errorf("a reason of %q is %q", text, s)
				}
			}
			if a.Name == "a" {
				return
			}
		}
		t.Errorf("with %q a change to it does not affect a", text)
	})
}
