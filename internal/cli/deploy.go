package cli

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/config"
	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/git"
	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/registry"
	"github.com/hoopstat-haus/berth/internal/pipeline/shipped"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/gate"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) deployCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "deploy APP --env ENVIRONMENT",
		Short: "Put an app's image to run in an environment",
		Long: "Deploy has an environment of berth.yaml run an app's image, always by its digest: what {app}-latest names, or what\n" +
			"--tag, --sha or --digest say. It first checks that the image is this app's, passes the environment's gate, fits the\n" +
			"platform, ran in the environment that comes before, is of a branch that may go there, and that nothing is frozen, and\n" +
			"says all that is wrong at once. Then the image is started beside what runs, and must be healthy before it is\n" +
			"switched to. Where it is not, what ran before runs on, and the record of the deployment says why.\n\n" +
			"Records are kept in the registry; a deployer that dies leaves one behind, and the next one clears up after it.\n\n" +
			"--timeout is for the switch and the new image's health, from when nobody else may deploy. What is waited for before\n" +
			"does not count: the scan has 15 minutes of its own, and somebody else's deployment, with --wait, as long as --timeout\n" +
			"says and a minute for undoing it.\n\n" +
			"The exit code is 3 if it was refused and nothing was touched.",
		Example: "berth deploy web --env staging\n" +
			"berth deploy web --env prod --sha a1b2c3d4 --dry-run\n" +
			"berth deploy web --env prod --ignore freeze --reason \"the shop is down\"",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := deploy.Request{Action: deploy.Deploy, App: args[0]}
			err := stringFlags(cmd, map[string]*string{"tag": &req.Tag, "sha": &req.Commit, "digest": &req.Digest})
			if err != nil {
				return err
			}
			return p.deploy(cmd, req)
		},
	}
	cmd.Flags().String("tag", "", "the image's tag; the one that goes to each new image of the app if nothing is given")
	cmd.Flags().String("sha", "", "the commit, or the beginning of it, that a tag of the image has")
	cmd.Flags().String("digest", "", "the image's digest, or the beginning of it")
	cmd.MarkFlagsMutuallyExclusive("tag", "sha", "digest")
	addDeploy(cmd, "env")
	return cmd
}

// addDeploy gives a command that deploys its flags, and the one for the environment its name.
func addDeploy(cmd *cobra.Command, environment string) {
	flags := cmd.Flags()
	flags.String(environment, "", "the environment that it is to run in")
	flags.Bool("dry-run", false, "check, and print what would change")
	flags.StringSlice("ignore", nil, "checks that are not to refuse it, with --reason: "+strings.Join(deploy.Ignorable(), ", "))
	flags.String("reason", "", "why, for the record")
	flags.Bool("wait", false, "wait for somebody else's deployment to end, rather than be refused: for as long as --timeout says and a minute")
	flags.Bool("take-over", false, "end somebody else's deployment that has not come to its end, though they may be at work still")
	flags.Duration("timeout", deploy.DefaultTimeout, "how long the switch and the new image's health may take; what is waited for before does not count")
	flags.Bool("verbose", false, "print what is done as it comes")
	addWorkspace(cmd)
}

// addWorkspace gives a command that needs a workspace and its registry their flags.
func addWorkspace(cmd *cobra.Command) {
	cmd.Flags().String("dir", ".", "the monorepo, or a directory in it")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
}

func stringFlags(cmd *cobra.Command, flags map[string]*string) (err error) {
	for name, into := range flags {
		if *into, err = cmd.Flags().GetString(name); err != nil {
			return err
		}
	}
	return nil
}

// deployRequest reads the flags that all who deploy have.
func deployRequest(cmd *cobra.Command, req *deploy.Request) (err error) {
	flags := cmd.Flags()
	environment := "env"
	if req.Action == deploy.Promote {
		environment = "to"
	}
	if err := stringFlags(cmd, map[string]*string{environment: &req.Environment, "reason": &req.Reason}); err != nil {
		return err
	}
	if req.Environment == "" {
		return missingEnvironment(environment)
	}
	for name, into := range map[string]*bool{"dry-run": &req.DryRun, "wait": &req.Wait, "take-over": &req.TakeOver} {
		if *into, err = flags.GetBool(name); err != nil {
			return err
		}
	}
	if req.Ignore, err = flags.GetStringSlice("ignore"); err != nil {
		return err
	}
	if req.Timeout, err = flags.GetDuration("timeout"); err == nil && req.Timeout <= 0 {
		err = usageError{fmt.Errorf("--timeout: %s is no time for anything", req.Timeout), ""}
	}
	return err
}

func missingEnvironment(flag string) error {
	return usageError{fmt.Errorf("--%s is missing: an environment of %s", flag, workspace.Name), ""}
}

// deploy deploys, and prints what came of it.
func (p *program) deploy(cmd *cobra.Command, req deploy.Request) error {
	if err := deployRequest(cmd, &req); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	deployer, err := p.judgingDeployer(ctx, cmd)
	if err != nil {
		return err
	}
	run, err := ci.Read(p.environment, os.ReadFile)
	if err != nil {
		return err
	}
	reporter, err := p.reporter(cmd, run)
	if err != nil {
		return err
	}
	task := &progress.Task{Project: req.App, Step: progress.Deploy, Sink: reporter, Now: p.now}
	task.Begin(req.Environment)
	result, failed := deployer.Run(ctx, req, task)
	if failed != nil {
		task.End(progress.Failed, string(result.Outcome))
	} else {
		task.End(progress.Done, string(result.Outcome))
	}
	if closing := reporter.Close(); closing != nil {
		p.say("showing progress: %v", closing)
	}
	data := newDeployed(result, failed)
	if err := p.print(cmd, data, func(w io.Writer) error { return writeDeployed(w, data) }); err != nil {
		return err
	}
	return p.deployError(failed, req)
}

// deployer makes what deploys the apps of the workspace that --dir names.
func (p *program) deployer(ctx context.Context, cmd *cobra.Command) (*deploy.Deployer, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return nil, err
	}
	root, err := detect.Root(dir)
	if err != nil {
		return nil, p.workspaceError(err, dir)
	}
	file, err := nearestWorkspace(root)
	if err != nil {
		return nil, p.workspaceError(err, dir)
	}
	client, err := p.registryClient(cmd)
	if err != nil {
		return nil, err
	}
	c := deploy.Config{
		API: client.ECR, Remote: client, Images: imagesOf(client, file.Repository), Host: client.Host, Login: client.Login, File: file,
		Targets: p.targets(root), Gate: gate.New(gate.At(client)), NewID: func() string { return strings.ToLower(rand.Text()) },
		Actor: func(ctx context.Context) (string, error) { return p.actor(ctx, client) }, Now: p.now, Environ: config.Environ(),
	}
	if repo, err := git.Open(ctx, root); err == nil {
		c.Clone = repo
	}
	return deploy.New(c), nil
}

// judgingDeployer is one that asks the gate, which goes by the workspace's documents too.
func (p *program) judgingDeployer(ctx context.Context, cmd *cobra.Command) (*deploy.Deployer, error) {
	d, err := p.deployer(ctx, cmd)
	if err != nil {
		return nil, err
	}
	root := filepath.Dir(d.File.Path())
	if err := d.File.ReadVEXIn(root); err != nil {
		return nil, p.workspaceError(err, root)
	}
	return d, nil
}

// actor is who deploys: whom the registry knows, and for whom a CI system does it in which run.
func (p *program) actor(ctx context.Context, client *registry.Client) (string, error) {
	url := client.Endpoint()
	if url == "" {
		url = platform.Amazon
	}
	people, err := platform.NewPeople(ctx, url)
	if err != nil {
		return "", err
	}
	me, err := people.WhoAmI(ctx)
	if err != nil {
		return "", fmt.Errorf("sts:GetCallerIdentity: %w", err)
	}
	run, err := ci.Read(p.environment, os.ReadFile)
	if err != nil {
		return "", err
	}
	who := me.ARN
	if run.Actor != "" {
		who += " for " + plan.Printable(run.Actor)
	}
	if run.URL != "" {
		who += " in " + run.URL
	}
	return who, nil
}

// deployError adds what to do about it, and tells refusals from failures.
func (p *program) deployError(err error, req deploy.Request) error {
	_, conflict := errors.AsType[*deploy.Conflict](err)
	refusal, refused := errors.AsType[*deploy.Refusal](err)
	_, isProblems := errors.AsType[workspace.Problems](err) // of a target's options
	switch {
	case err == nil:
		return nil
	case errors.Is(err, deploy.ErrUsage), errors.Is(err, deploy.ErrNoApp):
		return usageError{err, "see: " + p.name + " " + string(req.Action) + " --help"}
	case errors.Is(err, deploy.ErrNoEnvironment):
		return usageError{err, "environments are in " + workspace.Name + ": every key is explained by: " + p.name + " config schema"}
	case errors.Is(err, shipped.ErrNoRepository):
		return hintedError{err, "see: aws ecr describe-repositories"}
	case isProblems:
		return usageError{err, "every key is explained by: " + p.name + " config schema"}
	case refused && errors.Is(err, deploy.ErrUnreachable):
		return err
	case refused:
		return foundError{hintedError{err, p.refusalHint(refusal)}}
	case conflict && !errors.Is(err, deploy.ErrTakenOver):
		return foundError{hintedError{err, "what came of it: " + p.name + " history " + quote(req.App) + " --env " + quote(req.Environment)}}
	}
	if _, ok := errors.AsType[*deploy.Broken](err); ok && !conflict {
		return hintedError{err, "put back what ran before: " + p.name + " rollback " + quote(req.App) + " --env " + quote(req.Environment)}
	}
	return err
}

// refusalHint says how to go on in spite of the checks, where that can be.
func (p *program) refusalHint(refusal *deploy.Refusal) string {
	if slices.ContainsFunc(refusal.Problems, func(problem deploy.Problem) bool { return problem.Check == deploy.CheckAtWork }) {
		return "wait for them with --wait; if they are gone for good, --take-over"
	}
	var ignore []string
	for _, problem := range refusal.Problems {
		if problem.Final || !slices.Contains(deploy.Ignorable(), problem.Check) {
			return ""
		}
		if !slices.Contains(ignore, problem.Check) {
			ignore = append(ignore, problem.Check)
		}
	}
	return "to go on in spite of it: --ignore " + strings.Join(ignore, ",") + " --reason WHY"
}

// ago is how long something is past, for people; what is still to come is said to.
func (p *program) ago(at time.Time) string {
	d := p.now().Sub(at)
	switch {
	case d < -time.Minute:
		return "in the future"
	case d < time.Minute:
		return "just now"
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	default:
		return fmt.Sprintf("%dd", int(d.Hours()/24)) //nolint:mnd // hours of a day
	}
}

// shortActor is the name in an ARN, and for whom a CI system ran.
func shortActor(actor string) string {
	arn, rest, _ := strings.Cut(actor, " ")
	if name, _, ok := strings.Cut(strings.TrimPrefix(rest, "for "), " in "); ok || strings.HasPrefix(rest, "for ") {
		return oneLine(name)
	}
	if strings.HasPrefix(arn, "arn:") {
		arn = arn[strings.LastIndexAny(arn, "/:")+1:]
	}
	return oneLine(arn)
}
