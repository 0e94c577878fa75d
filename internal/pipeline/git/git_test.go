package git_test

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

// run runs git in a directory and gives what it says.
func run(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("git", args...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=A", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=A", "GIT_COMMITTER_EMAIL=a@example.com")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, dir, to, name string) {
	t.Helper()
	if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

// TestTrees reads the same files from a commit and from the disk.
func TestTrees(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	run(t, top, "init", "--quiet", "--initial-branch=main")
	dir := filepath.Join(top, "mono")
	write(t, top, "outside", "not seen")
	write(t, dir, "a/file", "one\n")
	write(t, dir, "a/empty", "")
	write(t, dir, "a/large", strings.Repeat("x", 4<<20+1))
	write(t, dir, "odd\nname", "odd")
	link(t, dir, "../a/file", "a/link")
	link(t, dir, "../outside", "out")
	link(t, dir, "/etc/passwd", "passwd")
	link(t, dir, "loop", "loop")
	run(t, top, "add", "--all")
	run(t, top, "commit", "--quiet", "--message", "first")
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	head, err := repo.Commit(t.Context(), "HEAD")
	if err != nil {
		t.Fatal(err)
	}
	here, err := repo.Here(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	there, err := repo.At(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	defer there.Close()
	want := []string{"a/empty", "a/file", "a/large", "a/link", "loop", "odd\nname", "out", "passwd"}
	for name, tree := range map[string]*git.Tree{"on disk": here, "in the commit": there} {
		if diff := cmp.Diff(want, tree.Files()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		links := map[string]string{"a/link": "../a/file", "out": "../outside", "passwd": "/etc/passwd", "loop": "loop"}
		if diff := cmp.Diff(links, tree.Links()); diff != "" {
			t.Errorf("links %s (-want +got):\n%s", name, diff)
		}
		for file, text := range map[string]string{"a/file": "one\n", "a/empty": "", "a/link": "one\n", "odd\nname": "odd"} {
			if got, err := tree.Read(file); err != nil || string(got) != text {
				t.Errorf("%s: Read(%q) = %q, %v, want %q", name, file, got, err, text)
			}
		}
		for _, file := range []string{"a/large", "out", "passwd", "loop", "nowhere", "a", "../outside"} {
			if got, err := tree.Read(file); err == nil {
				t.Errorf("%s: Read(%q) = %d bytes, want an error", name, file, len(got))
			}
		}
		if _, err := tree.Read("nowhere"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: Read of nothing = %v, want that it is not there", name, err)
		}
	}
	if got, err := repo.ReadAt(t.Context(), head, "a/file"); err != nil || string(got) != "one\n" {
		t.Errorf("ReadAt = %q, %v", got, err)
	}
	if _, err := repo.ReadAt(t.Context(), head, "b/file"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("ReadAt of nothing = %v", err)
	}
}

func TestDefaultBranch(t *testing.T) {
	t.Parallel()
	origin := t.TempDir()
	run(t, origin, "init", "--quiet", "--initial-branch=trunk")
	branch := func(dir string) string {
		repo, err := git.Open(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		name, err := repo.DefaultBranch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return name
	}
	run(t, origin, "commit", "--quiet", "--allow-empty", "--message", "first")
	if got := branch(origin); got != "" {
		t.Errorf("of one with a trunk and no remote it is %q, want none", got)
	}
	run(t, origin, "branch", "master")
	if got := branch(origin); got != "refs/heads/master" {
		t.Errorf("of one with a master it is %q", got)
	}
	clone := t.TempDir()
	run(t, clone, "clone", "--quiet", origin, ".")
	run(t, clone, "branch", "main")
	if got := branch(clone); got != "refs/remotes/origin/trunk" {
		t.Errorf("of a clone it is %q, want what the remote checks out", got)
	}
	run(t, clone, "remote", "set-head", "origin", "--delete")
	if got := branch(clone); got != "refs/remotes/origin/master" {
		t.Errorf("of a clone that does not know what the remote checks out it is %q", got)
	}
}

func TestOrigin(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := repo.Origin(t.Context()); got != "" || err != nil {
		t.Errorf("Origin = %q, %v, want none", got, err)
	}
	run(t, dir, "remote", "add", "origin", "git@example.com:a/b.git")
	if got, err := repo.Origin(t.Context()); got != "git@example.com:a/b.git" || err != nil {
		t.Errorf("Origin = %q, %v", got, err)
	}
}

// TestRevisions takes nothing for a revision that git would take for something else.
func TestRevisions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	run(t, dir, "commit", "--quiet", "--allow-empty", "--message", "first")
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, revision := range []string{"", "-h", "--all", "--output=" + filepath.Join(dir, "x"), "nowhere", "HEAD\nHEAD", "HEAD:", "HEAD..HEAD", "^HEAD", strings.Repeat("a", 40)} {
		if got, err := repo.Commit(t.Context(), revision); !errors.Is(err, git.ErrNoCommit) {
			t.Errorf("Commit(%q) = %q, %v, want none", revision, got, err)
		}
	}
	if parents, err := repo.Parents(t.Context(), "HEAD"); len(parents) != 0 || err != nil {
		t.Errorf("Parents of the first = %v, %v", parents, err)
	}
	if _, err := git.Open(t.Context(), t.TempDir()); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("Open of no repository = %v", err)
	}
	if _, err := git.Open(t.Context(), filepath.Join(dir, ".git")); !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("Open of what git keeps = %v", err)
	}
}

// TestCommittedRepository runs nothing that a commit brings: a directory of files that are those of a bare repository
// would be one to git, with settings that name programs.
func TestCommittedRepository(t *testing.T) {
	t.Parallel()
	top, ran := t.TempDir(), filepath.Join(t.TempDir(), "ran")
	run(t, top, "init", "--quiet")
	dir := filepath.Join(top, "evil")
	run(t, top, "init", "--quiet", "--bare", dir)
	run(t, top, "config", "--file", filepath.Join(dir, "config"), "core.bare", "false")
	run(t, top, "config", "--file", filepath.Join(dir, "config"), "core.worktree", ".")
	run(t, top, "config", "--file", filepath.Join(dir, "config"), "core.fsmonitor", "touch '"+ran+"'; false")
	repo, err := git.Open(t.Context(), dir)
	if err == nil {
		if here, err := repo.Here(t.Context()); err == nil {
			here.Close()
		}
	}
	if !errors.Is(err, git.ErrNoRepository) {
		t.Errorf("Open = %v, want no repository", err)
	}
	if _, err := os.Stat(ran); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a program of the commit's was run")
	}
}

// TestSubmodules has a submodule at another commit among the changes, whatever .gitmodules says of it.
func TestSubmodules(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	write(t, dir, ".gitmodules", "[submodule \"sub\"]\n\tpath = sub\n\turl = ../sub\n\tignore = all\n")
	run(t, dir, "add", "--all")
	for _, commit := range []string{strings.Repeat("1", 40), strings.Repeat("2", 40)} {
		run(t, dir, "update-index", "--add", "--cacheinfo", "160000,"+commit+",sub")
		run(t, dir, "commit", "--quiet", "--message", commit)
	}
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	got, err := repo.Changes(t.Context(), "HEAD~1", "HEAD")
	if diff := cmp.Diff([]git.Change{{Path: "sub", Kind: git.Modified}}, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
