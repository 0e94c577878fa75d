package gate

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/scan"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// maxTitle is how much of a title is printed, in characters.
const maxTitle = 60

// Write prints what a scan found: how many of each severity, what stops the image, and what is excepted.
func Write(w io.Writer, r Result) error {
	if err := writeHead(w, r); err != nil {
		return err
	}
	stopping := [][]string{{"SEVERITY", "FINDING", "PACKAGE", "INSTALLED", "FIXED IN", "PLATFORMS", "TITLE"}}
	for _, f := range r.Findings {
		if f.Stops {
			stopping = append(stopping, []string{string(f.Severity), f.id(), f.Package, f.Version, f.FixedIn, strings.Join(f.Platforms, ","), f.title()})
		}
	}
	return errors.Join(writeTable(w, stopping), writeTable(w, excepted(r)))
}

// WriteAll prints all findings of that severity and worse, those first that are to be looked at first, at most so many (0: all), and
// what is excepted. It gives how many it left out.
func WriteAll(w io.Writer, r Result, from workspace.Severity, limit int) (left int, err error) {
	rows := [][]string{{"SEVERITY", "FINDING", "STOPS", "EXPLOITED", "PACKAGE", "INSTALLED", "FIXED IN", "EPSS", "BASE", "PLATFORMS", "TITLE"}}
	all := slices.Clone(r.Findings)
	slices.SortStableFunc(all, func(a, b Finding) int { return a.urgency().Compare(b.urgency()) })
	for _, f := range all {
		switch {
		case f.Excepted != nil:
		case from != "" && f.Severity != Unrated && scan.Rank(f.Severity) > scan.Rank(from), limit > 0 && len(rows) > limit:
			left += f.count()
		default:
			epss := ""
			if f.EPSS > 0 {
				epss = fmt.Sprintf("%.1f %%", f.EPSS*100) //nolint:mnd // per cent
			}
			rows = append(rows, []string{
				string(f.Severity), f.id(), mark(f.Stops, "yes"), mark(f.Exploited, "yes"), f.Package, f.Version, f.FixedIn, epss, mark(f.FromBase, "base"),
				strings.Join(f.Platforms, ","), f.title(),
			})
		}
	}
	return left, errors.Join(writeHead(w, r), writeTable(w, rows), writeTable(w, excepted(r)))
}

func writeHead(w io.Writer, r Result) error {
	text := ""
	if slices.ContainsFunc(r.Images, func(i ScannedImage) bool { return i.Unscanned == "" || i.Report.Digest != "" }) {
		text = "found: " + Count(r.Counts)
		if n := len(excepted(r)) - 1; n > 0 {
			text += fmt.Sprintf("; excepted: %d", n)
		}
		text += "\n"
	}
	if r.PassedOver > 0 {
		text += fmt.Sprintf("passed over: %d that do not count here\n", r.PassedOver)
	}
	if why := r.Unscanned(); why != "" {
		text += "not scanned: " + why + "\n"
	}
	_, err := io.WriteString(w, text)
	return err //nolint:wrapcheck // the caller's writer
}

// excepted are the rows of what stops nothing because somebody said so.
func excepted(r Result) [][]string {
	rows := [][]string{{"EXCEPTED", "FINDING", "PACKAGE", "OWNER", "UNTIL", "BY", "REASON"}}
	for _, f := range r.Findings {
		if e := f.Excepted; e != nil {
			rows = append(rows, []string{string(f.Severity), f.ID, f.Package, e.Owner, string(e.Expires), mark(f.Held != nil, "registry"), e.Reason})
		}
	}
	return rows
}

func (f Finding) id() string {
	if f.Unlisted > 0 {
		return "-"
	}
	return f.ID
}

func (f Finding) title() string {
	title := f.Title
	if f.Unlisted > 0 {
		title = fmt.Sprintf("%d that the registry counts and does not list", f.Unlisted)
	}
	if f.Expired != nil {
		title = fmt.Sprintf("(the exception of %s expired on %s) %s", f.Expired.Owner, f.Expired.Expires, title)
	}
	return title
}

func (f Finding) urgency() scan.Urgency {
	return scan.Urgency{Suppressed: f.Excepted != nil, Exploited: f.Exploited, Fixable: f.FixedIn != "", Severity: f.Severity, EPSS: f.EPSS, Name: f.ID + " " + f.Package}
}

func mark(is bool, word string) string {
	if is {
		return word
	}
	return ""
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
