package cli

import (
	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/deploy"
)

func (p *program) rollbackCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rollback APP --env ENVIRONMENT",
		Short: "Put an image to run again that ran before",
		Long: "Rollback deploys the image that ran before what runs, or another one that history shows. It ran there already, so\n" +
			"freezes, branches, the gate and the environment before are not asked; health is, as always.",
		Example: "berth rollback web --env prod\nberth rollback web --env prod --to 3\nberth rollback web --env prod --to sha256:1f4e2d3c4b5a",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := deploy.Request{Action: deploy.Rollback, App: args[0]}
			if err := stringFlags(cmd, map[string]*string{"to": &req.To}); err != nil {
				return err
			}
			return p.deploy(cmd, req)
		},
	}
	cmd.Flags().String("to", "", "how many versions back, as history counts them, or a digest, or a deployment's id; 1 if not given")
	addDeploy(cmd, "env")
	return cmd
}
