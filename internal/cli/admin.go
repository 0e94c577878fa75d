package cli

import "github.com/spf13/cobra"

func (p *program) adminCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "admin",
		Short: "Look after a running Berth",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(p.newAdminKeyCommands()...)
	return cmd
}
