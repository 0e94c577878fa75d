package report_test

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/hoopstat-haus/berth/internal/bench/load"
	"github.com/hoopstat-haus/berth/internal/bench/report"
)

func TestMedian(t *testing.T) {
	t.Parallel()
	tests := []struct {
		values []float64
		want   float64
	}{
		{nil, 0},
		{[]float64{4}, 4},
		{[]float64{9, 1, 5}, 5},
		{[]float64{9, 1, 5, 6}, 5.5},
	}
	for _, test := range tests {
		given := append([]float64(nil), test.values...)
		if got := report.Median(test.values); got != test.want {
			t.Errorf("Median(%v) = %v, want %v", given, got, test.want)
		}
	}
}

// rounds makes samples of a second each, with so many operations.
func rounds(operations ...int64) []load.Sample {
	samples := make([]load.Sample, len(operations))
	for i, n := range operations {
		samples[i] = load.Sample{Operations: n, Bytes: n * 1e9, Elapsed: time.Second, ServerCPU: time.Duration(n) * time.Second / 2}
	}
	return samples
}

func results() *report.Results {
	return &report.Results{
		Rounds: 3, Contenders: [2]string{"berth", "distribution"}, Order: []string{load.Push16, load.LargePush, load.LargePull},
		Titles: map[string]string{load.Push16: "pushes", load.LargePush: "large pushes", load.LargePull: "large pulls"},
		Samples: map[string]map[string][]load.Sample{
			load.Push16:    {"berth": rounds(600, 500, 9000), "distribution": rounds(100, 1, 110)},
			load.LargePush: {"berth": rounds(2, 2, 2), "distribution": rounds(2, 2, 2)},
			load.LargePull: {"berth": rounds(3, 3, 3), "distribution": rounds(2, 2, 2), "sendfile": rounds(4, 4, 4)},
		},
		HashPerGB: []float64{0.2, 0.25, 0.3},
		Peaks:     map[string]int64{"berth": 60e6, "distribution": 100e6},
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	want := []struct {
		title        string
		ratio, other float64
		target       string
		met          bool
	}{
		{"pushes", 6, 0, ">= 5x", true},
		{"large pushes", 1, 0, ">= 1.2x", false},
		{"large pushes, server CPU", 1, 2, "<= 1.9x", false}, // 0.5 s/GB where a pass takes 0.25
		{"large pulls", 1.5, 0, ">= 1x", true},
		{"large pulls, server CPU", 1, 1, "<= 1x", true},
		{"peak memory", 0.6, 0, "<= 0.5x", false},
	}
	rows := results().Rows()
	if len(rows) != len(want) {
		t.Fatalf("Rows made %d rows, want %d: %+v", len(rows), len(want), rows)
	}
	for i, w := range want {
		got := rows[i]
		if got.Title != w.title || math.Abs(got.Ratio-w.ratio) > 1e-9 || math.Abs(got.Against-w.other) > 1e-9 ||
			got.Target != w.target || got.Met == nil || *got.Met != w.met {
			t.Errorf("row %d is %+v (met %v), want %+v", i, got, got.Met != nil && *got.Met, w)
		}
	}
}

func TestRowsWithoutSamplesMeetNothing(t *testing.T) {
	t.Parallel()
	r := results()
	r.Samples[load.Push16]["distribution"] = nil
	if row := r.Rows()[0]; row.Met == nil || *row.Met {
		t.Errorf("a phase that one server did not run is judged as met: %+v", row)
	}
}

func TestWrite(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	if err := results().WriteText(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"pushes", "6.00x", ">= 5x", "yes", "NO", "ratio to one sha256 pass, 0.25"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, &text)
		}
	}
	var object bytes.Buffer
	if err := results().WriteJSON(&object); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Rows    []report.Row
		Samples map[string]map[string][]load.Sample
	}
	if err := json.Unmarshal(object.Bytes(), &back); err != nil {
		t.Fatalf("WriteJSON wrote what is not JSON: %v", err)
	}
	if len(back.Rows) != 6 || back.Samples[load.Push16]["berth"][2].Operations != 9000 {
		t.Errorf("WriteJSON lost something: %s", &object)
	}
}

func TestProcessorName(t *testing.T) {
	t.Parallel()
	if got := report.ProcessorName([]byte("processor\t: 0\nmodel name\t: A B  C\nmodel\t: 1\n")); got != "A B  C" {
		t.Errorf("ProcessorName = %q, want %q", got, "A B  C")
	}
	if got := report.ProcessorName(nil); got != "unknown" {
		t.Errorf("ProcessorName of nothing = %q, want unknown", got)
	}
}

// TestListings holds that a page is judged by its best walk, and that a last page with fewer images is not compared.
func TestListings(t *testing.T) {
	t.Parallel()
	r := results()
	const ms = time.Millisecond
	r.Listed = &load.Listed{
		Images: 2500, FirstOfMany: []time.Duration{9 * ms, 10 * ms, 30 * ms}, FirstOfFew: []time.Duration{5 * ms},
		Pages: [][]time.Duration{{10 * ms, 20 * ms, ms}, {90 * ms, 12 * ms, ms}}, CrowdPeak: 450e6,
	}
	rows := r.Rows()[6:]
	if len(rows) != 3 {
		t.Fatalf("%d rows about listings, want 3: %+v", len(rows), rows)
	}
	for i, want := range []struct {
		figure, against float64
		met             bool
	}{{10, 2, true}, {12, 1.2, true}, {450, 1.5, false}} {
		if got := rows[i]; got.Subject != want.figure || math.Abs(got.Against-want.against) > 1e-9 || *got.Met != want.met {
			t.Errorf("row %d is %+v (met %v), want %+v", i, got, *got.Met, want)
		}
	}
}
