package gate

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// maxTitle is how much of a title is printed, in characters.
const maxTitle = 60

// Write prints what a scan found: how many of each severity, what stops the image, and what is excepted.
func Write(w io.Writer, r Result) error {
	text := ""
	if slices.ContainsFunc(r.Images, func(i ScannedImage) bool { return i.Unscanned == "" }) {
		text = "found: " + Count(r.Counts) + "\n"
	}
	if why := r.Unscanned(); why != "" {
		text += "not scanned: " + why + "\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return err //nolint:wrapcheck // the caller's writer
	}
	stopping := [][]string{{"SEVERITY", "FINDING", "PACKAGE", "INSTALLED", "FIXED IN", "PLATFORMS", "TITLE"}}
	excepted := [][]string{{"EXCEPTED", "FINDING", "PACKAGE", "OWNER", "UNTIL", "REASON"}}
	for _, f := range r.Findings {
		if e := f.Excepted; e != nil {
			excepted = append(excepted, []string{string(f.Severity), f.ID, f.Package, e.Owner, string(e.Expires), e.Reason})
		}
		if !f.Stops {
			continue
		}
		id, title := f.ID, f.Title
		if f.Unlisted > 0 {
			id, title = "-", fmt.Sprintf("%d that the registry counts and does not list", f.Unlisted)
		}
		if f.Expired != nil {
			title = fmt.Sprintf("(the exception of %s expired on %s) %s", f.Expired.Owner, f.Expired.Expires, title)
		}
		stopping = append(stopping, []string{string(f.Severity), id, f.Package, f.Version, f.FixedIn, strings.Join(f.Platforms, ","), title})
	}
	for _, rows := range [][][]string{stopping, excepted} {
		if err := writeTable(w, rows); err != nil {
			return err
		}
	}
	return nil
}

// writeTable prints rows in columns, without those in which there is nothing, if there are any but the head.
func writeTable(w io.Writer, rows [][]string) error {
	if len(rows) < 2 { //nolint:mnd // the head and one
		return nil
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0) //nolint:mnd // two blanks between columns
	for n, row := range rows {
		var cells []string
		for i, cell := range row {
			if slices.ContainsFunc(rows[1:], func(r []string) bool { return r[i] != "" }) {
				cells = append(cells, printable(cell))
			}
		}
		if _, err := fmt.Fprintln(table, strings.Join(cells, "\t")); err != nil {
			return fmt.Errorf("printing row %d: %w", n, err)
		}
	}
	return table.Flush() //nolint:wrapcheck // the caller's writer
}

// printable is a stranger's text in a cell: short, and in one line.
func printable(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if text == "" {
		return "-"
	}
	if all := []rune(text); len(all) > maxTitle {
		text = string(all[:maxTitle-1]) + "…"
	}
	return plan.Printable(text)
}

// Count words counts by severity: "1 critical, 5 low".
func Count(counts map[workspace.Severity]int) string {
	var some []string
	for _, s := range Severities() {
		if n := counts[s]; n > 0 {
			some = append(some, fmt.Sprintf("%d %s", n, s))
		}
	}
	if len(some) == 0 {
		return "nothing"
	}
	return strings.Join(some, ", ")
}
