package cli

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/ci"
	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
)

func (p *program) watchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch APP... --env ENVIRONMENT",
		Short: "Deploy each new image of some apps as it comes",
		Long: "Watch follows the tags that go to each new image of some apps, such as {app}-latest, and deploys in an environment\n" +
			"what they name: for hosts that no CI system reaches. The environment must say deploy: automatic. Checks and records\n" +
			"are those of berth deploy. What is refused is tried again at each look; an image that failed is not, until the tag\n" +
			"names another one. It needs berth.yaml, credentials that may pull and push records, and nothing else of the monorepo.\n\n" +
			"It runs until it is stopped; with --once it looks once: 0 all is well, 1 something failed, 3 a rule refused an image.",
		Example: "berth watch web report --env edge\n" +
			"berth watch web --env edge --every 5m --once",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.watch(cmd, args) },
	}
	cmd.Flags().String("env", "", "the environment that they are to run in")
	cmd.Flags().Duration("every", time.Minute, "how long it rests between two looks")
	cmd.Flags().Duration("timeout", deploy.DefaultTimeout, "how long one deployment may take, not counting its scan")
	cmd.Flags().Bool("once", false, "look once")
	cmd.Flags().Bool("verbose", false, "print what is done as it comes")
	_ = cmd.MarkFlagRequired("env")
	cmd.Flags().String("dir", ".", "the directory of berth.yaml, or one below it")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL; aws for Amazon's ECR")
	addOutput(cmd)
	return cmd
}

func (p *program) watch(cmd *cobra.Command, apps []string) error {
	flags := cmd.Flags()
	w := deploy.Watching{Apps: apps, Reason: deploy.ReasonWatch}
	var err error
	if w.Environment, err = flags.GetString("env"); err != nil {
		return err
	}
	if w.Every, err = flags.GetDuration("every"); err != nil {
		return err
	}
	if w.Timeout, err = flags.GetDuration("timeout"); err != nil {
		return err
	}
	if w.Once, err = flags.GetBool("once"); err != nil {
		return err
	}
	if w.Every < time.Second || w.Timeout <= 0 {
		return usageError{fmt.Errorf("--every %s, --timeout %s: a second at least", w.Every, w.Timeout), ""}
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	deployer, err := p.judgingDeployer(ctx, cmd)
	if err != nil {
		return err
	}
	if err := deployer.MayWatch(w); err != nil {
		return p.deployError(err, deploy.Request{Environment: w.Environment})
	}
	return p.watching(ctx, cmd, deployer, w)
}

// watching follows until it is stopped, and tells of each deployment on stdout.
func (p *program) watching(ctx context.Context, cmd *cobra.Command, deployer *deploy.Deployer, w deploy.Watching) error {
	run, err := ci.Read(p.environment, os.ReadFile)
	if err != nil {
		return err
	}
	reporter, err := p.reporter(cmd, run)
	if err != nil {
		return err
	}
	err = deployer.Watch(ctx, w, func(app string) *progress.Task {
		return &progress.Task{Project: app, Step: progress.Deploy, Sink: reporter, Now: p.now}
	}, func(result *deploy.Result, err error) {
		data := newDeployed(result, err)
		if err := p.print(cmd, data, func(w io.Writer) error { return writeDeployed(w, data) }); err != nil {
			p.say("printing what came of it: %v", err)
		}
	})
	if closing := reporter.Close(); closing != nil {
		p.say("showing progress: %v", closing)
	}
	return p.deployError(err, deploy.Request{Environment: w.Environment})
}
