package cli

import (
	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

func (p *program) configCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "config",
		Short:   "Explain berth.yaml, the pipeline's description of a monorepo",
		Example: "berth config schema",
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	schema := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of berth.yaml",
		Long: "Schema prints a JSON Schema of berth.yaml, which explains each key, and with which editors complete and\n" +
			"check it. The registry's settings are another file: \"berth serve --help\" explains those.",
		Example: "berth config schema\nberth config schema > berth.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			text, err := workspace.Schema()
			if err != nil {
				return err
			}
			_, err = p.stdout.Write(text)
			return err
		},
	}
	cmd.AddCommand(schema)
	return cmd
}
