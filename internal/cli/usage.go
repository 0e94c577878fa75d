package cli

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

const day = 24 * time.Hour

// How usage may be taken apart. byDay is this side's: the repository as a whole, a row for each day.
var usageGroups = []string{"app", "image", "principal", "severity", byDay} //nolint:gochecknoglobals // a table

const byDay = "day"

func (p *program) usageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "usage [REPOSITORY]",
		Short: "Show who pulls and pushes what, and how much is stored",
		Long: "Usage shows what a repository, or each one, was used for lately, and what it holds: pulls of images, pushes, bytes that came\n" +
			"and went, and bytes that are stored. An app is what tags such as web-0123abc, or an image's annotations, name.\n" +
			"What is stored is measured once an hour; everything else is counted to the minute.",
		Example: "berth usage\nberth usage hoopstat-haus/prod --by app --since 90d\nberth usage hoopstat-haus/prod --graph\n" +
			"berth usage hoopstat-haus/prod --by principal --output csv",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return p.showUsage(cmd, strings.Join(args, "")) },
	}
	cmd.Flags().String("by", "", "take it apart by app, image, principal, severity (of findings) or day")
	cmd.Flags().String("since", "30d", "from when on: "+momentForms)
	cmd.Flags().Bool("graph", false, "draw how it went over time")
	cmd.Flags().String("metric", "pulls", "with --output svg, what to draw: a column's name, such as out or stored")
	cmd.Flags().String("url", "", "the Berth to ask, if not the one in $AWS_ENDPOINT_URL")
	addOutput(cmd, "csv", "svg")
	return cmd
}

// usageReport is the JSON output, which is a contract: docs/operate/usage.md.
type usageReport struct {
	From   time.Time        `json:"from"`
	To     time.Time        `json:"to"`
	Period int64            `json:"periodSeconds"`
	By     string           `json:"groupBy,omitempty"`
	Usage  []platform.Usage `json:"usage"`
}

func (p *program) showUsage(cmd *cobra.Command, repository string) error {
	if err := checkOutput(cmd); err != nil {
		return err
	}
	var by, since, form, metric string
	if err := stringFlags(cmd, map[string]*string{"by": &by, "since": &since, "output": &form, "metric": &metric}); err != nil {
		return err
	}
	graph, err := cmd.Flags().GetBool("graph")
	if err != nil {
		return err
	}
	if err := checkUsageFlags(cmd, by, form, metric, repository, graph); err != nil {
		return err
	}
	now := p.now().UTC()
	from, err := p.moment("since", since)
	if err == nil && !from.Before(now) {
		err = usageError{fmt.Errorf("--since: %q is not in the past", since), momentHint}
	}
	if err != nil {
		return err
	}
	q := platform.UsageQuery{Repository: repository, By: strings.TrimSuffix(by, byDay), From: from, To: now, Period: usagePeriod(now.Sub(from), by)}
	client, err := p.platform(cmd)
	if err != nil {
		return err
	}
	all, err := client.Usage(cmd.Context(), q)
	if err != nil {
		return fmt.Errorf("the usage of %s: %w", nameOrAll(repository), err)
	}
	report := usageReport{From: from, To: now, Period: int64(q.Period.Seconds()), By: by, Usage: all}
	if form == "csv" {
		return writeUsageCSV(p.stdout, report)
	}
	if form == "svg" {
		_, err := p.stdout.Write(usageChart(report, repository, metric))
		return err
	}
	return p.print(cmd, report, func(w io.Writer) error {
		if len(all) == 0 {
			p.say("nothing was counted for %s since %s", nameOrAll(oneLine(repository)), from.Format(time.RFC3339))
			return nil
		}
		busiestFirst(&report)
		return writeUses(w, report, graph)
	})
}

// checkUsageFlags refuses what does not go together.
func checkUsageFlags(cmd *cobra.Command, by, form, metric, repository string, graph bool) error {
	switch {
	case by != "" && !slices.Contains(usageGroups, by):
		return usageError{fmt.Errorf("--by: %q is none of %s", by, strings.Join(usageGroups, ", ")), ""}
	case graph && form != "text":
		return usageError{errors.New("--graph goes with --output text: the other forms have the points"), ""}
	case graph && by == byDay:
		return usageError{errors.New("--graph has a column for each day already: leave out --by day"), ""}
	case cmd.Flags().Changed("query") && (form == "svg" || form == "csv"):
		return usageError{fmt.Errorf("--query finds things in JSON, and --output says %s", form), ""}
	case cmd.Flags().Changed("metric") && form != "svg":
		return usageError{errors.New("--metric goes with --output svg"), ""}
	case form == "svg" && usageMetric(metric) == "":
		return usageError{fmt.Errorf("--metric: %q is no column", metric), "such as pulls, pushes, out, images or stored"}
	case by == byDay && repository == "":
		return usageError{errors.New("--by day is about one repository: name it"), ""}
	}
	return nil
}

// busiestFirst orders what people read by pulls. Other forms keep the server's order, by name.
func busiestFirst(r *usageReport) {
	pulls := func(u platform.Usage) (sum float64) {
		for _, m := range u.Metrics {
			if m.Name == "PullCount" {
				sum += total(m)
			}
		}
		return sum
	}
	r.Usage = slices.Clone(r.Usage)
	slices.SortStableFunc(r.Usage, func(a, b platform.Usage) int { return cmp.Compare(pulls(b), pulls(a)) })
}

// usagePeriod is how fine it is asked: what a line of a terminal can show.
func usagePeriod(span time.Duration, by string) time.Duration {
	const fine, middle = 3 * time.Hour, 3 * day
	switch {
	case by == byDay || span > middle:
		return day
	case span > fine:
		return time.Hour
	}
	return time.Minute
}

// usageColumns are the columns of tables: counters, summed up, and gauges, of which the newest counts.
var usageColumns = []struct { //nolint:gochecknoglobals // a table
	metric, head string
	gauge, bytes bool
}{
	{"PullCount", "PULLS", false, false},
	{"PushCount", "PUSHES", false, false},
	{"DeleteCount", "DELETED", false, false},
	{"BytesOut", "OUT", false, true},
	{"BytesIn", "IN", false, true},
	{"ImageCount", "IMAGES", true, false},
	{"StoredBytes", "STORED", true, true},
	{"UniqueBytes", "UNIQUE", true, true},
	{"LogicalBytes", "LOGICAL", true, true},
	{"TrashBytes", "TRASH", true, true},
	{"FindingCount", "FINDINGS", true, false},
}

// isGauge tells whether a metric is what there is, and not what happened.
func isGauge(metric string) bool {
	for _, c := range usageColumns {
		if c.metric == metric {
			return c.gauge
		}
	}
	return false
}

// total is the sum of a counter, or the newest value of a gauge.
func total(m platform.UsageMetric) float64 {
	sum := 0.0
	for i, p := range m.Points {
		switch {
		case !isGauge(m.Name):
			sum += p.Sum
		case i == len(m.Points)-1 && p.Samples > 0:
			sum = p.Sum / p.Samples
		}
	}
	return sum
}

func writeUses(w io.Writer, r usageReport, graph bool) error {
	switch {
	case r.By == byDay:
		return writeUsageDays(w, r.Usage[0])
	case graph:
		return writeUsageGraphs(w, r)
	}
	head, rows := usageTable(r.Usage, func(u platform.Usage) string {
		if r.By == "" {
			return u.Repository
		}
		return shortName(u.Name)
	})
	first := "REPOSITORY"
	if r.By != "" {
		first = strings.ToUpper(r.By)
	}
	several := r.By != "" && slices.ContainsFunc(r.Usage, func(u platform.Usage) bool { return u.Repository != r.Usage[0].Repository })
	table := [][]string{append([]string{first}, head...)}
	for i, row := range rows {
		if several {
			row[0] = r.Usage[i].Repository + " " + row[0]
		}
		table = append(table, row)
	}
	return writeSafely(w, table)
}

// shortName shortens a digest, as other tables do.
func shortName(name string) string {
	if strings.HasPrefix(name, "sha256:") {
		return short(name)
	}
	return name
}

// usageTable makes rows of the columns that one of them has.
func usageTable(all []platform.Usage, name func(platform.Usage) string) (head []string, rows [][]string) {
	rows = make([][]string, len(all))
	for i, u := range all {
		rows[i] = []string{name(u)}
	}
	for _, c := range usageColumns {
		cells, there := make([]string, len(all)), false
		for i, u := range all {
			cells[i] = "-"
			for _, m := range u.Metrics {
				if m.Name == c.metric && len(m.Points) > 0 {
					cells[i], there = amount(total(m), c.bytes), true
				}
			}
		}
		if !there {
			continue
		}
		head = append(head, c.head)
		for i := range rows {
			rows[i] = append(rows[i], cells[i])
		}
	}
	return head, rows
}

func amount(v float64, bytes bool) string {
	if bytes {
		return humanBytes(int64(math.Round(v)))
	}
	return strconv.FormatInt(int64(math.Round(v)), 10)
}

// writeUsageDays writes a row for each day.
func writeUsageDays(w io.Writer, u platform.Usage) error {
	days := map[time.Time]platform.Usage{}
	for _, m := range u.Metrics {
		for _, p := range m.Points {
			d := days[p.At]
			d.Metrics = append(d.Metrics, platform.UsageMetric{Name: m.Name, Points: []platform.UsagePoint{p}})
			days[p.At] = d
		}
	}
	order := slices.SortedFunc(maps.Keys(days), time.Time.Compare)
	all := make([]platform.Usage, len(order))
	for i, at := range order {
		all[i] = days[at]
		all[i].Name = at.Format(time.DateOnly)
	}
	head, rows := usageTable(all, func(u platform.Usage) string { return u.Name })
	return writeSafely(w, append([][]string{append([]string{"DAY"}, head...)}, rows...))
}

// writeUsageGraphs writes a line for each metric of each use, with what it came to and how it went.
func writeUsageGraphs(w io.Writer, r usageReport) error {
	var table [][]string
	for _, u := range r.Usage {
		name := strings.TrimSpace(u.Repository + " " + shortName(u.Name))
		for _, c := range usageColumns {
			for _, m := range u.Metrics {
				if m.Name != c.metric || len(m.Points) == 0 {
					continue
				}
				table = append(table, []string{name, strings.ToLower(c.head), amount(total(m), c.bytes), sparkline(m, r)})
				name = ""
			}
		}
	}
	const name, what, sum, line = 0, 1, 2, 3
	for _, row := range table {
		row[name], row[what], row[sum] = oneLine(row[name]), oneLine(row[what]), oneLine(row[sum])
		row[line] = strings.TrimRight(row[line], " ") // the line itself is ours, and its spaces say something
	}
	return writeTable(w, table)
}

// sparks are the heights of a sparkline.
const sparks = "▁▂▃▄▅▆▇█"

// sparkline draws a metric's points, at most as many as a terminal has room for. Where nothing happened a counter is at the bottom; where a
// gauge was not measured there is a gap.
func sparkline(m platform.UsageMetric, r usageReport) string {
	const most = 60
	period := time.Duration(r.Period) * time.Second
	begin := r.From.Truncate(period)
	slots := int(r.To.Sub(begin)/period) + 1
	each := (slots + most - 1) / most
	columns := make([]platform.UsagePoint, (slots+each-1)/each)
	for _, p := range m.Points {
		i := int(p.At.Sub(begin)/period) / each
		if i < 0 || i >= len(columns) {
			continue
		}
		columns[i].Samples += p.Samples
		columns[i].Sum += p.Sum
	}
	heights, top := make([]float64, len(columns)), 0.0
	for i, c := range columns {
		heights[i] = c.Sum
		if isGauge(m.Name) && c.Samples > 0 {
			heights[i] = c.Sum / c.Samples
		}
		top = max(top, heights[i])
	}
	var line strings.Builder
	steps := []rune(sparks)
	for i, h := range heights {
		switch {
		case isGauge(m.Name) && columns[i].Samples == 0:
			line.WriteByte(' ')
		case top <= 0 || h <= 0:
			line.WriteRune(steps[0])
		default:
			line.WriteRune(steps[min(int(math.Ceil(h/top*float64(len(steps))))-1, len(steps)-1)])
		}
	}
	return line.String()
}

// writeUsageCSV writes every point.
func writeUsageCSV(w io.Writer, r usageReport) error {
	table := csv.NewWriter(w)
	rows := [][]string{{"repository", "name", "metric", "unit", "timestamp", "sampleCount", "sum", "minimum", "maximum"}}
	number := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	for _, u := range r.Usage {
		for _, m := range u.Metrics {
			for _, p := range m.Points {
				rows = append(rows, []string{
					oneLine(u.Repository), oneLine(u.Name), oneLine(m.Name), oneLine(m.Unit), p.At.Format(time.RFC3339),
					number(p.Samples), number(p.Sum), number(p.Min), number(p.Max),
				})
			}
		}
	}
	return table.WriteAll(rows)
}
