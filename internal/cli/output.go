package cli

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

// addOutput gives a command that prints data its --output.
func addOutput(cmd *cobra.Command) {
	cmd.Flags().String("output", "text", "text, or json for programs")
}

// print writes data to stdout in the form that --output asks for.
func (p *program) print(cmd *cobra.Command, data any, text func(io.Writer) error) error {
	form, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	switch form {
	case "text":
		return text(p.stdout)
	case "json":
		encoder := json.NewEncoder(p.stdout)
		encoder.SetIndent("", "  ")
		encoder.SetEscapeHTML(false)
		return encoder.Encode(data)
	default:
		return usageError{fmt.Errorf("--output: %q is neither text nor json", form), ""}
	}
}
