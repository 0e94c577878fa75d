package report_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

const (
	digestA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

// sample is a run of which something became of everything.
func sample() *report.Summary {
	s := &report.Summary{
		Commit: "c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6", Branch: "main", Repository: "hoopstat-haus/prod", Registry: "berth.example:5000",
		Workflow: "ship", Run: "https://github.com/hoopstat-haus/mono/actions/runs/1",
		StartedAt: noon.In(time.FixedZone("CET", 3600)), FinishedAt: noon.Add(75*time.Second + 400*time.Microsecond),
		Projects: []report.Project{
			{Name: "money", Kind: "lib", Outcome: report.Nothing, Reason: "unchanged"},
			{Name: "web", Kind: "app", Reason: "apps/web/main.go changed", Image: &report.Image{
				Digest: digestA, MediaType: "application/vnd.oci.image.index.v1+json", Size: 45_200_000, Inputs: "5f2c", Built: true,
				Tags: []report.Tag{
					{Tag: "web-c3d4e5f", Digest: digestA, Action: report.Pushed},
					{Tag: "web-latest", Digest: digestA, Action: report.Moved, From: digestB},
				},
				References: []report.Reference{{ArtifactType: "application/vnd.in-toto+json", Digest: digestB}},
			}, Scan: &report.Scan{Verdict: "passed", Counts: map[string]int{"low": 3, "high": 1, "critical": 0}, Excepted: []report.Finding{
				{ID: "CVE-2026-12345", Severity: "high", Package: "libx", Version: "1.0", FixedIn: "1.1", Owner: "platform@example.com", Reason: "not reachable", Expires: "2026-12-31"},
			}}},
			{Name: "batch", Kind: "app", Outcome: report.Done, Image: &report.Image{Digest: digestB, Tags: []report.Tag{
				{Tag: "batch-c3d4e5f", Digest: digestB, Action: report.Retagged}, {Tag: "batch-latest", Digest: digestA, Action: report.Newer},
			}}},
			{Name: "gated", Kind: "app", Outcome: report.Found, Reason: "the gate", Scan: &report.Scan{
				Verdict: "stopped", Counts: map[string]int{"critical": 2}, Stopping: []report.Finding{
					{ID: "CVE-2026-1", Severity: "critical", Package: "openssl", Version: "3.0.1", FixedIn: "3.0.2"}, {Severity: "critical", Unlisted: 1},
				},
			}},
		},
	}
	var c report.Collector
	story(&c)
	c.Fill(s)
	return s
}

func TestSummaryText(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	if err := sample().Text(&b); err != nil {
		t.Fatal(err)
	}
	want(t, b.String(), `
PROJECT  RESULT              IMAGE                TAGS                                                     TIME
web      shipped             sha256:aaaaaaaaaaaa  web-c3d4e5f, web-latest                                  1m15s
batch    retagged            sha256:bbbbbbbbbbbb  batch-c3d4e5f, batch-latest (stays with a newer commit)  -
gated    stopped by a check  -                    -                                                        -
api      failed              -                    -                                                        4.0s
tool     skipped             -                    -                                                        -
gated: the gate
api: test failed: exit status 1
  apps/api/add_test.go:7: 3, want 4
note: no scanner: images are not scanned
shipped 1 image, 1 retagged, 1 stopped by a check, 1 failed, 1 skipped, 1 unchanged in 1m15s
`)
}

func TestSentence(t *testing.T) {
	t.Parallel()
	app := func(outcome report.Outcome, built bool, actions ...report.Action) report.Project {
		p := report.Project{Name: "x", Outcome: outcome, Image: &report.Image{Built: built}}
		for _, a := range actions {
			p.Image.Tags = append(p.Image.Tags, report.Tag{Tag: "x", Action: a})
		}
		return p
	}
	lib := report.Project{Name: "l", Steps: []report.Step{{Step: progress.Test, Outcome: report.Done}}}
	for want, projects := range map[string][]report.Project{
		"nothing to do":              nil,
		"nothing to do: 1 unchanged": {{Outcome: report.Nothing}},
		"shipped 3 images, 2 retagged, 1 failed": {
			app("done", true, "pushed", "moved"), app("done", true, "pushed", "newer"), app("done", true, "pushed"),
			app("done", false, "retagged", "moved"), app("done", false, "kept", "moved"),
			{Outcome: report.Failed},
		},
		"retagged 1 image":         {app("done", false, "retagged")},
		"built 2 images, 1 tested": {app("done", true), app("done", true), lib},
		"1 unchanged":              {app("done", false, "kept", "newer")},
		"1 stopped, 1 skipped":     {{Outcome: report.Stopped}, {Outcome: report.Skipped}},
	} {
		s := report.Summary{Projects: projects}
		s.Settle()
		if got := s.Sentence(); got != want {
			t.Errorf("says %q, want %q", got, want)
		}
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		all  []report.Outcome
		want report.Outcome
		code int
	}{
		{nil, "nothing", 0},
		{[]report.Outcome{"nothing", "done"}, "done", 0},
		{[]report.Outcome{"skipped", "done"}, "done", 0},
		{[]report.Outcome{"done", "found", "skipped"}, "found", 3},
		{[]report.Outcome{"found", "failed", "done"}, "failed", 1},
		{[]report.Outcome{"stopped", "found"}, "stopped", 1},
		{[]report.Outcome{"stopped", "failed"}, "failed", 1},
		{[]report.Outcome{"skipped"}, "nothing", 0},
	} {
		s := report.Summary{}
		for _, o := range c.all {
			s.Projects = append(s.Projects, report.Project{Steps: []report.Step{{Outcome: o}}})
		}
		s.Settle()
		if got := s.Outcome; got != c.want || got.ExitCode() != c.code {
			t.Errorf("of %q: %q with exit code %d, want %q with %d", c.all, got, got.ExitCode(), c.want, c.code)
		}
	}
	if got := report.Outcome("other").ExitCode(); got != 1 {
		t.Errorf("an outcome that nobody knows has exit code %d, want 1", got)
	}
}

func TestCollector(t *testing.T) {
	t.Parallel()
	got := sample().Projects
	wantSteps := map[string][]report.Step{
		"web": {
			{Step: progress.Test, Outcome: report.Done, StartedAt: noon, Seconds: 3},
			{Step: progress.Push, Outcome: report.Done, StartedAt: noon.Add(3 * time.Second), Seconds: 72, Text: "100.0 MB"},
		},
		"api": {{
			Step: progress.Test, Outcome: report.Failed, StartedAt: noon, Seconds: 4, Text: "exit status 1",
			Output: []string{"--- FAIL: TestAdd", "        add_test.go:7: 3, want 4"},
		}},
		"tool": {{Step: progress.Test, Outcome: report.Skipped, Text: "needs api, whose tests failed"}},
	}
	for _, p := range got {
		if diff := cmp.Diff(wantSteps[p.Name], p.Steps); diff != "" {
			t.Errorf("%s's steps (-want +got):\n%s", p.Name, diff)
		}
		if p.Name == "api" {
			if diff := cmp.Diff([]report.Problem{{Step: progress.Test, Path: "apps/api/add_test.go", Line: 7, Text: "3, want 4"}}, p.Problems); diff != "" {
				t.Errorf("api's problems (-want +got):\n%s", diff)
			}
		}
	}
}

// TestCollectorStops: what has not ended when the run ends was stopped.
func TestCollectorStops(t *testing.T) {
	t.Parallel()
	var c report.Collector
	task := progress.Task{Project: "web", Step: progress.Build, Sink: &c, Now: func() time.Time { return noon }}
	task.Begin("")
	output(&task, "building")
	var s report.Summary
	c.Fill(&s)
	want := []report.Project{{Name: "web", Outcome: report.Stopped, Steps: []report.Step{{Step: progress.Build, Outcome: report.Stopped, StartedAt: noon, Text: "not finished"}}}}
	if diff := cmp.Diff(want, s.Projects); diff != "" || s.Outcome != report.Stopped {
		t.Errorf("outcome %s (-want +got):\n%s", s.Outcome, diff)
	}
}

// TestCollectorKeepsTheEnd: of what a program prints, its last lines are kept, and not more than is read.
func TestCollectorKeepsTheEnd(t *testing.T) {
	t.Parallel()
	var c report.Collector
	task := progress.Task{Project: "web", Step: progress.Test, Sink: &c, Now: func() time.Time { return noon }}
	task.Begin("")
	for i := range 10_000 {
		output(&task, strings.Repeat("x", i%100)+"!")
	}
	output(&task, strings.Repeat("y", 100_000))
	output(&task, "the end")
	task.End(progress.Failed, "")
	var s report.Summary
	c.Fill(&s)
	out := s.Projects[0].Steps[0].Output
	if n := len(strings.Join(out, "")); len(out) < 10 || len(out) > 40 || n > 9<<10 || out[len(out)-1] != "the end" {
		t.Errorf("kept %d lines of %d bytes, the last of them %q", len(out), n, out[len(out)-1])
	}
}

func TestMarkdown(t *testing.T) {
	t.Parallel()
	want(t, sample().Markdown(1<<20), `

### shipped 1 image, 1 retagged, 1 stopped by a check, 1 failed, 1 skipped, 1 unchanged in 1m15s

commit <code>c3d4e5f60718</code>, branch <code>main</code>, repository <code>berth.example\:5000/hoopstat-haus/prod</code>

| Project | Result | Tests | Image | Size | Tags | Scan | Time |
| --- | --- | --- | --- | ---: | --- | --- | ---: |
| <code>web</code> | ✅ shipped | passed | <code>sha256\:aaaaaaaaaaaa</code> | 45.2 MB | <code>web-c3d4e5f</code> <code>web-latest</code> | passed\: 1 high, 3 low | 1m15s |
| <code>batch</code> | ✅ retagged |  | <code>sha256\:bbbbbbbbbbbb</code> |  | <code>batch-c3d4e5f</code> <code>batch-latest \(stays with a newer commit\)</code> |  |  |
| <code>gated</code> | ⛔ stopped by a check |  |  |  |  | stopped\: 2 critical |  |
| <code>api</code> | ❌ failed | failed |  |  |  |  | 4.0s |
| <code>tool</code> | skipped | needs api, whose tests failed |  |  |  |  |  |

#### gated

- CVE-2026-1 critical in openssl 3.0.1, fixed in 3.0.2
- 1 critical that the registry does not list

#### api

test failed\: exit status 1

- apps/api/add\_test.go\:7\: 3, want 4

`+"```text\n--- FAIL: TestAdd\n        add_test.go:7: 3, want 4\n```"+`

> no scanner\: images are not scanned
`)
}

// TestMarkdownIsText: what strangers wrote is no markup, and their fences end no block.
func TestMarkdownIsText(t *testing.T) {
	t.Parallel()
	evil := "<img src=x> | [a](http://b) `c` **d** $e$ <!-- ![f](g)"
	s := report.Summary{Outcome: report.Failed, Notes: []string{evil}, Projects: []report.Project{{
		Name: evil, Outcome: report.Failed, Image: &report.Image{Tags: []report.Tag{{Tag: evil}}},
		Steps: []report.Step{{Step: progress.Test, Outcome: report.Failed, Text: evil, Output: []string{"```", "# out", "`````", "<b>"}}},
	}}}
	got := s.Markdown(1 << 20)
	text, code, _ := strings.Cut(got, "``````text\n")
	if want := "```\n# out\n`````\n<b>\n``````\n"; !strings.HasPrefix(code, want) {
		t.Errorf("the block of code is %q, want it to begin with %q", code, want)
	}
	for _, markup := range []string{"<img", "<!--", "| [", "](", "`c`", "**", "$e"} {
		if strings.Contains(text, markup) {
			t.Errorf("%q is in\n%s", markup, text)
		}
	}
	for row := range strings.Lines(text) {
		if n := strings.Count(row, "|") - strings.Count(row, `\|`); strings.HasPrefix(row, "|") && n != 9 {
			t.Errorf("a row has %d marks, want 9: %s", n, row)
		}
	}
}

// TestMarkdownHasALimit: GitHub shows nothing of a file that is too large.
func TestMarkdownHasALimit(t *testing.T) {
	t.Parallel()
	many := sample()
	for range 5_000 {
		many.Projects = append(many.Projects, many.Projects[1], many.Projects[4])
	}
	many.Settle()
	for _, limit := range []int{0, 100, 500, 1000, 5000, 1 << 20} {
		if got := many.Markdown(limit); len(got) > limit || limit >= 1000 && !strings.Contains(got, "left out") {
			t.Errorf("limited to %d bytes it has %d and ends %q", limit, len(got), got[max(0, len(got)-100):])
		}
	}
	file := filepath.Join(t.TempDir(), "summary.md")
	if err := os.WriteFile(file, bytes.Repeat([]byte("x"), 1<<20-2000), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := many.AppendMarkdown(file); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(file)
	if err != nil || len(got) > 1<<20 || !bytes.Contains(got, []byte("left out")) || !bytes.HasPrefix(got, []byte("xxx")) {
		t.Errorf("the file has %d bytes, %v", len(got), err)
	}
}

func TestSummaryJSON(t *testing.T) {
	t.Parallel()
	s := sample()
	before, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(before, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["startedAt"] != "2026-11-26T12:00:00Z" || doc["finishedAt"] != "2026-11-26T12:01:15Z" || doc["version"] != 1.0 {
		t.Errorf("has %v, %v, version %v", doc["startedAt"], doc["finishedAt"], doc["version"])
	}
	var again report.Summary
	if err := json.Unmarshal(before, &again); err != nil {
		t.Fatal(err)
	}
	after, err := json.Marshal(again)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("read and written it is\n%s\nwas\n%s\n%v", after, before, err)
	}
	empty, err := json.Marshal(report.Summary{Outcome: report.Nothing})
	if want := `{"version":1,"outcome":"nothing","commit":"","startedAt":"0001-01-01T00:00:00Z","finishedAt":"0001-01-01T00:00:00Z","projects":[],"notes":[]}`; err != nil || string(empty) != want {
		t.Errorf("an empty one is\n%s, %v, want\n%s", empty, err, want)
	}
}

// TestDryRun: that nothing was done is not that there is nothing to do.
func TestDryRun(t *testing.T) {
	t.Parallel()
	s := report.Summary{DryRun: true, Projects: []report.Project{
		{Name: "web", Steps: []report.Step{{Step: progress.Build, Outcome: report.Skipped, Text: "would be built"}}}, {Name: "money", Outcome: report.Nothing},
	}}
	s.Settle()
	var b strings.Builder
	if err := s.Text(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"web: build: would be built\n", "a dry run, nothing was done: 1 skipped, 1 unchanged\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is not in:\n%s", want, b.String())
		}
	}
}
