//go:build unix

package tests_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/schedule"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// TestSample runs real tests of three languages, in the sample monorepo: three libraries, and two apps that depend on them, of which one
// fails as it is meant to.
func TestSample(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"go", "npm", "node", "python3"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("no %s here", program)
		}
	}
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS("../../../../examples/monorepo")); err != nil {
		t.Fatal(err)
	}
	members := sampleMembers(t, root)
	var n notebook
	c := tests.Config{Root: root, Environ: os.Environ()}
	got := schedule.Run(t.Context(), []schedule.Node{
		{Name: "greeting"},
		{Name: "money"},
		{Name: "pricing"},
		{Name: "flaky", After: []string{"money"}},
		{Name: "report", After: []string{"pricing"}},
	}, 2, func(ctx context.Context, name string) error {
		task := &progress.Task{Project: name, Step: progress.Test, Sink: &n, Now: time.Now}
		_, err := c.Run(ctx, tests.Input{Project: members[name]}, task)
		return err
	})
	for name, o := range got {
		if name != "flaky" && o.State != schedule.Done {
			t.Errorf("%s is %+v", name, o)
		}
	}
	failed, ok := errors.AsType[*tests.Failed](got["flaky"].Err)
	if !ok || failed.ExitCode != 1 || failed.Project != "flaky" || len(failed.Last) == 0 {
		t.Errorf("flaky is %+v, want it to have failed", got["flaky"])
	}
	at := slices.IndexFunc(n.events, func(e progress.Event) bool { return e.Kind == progress.Problem })
	if at < 0 || n.events[at].Path != "apps/flaky/index.test.js" || !strings.Contains(n.events[at].Text, "this test fails, as it is meant to") {
		t.Errorf("problems are %q, want where flaky fails", n.texts(progress.Problem))
	}
	if t.Failed() {
		t.Logf("printed:\n%s", strings.Join(n.texts(progress.Output), "\n"))
	}
}

// sampleMembers are the projects, with the commands that berth.yaml gives them.
func sampleMembers(t *testing.T, root string) map[string]workspace.Member {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, workspace.Name))
	if err != nil {
		t.Fatal(err)
	}
	file, err := workspace.Parse(workspace.Name, text)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	err = fs.WalkDir(os.DirFS(root), ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	all, err := file.Resolve(files)
	if err != nil {
		t.Fatal(err)
	}
	members := map[string]workspace.Member{}
	for _, m := range all {
		members[m.Name] = m
	}
	return members
}
