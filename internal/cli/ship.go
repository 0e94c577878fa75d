package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
	"github.com/hoopstat-haus/berth/internal/pipeline/ship"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/build"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) shipCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ship [APP...]",
		Short: "Test, build, push, scan and tag what changed in a monorepo",
		Long: "Ship takes the commit that is checked out to images that are tested, built, pushed as {app}-{sha}, scanned, and\n" +
			"released as {app}-latest. What is to be done is what changed and what the registry has not got yet, so a run\n" +
			"after one that failed or was stopped does what is left, and a run with nothing to do does nothing.\n\n" +
			"An app's image is built if there is none of the same inputs; otherwise that one is tagged. A tag with the commit\n" +
			"is never moved, and {app}-latest moves on the default branch, when all else went well, and never back to an\n" +
			"older commit. A pull request's run, and --no-push, test and build, and ask no registry.\n\n" +
			"Progress goes to stderr; what came of it to stdout. The exit code is 3 if a scan stopped an image.",
		Example: "berth ship\n" +
			"berth ship web report --fail-on high\n" +
			"berth ship --dry-run\n" +
			"berth ship --no-push --base origin/main\n" +
			"berth ship --deploy\n" +
			"berth ship --output json --query \"projects[?image.built].name\"",
		RunE: func(cmd *cobra.Command, args []string) error { return p.ship(cmd, args) },
	}
	flags := cmd.Flags()
	flags.String("dir", ".", "the monorepo, or a directory in it")
	flags.String("base", "", "the revision that changes are compared with, such as origin/main; found out if not given")
	flags.Int("jobs", 0, "how many projects are worked on at once; as many as there are processors if 0")
	flags.Bool("no-push", false, "test and build what changed, also what is not committed, and ask no registry")
	flags.Bool("dry-run", false, "say what would be done")
	flags.Bool("rebuild", false, "build what is affected though the registry has an image of the same inputs")
	flags.Bool("retest", false, "run tests that passed before for the same files")
	flags.Bool("deploy", false, "deploy what was shipped, if all went well, to the environments that say deploy: automatic")
	flags.String("fail-on", "", "the least severity of a finding that stops an image: critical, high, medium, low, informational or none; berth.yaml's if not given")
	flags.String("unscanned", "", "whether an image passes whose scan could not run: fail or pass; berth.yaml's if not given")
	flags.String("builder", "auto", "what builds: buildx, docker or buildah; auto for the first of these that is here")
	flags.Bool("verbose", false, "print what tests and builds print as it comes, also of those that pass")
	flags.String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
	return cmd
}

func (p *program) ship(cmd *cobra.Command, apps []string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	request, err := p.shipRequest(cmd, apps)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// Whoever reads what is said may be gone, as tee is at ^C: that ends no run before it has ended what it started. It is no signal
	// that is ignored, since the programs that are started would ignore it too.
	gone := make(chan os.Signal, 1)
	signal.Notify(gone, syscall.SIGPIPE)
	defer signal.Stop(gone)
	reporter, err := p.reporter(cmd, request.Run)
	if err != nil {
		return err
	}
	builder, err := cmd.Flags().GetString("builder")
	if err != nil {
		return err
	}
	if builder == "auto" {
		builder = ""
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "" // then nothing is remembered of layers
	} else {
		cache = filepath.Join(cache, "berth")
	}
	summary, err := ship.Run(ctx, request, ship.Config{
		Client: func(context.Context) (*registry.Client, error) { return p.registryClient(cmd) },
		Builder: func(ctx context.Context) (build.Builder, error) {
			return build.Find(ctx, build.Config{Want: builder, Env: config.Environ(), Cache: cache})
		},
		Deployer: func(ctx context.Context) (ship.Deployer, error) { return p.judgingDeployer(ctx, cmd) },
		Sink:     reporter,
		Now:      p.now,
		Environ:  config.Environ(),
		Version:  builtVersion().Version,
	})
	if closing := reporter.Close(); closing != nil && err == nil {
		p.say("showing progress: %v", closing)
	}
	if err != nil {
		return p.shipError(err, request.Dir)
	}
	return p.shipped(cmd, request.Run, summary)
}

// shipRequest reads the flags, and what a CI system says.
func (p *program) shipRequest(cmd *cobra.Command, apps []string) (r ship.Request, err error) {
	flags := cmd.Flags()
	r.Apps = apps
	var failOn, unscanned string
	for name, into := range map[string]*string{"dir": &r.Dir, "base": &r.Base, "fail-on": &failOn, "unscanned": &unscanned} {
		if *into, err = flags.GetString(name); err != nil {
			return r, err
		}
	}
	for name, into := range map[string]*bool{"no-push": &r.NoPush, "dry-run": &r.DryRun, "rebuild": &r.Rebuild, "retest": &r.Retest, "deploy": &r.Deploy} {
		if *into, err = flags.GetBool(name); err != nil {
			return r, err
		}
	}
	if r.Jobs, err = flags.GetInt("jobs"); err != nil {
		return r, err
	}
	if r.Jobs < 0 {
		return r, usageError{fmt.Errorf("--jobs: %d is less than none", r.Jobs), ""}
	}
	if r.FailOn, err = workspace.ParseSeverity(failOn); err != nil {
		return r, usageError{fmt.Errorf("--fail-on: %w", err), ""}
	}
	if r.Unscanned, err = workspace.ParseUnscanned(unscanned); err != nil {
		return r, usageError{fmt.Errorf("--unscanned: %w", err), ""}
	}
	r.Run, err = ci.Read(p.environment, os.ReadFile)
	return r, err
}

// reporter shows progress on stderr, as fits where that goes.
func (p *program) reporter(cmd *cobra.Command, run ci.Run) (report.Reporter, error) {
	verbose, err := cmd.Flags().GetBool("verbose")
	if err != nil {
		return nil, err
	}
	get := func(name string) string { v, _ := p.environment(name); return v }
	_, noColor := p.environment("NO_COLOR")
	o := report.Options{
		Out: p.stderr, Now: p.now, Term: get("TERM"), NoColor: noColor && get("NO_COLOR") != "",
		GitHub: run.System == "GitHub Actions", GitLab: run.System == "GitLab CI", Stream: verbose, Show: report.ShowFailed,
	}
	if verbose {
		o.Show = report.ShowAll
	}
	if f, ok := p.stderr.(*os.File); ok && term.IsTerminal(int(f.Fd())) && !verbose {
		o.Terminal = true
		o.Size = func() (int, int) {
			columns, rows, err := term.GetSize(int(f.Fd()))
			if err != nil {
				return 0, 0
			}
			return columns, rows
		}
	}
	return report.For(o), nil
}

// shipped prints what came of it, and makes the exit code.
func (p *program) shipped(cmd *cobra.Command, run ci.Run, summary *report.Summary) error {
	if err := p.print(cmd, summary, func(w io.Writer) error { return summary.Text(w) }); err != nil {
		return err
	}
	if run.Summary != "" {
		if err := summary.AppendMarkdown(run.Summary); err != nil {
			p.say("the page for GitHub: %v", err)
		}
	}
	if run.Output != "" {
		if err := p.tellLater(run.Output, shipOutputs(summary)); err != nil {
			return err
		}
	}
	switch summary.Outcome.ExitCode() {
	case exitDone:
		return nil
	case exitFound:
		return p.stopped(summary)
	default:
		return errors.New(summary.Sentence())
	}
}

// stopped says what to do about images that the gate stopped.
func (p *program) stopped(summary *report.Summary) error {
	err := foundError{errors.New(summary.Sentence())}
	for _, project := range summary.Projects {
		if project.Scan != nil && len(project.Scan.Stopping) > 0 {
			return hintedError{err, "fix what was found, or say who answers for it until when: gate.exceptions in " + workspace.Name + "; docs/operate/gate.md"}
		}
	}
	return hintedError{err, "gate.unscanned: pass in " + workspace.Name + ", or --unscanned pass, lets images pass that could not be scanned"}
}

// shipOutputs are for later steps of a job in GitHub Actions: whether anything was done, which apps were released, and their digests.
func shipOutputs(summary *report.Summary) []output {
	images, digests := []string{}, map[string]string{}
	for _, p := range summary.Projects {
		if p.Image != nil && p.Outcome == report.Done {
			images = append(images, p.Name)
			digests[p.Name] = p.Image.Digest
		}
	}
	return []output{{"any", summary.Outcome != report.Nothing}, {"images", images}, {"digests", digests}, {"summary", summary.Sentence()}}
}

// shipError adds what to do about what kept a run from beginning.
func (p *program) shipError(err error, dir string) error {
	_, dirty := errors.AsType[*ship.ErrDirty](err)
	switch {
	case dirty:
		return hintedError{err, "commit it, or stash it; " + p.name + " ship --no-push tests and builds what is there"}
	case errors.Is(err, ship.ErrNoApp):
		return usageError{err, ""}
	case errors.Is(err, shipped.ErrNoRepository):
		name := err.Error()[strings.LastIndex(err.Error(), " ")+1:]
		return hintedError{err, "make it with: aws ecr create-repository --repository-name " + quote(name)}
	}
	return p.workspaceError(err, dir)
}
