// Package detect tells which projects of a monorepo changed: it reads the workspace, asks git what changed since when,
// and has package plan work out whom that affects. It only reads.
package detect

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// ErrNoWorkspace is that there is no berth.yaml.
var ErrNoWorkspace = errors.New("no " + workspace.Name)

// ErrRevision is that a revision that was asked for is not here.
var ErrRevision = errors.New("no such revision")

// Request is what to detect.
type Request struct {
	Dir  string // the workspace, or a directory in it
	Base string // since which revision; found out if ""
	Head string // until which revision; the working tree if ""
	Run  ci.Run // what a CI system says
	Keys bool   // whether the projects' keys are worked out too
}

// Result is what changed, and whom it affects.
type Result struct {
	Root       string
	Repo       *git.Repo
	Workspace  *workspace.File
	Graph      *plan.Graph
	Comparison Comparison
	Changes    []git.Change
	Affected   []plan.Affected // those before others that the others depend on
	Removed    []string        // directories of projects that are there no more
	Cycles     [][]string
	Notes      []string             // for people
	Keys       map[string]plan.Keys // by project, if they are asked for; of the working tree none is known
}

// Root finds the workspace that a directory is in.
func Root(dir string) (string, error) {
	start, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("looking for a workspace: %w", err)
	}
	for at := start; ; at = filepath.Dir(at) {
		if info, err := os.Stat(filepath.Join(at, workspace.Name)); err == nil && info.Mode().IsRegular() {
			return at, nil
		}
		if filepath.Dir(at) == at {
			return "", fmt.Errorf("%w in %s, nor in a directory above it", ErrNoWorkspace, start)
		}
	}
}

// Run detects.
func Run(ctx context.Context, req Request) (*Result, error) {
	root, err := Root(req.Dir)
	if err != nil {
		return nil, err
	}
	repo, err := git.Open(ctx, root)
	if err != nil {
		return nil, err
	}
	d := detection{Request: req, repo: repo, result: &Result{Root: root, Repo: repo}}
	if err := d.compare(ctx); err != nil {
		return nil, err
	}
	tree, err := d.tree(ctx)
	if err != nil {
		return nil, err
	}
	defer tree.Close() //nolint:errcheck // it was only read
	if err := d.read(ctx, tree); err != nil {
		return nil, err
	}
	return d.result, nil
}

type detection struct {
	Request
	repo   *git.Repo
	result *Result
}

func (d *detection) note(format string, args ...any) {
	d.result.Notes = append(d.result.Notes, fmt.Sprintf(format, args...))
}

// tree gives the files at the head.
func (d *detection) tree(ctx context.Context) (*git.Tree, error) {
	if d.result.Comparison.Here {
		return d.repo.Here(ctx)
	}
	return d.repo.At(ctx, d.result.Comparison.Head)
}

// read reads the workspace and the changes, and asks whom they affect.
func (d *detection) read(ctx context.Context, tree *git.Tree) error {
	text, err := tree.Read(workspace.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w in commit %s", ErrNoWorkspace, d.result.Comparison.Head)
	}
	if err != nil {
		return err
	}
	r := d.result
	if r.Workspace, err = workspace.Parse(d.nameOfFile(), text); err != nil {
		return err
	}
	if err := r.Workspace.ReadVEX(tree.Files(), tree.Read); err != nil {
		return err
	}
	members, err := r.Workspace.Resolve(tree.Files())
	if err != nil {
		return err
	}
	for _, name := range tree.Submodules() {
		if matches(r.Workspace.Apps, name) || matches(r.Workspace.Libs, name) {
			d.note("%s is a submodule, in which nothing can be read: it is no project", name)
		}
	}
	r.Graph = plan.Read(r.Workspace, members, tree)
	r.Notes = append(r.Notes, r.Graph.Notes()...)
	if _, r.Cycles = r.Graph.Order(); len(r.Cycles) > 0 {
		for _, cycle := range r.Cycles {
			d.note("%s depend on each other, so none comes before the others", enumerate(cycle))
		}
	}
	if err := d.changes(ctx, tree); err != nil {
		return err
	}
	q := plan.Question{Everything: r.Comparison.Why}
	if r.Comparison.Method != Everything {
		if q, err = d.question(ctx, tree, members); err != nil {
			return err
		}
	}
	r.Affected = r.Graph.Affected(q)
	r.Removed = d.removed(tree.Files())
	if d.Keys {
		r.Keys = r.Graph.Keys(tree.Hash)
	}
	return nil
}

// nameOfFile is what whoever asked would call the workspace's file.
func (d *detection) nameOfFile() string {
	if !d.result.Comparison.Here {
		return short(d.result.Comparison.Head) + ":" + workspace.Name
	}
	if dir, err := filepath.Abs(d.Dir); err == nil {
		if up, err := filepath.Rel(dir, d.result.Root); err == nil {
			return filepath.Join(d.Dir, up, workspace.Name)
		}
	}
	return workspace.Name
}

// changes reads what changed since each commit that is compared with.
func (d *detection) changes(ctx context.Context, tree *git.Tree) error {
	seen := map[git.Change]bool{}
	for _, since := range d.result.Comparison.since {
		var found []git.Change
		var err error
		if d.result.Comparison.Here {
			found, err = d.repo.ChangesHere(ctx, since, tree)
		} else {
			found, err = d.repo.Changes(ctx, since, d.result.Comparison.Head)
		}
		if err != nil {
			return err
		}
		for _, c := range found {
			if !seen[c] {
				seen[c] = true
				d.result.Changes = append(d.result.Changes, c)
			}
		}
	}
	return nil
}

// question makes one of the changes.
func (d *detection) question(ctx context.Context, tree *git.Tree, members []workspace.Member) (plan.Question, error) {
	q := plan.Question{Settings: map[string]bool{}}
	for _, c := range d.result.Changes {
		q.Paths = append(q.Paths, c.Path)
		if c.From != "" {
			q.Paths = append(q.Paths, c.From)
		}
	}
	if _, isLink := tree.Links()[workspace.Name]; isLink && len(q.Paths) > 0 {
		return d.everything(workspace.Name + " is a link, so what it said before is not known"), nil
	}
	if !slices.Contains(q.Paths, workspace.Name) {
		return q, nil
	}
	since := d.result.Comparison.since[0]
	text, err := d.repo.ReadAt(ctx, since, workspace.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return d.everything(workspace.Name + " is new"), nil
	}
	if err != nil {
		return q, err
	}
	before, wrong := workspace.Parse(workspace.Name, text)
	if wrong != nil {
		return d.everything(fmt.Sprintf("%s of %s makes no sense, so what it said is not known", workspace.Name, short(since))), nil //nolint:nilerr // then nothing can be compared, which is an answer
	}
	if before.Repository != d.result.Workspace.Repository || !slices.Equal(before.Tags, d.result.Workspace.Tags) {
		return d.everything(workspace.Name + " has other tags, or another repository"), nil
	}
	// What of it does not fit these files does not matter: it is compared by name.
	earlier, _ := before.Resolve(tree.Files())
	for _, m := range members {
		i := slices.IndexFunc(earlier, func(e workspace.Member) bool { return e.Name == m.Name })
		if i < 0 || !reflect.DeepEqual(earlier[i], m) {
			q.Settings[m.Name] = i < 0 || !reflect.DeepEqual(withoutTest(earlier[i]), withoutTest(m))
		}
	}
	return q, nil
}

func withoutTest(m workspace.Member) workspace.Member {
	m.Test, m.TestEnv, m.TestTimeout = workspace.Command{}, nil, 0
	return m
}

// everything notes that all are affected.
func (d *detection) everything(why string) plan.Question {
	d.result.Comparison.Method, d.result.Comparison.Why = Everything, why
	return plan.Question{Everything: why}
}

// removed gives the directories that were projects and have no files any more.
func (d *detection) removed(files []string) []string {
	var all []string
	for _, c := range d.result.Changes {
		name := c.From
		if c.Kind == git.Deleted {
			name = c.Path
		}
		if name == "" {
			continue
		}
		for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
			i, _ := slices.BinarySearch(files, dir+"/")
			if i < len(files) && len(files[i]) > len(dir) && files[i][:len(dir)+1] == dir+"/" {
				break // it is there, and so is all above it
			}
			if matches(d.result.Workspace.Apps, dir) || matches(d.result.Workspace.Libs, dir) {
				all = append(all, dir)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func matches(globs []workspace.Glob, dir string) bool {
	return slices.ContainsFunc(globs, func(g workspace.Glob) bool { return g[0] != '!' && g.Match(dir) })
}
