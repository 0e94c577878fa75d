package git

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Dirty gives the paths that differ between HEAD, the index and the working tree, in order: whatever is staged, changed,
// deleted or new and not ignored, by its content or its mode; a renamed file by both paths; a submodule at another commit, or
// with changes in it. A directory that is a repository of its own, and no submodule, ends with a slash.
//
// git goes by what it is told of files: one that is assumed to be unchanged, or is left out of a sparse checkout, it
// does not look at. A build does, so those are compared here. What it cannot see is not found either: modes with core.fileMode
// off, and that a submodule is not checked out at all.
func (r *Repo) Dirty(ctx context.Context) ([]string, error) {
	out, err := r.look(ctx, "status", "--porcelain=v1", "-z", "--untracked-files=all", "--ignored=no",
		"--ignore-submodules=none", "--no-renames", "--no-ahead-behind", "--", ".")
	if err != nil {
		return nil, err
	}
	var all []string
	for _, line := range split(out) { // two letters, a space, and a path from the top of the repository
		if len(line) < 4 {
			return nil, fmt.Errorf("git status answers something else than files: %q", line)
		}
		if name, ok := strings.CutPrefix(line[3:], r.prefix); ok {
			all = append(all, name)
		}
	}
	unseen, err := r.unseen(ctx)
	if err != nil {
		return nil, err
	}
	all = append(all, unseen...)
	slices.Sort(all)
	return slices.Compact(all), nil
}

// look runs a command that looks at the working tree. A monitor of the file system may have missed something, and is a
// program that a setting names.
func (r *Repo) look(ctx context.Context, args ...string) ([]byte, error) {
	return output(ctx, r.command(ctx, append([]string{"-c", "core.fsmonitor=false"}, args...)...), args[0])
}

// indexed is what the index has of a path.
type indexed struct{ name, mode, hash string }

// unseen gives the files that git is told not to look at, and that are not as the index has them.
func (r *Repo) unseen(ctx context.Context) ([]string, error) {
	out, err := r.look(ctx, "ls-files", "-z", "-v", "--stage")
	if err != nil {
		return nil, err
	}
	var told []indexed
	for _, line := range split(out) { // letter, mode, hash, stage, and a path
		tag, rest, _ := strings.Cut(line, " ")
		if tag != "S" && strings.ToLower(tag) != tag {
			continue
		}
		about, name, _ := strings.Cut(rest, "\t")
		parts := strings.Fields(about)
		if len(parts) != 3 {
			return nil, fmt.Errorf("git ls-files answers something else than files: %q", line)
		}
		told = append(told, indexed{name, parts[0], parts[1]})
	}
	if len(told) == 0 {
		return nil, nil
	}
	return r.differ(ctx, told)
}

// differ gives those files that are not on disk as the index has them.
func (r *Repo) differ(ctx context.Context, told []indexed) ([]string, error) {
	setting, err := r.run(ctx, "config", "--type=bool", "--get", "core.fileMode")
	if err != nil && exitCode(err) != 1 {
		return nil, err
	}
	anyMode := strings.TrimSpace(string(setting)) == "false"
	var changed []string
	var files []indexed
	for _, f := range told {
		mode := r.looks(f.name)
		isFile := mode == modeFile || mode == modeProgram
		switch {
		case mode != f.mode && (!anyMode || !isFile || f.mode != modeFile && f.mode != modeProgram):
			changed = append(changed, f.name)
		case mode == modeLink:
			to, err := os.Readlink(r.path(f.name))
			if err != nil {
				return nil, err //nolint:wrapcheck // names the file
			}
			was, err := r.run(ctx, "cat-file", "blob", f.hash)
			if err != nil {
				return nil, err
			}
			if filepath.ToSlash(to) != string(was) {
				changed = append(changed, f.name)
			}
		case isFile && strings.Contains(r.prefix+f.name, "\n"): // git could not be asked about it
			changed = append(changed, f.name)
		case isFile:
			files = append(files, f)
		}
	}
	hashes, err := r.hashes(ctx, files)
	for i, hash := range hashes {
		if hash != files[i].hash {
			changed = append(changed, files[i].name)
		}
	}
	return changed, err
}

func (r *Repo) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// looks gives the mode that a path has on disk, "" if it has none.
func (r *Repo) looks(name string) string {
	info, err := os.Lstat(r.path(name))
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return modeSubmodule
	case info.Mode()&os.ModeSymlink != 0:
		return modeLink
	case info.Mode()&0o100 != 0:
		return modeProgram
	default:
		return modeFile
	}
}

// hashes gives the object names that files on disk would have.
func (r *Repo) hashes(ctx context.Context, files []indexed) ([]string, error) {
	if len(files) == 0 {
		return nil, nil
	}
	var names strings.Builder
	for _, f := range files {
		names.WriteString(r.prefix + f.name + "\n") // this one takes them from the top
	}
	cmd := r.command(ctx, "hash-object", "--stdin-paths")
	cmd.Stdin = strings.NewReader(names.String())
	out, err := output(ctx, cmd, "hash-object")
	if err != nil {
		return nil, err
	}
	hashes := strings.Fields(string(out))
	if len(hashes) != len(files) {
		return nil, fmt.Errorf("git hash-object answers %d hashes for %d files", len(hashes), len(files))
	}
	return hashes, nil
}

// Ignored gives what is on disk and git ignores, in order; a directory of which it ignores all by its own path, which ends
// with a slash.
func (r *Repo) Ignored(ctx context.Context) ([]string, error) {
	out, err := r.look(ctx, "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory", "--", ".")
	return split(out), err
}
