package telemetry_test

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/api/telemetry"
)

var update = flag.Bool("update", false, "rewrite the table of metrics in docs/operate/monitoring.md")

// TestTheTableOfMetrics holds the page's table to what is exported.
func TestTheTableOfMetrics(t *testing.T) {
	t.Parallel()
	const (
		page  = "../../../docs/operate/monitoring.md"
		begin = "<!-- metrics: written by go test ./internal/api/telemetry -update -->\n"
		end   = "<!-- end of metrics -->\n"
	)
	raw, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok1 := strings.Cut(string(raw), begin)
	have, after, ok2 := strings.Cut(rest, end)
	if !ok1 || !ok2 {
		t.Fatalf("%s lacks the marks of its table of metrics", page)
	}
	var b strings.Builder
	b.WriteString("| metric | type | labels | |\n| --- | --- | --- | --- |\n")
	for _, f := range quiet(telemetry.Config{}).Families() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", f.Name, f.Type, strings.Join(f.Labels, ", "), f.Help)
	}
	want := b.String()
	if *update {
		if err := os.WriteFile(page, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, have); diff != "" {
		t.Errorf("the table of metrics in %s is not what is exported (-want +have); go test ./internal/api/telemetry -update writes it:\n%s", page, diff)
	}
}

// TestNamesAreUsual holds the names to Prometheus' customs.
func TestNamesAreUsual(t *testing.T) {
	t.Parallel()
	for _, f := range quiet(telemetry.Config{}).Families() {
		if !regexp.MustCompile(`^berth_[a-z]+(_[a-z]+)*$`).MatchString(f.Name) || (f.Type == "counter") != strings.HasSuffix(f.Name, "_total") {
			t.Errorf("%s is an unusual name of a %s", f.Name, f.Type)
		}
		for _, l := range f.Labels {
			if l == "job" || l == "instance" {
				t.Errorf("%s has the label %s, which is the scrape's", f.Name, l)
			}
		}
	}
}

// expressions gives the PromQL that is shipped, each with where it stands.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	raw, err := os.ReadFile("../../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct {
				Alert       string
				Expr        string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(raw, &rules); err != nil {
		t.Fatal(err)
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			if all[r.Alert] != "" || r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("the alert %s is there twice, or says nothing", r.Alert)
			}
			all[r.Alert] = r.Expr
		}
	}
	if raw, err = os.ReadFile("../../../deploy/grafana/berth.json"); err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr, RefID string }
		}
		Templating struct {
			List []struct {
				Name  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(raw, &board); err != nil {
		t.Fatal(err)
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			all[fmt.Sprintf("panel %d %s %s", p.ID, p.Title, target.RefID)] = target.Expr
		}
	}
	for _, v := range board.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			all["variable "+v.Name] = strings.TrimSuffix(strings.TrimPrefix(q["query"].(string), "label_values("), ")")
		}
	}
	return all
}

var (
	metric   = regexp.MustCompile(`\b((?:berth|go|process)_[a-z_]+|up)\b(\{[^}]*\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"`)
	grouping = regexp.MustCompile(`\b(?:by|without|on|ignoring)\s*\(([^)]*)\)`)
	template = regexp.MustCompile(`\$labels\.([a-z_]+)`)
)

// labelsOf tells which labels a metric has; known tells whether there is such a metric.
func labelsOf(name string, families map[string]telemetry.Family, others map[string]bool) (labels []string, known bool) {
	if others[name] || name == "up" {
		return nil, true
	}
	if f, ok := families[name]; ok && f.Type != "histogram" {
		return f.Labels, true
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		if base, ok := strings.CutSuffix(name, part); ok {
			if f := families[base]; f.Type == "histogram" {
				return append(slices.Clone(f.Labels), "le"), true
			}
		}
	}
	return nil, false
}

// unknown says what an expression names that the program does not export.
func unknown(expr string, families map[string]telemetry.Family, others map[string]bool) (problems []string) {
	usual := []string{"job", "instance"}
	found := slices.Clone(usual)
	for _, m := range metric.FindAllStringSubmatch(expr, -1) {
		labels, ok := labelsOf(m[1], families, others)
		if !ok {
			problems = append(problems, "no metric "+m[1])
			continue
		}
		found = append(found, labels...)
		for _, sel := range matcher.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains(append(slices.Clone(usual), labels...), sel[1]) {
				problems = append(problems, m[1]+" has no label "+sel[1])
			}
		}
	}
	if len(found) == len(usual) && !strings.Contains(expr, "up{") && len(problems) == 0 && !metric.MatchString(expr) {
		problems = append(problems, "no metric at all")
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !slices.Contains(found, label) {
				problems = append(problems, "nothing has the label "+label)
			}
		}
	}
	return problems
}

func exported(t *testing.T) (families map[string]telemetry.Family, others map[string]bool) {
	t.Helper()
	tm := quiet(telemetry.Config{})
	families, others = map[string]telemetry.Family{}, map[string]bool{}
	for _, f := range tm.Families() {
		families[f.Name] = f
	}
	gathered, err := tm.Gatherer().Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range gathered {
		if _, ours := families[f.GetName()]; !ours {
			others[f.GetName()] = true
		}
	}
	return families, others
}

// TestWhatIsShippedNamesWhatIsExported holds dashboard and alert rules to the program.
func TestWhatIsShippedNamesWhatIsExported(t *testing.T) {
	t.Parallel()
	families, others := exported(t)
	all := expressions(t)
	if len(all) < 40 {
		t.Errorf("only %d expressions were found", len(all))
	}
	used := strings.Builder{}
	for where, expr := range all {
		for _, p := range unknown(expr, families, others) {
			t.Errorf("%s: %s: %s", where, p, expr)
		}
		used.WriteString(expr)
	}
	for _, f := range families { // what nobody looks at is not worth a series
		if !strings.Contains(used.String(), f.Name) && !slices.Contains([]string{
			"berth_metrics_failures_total", "berth_job_last_success_timestamp_seconds", "berth_blob_written_bytes_total", "berth_event_failures_total",
			"berth_event_handling_duration_seconds", "berth_gc_removed_total", "berth_gc_waiting", "berth_database_updates_total",
			"berth_database_connection_waits_total", "berth_database_connection_wait_seconds_total",
		}, f.Name) {
			t.Errorf("neither dashboard nor rules show %s", f.Name)
		}
	}
	raw, err := os.ReadFile("../../../deploy/prometheus/alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range template.FindAllStringSubmatch(string(raw), -1) {
		if m[1] != "instance" && !strings.Contains(string(raw), "("+m[1]) && !strings.Contains(string(raw), ", "+m[1]) {
			t.Errorf("no rule keeps the label %s that an annotation shows", m[1])
		}
	}
}

// TestMistakesAreNoticed: the check above can fail.
func TestMistakesAreNoticed(t *testing.T) {
	t.Parallel()
	families, others := exported(t)
	for expr, want := range map[string]string{
		`rate(berth_http_request_total[5m])`:                             "no metric berth_http_request_total",
		`berth_http_requests_total{status="5xx"}`:                        "berth_http_requests_total has no label status",
		`sum by (verb) (berth_http_requests_total)`:                      "nothing has the label verb",
		`berth_http_request_duration_seconds{face="ecr"}`:                "no metric berth_http_request_duration_seconds",
		`sum by (le) (berth_queue_depth)`:                                "nothing has the label le",
		`go_goroutine`:                                                   "no metric go_goroutine",
		`1 + 1`:                                                          "no metric at all",
		`sum by (le, face) (berth_http_request_duration_seconds_bucket)`: "",
		`up{job="berth"} == 0 or berth_gc_paused{instance=~"a.*"} and on (instance) go_goroutines`: "",
	} {
		if got := strings.Join(unknown(expr, families, others), ", "); got != want {
			t.Errorf("%s: %q, want %q", expr, got, want)
		}
	}
}
