package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// addOutput gives a command that prints data its --output.
func addOutput(cmd *cobra.Command) {
	cmd.Flags().String("output", "text", "text, or json for programs")
}

// checkOutput refuses a form that print does not know.
func checkOutput(cmd *cobra.Command) error {
	form, err := cmd.Flags().GetString("output")
	if err == nil && form != "text" && form != "json" {
		err = usageError{fmt.Errorf("--output: %q is neither text nor json", form), ""}
	}
	return err
}

// writeTable writes rows, the first of which is the head, in columns.
func writeTable(w io.Writer, rows [][]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		if _, err := fmt.Fprintln(table, strings.Join(r, "\t")); err != nil {
			return err
		}
	}
	return table.Flush()
}

// print writes data to stdout in the form that --output asks for.
func (p *program) print(cmd *cobra.Command, data any, text func(io.Writer) error) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	form, err := cmd.Flags().GetString("output")
	if err != nil {
		return err
	}
	if form == "text" {
		return text(p.stdout)
	}
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(data)
}
