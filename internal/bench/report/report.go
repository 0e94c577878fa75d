// Package report turns samples into figures: medians, ratios, targets, as a table and as JSON.
package report

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/load"
)

// allowance is how far a processor time may lie above a target of "no more than": the same server
// measured twice differs by about so much.
const allowance = 0.05

// Results are all samples of a run.
type Results struct {
	Machine Machine `json:"machine"`
	Rounds  int     `json:"rounds"`
	// Contenders are the servers' names: the one that is judged, then the one it is compared with.
	Contenders [2]string `json:"contenders"`
	// Samples by phase, then by server.
	Samples map[string]map[string][]load.Sample `json:"samples"`
	// Order of the phases, and their titles.
	Order  []string          `json:"order"`
	Titles map[string]string `json:"titles"`
	// HashPerGB is what one pass of sha256 costs, in processor seconds per billion bytes, once per round.
	HashPerGB []float64 `json:"sha256_cpu_seconds_per_gb"`
	// Listed are the figures of listings by ECR's API, if they were measured.
	Listed *load.Listed `json:"listed,omitempty"`
	// Peaks is the largest resident memory by server, in bytes.
	Peaks map[string]int64 `json:"peak_memory_bytes"`
}

// Machine is where and when it was measured.
type Machine struct {
	Date       time.Time `json:"date"`
	Processor  string    `json:"processor"`
	Processors int       `json:"processors"`
	System     string    `json:"system"`
	Go         string    `json:"go"`
}

// Row is a line of the table.
type Row struct {
	Phase     string  `json:"phase"`
	Title     string  `json:"title"`
	Unit      string  `json:"unit"`
	Subject   float64 `json:"subject"`
	Other     float64 `json:"other"`
	Ratio     float64 `json:"ratio"` // subject / other
	Yardstick string  `json:"yardstick,omitempty"`
	// Measure is the yardstick's own figure, and Against how the subject compares with it.
	Measure float64 `json:"yardstick_value,omitempty"`
	Against float64 `json:"against_yardstick,omitempty"`
	Target  string  `json:"target,omitempty"`
	Met     *bool   `json:"met,omitempty"`
}

// target is what a ratio should reach; the zero value asks for nothing.
type target struct {
	least, most float64
}

func (t target) text() string {
	switch {
	case t.least > 0:
		return fmt.Sprintf(">= %gx", t.least)
	case t.most > 0:
		return fmt.Sprintf("<= %gx", t.most)
	default:
		return ""
	}
}

func (t target) met(ratio float64) *bool {
	if t == (target{}) {
		return nil
	}
	met := ratio > 0 && (t.least == 0 || ratio >= t.least) && (t.most == 0 || ratio <= t.most)
	return &met
}

// Rows evaluates the results.
func (r *Results) Rows() []Row {
	rates := []struct {
		phase string
		target
	}{
		{load.Push1, target{}},
		{load.Push16, target{least: 5}},
		{load.Pull16, target{least: 4}},
		{load.Head16, target{least: 3}},
		{load.Tag16, target{least: 5}},
		{load.List, target{least: 10}},
	}
	var rows []Row
	for _, p := range rates {
		if r.Samples[p.phase] != nil {
			rows = append(rows, r.compare(p.phase, "", "/s", load.Sample.Rate, p.target))
		}
	}
	if r.Samples[load.LargePush] != nil {
		rows = append(rows, r.compare(load.LargePush, "", "MB/s", load.Sample.Throughput, target{least: 1.2}))
		row := r.compare(load.LargePush, ", server CPU", "s/GB", load.Sample.CPUPerGB, target{})
		rows = append(rows, row.against("one sha256 pass", Median(r.HashPerGB), target{most: 1.9}))
	}
	if r.Samples[load.LargePull] != nil {
		rows = append(rows, r.compare(load.LargePull, "", "MB/s", load.Sample.Throughput, target{least: 1}))
		row := r.compare(load.LargePull, ", server CPU", "s/GB", load.Sample.CPUPerGB, target{})
		if sendfile := r.Samples[load.LargePull]["sendfile"]; sendfile != nil {
			row = row.against("sendfile", figure(sendfile, load.Sample.CPUPerGB), target{most: 1})
			*row.Met = row.Against > 0 && row.Against <= 1+allowance
		}
		rows = append(rows, row)
	}
	peak := Row{
		Phase: "memory", Title: "peak memory", Unit: "MB",
		Subject: float64(r.Peaks[r.Contenders[0]]) / 1e6, Other: float64(r.Peaks[r.Contenders[1]]) / 1e6,
	}
	return append(append(rows, peak.judged(target{most: 0.5})), r.listing()...)
}

// listing judges listings by themselves: a page by another page, memory by what it may be.
func (r *Results) listing() []Row {
	if r.Listed == nil {
		return nil
	}
	const mostMemory = 300
	l := r.Listed
	milliseconds := func(times []time.Duration) float64 {
		values := make([]float64, len(times))
		for i, t := range times {
			values[i] = float64(t.Microseconds()) / 1000
		}
		return Median(values)
	}
	// A page's time is the best of the walks: one that another program held up is no slow page.
	var pages []float64
	for n := range l.Pages[0] {
		var times []time.Duration
		for _, walk := range l.Pages {
			times = append(times, walk[n])
		}
		pages = append(pages, milliseconds([]time.Duration{slices.Min(times)}))
	}
	if full := l.Images / load.PageOfMany; full > 0 {
		pages = pages[:full] // the last may have fewer images
	}
	row := func(title, unit string, figure float64) Row {
		return Row{Phase: load.Listing, Title: title, Unit: unit, Subject: figure}
	}
	return []Row{
		row(fmt.Sprintf("first page of %d images", l.Images), "ms", milliseconds(l.FirstOfMany)).
			against("first page of 1000 images", milliseconds(l.FirstOfFew), target{most: 2}),
		row(fmt.Sprintf("slowest page of %d", len(pages)), "ms", slices.Max(pages)).against("fastest page", slices.Min(pages), target{most: 3}),
		row("memory under 1000 API clients", "MB", float64(l.CrowdPeak)/1e6).against("300 MB", mostMemory, target{most: 1}),
	}
}

// compare makes the row of one figure of one phase.
func (r *Results) compare(phase, suffix, unit string, of func(load.Sample) float64, t target) Row {
	samples := r.Samples[phase]
	row := Row{
		Phase: phase, Title: r.Titles[phase] + suffix, Unit: unit,
		Subject: figure(samples[r.Contenders[0]], of), Other: figure(samples[r.Contenders[1]], of),
	}
	return row.judged(t)
}

func (row Row) judged(t target) Row {
	if row.Other > 0 {
		row.Ratio = row.Subject / row.Other
	}
	row.Target, row.Met = t.text(), t.met(row.Ratio)
	return row
}

// against judges the row by a yardstick instead of by the other server.
func (row Row) against(yardstick string, value float64, t target) Row {
	row.Yardstick, row.Measure = yardstick, value
	if value > 0 {
		row.Against = row.Subject / value
	}
	row.Target, row.Met = t.text(), t.met(row.Against)
	return row
}

// figure is the median over rounds.
func figure(samples []load.Sample, of func(load.Sample) float64) float64 {
	values := make([]float64, len(samples))
	for i, s := range samples {
		values[i] = of(s)
	}
	return Median(values)
}

// Median is the middle value, of an even number of values the mean of the two in the middle, of none 0.
func Median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}

// WriteText writes the table.
func (r *Results) WriteText(w io.Writer) error {
	var text bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&text, "%s, %s, %d processors (%s), %s\n", m.Date.Format(time.DateOnly), m.System, m.Processors, m.Processor, m.Go)
	fmt.Fprintf(&text, "medians of %d rounds\n\n", r.Rounds)
	const line = "%-46s %13s %13s %-5s %8s %8s  %-3s %s\n"
	fmt.Fprintf(&text, line, "", r.Contenders[0], r.Contenders[1], "", "ratio", "target", "met", "")
	for _, row := range r.Rows() {
		ratio, note, other := row.Ratio, "", number(row.Other)
		if row.Yardstick != "" {
			if row.Phase == load.Listing {
				other = "" // only Berth has it
			}
			ratio, note = row.Against, fmt.Sprintf("ratio to %s, %s", row.Yardstick, number(row.Measure))
		}
		fmt.Fprintf(&text, line, row.Title, number(row.Subject), other, row.Unit,
			fmt.Sprintf("%.2fx", ratio), row.Target, verdict(row.Met), note)
	}
	const costs = "%-46s %13s %13s %-5s %8s\n"
	fmt.Fprintf(&text, "\n"+costs, "server's processor time per operation", r.Contenders[0], r.Contenders[1], "", "client's")
	for _, phase := range r.Order {
		ours, theirs := r.Samples[phase][r.Contenders[0]], r.Samples[phase][r.Contenders[1]]
		fmt.Fprintf(&text, costs, r.Titles[phase], number(figure(ours, ServerCPU)), number(figure(theirs, ServerCPU)), "µs", number(figure(ours, ClientCPU)))
	}
	_, err := w.Write(text.Bytes())
	return err
}

// ServerCPU is the processor time of the server per operation, in microseconds.
func ServerCPU(s load.Sample) float64 { return perOperation(s.ServerCPU, s) }

// ClientCPU is the same of the client.
func ClientCPU(s load.Sample) float64 { return perOperation(s.ClientCPU, s) }

// perOperation is in microseconds.
func perOperation(d time.Duration, s load.Sample) float64 {
	return float64(d.Microseconds()) / float64(max(1, s.Operations))
}

// number shows about three digits that count.
func number(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func verdict(met *bool) string {
	switch {
	case met == nil:
		return ""
	case *met:
		return "yes"
	default:
		return "NO"
	}
}

// WriteJSON writes the rows and everything that they come from.
func (r *Results) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Rows []Row `json:"rows"`
		*Results
	}{r.Rows(), r})
}

// ProcessorName finds the first model name in a /proc/cpuinfo.
func ProcessorName(info []byte) string {
	for line := range bytes.Lines(info) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown"
}
