package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) detectCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "detect",
		Short: "Show which apps and libraries of a monorepo changed, and why",
		Long: "Detect compares a commit or the working tree with a base, and lists the apps and libraries that the changes\n" +
			"affect: their own files, their Dockerfile and what it copies, and what they depend on, as their Dockerfile,\n" +
			"go.mod, package.json, pyproject.toml, Cargo.toml and berth.yaml say. Those that others depend on come first.\n\n" +
			"Without --base it is what GitHub Actions or GitLab CI say was there before, else the default branch, else the\n" +
			"commit before. Where nothing can be compared, everything counts as changed. What is decided is said on stderr.\n" +
			"Without --head it is the working tree, with what is not committed yet but for files that git ignores.",
		Example: "berth detect\n" +
			"berth detect --base origin/main --output json\n" +
			"berth detect --output github",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return p.detect(cmd) },
	}
	cmd.Flags().String("base", "", "the revision to compare with, such as origin/main; found out if not given")
	cmd.Flags().String("head", "", "the revision that is compared; the working tree if not given")
	cmd.Flags().String("dir", ".", "the monorepo, or a directory in it")
	cmd.Flags().String("output", "text", "text, json for programs, or github: lines for $GITHUB_OUTPUT, where that is set to it")
	return cmd
}

// detected is the JSON output, which is a contract: docs/operate/pipeline.md.
type detected struct {
	Comparison comparison        `json:"comparison"`
	Changes    []change          `json:"changes"`
	Projects   []detectedProject `json:"projects"`
	Apps       []string          `json:"apps"`
	Libs       []string          `json:"libs"`
	Images     []string          `json:"images"`
	Any        bool              `json:"any"`
	Removed    []string          `json:"removed"`
	Cycles     [][]string        `json:"cycles"`
	Notes      []string          `json:"notes"`
}

type comparison struct {
	Method      string `json:"method"`
	Reason      string `json:"reason,omitempty"`
	Base        string `json:"base,omitempty"`
	BaseName    string `json:"baseName,omitempty"`
	BaseFrom    string `json:"baseFrom,omitempty"`
	Ancestor    string `json:"ancestor,omitempty"`
	Head        string `json:"head,omitempty"`
	HeadName    string `json:"headName"`
	WorkingTree bool   `json:"workingTree"`
}

type change struct {
	Path   string `json:"path"`
	From   string `json:"from,omitempty"`
	Change string `json:"change"`
}

type detectedProject struct {
	Name         string            `json:"name"`
	Kind         string            `json:"kind"`
	Path         string            `json:"path"`
	Languages    []string          `json:"languages"`
	Test         workspace.Command `json:"test"`
	Build        bool              `json:"build"`
	Image        *detectedImage    `json:"image,omitempty"`
	Dependencies []dependency      `json:"dependencies"`
	Reasons      []reason          `json:"reasons"`
}

type detectedImage struct {
	Dockerfile string            `json:"dockerfile"`
	Context    string            `json:"context"`
	Target     string            `json:"target,omitempty"`
	Args       map[string]string `json:"args,omitempty"`
	Platforms  []string          `json:"platforms"`
}

type dependency struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

type reason struct {
	Cause string   `json:"cause"`
	Path  string   `json:"path,omitempty"`
	More  int      `json:"more,omitempty"`
	Of    string   `json:"of,omitempty"`
	Via   []string `json:"via,omitempty"`
	Why   string   `json:"why,omitempty"`
	Image bool     `json:"image"`
	Text  string   `json:"text"`
}

func (p *program) detect(cmd *cobra.Command) error {
	form, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	if form != "github" {
		if err := checkOutput(cmd); err != nil {
			return usageError{fmt.Errorf("--output: %q is none of text, json and github", form), ""}
		}
	}
	run, err := ci.Read(p.environment, os.ReadFile)
	if err != nil {
		return err
	}
	req := detect.Request{Run: run}
	for name, into := range map[string]*string{"base": &req.Base, "head": &req.Head, "dir": &req.Dir} {
		if *into, err = cmd.Flags().GetString(name); err != nil {
			return err
		}
	}
	found, err := detect.Run(cmd.Context(), req)
	if err != nil {
		return p.workspaceError(err, req.Dir)
	}
	data := newDetected(found)
	p.say("%s", sayComparison(found))
	for _, note := range found.Notes {
		p.say("%s", plan.Printable(note))
	}
	for _, dir := range found.Removed {
		p.say("%s is there no more", plan.Printable(dir))
	}
	if form == "github" {
		return p.tellGitHub(run.Output, data)
	}
	return p.print(cmd, data, func(w io.Writer) error {
		if len(data.Projects) == 0 {
			p.say("no app and no library is affected")
			return nil
		}
		return writeDetected(w, data)
	})
}

// workspaceError says what to do about what is wrong with a workspace.
func (p *program) workspaceError(err error, dir string) error {
	abs, absErr := filepath.Abs(dir)
	if absErr != nil {
		abs = dir
	}
	if _, ok := errors.AsType[workspace.Problems](err); ok {
		return usageError{err, "every key is explained by: " + p.name + " config schema"}
	}
	failed, ok := errors.AsType[*git.Error](err)
	switch {
	case errors.Is(err, detect.ErrNoWorkspace):
		return usageError{err, "write one with: " + p.name + " init"}
	case errors.Is(err, git.ErrNoRepository):
		return usageError{err, "a workspace is in a git repository; make one with: git init"}
	case errors.Is(err, detect.ErrRevision):
		return usageError{err, "which there are: git branch --all; a branch of the remote is fetched with: git fetch origin BRANCH"}
	case errors.Is(err, exec.ErrNotFound):
		return hintedError{err, "install git: Berth asks it what changed"}
	case ok && strings.Contains(failed.Stderr, "dubious ownership"):
		return hintedError{err, "if you trust it: git config --global --add safe.directory " + quote(abs)}
	default:
		return err
	}
}

// sayComparison says what was compared with what.
func sayComparison(found *detect.Result) string {
	return plan.Printable(wordComparison(found))
}

func wordComparison(found *detect.Result) string {
	c := found.Comparison
	head := shortCommit(c.Head)
	if c.Here {
		head = "the working tree"
	}
	if c.Method == detect.Everything {
		return "everything counts as changed: " + c.Why
	}
	base := shortCommit(c.Base)
	if !strings.HasPrefix(c.Base, c.BaseName) {
		base = c.BaseName + " (" + base + ")"
	}
	if c.Method == detect.SinceAncestor && c.Ancestor != c.Base {
		base = shortCommit(c.Ancestor) + ", where it left " + base
	}
	return fmt.Sprintf("%s against %s, from %s: %s", head, base, c.BaseFrom, plural(len(found.Changes), "file differs", "files differ"))
}

func shortCommit(commit string) string { return commit[:min(10, len(commit))] }

func newDetected(found *detect.Result) detected {
	c := found.Comparison
	data := detected{
		Comparison: comparison{string(c.Method), c.Why, c.Base, c.BaseName, c.BaseFrom, c.Ancestor, c.Head, c.HeadName, c.Here},
		Changes:    []change{}, Projects: []detectedProject{}, Apps: []string{}, Libs: []string{}, Images: []string{},
		Any: len(found.Affected) > 0, Removed: append([]string{}, found.Removed...), Cycles: append([][]string{}, found.Cycles...), Notes: append([]string{}, found.Notes...),
	}
	for _, each := range found.Changes {
		data.Changes = append(data.Changes, change{each.Path, each.From, string(each.Kind)})
	}
	for _, a := range found.Affected {
		data.Projects = append(data.Projects, newDetectedProject(a))
		if a.Kind == workspace.Lib {
			data.Libs = append(data.Libs, a.Name)
		} else {
			data.Apps = append(data.Apps, a.Name)
		}
		if a.Build {
			data.Images = append(data.Images, a.Name)
		}
	}
	return data
}

func newDetectedProject(a plan.Affected) detectedProject {
	d := detectedProject{
		Name: a.Name, Kind: string(a.Kind), Path: a.Dir, Languages: append([]string{}, a.Languages...), Test: a.Test,
		Build: a.Build, Dependencies: []dependency{}, Reasons: []reason{},
	}
	if a.Kind == workspace.App {
		d.Image = &detectedImage{Dockerfile: a.Image.Dockerfile, Context: a.Image.Context, Target: a.Image.Target, Platforms: []string{}}
		for _, platform := range a.Platforms {
			d.Image.Platforms = append(d.Image.Platforms, string(platform))
		}
		if len(a.Image.Args) > 0 {
			d.Image.Args = map[string]string{}
			for k, v := range a.Image.Args {
				d.Image.Args[k] = string(v)
			}
		}
	}
	for _, on := range a.Dependencies {
		d.Dependencies = append(d.Dependencies, dependency{on.Name, on.Why})
	}
	for _, r := range a.Reasons {
		d.Reasons = append(d.Reasons, reason{string(r.Cause), r.Path, r.More, r.Of, r.Via, r.Why, r.Image, r.String()})
	}
	return d
}

func writeDetected(w io.Writer, data detected) error {
	rows := [][]string{{"PROJECT", "KIND", "DO", "BECAUSE"}}
	for _, d := range data.Projects {
		do := "test"
		if d.Build {
			do += ", build"
		}
		for i, r := range d.Reasons {
			switch {
			case i == 0:
				rows = append(rows, []string{d.Name, d.Kind, do, r.Text})
			case i < 3 || len(d.Reasons) == 4:
				rows = append(rows, []string{"", "", "", r.Text})
			case i == 3:
				rows = append(rows, []string{"", "", "", fmt.Sprintf("and %d reasons more", len(d.Reasons)-i)})
			}
		}
	}
	return writeTable(w, rows)
}

// matrixEntry is what a job of a matrix is told of its project.
type matrixEntry struct {
	Name     string `json:"name"`
	Path     string `json:"path"`
	Kind     string `json:"kind"`
	Build    bool   `json:"build"`
	Language string `json:"language"`
}

// tellGitHub gives later jobs what they need, in the file for that or on stdout. Each value is one line of JSON, in which
// nothing that a file is called can begin another.
func (p *program) tellGitHub(file string, data detected) error {
	include := []matrixEntry{}
	for _, d := range data.Projects {
		include = append(include, matrixEntry{d.Name, d.Path, d.Kind, d.Build, cmp.Or(append(d.Languages, "")...)})
	}
	if err := p.tellLater(file, []output{
		{"any", data.Any},
		{"apps", data.Apps},
		{"libs", data.Libs},
		{"images", data.Images},
		{"matrix", map[string]any{"include": include}},
	}); err != nil || file == "" {
		return err
	}
	if len(include) > 256 {
		p.say("the matrix has %d entries, and GitHub Actions takes 256 at most: use apps and libs", len(include))
	}
	p.say("%s in %s", plural(len(data.Projects), "project", "projects"), file)
	return nil
}

// output is what later steps of a job are told: a name, and JSON on one line.
type output struct {
	name  string
	value any
}

// tellLater writes outputs to the file that GitHub Actions reads them from, or to stdout where there is none.
func (p *program) tellLater(file string, outputs []output) error {
	var b strings.Builder
	for _, o := range outputs {
		value, err := json.Marshal(o.value)
		if err != nil {
			return fmt.Errorf("telling GitHub Actions what came of it: %w", err)
		}
		fmt.Fprintf(&b, "%s=%s\n", o.name, value)
	}
	if file == "" {
		_, err := io.WriteString(p.stdout, b.String())
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644) //nolint:gosec // the runner reads it
	if err != nil {
		return fmt.Errorf("telling GitHub Actions what came of it: %w", err)
	}
	_, err = f.WriteString(b.String())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("telling GitHub Actions what came of it: %w", err)
	}
	return nil
}

// filesHere lists the files of the git repository that a directory is in, from there.
func filesHere(ctx context.Context, dir string) (*git.Repo, *git.Tree, error) {
	repo, err := git.Open(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	tree, err := repo.Here(ctx)
	return repo, tree, err
}
