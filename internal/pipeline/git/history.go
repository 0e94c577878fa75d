package git

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// History gives the newest commits that a commit has in its history, at most n of them, itself first: each before its parents,
// and otherwise the newer first. In a shallow clone it ends where that does. ErrNoCommit is that the commit is not here.
func (r *Repo) History(ctx context.Context, commit string, n int) ([]string, error) {
	hash, err := r.Commit(ctx, commit)
	if err != nil {
		return nil, err
	}
	// By the time that they say: git's own topological order would read all of a history of any length.
	out, err := r.run(ctx, "rev-list", "--parents", fmt.Sprintf("--max-count=%d", max(n, 0)), hash, "--")
	if err != nil {
		return nil, err
	}
	var byTime []string
	parents := map[string][]string{}
	for line := range strings.Lines(string(out)) {
		words := strings.Fields(line)
		byTime = append(byTime, words[0])
		parents[words[0]] = words[1:]
	}
	return childrenFirst(byTime, parents), nil
}

// childrenFirst puts each commit before its parents, where clocks that are wrong have it after one, and leaves the rest.
func childrenFirst(commits []string, parents map[string][]string) []string {
	children := map[string]int{} // that have not come yet
	for _, commit := range commits {
		for _, p := range parents[commit] {
			children[p]++
		}
	}
	at := make(map[string]int, len(commits))
	for i, commit := range commits {
		at[commit] = i
	}
	var all []string
	var ready []string // the first comes next
	for _, commit := range commits {
		if children[commit] == 0 {
			ready = append(ready, commit)
		}
	}
	for len(ready) > 0 {
		commit := ready[0]
		ready = ready[1:]
		all = append(all, commit)
		for _, p := range parents[commit] {
			children[p]--
			if i, ok := at[p]; ok && children[p] == 0 {
				j, _ := slices.BinarySearchFunc(ready, i, func(c string, i int) int { return at[c] - i })
				ready = slices.Insert(ready, j, p)
			}
		}
	}
	return all
}

// IsAncestor tells whether an older commit is in the history of a newer one, or is it. ErrNoCommit is that one of them is
// not here. In a shallow clone, no may be for want of the commits between: see Shallow.
func (r *Repo) IsAncestor(ctx context.Context, older, newer string) (bool, error) {
	var hashes []string
	for _, commit := range []string{older, newer} {
		hash, err := r.Commit(ctx, commit)
		if err != nil {
			return false, err
		}
		hashes = append(hashes, hash)
	}
	_, err := r.run(ctx, "merge-base", "--is-ancestor", hashes[0], hashes[1])
	if exitCode(err) == 1 {
		return false, nil
	}
	return err == nil, err
}

// Branch gives the branch that is checked out, such as main, and "" if none is, as in most CI systems.
func (r *Repo) Branch(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "symbolic-ref", "--quiet", "HEAD")
	if exitCode(err) == 1 {
		return "", nil
	}
	name, _ := strings.CutPrefix(strings.TrimSpace(string(out)), "refs/heads/")
	return name, err
}

// CommitTime gives when a commit was made, in UTC and to the second. ErrNoCommit is that it is not here.
func (r *Repo) CommitTime(ctx context.Context, commit string) (time.Time, error) {
	hash, err := r.Commit(ctx, commit)
	if err != nil {
		return time.Time{}, err
	}
	out, err := r.run(ctx, "rev-list", "--timestamp", "--max-count=1", hash, "--")
	if err != nil {
		return time.Time{}, err
	}
	text, _, _ := strings.Cut(string(out), " ")
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, fmt.Errorf("git rev-list answers something else than a time: %q", out)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

// PrivateDir gives where a clone keeps what it remembers for Berth: a directory that is not made yet, with what git keeps
// itself, so that it is never committed. All working trees of the clone have the same one.
func (r *Repo) PrivateDir(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "rev-parse", "--git-common-dir")
	if err != nil {
		return "", err
	}
	dir := filepath.FromSlash(strings.TrimSuffix(string(out), "\n"))
	if !filepath.IsAbs(dir) { // from where git ran
		if dir, err = filepath.Abs(filepath.Join(r.dir, dir)); err != nil {
			return "", fmt.Errorf("looking for git's directory: %w", err)
		}
	}
	return filepath.Join(dir, "berth"), nil
}
