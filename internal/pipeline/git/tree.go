package git

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// maxFile is how large a file may be that is read: none that somebody wrote by hand is larger.
const maxFile = 4 << 20

// Tree is the files of a commit, or of the working tree. It is not for several goroutines at once.
type Tree struct {
	files     []string
	untracked []string
	links     map[string]string // symbolic links, and what is in them
	modules   []string          // submodules
	commits   map[string]string // of a commit's submodules

	root *os.Root // of the working tree

	objects map[string]object // of a commit
	batch   *batch
}

type object struct{ mode, hash string }

// Files gives the paths of all files, in order.
func (t *Tree) Files() []string { return t.files }

// Links gives the symbolic links, and what each says, which is from its own directory.
func (t *Tree) Links() map[string]string { return t.links }

// Submodules gives the paths of the submodules. They are among the files, and what is in them is not.
func (t *Tree) Submodules() []string { return t.modules }

// Hash gives git's mode and object name of a file of a commit, with a space between: another for each content, and for a
// file that may be executed. A submodule has that of its commit. Of the working tree it is not known: see Dirty.
func (t *Tree) Hash(name string) (string, bool) {
	if o, ok := t.objects[name]; ok {
		return o.mode + " " + o.hash, true
	}
	commit, ok := t.commits[name]
	return modeSubmodule + " " + commit, ok
}

// Close ends what reads files.
func (t *Tree) Close() error {
	var err error
	if t.root != nil {
		err = t.root.Close()
	}
	if t.batch != nil {
		err = errors.Join(err, t.batch.close())
	}
	return err
}

// Read gives what is in a file. It follows links, but not out of the directory. fs.ErrNotExist is that it is not there.
func (t *Tree) Read(name string) ([]byte, error) {
	if t.root != nil {
		return t.readHere(name)
	}
	for range 8 {
		o, ok := t.objects[name]
		if !ok {
			return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrNotExist}
		}
		text, err := t.batch.read(o.hash)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if o.mode != modeLink {
			return text, nil
		}
		name = path.Join(path.Dir(name), string(text))
	}
	return nil, fmt.Errorf("%s: a link to a link to a link", name)
}

func (t *Tree) readHere(name string) ([]byte, error) {
	f, err := t.root.Open(name)
	if err != nil {
		return nil, err //nolint:wrapcheck // names the file
	}
	defer f.Close() //nolint:errcheck // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if len(text) > maxFile {
		err = fmt.Errorf("%s: larger than %d bytes", name, maxFile)
	}
	return text, err
}

// Here gives the working tree: all files that git knows or would add, as they are on disk.
func (r *Repo) Here(ctx context.Context) (*Tree, error) {
	out, err := r.run(ctx, "ls-files", "-z", "-t", "--stage", "--cached", "--others", "--deleted", "--exclude-standard")
	if err != nil {
		return nil, err
	}
	t := &Tree{links: map[string]string{}}
	gone := map[string]bool{}
	for _, line := range split(out) {
		tag, name, _ := strings.Cut(line, " ")
		mode := ""
		if tag != "?" { // mode, hash, stage
			var about string
			about, name, _ = strings.Cut(name, "\t")
			mode, _, _ = strings.Cut(about, " ")
		}
		switch tag {
		case "R":
			gone[name] = true
		case "?":
			if name = strings.TrimSuffix(name, "/"); name != "" {
				t.untracked = append(t.untracked, name)
				t.files = append(t.files, name)
				r.link(t, name)
			}
		default:
			t.files = append(t.files, name)
			switch mode {
			case modeLink:
				r.link(t, name)
			case modeSubmodule:
				t.modules = append(t.modules, name)
			}
		}
	}
	slices.Sort(t.files)
	t.files = slices.DeleteFunc(slices.Compact(t.files), func(name string) bool { return gone[name] })
	t.root, err = os.OpenRoot(r.dir)
	return t, err
}

// The modes that git has.
const (
	modeFile      = "100644"
	modeProgram   = "100755"
	modeLink      = "120000"
	modeSubmodule = "160000"
)

// link notes a link of the working tree, if it is one there.
func (r *Repo) link(t *Tree, name string) {
	if to, err := os.Readlink(filepath.Join(r.dir, filepath.FromSlash(name))); err == nil {
		t.links[name] = filepath.ToSlash(to)
	}
}

// At gives the files of a commit.
func (r *Repo) At(ctx context.Context, commit string) (*Tree, error) {
	out, err := r.run(ctx, "ls-tree", "-r", "-z", commit, "--", ".")
	if err != nil {
		return nil, err
	}
	t := &Tree{objects: map[string]object{}, commits: map[string]string{}, links: map[string]string{}}
	for _, line := range split(out) {
		about, name, _ := strings.Cut(line, "\t")
		parts := strings.Fields(about) // mode, type, hash
		if len(parts) != 3 {
			return nil, fmt.Errorf("git ls-tree answers something else than files: %q", line)
		}
		t.files = append(t.files, name)
		if parts[1] == "blob" {
			t.objects[name] = object{parts[0], parts[2]}
		} else {
			t.modules = append(t.modules, name)
			t.commits[name] = parts[2]
		}
	}
	slices.Sort(t.files)
	if t.batch, err = r.startBatch(ctx); err != nil {
		return nil, err
	}
	for name, o := range t.objects {
		if o.mode == modeLink {
			if to, err := t.batch.read(o.hash); err == nil { // else it is too long to be one
				t.links[name] = string(to)
			}
		}
	}
	return t, nil
}

// ReadAt gives what is in one file of a commit.
func (r *Repo) ReadAt(ctx context.Context, commit, name string) ([]byte, error) {
	b, err := r.startBatch(ctx)
	if err != nil {
		return nil, err
	}
	defer b.close() //nolint:errcheck // what was read is read
	return b.read(commit + ":" + r.prefix + name)
}

// batch is a git that is asked for one object after the other.
type batch struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (r *Repo) startBatch(ctx context.Context) (*batch, error) {
	b := &batch{cmd: r.command(ctx, "cat-file", "--batch")}
	var err error
	if b.in, err = b.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := b.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	b.out = bufio.NewReaderSize(out, 1<<16)
	return b, b.cmd.Start()
}

func (b *batch) read(name string) ([]byte, error) {
	if strings.Contains(name, "\n") {
		return nil, fmt.Errorf("%q: %w", name, fs.ErrNotExist)
	}
	if _, err := io.WriteString(b.in, name+"\n"); err != nil {
		return nil, fmt.Errorf("asking git for an object: %w", err)
	}
	about, err := b.out.ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("reading an object from git: %w", err)
	}
	parts := strings.Fields(about)
	if len(parts) != 3 { // "… missing", "… ambiguous"
		return nil, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
	}
	size, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading an object from git: %w", err)
	}
	if parts[1] != "blob" || size > maxFile {
		_, err := io.CopyN(io.Discard, b.out, size+1)
		return nil, errors.Join(err, fmt.Errorf("a %s of %d bytes is not read", parts[1], size))
	}
	text := make([]byte, size+1) // and a line's end
	if _, err := io.ReadFull(b.out, text); err != nil {
		return nil, fmt.Errorf("reading an object from git: %w", err)
	}
	return text[:size], nil
}

func (b *batch) close() error {
	return errors.Join(b.in.Close(), b.cmd.Wait())
}
