package git_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/git"
)

// commits makes commits in an empty repository, each with its time and parents, and gives their hashes by name.
//
//	a 100
//	b 200 a
func commits(t *testing.T, dir, story string) map[string]string {
	t.Helper()
	hashes := map[string]string{}
	tree := run(t, dir, "hash-object", "-t", "tree", "-w", "/dev/null")
	for line := range strings.Lines(story) {
		words := strings.Fields(line)
		args := []string{"-c", "user.name=A", "-c", "user.email=a@example.com", "hash-object", "-t", "commit", "-w"}
		text := "tree " + tree + "\n"
		for _, p := range words[2:] {
			text += "parent " + hashes[p] + "\n"
		}
		text += fmt.Sprintf("author A <a@example.com> 1 +0000\ncommitter A <a@example.com> %s +0130\n\n%s\n", words[1], words[0])
		file := filepath.Join(t.TempDir(), "commit")
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		hashes[words[0]] = run(t, dir, append(args, file)...)
	}
	return hashes
}

func open(t *testing.T, dir string) *git.Repo {
	t.Helper()
	repo, err := git.Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	return repo
}

func TestHistory(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		story string
		of    string
		n     int
		want  string
	}{
		"a line":                 {"a 100\nb 200 a\nc 300 b", "c", 100, "c b a"},
		"the newest":             {"a 100\nb 200 a\nc 300 b", "c", 2, "c b"},
		"none":                   {"a 100", "a", 0, ""},
		"the first":              {"a 100\nb 200 a", "a", 100, "a"},
		"a merge":                {"a 100\nb 200 a\nc 300 a\nd 400 b c", "d", 100, "d c b a"},
		"one of two":             {"a 100\nb 200 a\nc 300 a", "b", 100, "b a"},
		"a clock that is behind": {"a 100\nb 50 a\nc 300 b", "c", 100, "c b a"},
		"a parent that is newer": {"a 900\nb 200 a\nc 300 a\nd 400 b c", "d", 100, "d c b a"},
		"one time":               {"a 100\nb 100 a\nc 100 b\nd 100 c", "d", 100, "d c b a"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			run(t, dir, "init", "--quiet")
			hashes := commits(t, dir, tt.story)
			got, err := open(t, dir).History(t.Context(), hashes[tt.of], tt.n)
			var want []string
			for c := range strings.FieldsSeq(tt.want) {
				want = append(want, hashes[c])
			}
			if !slices.Equal(want, got) || err != nil {
				t.Errorf("History = %q, %v, want %q of %q", got, err, want, hashes)
			}
		})
	}
}

// TestHistoryOfShallow ends where a shallow clone does, and does not know what is behind.
func TestHistoryOfShallow(t *testing.T) {
	t.Parallel()
	origin, clone := t.TempDir(), t.TempDir()
	run(t, origin, "init", "--quiet", "--initial-branch=main")
	hashes := commits(t, origin, "a 100\nb 200 a\nc 300 b\nd 400 c")
	run(t, origin, "update-ref", "refs/heads/main", hashes["d"])
	run(t, clone, "clone", "--quiet", "--depth=2", "file://"+origin, ".")
	repo := open(t, clone)
	got, err := repo.History(t.Context(), "HEAD", 100)
	if want := []string{hashes["d"], hashes["c"]}; !slices.Equal(want, got) || err != nil || !repo.Shallow() {
		t.Errorf("History = %q, %v, want %q", got, err, want)
	}
	if got, err := repo.IsAncestor(t.Context(), hashes["c"], hashes["d"]); !got || err != nil {
		t.Errorf("IsAncestor = %v, %v", got, err)
	}
	if _, err := repo.IsAncestor(t.Context(), hashes["a"], hashes["d"]); !errors.Is(err, git.ErrNoCommit) {
		t.Errorf("IsAncestor of what is not here = %v", err)
	}
}

func TestIsAncestor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	run(t, dir, "init", "--quiet")
	hashes := commits(t, dir, "a 100\nb 200 a\nc 150 a\nd 50 b c\nother 1000")
	hashes["nowhere"], hashes["option"] = strings.Repeat("1", 40), "--all"
	repo := open(t, dir)
	for _, tt := range []struct {
		older, newer string
		want         bool
		err          error
	}{
		{"a", "a", true, nil},
		{"a", "d", true, nil},
		{"c", "d", true, nil},
		{"d", "a", false, nil},
		{"b", "c", false, nil},
		{"other", "d", false, nil},
		{"nowhere", "d", false, git.ErrNoCommit},
		{"a", "nowhere", false, git.ErrNoCommit},
		{"option", "a", false, git.ErrNoCommit},
	} {
		if got, err := repo.IsAncestor(t.Context(), hashes[tt.older], hashes[tt.newer]); got != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("IsAncestor(%s, %s) = %v, %v, want %v, %v", tt.older, tt.newer, got, err, tt.want, tt.err)
		}
	}
	if got, err := repo.CommitTime(t.Context(), hashes["c"]); !got.Equal(time.Unix(150, 0)) || got.Location() != time.UTC || err != nil {
		t.Errorf("CommitTime = %v, %v", got, err)
	}
	for _, commit := range []string{hashes["nowhere"], "--all", ""} {
		if _, err := repo.CommitTime(t.Context(), commit); !errors.Is(err, git.ErrNoCommit) {
			t.Errorf("CommitTime(%q) = %v, want no commit", commit, err)
		}
		if _, err := repo.History(t.Context(), commit, 1); !errors.Is(err, git.ErrNoCommit) {
			t.Errorf("History(%q) = %v, want no commit", commit, err)
		}
	}
}

func TestBranchAndPrivateDir(t *testing.T) {
	t.Parallel()
	top, other := t.TempDir(), filepath.Join(t.TempDir(), "other")
	run(t, top, "init", "--quiet", "--initial-branch=feature/x")
	if got, err := open(t, top).Branch(t.Context()); got != "feature/x" || err != nil {
		t.Errorf("Branch before a commit = %q, %v", got, err)
	}
	write(t, top, "below/f", "")
	run(t, top, "add", "--all")
	run(t, top, "commit", "--quiet", "--message", "first")
	run(t, top, "tag", "feature/x") // of two of a name git says heads/feature/x
	if got, err := open(t, top).Branch(t.Context()); got != "feature/x" || err != nil {
		t.Errorf("Branch = %q, %v", got, err)
	}
	run(t, top, "worktree", "add", "--quiet", "--detach", other)
	if got, err := open(t, other).Branch(t.Context()); got != "" || err != nil {
		t.Errorf("Branch of none = %q, %v", got, err)
	}
	real, err := filepath.EvalSymlinks(top)
	if err != nil {
		t.Fatal(err)
	}
	want := filepath.Join(real, ".git", "berth")
	for _, dir := range []string{top, filepath.Join(top, "below"), other, filepath.Join(other, "below")} {
		got, err := open(t, dir).PrivateDir(t.Context())
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("PrivateDir in %s: %v\n%s", dir, err, diff)
		}
	}
}
