package cli

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
	"github.com/hoopstat-haus/berth/internal/pipeline/detect"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) statusCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "status [APP...]",
		Short: "Show what runs where, since when and by whom",
		Long: "Status lists the workspace's apps, and others that were ever deployed, in each environment of berth.yaml: which image\n" +
			"runs by the records in the registry, and what the environment's target says. A target that does not answer is\n" +
			"shown so. --records-only asks no target.",
		Example: "berth status\nberth status web --env prod --output json",
		RunE:    func(cmd *cobra.Command, args []string) error { return p.status(cmd, args) },
	}
	cmd.Flags().StringSlice("env", nil, "these environments alone")
	cmd.Flags().Bool("records-only", false, "ask the registry, and no target")
	cmd.Flags().Duration("timeout", deploy.DefaultAsk, "how long targets are waited for")
	addWorkspace(cmd)
	return cmd
}

// statuses is the JSON output, which is a contract: docs/operate/deploy.md.
type statuses struct {
	Repository string      `json:"repositoryName"`
	Apps       []statusApp `json:"apps"`
}

type statusApp struct {
	App         string        `json:"app"`
	Environment string        `json:"environment"`
	State       string        `json:"state"`
	Runs        *recorded     `json:"runs,omitempty"`
	Tags        []string      `json:"tags"`
	Newest      *recorded     `json:"newest,omitempty"`
	Target      *statusTarget `json:"target,omitempty"`
	Error       string        `json:"error,omitempty"` // why the records do not tell
}

type statusTarget struct {
	Digest  string `json:"digest,omitempty"`
	Begun   string `json:"begunDigest,omitempty"`
	Healthy *bool  `json:"healthy,omitempty"`
	Detail  string `json:"detail,omitempty"`
	Drift   bool   `json:"drift"`
	Error   string `json:"error,omitempty"`
}

func (p *program) status(cmd *cobra.Command, apps []string) (err error) {
	flags := cmd.Flags()
	req := deploy.StatusRequest{Apps: apps, Only: len(apps) > 0}
	if req.Environments, err = flags.GetStringSlice("env"); err != nil {
		return err
	}
	if req.RecordsOnly, err = flags.GetBool("records-only"); err != nil {
		return err
	}
	if req.Timeout, err = flags.GetDuration("timeout"); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	deployer, err := p.deployer(ctx, cmd)
	if err != nil {
		return err
	}
	if !req.Only {
		if req.Apps, err = p.appsHere(ctx, cmd, deployer.File); err != nil {
			return err
		}
	}
	all, err := deployer.Status(ctx, req)
	if err != nil {
		return p.deployError(err, deploy.Request{})
	}
	data := statuses{deployer.File.Repository, []statusApp{}}
	for _, s := range all {
		data.Apps = append(data.Apps, newStatus(s))
	}
	return p.print(cmd, data, func(w io.Writer) error { return p.writeStatus(w, data) })
}

// appsHere lists the workspace's apps that have images.
func (p *program) appsHere(ctx context.Context, cmd *cobra.Command, file *workspace.File) ([]string, error) {
	dir, err := cmd.Flags().GetString("dir")
	if err != nil {
		return nil, err
	}
	root, err := detect.Root(dir)
	if err != nil {
		return nil, p.workspaceError(err, dir)
	}
	_, tree, err := filesHere(ctx, root)
	if err != nil {
		return nil, p.workspaceError(err, dir)
	}
	members, err := file.Resolve(tree.Files())
	if err := errors.Join(err, tree.Close()); err != nil {
		return nil, p.workspaceError(err, dir)
	}
	var apps []string
	for _, m := range members {
		if m.Kind == workspace.App {
			apps = append(apps, m.Name)
		}
	}
	return apps, nil
}

func newStatus(s deploy.Status) statusApp {
	one := statusApp{
		App: s.App, Environment: s.Environment, State: "never deployed", Runs: newRecorded(s.State.Runs), Tags: append([]string{}, s.Tags...), Newest: newRecorded(s.State.Newest),
	}
	switch {
	case s.Unread != nil:
		one.State, one.Error = "unknown", s.Unread.Error()
	case s.State.Pending != nil:
		one.State = "deploying"
	case s.State.Broken != nil:
		one.State = "broken"
	case s.State.Runs != nil:
		one.State = "deployed"
	case s.State.Newest != nil:
		one.State = "failed"
	}
	switch {
	case s.Running != nil:
		one.Target = &statusTarget{s.Running.Digest.String(), s.Running.Begun.String(), s.Running.Healthy, s.Running.Detail, s.Drift, ""}
	case s.NotRunning != nil:
		one.Target = &statusTarget{Error: s.NotRunning.Error()}
	}
	return one
}

func (p *program) writeStatus(w io.Writer, data statuses) error {
	rows := [][]string{{"APP", "ENVIRONMENT", "STATE", "IMAGE", "COMMIT", "AGE", "WHO", "HEALTHY", "TAGS"}}
	for _, s := range data.Apps {
		row := []string{s.App, s.Environment, s.State, "-", "-", "-", "-", s.Target.words(), dash(strings.Join(s.Tags, ","))}
		if r := s.Runs; r != nil {
			row[3], row[4], row[5], row[6] = short(r.Image), dash(shortCommit(r.Commit)), p.ago(r.At), shortActor(r.Actor)
		}
		if s.Newest != nil && s.State == "deployed" && s.Newest.Outcome == "failed" {
			row[2] = "deployed; the newest failed " + p.ago(s.Newest.At)
		}
		rows = append(rows, row)
		if s.Error != "" {
			p.say("%s in %s: %s", s.App, s.Environment, s.Error)
		}
	}
	return writeSafely(w, rows)
}

// words is what a target says, in a few words.
func (t *statusTarget) words() string {
	switch {
	case t == nil:
		return "-"
	case t.Error != "":
		return "not known: " + clip(oneLine(t.Error), 80)
	case t.Begun != "":
		return "switching"
	case t.Drift && t.Digest == "":
		return "no: it does not run"
	case t.Drift:
		return "runs " + short(t.Digest) + " instead"
	case t.Healthy == nil:
		return "-"
	case *t.Healthy:
		return "yes"
	case t.Detail != "":
		return "no: " + clip(oneLine(t.Detail), 80)
	}
	return "no"
}
