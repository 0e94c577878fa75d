package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/discover"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) initCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a berth.yaml for a monorepo, from what is in it",
		Long: "Init looks where apps and libraries are (directories with a Dockerfile, a go.mod, a package.json, a\n" +
			"pyproject.toml or a Cargo.toml), writes a berth.yaml that says so, and prints what it found. It writes over no\n" +
			"file unless --force says so.",
		Example: "berth init\nberth init --repository hoopstat-haus/prod",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.init(cmd, append(args, ".")[0])
		},
	}
	cmd.Flags().String("repository", "", "the repository of the images; if not given, what the remote origin is called")
	cmd.Flags().Bool("force", false, "write over a berth.yaml that is there")
	addOutput(cmd)
	return cmd
}

// initialized is the JSON output, which is a contract: docs/operate/pipeline.md.
type initialized struct {
	File       string         `json:"file"`
	Repository string         `json:"repository"`
	Projects   []foundProject `json:"projects"`
}

type foundProject struct {
	Name      string            `json:"name"`
	Kind      string            `json:"kind"`
	Path      string            `json:"path"`
	Languages []string          `json:"languages"`
	Context   string            `json:"context,omitempty"`
	Test      workspace.Command `json:"test"`
}

func (p *program) init(cmd *cobra.Command, dir string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	repository, err := cmd.Flags().GetString("repository")
	if err != nil {
		return err
	}
	force, err := cmd.Flags().GetBool("force")
	if err != nil {
		return err
	}
	if err := workspace.CheckRepository(repository); repository != "" && err != nil {
		return usageError{fmt.Errorf("--repository: %w", err), ""}
	}
	file := filepath.Join(dir, workspace.Name)
	if _, err := os.Lstat(file); err == nil && !force {
		return usageError{fmt.Errorf("%s is there already", file), "write over it with: " + p.name + " init --force"}
	}
	found, members, err := p.lookAround(cmd, dir, file, repository)
	if err != nil {
		return err
	}
	if err := p.writeWorkspace(file, found.Text(), force); err != nil {
		return err
	}
	for _, name := range found.Doubtful {
		p.say("%s: not all that its Dockerfile copies is there: say projects.%[1]s.build.context if it is built from elsewhere than its directory", name)
	}
	for _, twice := range found.Twice {
		p.say("%s", twice)
	}
	data := initialized{file, found.Repository, []foundProject{}}
	for _, m := range members {
		data.Projects = append(data.Projects, foundProject{m.Name, string(m.Kind), m.Dir, append([]string{}, m.Languages...), m.Image.Context, m.Test})
	}
	p.say("wrote %s, for images in %s", file, found.Repository)
	return p.print(cmd, data, func(w io.Writer) error {
		rows := [][]string{{"PROJECT", "KIND", "DIRECTORY", "LANGUAGES", "TEST"}}
		for _, m := range data.Projects {
			rows = append(rows, []string{m.Name, m.Kind, m.Path, strings.Join(m.Languages, ","), m.Test.String()})
		}
		return writeTable(w, rows)
	})
}

// lookAround finds what is to be written, and what it means.
func (p *program) lookAround(cmd *cobra.Command, dir, file, repository string) (discover.Found, []workspace.Member, error) {
	var found discover.Found
	repo, tree, err := filesHere(cmd.Context(), dir)
	if err != nil {
		return found, nil, p.workspaceError(err, dir)
	}
	defer tree.Close() //nolint:errcheck // it was only read
	origin, err := repo.Origin(cmd.Context())
	if err != nil {
		return found, nil, err
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return found, nil, err
	}
	found, err = discover.Look(tree, origin, filepath.Base(abs))
	if errors.Is(err, discover.ErrNothing) {
		return found, nil, hintedError{fmt.Errorf("%s: %w", dir, err), "an app is a directory below it with a Dockerfile, or one in apps with a go.mod, package.json, pyproject.toml or Cargo.toml"}
	}
	if err != nil {
		return found, nil, err
	}
	if repository != "" {
		found.Repository = repository
	}
	parsed, err := workspace.Parse(file, found.Text())
	if err != nil {
		return found, nil, fmt.Errorf("what was found makes no file: %w", err)
	}
	members, err := parsed.Resolve(tree.Files())
	if err != nil {
		return found, nil, fmt.Errorf("what was found makes no workspace: %w", err)
	}
	return found, members, nil
}

// writeWorkspace writes the file; without force, only where none is, also at this moment.
func (p *program) writeWorkspace(file string, text []byte, force bool) error {
	if force {
		// What is there may be a link to anywhere: it is replaced, not written through.
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it is for all who work on the repository
	if errors.Is(err, fs.ErrExist) {
		return usageError{fmt.Errorf("%s is there already", file), "write over it with: " + p.name + " init --force"}
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
