package detect_test

import (
	"bytes"
	"fmt"
	"os/exec"
	"testing"

	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

// large makes a repository of 10,000 files, 200 apps, 50 libraries and 1,000 commits. A third of the apps each is in Go,
// Node and Python, each with two libraries, a Dockerfile that copies from the root, and the files of a usual project.
func large(tb testing.TB) *repo {
	tb.Helper()
	const apps, libs, files, commits = 200, 50, 10_000, 1000
	var in bytes.Buffer
	content := func(name, text string) { fmt.Fprintf(&in, "M 100644 inline %q\ndata %d\n%s\n", name, len(text), text) }
	begin := func(message string, i int) {
		fmt.Fprintf(&in, "commit refs/heads/main\ncommitter A <a@example.com> %d +0000\ndata %d\n%s\n", 1_700_000_000+60*i, len(message), message)
	}
	begin("first", 0)
	n := 1
	put := func(name, text string) { content(name, text); n++ }
	put(".dockerignore", "**/.git\n**/node_modules\n**/test_*\n**/README.md\n!apps/app-001/README.md\n")
	var yaml bytes.Buffer
	yaml.WriteString("repository: hoopstat-haus/prod\napps: [apps/*]\nlibs: [libs/*]\ntest: {go: go test ./..., node: npm test, python: python3 -m pytest}\nprojects:\n")
	for i := range libs {
		dir := fmt.Sprintf("libs/lib-%03d", i)
		put(dir+"/go.mod", fmt.Sprintf("module example.com/lib%03d\n", i))
		put(dir+"/package.json", fmt.Sprintf(`{"name": "lib-%03d"}`, i))
		put(dir+"/pyproject.toml", fmt.Sprintf("[project]\nname = \"lib-%03d\"\n", i))
	}
	for i := range apps {
		name := fmt.Sprintf("app-%03d", i)
		dir := "apps/" + name
		a, b := fmt.Sprintf("lib-%03d", i%libs), fmt.Sprintf("lib-%03d", (i*7+1)%libs)
		fmt.Fprintf(&yaml, "  %s: {build: {context: .}}\n", name)
		switch i % 3 {
		case 0:
			put(dir+"/go.mod", fmt.Sprintf("module example.com/%s\n\nrequire (\n\texample.com/%[2]s v0.0.0\n\texample.com/%[3]s v0.0.0\n)\n\nreplace example.com/%[2]s => ../../libs/%[2]s\n\nreplace example.com/%[3]s => ../../libs/%[3]s\n", name, a, b))
		case 1:
			put(dir+"/package.json", fmt.Sprintf(`{"name": %q, "dependencies": {"react": "^19", %[2]q: "file:../../libs/%[2]s", %[3]q: "file:../../libs/%[3]s"}}`, name, a, b))
		case 2:
			put(dir+"/pyproject.toml", fmt.Sprintf("[tool.poetry]\nname = %q\n\n[tool.poetry.dependencies]\npython = \"^3.11\"\n%[2]s = { path = \"../../libs/%[2]s\" }\n%[3]s = { path = \"../../libs/%[3]s\" }\n", name, a, b))
		}
		put(dir+"/Dockerfile", fmt.Sprintf("ARG BASE=scratch\nFROM ${BASE} AS build\nWORKDIR /src\nCOPY libs/%s libs/%[1]s\nCOPY libs/%s/*.json ./\nCOPY %s .\nRUN make\n\nFROM scratch\nCOPY --from=build /src/out /\nENTRYPOINT [\"/out\"]\n", a, b, dir))
	}
	for i := 0; n < files; i++ {
		dir := fmt.Sprintf("apps/app-%03d", i%apps)
		if i%5 == 0 {
			dir = fmt.Sprintf("libs/lib-%03d", i/5%libs)
		}
		put(fmt.Sprintf("%s/src/part%d/file%04d.txt", dir, i%4, i), fmt.Sprintf("file %d\n", i))
	}
	content("berth.yaml", yaml.String())
	for i := 1; i < commits; i++ {
		begin(fmt.Sprintf("commit %d", i), i)
		content(fmt.Sprintf("libs/lib-%03d/src/changed.txt", i%libs), fmt.Sprintf("changed by %d\n", i))
	}
	r := &repo{dir: tb.TempDir()}
	for _, args := range [][]string{{"init", "--quiet", "--initial-branch=main"}, {"fast-import", "--quiet"}, {"reset", "--quiet", "--hard"}} {
		cmd := exec.Command("git", args...)
		cmd.Dir = r.dir
		if args[0] == "fast-import" {
			cmd.Stdin = &in
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			tb.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return r
}

// BenchmarkDetect is what people wait for before anything is tested or built: at most 300 ms in a repository of this size.
func BenchmarkDetect(b *testing.B) {
	r := large(b)
	for _, tt := range []struct {
		name      string
		req       detect.Request
		atLeast   int // projects
		everybody bool
	}{
		{"LastCommit", detect.Request{Base: "HEAD~1", Head: "HEAD"}, 5, false},
		{"WorkingTree", detect.Request{Base: "HEAD~1"}, 5, false},
		{"Commits500", detect.Request{Base: "HEAD~500", Head: "HEAD"}, 200, true},
	} {
		b.Run(tt.name, func(b *testing.B) {
			tt.req.Dir = r.dir
			for b.Loop() {
				got, err := detect.Run(b.Context(), tt.req)
				if err != nil {
					b.Fatal(err)
				}
				if len(got.Affected) < tt.atLeast || !tt.everybody && len(got.Affected) > 50 {
					b.Fatalf("%d projects are affected", len(got.Affected))
				}
			}
		})
	}
}

// BenchmarkKeys is what a ship adds to that: at most 100 ms, since no file is read.
func BenchmarkKeys(b *testing.B) {
	r := large(b)
	found, err := detect.Run(b.Context(), detect.Request{Dir: r.dir, Head: "HEAD"})
	if err != nil {
		b.Fatal(err)
	}
	tree, err := found.Repo.At(b.Context(), found.Comparison.Head)
	if err != nil {
		b.Fatal(err)
	}
	defer tree.Close()
	for b.Loop() {
		b.StopTimer()
		// What .dockerignore says of a file is asked once: each time by another graph.
		again, err := detect.Run(b.Context(), detect.Request{Dir: r.dir, Head: "HEAD", Base: "HEAD"})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		if keys := again.Graph.Keys(tree.Hash); len(keys) != 250 || keys["app-000"].Image == "" {
			b.Fatalf("keys of %d projects, %+v", len(keys), keys["app-000"])
		}
	}
}

// BenchmarkDirty is what a ship asks before each build: at most 60 ms.
func BenchmarkDirty(b *testing.B) {
	r := large(b)
	repo, err := git.Open(b.Context(), r.dir)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if dirty, err := repo.Dirty(b.Context()); err != nil || len(dirty) > 0 {
			b.Fatal(dirty, err)
		}
	}
}
