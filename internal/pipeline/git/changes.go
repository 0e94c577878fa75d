package git

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Kind is what happened to a file.
type Kind string

// The kinds. A renamed file may have changed too; what became something else, such as a link, is modified.
const (
	Added     Kind = "added"
	Modified  Kind = "modified"
	Deleted   Kind = "deleted"
	Renamed   Kind = "renamed"
	Untracked Kind = "untracked" // new, and not yet added
)

// Change is a file that changed.
type Change struct {
	Path string
	From string // of a renamed file, its path before
	Kind Kind
}

// Changes gives the files in which two commits differ, by path.
func (r *Repo) Changes(ctx context.Context, from, to string) ([]Change, error) {
	out, err := r.run(ctx, "diff-tree", "-r", "-z", "-M", "-l1000", "--name-status", "--relative", "--no-ext-diff", "--ignore-submodules=none", from, to, "--")
	if err != nil {
		return nil, err
	}
	return changes(out)
}

// ChangesHere gives the files in which the working tree differs from a commit, by path: whatever is committed,
// staged, changed or new, but not what git is told to ignore.
func (r *Repo) ChangesHere(ctx context.Context, from string, here *Tree) ([]Change, error) {
	out, err := r.run(ctx, "diff", "-z", "-M", "-l1000", "--name-status", "--relative", "--no-ext-diff", "--ignore-submodules=none", from, "--")
	if err != nil {
		return nil, err
	}
	all, err := changes(out)
	for _, name := range here.untracked {
		all = append(all, Change{Path: name, Kind: Untracked})
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all, err
}

// changes reads git's --name-status -z: a letter and a path, or R and a number and two paths.
func changes(out []byte) ([]Change, error) {
	words := split(out)
	var all []Change
	for len(words) > 0 {
		n := 2
		if strings.HasPrefix(words[0], "R") {
			n = 3
		}
		if len(words) < n || words[0] == "" {
			return nil, fmt.Errorf("git diff answers something else than files: %q", words[0])
		}
		c := Change{Path: words[1], Kind: Modified}
		switch words[0][0] {
		case 'A':
			c.Kind = Added
		case 'D':
			c.Kind = Deleted
		case 'R':
			c = Change{Path: words[2], From: words[1], Kind: Renamed}
		}
		all, words = append(all, c), words[n:]
	}
	slices.SortFunc(all, func(a, b Change) int { return strings.Compare(a.Path, b.Path) })
	return all, nil
}
