package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/jmespath/go-jmespath"
	"github.com/spf13/cobra"
)

// otherForms is the annotation of --output with the forms that a command prints besides text and json.
const otherForms = "forms"

// addOutput gives a command that prints data its --output and its --query. Other forms than text and json it prints by itself.
func addOutput(cmd *cobra.Command, others ...string) {
	cmd.Flags().String("output", "text", strings.Join(slices.Concat([]string{"text"}, others, []string{"or json for programs"}), ", "))
	cmd.Flags().Lookup("output").Annotations = map[string][]string{otherForms: others}
	addQuery(cmd)
}

// addQuery gives a command its --query.
func addQuery(cmd *cobra.Command) {
	cmd.Flags().String("query", "", "a JMESPath expression: print what it finds in the JSON output, as the AWS CLI does; as JSON unless --output says text")
}

// checkOutput refuses a form that print does not know, and a query that is none.
func checkOutput(cmd *cobra.Command) error {
	form, err := cmd.Flags().GetString("output")
	if err == nil && form != "text" && form != "json" && !slices.Contains(cmd.Flags().Lookup("output").Annotations[otherForms], form) {
		err = usageError{fmt.Errorf("--output: %q is neither text nor json", form), ""}
	}
	if err == nil {
		_, err = queryOf(cmd)
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
	query, err := queryOf(cmd)
	if err != nil {
		return err
	}
	if query != nil {
		return p.printFound(cmd, query, data)
	}
	if form == "text" {
		return text(p.stdout)
	}
	return p.printJSON(data)
}

// printFound writes what a query finds in the data.
func (p *program) printFound(cmd *cobra.Command, query *jmespath.JMESPath, data any) error {
	found, err := search(query, data)
	if err != nil {
		return err
	}
	if output := cmd.Flags().Lookup("output"); output.Changed && output.Value.String() == "text" {
		return writeFound(p.stdout, found)
	}
	return p.printJSON(found)
}

func (p *program) printJSON(data any) error {
	encoder := json.NewEncoder(p.stdout)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(data)
}
