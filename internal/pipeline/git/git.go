// Package git asks the git program what is in a repository: commits, what changed between two, and the files of one.
//
// The program is on every machine that builds, and reads a large history a hundred times faster than what Go has.
// Arguments are passed one by one, never through a shell; a revision that begins with a dash is refused. Nothing here
// writes to the repository, takes its locks or asks the network.
package git

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ErrNoRepository is that a directory is in no git repository.
var ErrNoRepository = errors.New("no git repository")

// ErrNoCommit is that a revision names no commit that is here.
var ErrNoCommit = errors.New("no such commit")

// Repo is a repository as it is seen from one directory in it: all paths are from that directory, and what lies
// outside of it is not seen.
type Repo struct {
	dir     string
	prefix  string // of dir in the repository, "" or with a slash at the end
	shallow bool
}

// Open finds the repository that a directory is in.
func Open(ctx context.Context, dir string) (*Repo, error) {
	r := &Repo{dir: dir}
	out, err := r.run(ctx, "rev-parse", "--is-inside-work-tree", "--is-shallow-repository", "--show-prefix")
	if failed, ok := errors.AsType[*Error](err); ok && (strings.Contains(failed.Stderr, "not a git repository") || strings.Contains(failed.Stderr, "cannot use bare repository")) {
		return nil, fmt.Errorf("%s: %w", dir, ErrNoRepository)
	}
	if err != nil {
		return nil, err
	}
	lines := strings.Split(string(out), "\n")
	if len(lines) < 3 || lines[0] != "true" {
		return nil, fmt.Errorf("%s: %w with a working tree", dir, ErrNoRepository)
	}
	r.shallow, r.prefix = lines[1] == "true", lines[2]
	return r, nil
}

// Shallow tells whether only the newest commits are here, as after git clone --depth.
func (r *Repo) Shallow() bool { return r.shallow }

// Error is what git says when it fails.
type Error struct {
	Command string // git's, such as diff
	Stderr  string
	Err     error
}

// Error gives git's own first line.
func (e *Error) Error() string {
	line, _, _ := strings.Cut(strings.TrimSpace(e.Stderr), "\n")
	if line == "" {
		line = e.Err.Error()
	}
	return "git " + e.Command + ": " + strings.TrimPrefix(line, "fatal: ")
}

// Unwrap gives what running it ended with.
func (e *Error) Unwrap() error { return e.Err }

func (r *Repo) command(ctx context.Context, args ...string) *exec.Cmd {
	// A directory that looks like a bare repository may come from anybody's commit, with settings that run programs.
	cmd := exec.CommandContext(ctx, "git", append([]string{"-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Dir = r.dir
	// Its words are read, so they are in English; and looking at a repository is no reason to write to it.
	cmd.Env = append(cmd.Environ(), "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0")
	return cmd
}

func (r *Repo) run(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, r.command(ctx, args...), args[0])
}

// output runs a git command, whose name is for errors.
func output(ctx context.Context, cmd *exec.Cmd, name string) ([]byte, error) {
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := cmd.Run(); err != nil {
		return nil, &Error{name, complaints.String(), errors.Join(context.Cause(ctx), err)}
	}
	return out.Bytes(), nil
}

// exitCode is what the program ended with, 0 if it is not known.
func exitCode(err error) int {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	return 0
}

// Commit gives the hash of the commit that a revision names: a hash, a branch, HEAD~2. It is ErrNoCommit if there is none here.
func (r *Repo) Commit(ctx context.Context, revision string) (string, error) {
	if revision == "" || strings.ContainsAny(revision[:1], "-^") || strings.ContainsAny(revision, "\n\x00") {
		return "", fmt.Errorf("%q: %w", revision, ErrNoCommit)
	}
	out, err := r.run(ctx, "rev-parse", "--verify", "--quiet", revision+"^{commit}")
	switch {
	case exitCode(err) == 1, exitCode(err) == 128 && ctx.Err() == nil:
		return "", fmt.Errorf("%s: %w", revision, ErrNoCommit)
	case err != nil:
		return "", err
	}
	return strings.TrimSpace(string(out)), nil
}

// Parents gives the parents of a commit that are here: none for the first, and for the last of a shallow clone.
func (r *Repo) Parents(ctx context.Context, commit string) ([]string, error) {
	out, err := r.run(ctx, "rev-list", "--parents", "--max-count=1", commit)
	if err != nil {
		return nil, err
	}
	return strings.Fields(string(out))[1:], nil
}

// MergeBase gives the newest commit that two have in common, "" if none is here.
func (r *Repo) MergeBase(ctx context.Context, a, b string) (string, error) {
	out, err := r.run(ctx, "merge-base", a, b)
	if exitCode(err) == 1 {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return first, nil
}

// DefaultBranch gives what others call the main line: the branch that the remote checks out, or one called main or
// master, at the remote before here. It is the whole name, which no tag has, or "" if there is none.
func (r *Repo) DefaultBranch(ctx context.Context) (string, error) {
	names := []string{"refs/remotes/origin/main", "refs/remotes/origin/master", "refs/heads/main", "refs/heads/master"}
	out, err := r.run(ctx, append([]string{"for-each-ref", "--format=%(refname) %(symref)", "refs/remotes/origin/HEAD"}, names...)...)
	if err != nil {
		return "", err
	}
	found := map[string]bool{}
	for line := range strings.Lines(string(out)) {
		name, target, _ := strings.Cut(strings.TrimSpace(line), " ")
		if target != "" {
			return target, nil
		}
		found[name] = true
	}
	for _, name := range names {
		if found[name] {
			return name, nil
		}
	}
	return "", nil
}

// ShortBranch is a branch's whole name as people say it.
func ShortBranch(name string) string {
	return strings.TrimPrefix(strings.TrimPrefix(name, "refs/heads/"), "refs/remotes/")
}

// Origin is the URL of the remote that others call origin, "" if there is none.
func (r *Repo) Origin(ctx context.Context) (string, error) {
	out, err := r.run(ctx, "config", "--get", "remote.origin.url")
	if exitCode(err) == 1 {
		return "", nil
	}
	return strings.TrimSpace(string(out)), err
}

// split cuts what git ends with zero bytes.
func split(out []byte) []string {
	text := strings.TrimSuffix(string(out), "\x00")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\x00")
}
