package cli

import (
	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/extract"
)

// internalCommand is what Berth starts itself as. Nobody types it.
func (p *program) internalCommand() *cobra.Command {
	words := extract.Arguments()
	group := &cobra.Command{Use: words[0], Hidden: true, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	group.AddCommand(&cobra.Command{
		Use: words[1] + " REQUEST", Short: "Read a layer in a process of its own", Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return extract.Run(cmd.Context(), args[0], p.stdin) },
	})
	return group
}
