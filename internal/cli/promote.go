package cli

import (
	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

func (p *program) promoteCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "promote APP --to ENVIRONMENT",
		Short: "Put the image that runs in one environment to run in the next",
		Long: "Promote deploys the very image that runs in another environment, by its digest; nothing is built again. All\n" +
			"that deploy checks is checked. Without --from it is the environment that berth.yaml says must come before.",
		Example: "berth promote web --from staging --to prod",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := deploy.Request{Action: deploy.Promote, App: args[0]}
			if err := stringFlags(cmd, map[string]*string{"from": &req.From}); err != nil {
				return err
			}
			return p.deploy(cmd, req)
		},
	}
	addDeploy(cmd, "to")
	cmd.Flags().String("from", "", "the environment that it runs in; the one that must come before if not given")
	return cmd
}
