package git_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

// workspaceBelow makes a repository of which the workspace is a directory, with a submodule, a link and something ignored.
func workspaceBelow(t *testing.T) (top, dir string) {
	t.Helper()
	top, origin := t.TempDir(), t.TempDir()
	run(t, origin, "init", "--quiet")
	write(t, origin, "f", "in the submodule\n")
	run(t, origin, "add", "--all")
	run(t, origin, "commit", "--quiet", "--message", "first")
	run(t, top, "init", "--quiet", "--initial-branch=main")
	dir = filepath.Join(top, "mono")
	for _, name := range []string{"mono/a", "mono/b", "mono/sub dir/c\nd", "mono/sub dir/ü", "outside", "monotone"} {
		write(t, top, name, name)
	}
	write(t, top, "mono/.gitattributes", "*.txt text eol=crlf\n")
	write(t, top, "mono/x.txt", "one\r\n")
	write(t, top, "mono/.gitignore", "dist/\n")
	write(t, top, "mono/dist/made", "made")
	link(t, dir, "a", "link")
	run(t, top, "-c", "protocol.file.allow=always", "submodule", "--quiet", "add", origin, "mono/module")
	run(t, top, "add", "--all")
	run(t, top, "commit", "--quiet", "--message", "first")
	return top, dir
}

func TestDirty(t *testing.T) {
	t.Parallel()
	original, _ := workspaceBelow(t)
	rename := func(t *testing.T, dir, from, to string) {
		if err := os.Rename(filepath.Join(dir, from), filepath.Join(dir, to)); err != nil {
			t.Fatal(err)
		}
	}
	remove := func(t *testing.T, dir, name string) {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		do   func(t *testing.T, dir string)
		want []string
	}{
		"nothing": {func(*testing.T, string) {}, nil},
		"changed": {func(t *testing.T, dir string) { write(t, dir, "a", "other") }, []string{"a"}},
		"as long": {func(t *testing.T, dir string) { write(t, dir, "a", "MONO/A") }, []string{"a"}},
		"staged":  {func(t *testing.T, dir string) { write(t, dir, "a", "other"); run(t, dir, "add", "a") }, []string{"a"}},
		"staged and back": {func(t *testing.T, dir string) {
			write(t, dir, "a", "x")
			run(t, dir, "add", "a")
			write(t, dir, "a", "mono/a")
		}, []string{"a"}},
		"deleted":          {func(t *testing.T, dir string) { remove(t, dir, "a") }, []string{"a"}},
		"not in the index": {func(t *testing.T, dir string) { run(t, dir, "rm", "--quiet", "--cached", "a") }, []string{"a"}},
		"new":              {func(t *testing.T, dir string) { write(t, dir, "new/deep/f", "") }, []string{"new/deep/f"}},
		"intended":         {func(t *testing.T, dir string) { write(t, dir, "f", ""); run(t, dir, "add", "--intent-to-add", "f") }, []string{"f"}},
		"ignored":          {func(t *testing.T, dir string) { write(t, dir, "dist/other", "") }, nil},
		"outside": {func(t *testing.T, dir string) {
			write(t, dir, "../outside", "x")
			write(t, dir, "../new", "")
			write(t, dir, "../monotone", "x")
		}, nil},
		"renamed":         {func(t *testing.T, dir string) { run(t, dir, "mv", "a", "z") }, []string{"a", "z"}},
		"renamed on disk": {func(t *testing.T, dir string) { rename(t, dir, "a", "z") }, []string{"a", "z"}},
		"from outside":    {func(t *testing.T, dir string) { run(t, dir, "mv", "../outside", "z") }, []string{"z"}},
		"to outside":      {func(t *testing.T, dir string) { run(t, dir, "mv", "a", "../z") }, []string{"a"}},
		"mode": {func(t *testing.T, dir string) {
			if err := os.Chmod(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		"link":                 {func(t *testing.T, dir string) { remove(t, dir, "link"); link(t, dir, "b", "link") }, []string{"link"}},
		"file for a link":      {func(t *testing.T, dir string) { remove(t, dir, "link"); write(t, dir, "link", "a") }, []string{"link"}},
		"odd names":            {func(t *testing.T, dir string) { write(t, dir, "sub dir/c\nd", "x"); write(t, dir, "sub dir/ü", "x") }, []string{"sub dir/c\nd", "sub dir/ü"}},
		"in the submodule":     {func(t *testing.T, dir string) { write(t, dir, "module/f", "x") }, []string{"module"}},
		"new in the submodule": {func(t *testing.T, dir string) { write(t, dir, "module/new", "x") }, []string{"module"}},
		"commit of the submodule": {func(t *testing.T, dir string) {
			run(t, filepath.Join(dir, "module"), "commit", "--quiet", "--allow-empty", "--message", "second")
		}, []string{"module"}},
		"submodule that git is told to leave": {func(t *testing.T, dir string) {
			run(t, dir, "config", "submodule.mono/module.ignore", "all")
			write(t, dir, "module/f", "x")
		}, []string{"module"}},
		"told not to show what is new": {func(t *testing.T, dir string) {
			run(t, dir, "config", "status.showUntrackedFiles", "no")
			run(t, dir, "config", "status.relativePaths", "true")
			run(t, dir, "config", "status.renames", "copies")
			run(t, dir, "config", "status.branch", "true")
			write(t, dir, "f", "")
		}, []string{"f"}},
		"repository within": {func(t *testing.T, dir string) { run(t, dir, "init", "--quiet", "other") }, []string{"other/"}},
		"assumed to be unchanged": {func(t *testing.T, dir string) {
			run(t, dir, "update-index", "--assume-unchanged", "a", "b", "x.txt", "link", "module", "sub dir/ü")
			write(t, dir, "a", "MONO/A")
			remove(t, dir, "sub dir/ü")
		}, []string{"a", "sub dir/ü"}},
		"assumed link": {func(t *testing.T, dir string) {
			run(t, dir, "update-index", "--assume-unchanged", "link")
			remove(t, dir, "link")
			link(t, dir, "b", "link")
		}, []string{"link"}},
		"assumed mode": {func(t *testing.T, dir string) {
			run(t, dir, "update-index", "--assume-unchanged", "a", "b")
			if err := os.Chmod(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, []string{"a"}},
		"assumed mode that does not matter": {func(t *testing.T, dir string) {
			run(t, dir, "config", "core.fileMode", "false")
			run(t, dir, "update-index", "--assume-unchanged", "a", "b")
			if err := os.Chmod(filepath.Join(dir, "a"), 0o755); err != nil {
				t.Fatal(err)
			}
		}, nil},
		"left out of the checkout": {func(t *testing.T, dir string) {
			run(t, dir, "update-index", "--refresh")
			run(t, filepath.Dir(dir), "sparse-checkout", "set", "--no-cone", "/*", "!ü")
		}, []string{"sub dir/ü"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			top := t.TempDir()
			if out, err := exec.Command("cp", "-a", original+"/.", top).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			dir := filepath.Join(top, "mono")
			tt.do(t, dir)
			index, err := os.Stat(filepath.Join(top, ".git", "index"))
			if err != nil {
				t.Fatal(err)
			}
			repo, err := git.Open(t.Context(), dir)
			if err != nil {
				t.Fatal(err)
			}
			got, err := repo.Dirty(t.Context())
			if diff := cmp.Diff(tt.want, got, cmpopts.EquateEmpty()); diff != "" || err != nil {
				t.Errorf("Dirty: %v (-want +got):\n%s", err, diff)
			}
			if after, err := os.Stat(filepath.Join(top, ".git", "index")); err != nil || !after.ModTime().Equal(index.ModTime()) || !os.SameFile(index, after) {
				t.Errorf("the index was written: %v", err)
			}
		})
	}
}

// TestDirtyRunsNothing has programs in the settings and hooks that a look at the working tree could run.
func TestDirtyRunsNothing(t *testing.T) {
	t.Parallel()
	top, dir := workspaceBelow(t)
	ran := filepath.Join(t.TempDir(), "ran")
	run(t, top, "config", "core.fsmonitor", "touch '"+ran+"'; false")
	run(t, filepath.Join(dir, "module"), "config", "core.fsmonitor", "touch '"+ran+"'; false")
	run(t, top, "config", "core.hooksPath", "mono/hooks")
	for _, hook := range []string{"post-index-change", "post-checkout", "fsmonitor-watchman"} {
		write(t, dir, "hooks/"+hook, fmt.Sprintf("#!/bin/sh\ntouch '%s'\n", ran))
		if err := os.Chmod(filepath.Join(dir, "hooks", hook), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write(t, dir, "a", "MONO/A")
	os.Remove(ran) //nolint:errcheck // what making it may have left
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := repo.Dirty(t.Context())
	if want := []string{"a", "hooks/fsmonitor-watchman", "hooks/post-checkout", "hooks/post-index-change"}; !cmp.Equal(want, got) || err != nil {
		t.Errorf("Dirty = %q, %v, want %q", got, err, want)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program of the settings was run")
	}
}

// TestDirtyFirst is of a repository without a commit.
func TestDirtyFirst(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	write(t, dir, "staged", "")
	run(t, dir, "add", "staged")
	write(t, dir, "new", "")
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := repo.Dirty(t.Context())
	if want := []string{"new", "staged"}; !cmp.Equal(want, got) || err != nil {
		t.Errorf("Dirty = %q, %v, want %q", got, err, want)
	}
}

func TestHash(t *testing.T) {
	t.Parallel()
	top, dir := workspaceBelow(t)
	if err := os.Chmod(filepath.Join(dir, "b"), 0o755); err != nil {
		t.Fatal(err)
	}
	run(t, top, "commit", "--quiet", "--all", "--message", "second")
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.At(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	defer tree.Close()
	for name, want := range map[string]string{
		"a": "100644 " + run(t, top, "rev-parse", "HEAD:mono/a"), "b": "100755 " + run(t, top, "rev-parse", "HEAD:mono/b"),
		"link": "120000 " + run(t, top, "rev-parse", "HEAD:mono/link"), "module": "160000 " + run(t, filepath.Join(dir, "module"), "rev-parse", "HEAD"),
	} {
		if got, ok := tree.Hash(name); got != want || !ok {
			t.Errorf("Hash(%q) = %q, %v, want %q", name, got, ok, want)
		}
	}
	for _, name := range tree.Files() {
		if got, ok := tree.Hash(name); !ok || len(strings.Fields(got)) != 2 {
			t.Errorf("Hash(%q) = %q, %v", name, got, ok)
		}
	}
	here, err := repo.Here(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	for name, tree := range map[string]*git.Tree{"../outside": tree, "sub dir": tree, "": tree, "a": here, "module": here} {
		if got, ok := tree.Hash(name); ok {
			t.Errorf("Hash(%q) = %q, want none", name, got)
		}
	}
}

func TestIgnored(t *testing.T) {
	t.Parallel()
	top, dir := workspaceBelow(t)
	write(t, top, ".gitignore", "*.log\n")
	for _, name := range []string{"outside.log", "mono/a.log", "mono/new", "mono/sub dir/x.log", "mono/sub dir/dist/y"} {
		write(t, top, name, name)
	}
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := repo.Ignored(t.Context())
	if diff := cmp.Diff([]string{"a.log", "dist/", "sub dir/dist/", "sub dir/x.log"}, got); err != nil || diff != "" {
		t.Errorf("Ignored: %v (-want +got):\n%s", err, diff)
	}
}
