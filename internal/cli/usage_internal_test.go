package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/platform"
)

// hostileUsage is what a server that is none of ours may say.
func hostileUsage() usageReport {
	begin := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	at := func(days int, v float64) platform.UsagePoint {
		return platform.UsagePoint{At: begin.Add(time.Duration(days) * day), Samples: 1, Sum: v, Min: v, Max: v}
	}
	return usageReport{
		From: begin, To: begin.Add(5*day - time.Hour), Period: int64(day.Seconds()), By: "app",
		Usage: []platform.Usage{
			{Repository: "a/b", Name: "quiet", Metrics: []platform.UsageMetric{{Name: "PullCount", Unit: "Count", Points: []platform.UsagePoint{at(1, 1)}}}},
			{Repository: "a/b", Name: "we\x1b[2Jb\n", Metrics: []platform.UsageMetric{
				{Name: "PullCount", Unit: "Co\x07unt", Points: []platform.UsagePoint{at(0, 4), at(1, 8), at(-7, 100), at(4, 1)}},
				{Name: "StoredBytes", Unit: "Bytes", Points: []platform.UsagePoint{at(1, 1024), at(3, 2048)}},
				{Name: "Strange\x1b", Unit: "Bytes", Points: []platform.UsagePoint{at(1, 1)}},
			}},
		},
	}
}

func TestUsageIsDrawn(t *testing.T) {
	t.Parallel()
	r := hostileUsage()
	busiestFirst(&r)
	var graph, table, sheet bytes.Buffer
	if err := writeUses(&graph, r, true); err != nil {
		t.Fatal(err)
	}
	if err := writeUses(&table, r, false); err != nil {
		t.Fatal(err)
	}
	if err := writeUsageCSV(&sheet, r); err != nil {
		t.Fatal(err)
	}
	const (
		wantGraph = "a/b we [2Jb  pulls   113      ▄█▁▁▁\n             stored  2.0 KiB   ▄ █\na/b quiet    pulls   1        ▁█▁▁▁\n"
		wantTable = "APP     PULLS  STORED\nwe [2Jb  113    2.0 KiB\nquiet    1      -\n"
	)
	if got := graph.String(); got != wantGraph {
		t.Errorf("graph:\n%s\nwant:\n%s", got, wantGraph)
	}
	if got := table.String(); strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(wantTable), " ") {
		t.Errorf("table:\n%s\nwant:\n%s", got, wantTable)
	}
	for _, text := range []string{graph.String(), table.String(), sheet.String()} {
		if strings.ContainsAny(text, "\x1b\x07\r") {
			t.Errorf("what a stranger wrote moves the cursor:\n%q", text)
		}
	}
	if lines := strings.Count(sheet.String(), "\n"); lines != 9 {
		t.Errorf("%d lines of CSV, want 9:\n%s", lines, sheet.String())
	}
}
