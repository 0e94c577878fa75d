package cli

import (
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

func (p *program) historyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "history APP --env ENVIRONMENT",
		Short: "Show an app's deployments in an environment, newest first",
		Long: "History reads the deployments of an app from the records in the registry. BACK is what rollback's --to takes: how many\n" +
			"versions back an image is.",
		Example: "berth history web --env prod --limit 5",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return p.history(cmd, args[0]) },
	}
	cmd.Flags().String("env", "", "the environment")
	cmd.Flags().Int("limit", 20, "how many deployments to show, 0 for all")
	addWorkspace(cmd)
	return cmd
}

// histories is the JSON output, which is a contract: docs/operate/deploy.md.
type histories struct {
	Repository  string           `json:"repositoryName"`
	App         string           `json:"app"`
	Environment string           `json:"environment"`
	Deployments []pastDeployment `json:"deployments"`
}

type pastDeployment struct {
	recorded
	Began *time.Time `json:"beganAt,omitempty"`
	Why   string     `json:"startReason,omitempty"`
	Back  *int       `json:"back,omitempty"`
}

func (p *program) history(cmd *cobra.Command, app string) error {
	var environment string
	if err := stringFlags(cmd, map[string]*string{"env": &environment}); err != nil {
		return err
	}
	if environment == "" {
		return missingEnvironment("env")
	}
	limit, err := cmd.Flags().GetInt("limit")
	if err != nil {
		return err
	}
	if limit < 0 {
		return usageError{fmt.Errorf("--limit: %d is negative", limit), ""}
	}
	deployer, err := p.deployer(cmd.Context(), cmd)
	if err != nil {
		return err
	}
	if err := deployer.Known(app, environment); err != nil {
		return p.deployError(err, deploy.Request{})
	}
	all, err := deployer.History(cmd.Context(), app, environment, limit)
	if err != nil {
		return p.deployError(err, deploy.Request{})
	}
	data := histories{deployer.File.Repository, app, environment, []pastDeployment{}}
	for _, d := range all {
		one := pastDeployment{*newRecorded(&d.Entry), known(d.Began), d.Why, d.Back}
		data.Deployments = append(data.Deployments, one)
	}
	return p.print(cmd, data, func(w io.Writer) error { return p.writeHistory(w, data) })
}

func (p *program) writeHistory(w io.Writer, data histories) error {
	if len(data.Deployments) == 0 {
		p.say("%s was never deployed to %s", data.App, data.Environment)
		return nil
	}
	rows := [][]string{{"BACK", "AT", "ACTION", "OUTCOME", "IMAGE", "COMMIT", "WHO", "REASON"}}
	for _, d := range data.Deployments {
		back, action, reason := "", d.Action, d.Reason
		if d.Back != nil {
			back = strconv.Itoa(*d.Back)
		}
		if d.From != "" {
			action += " from " + d.From
		}
		if reason == "" {
			reason = d.Why
		}
		rows = append(rows, []string{
			back, d.At.Format(time.RFC3339), action, d.Outcome, short(d.Image), dash(shortCommit(d.Commit)), shortActor(d.Actor), dash(clip(oneLine(reason), 100)),
		})
	}
	return writeSafely(w, rows)
}
