package report_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

// ours are the control characters that we send ourselves.
var ours = map[string]*regexp.Regexp{
	"live":   regexp.MustCompile(`\x1b\[(\?2026[hl]|A|0m|2m|31m|32m|33m)|\r\x1b\[2K`),
	"gitlab": regexp.MustCompile(`\x1b\[0Ksection_(start:-?\d+:berth_\d+\[collapsed=true\]|end:-?\d+:berth_\d+)\r\x1b\[0K`),
}

// FuzzReport: whatever a stranger writes, no reporter gives a terminal a control character of his, or a CI system an
// order, and GitHub's runner gets as many orders as we give.
func FuzzReport(f *testing.F) {
	f.Add("web", "test", "\x1b[2J::error::x", "a/b.go", 3)
	f.Add("::add-mask::x", "##[group]", "a\r\n::set-output name=a::b", "::x,y:z\n", -1)
	f.Add("", "", "\u202e\u2028\x80\xff\u009b2J ##vso[x]", "\x00", 0)
	f.Add("日本語", "push", "``` <b> | $x$", "../..", 1<<40)
	f.Add("::", "\t::", ":\u200b:", "#\u200b#[", 1)
	f.Fuzz(func(t *testing.T, project, step, text, path string, line int) {
		var c report.Collector
		tell := func(s progress.Sink) {
			at := noon
			for _, kind := range []progress.Kind{
				progress.Started, progress.Output, progress.Bytes, progress.Note, progress.Problem, progress.Failed, progress.Skipped,
				progress.Started, progress.Output, progress.Kind(text), progress.Done, progress.Output, progress.Started,
			} {
				at = at.Add(time.Minute)
				s.Event(progress.Event{
					Time: at, Project: project, Step: progress.Step(step), Kind: kind, Text: text, Path: path, Line: line,
					Took: time.Duration(line), Done: int64(line), Total: int64(len(text)),
				})
			}
		}
		for name, o := range map[string]report.Options{
			"plain": {}, "all": {Show: report.ShowAll}, "stream": {Stream: true}, "gitlab": {GitLab: true, Show: report.ShowAll}, "github": {GitHub: true, Prefix: path},
			"live": {Terminal: true, Now: func() time.Time { return noon }, Size: func() (int, int) { return line, len(text) }},
		} {
			got := render(t, o, func(s progress.Sink) { tell(progress.Sinks{s, &c}) })
			if sent := ours[name]; sent != nil {
				got = sent.ReplaceAllString(got, "")
			}
			harmless(t, name, got)
			for _, o := range orders(got) {
				if name != "github" || !slices.Contains([]string{"group", "endgroup", "error", "warning"}, o.name) {
					t.Errorf("%s: the CI system obeys %+v", name, o)
				}
			}
		}
		s := report.Summary{
			Commit: text, Branch: text, Repository: project, Notes: []string{text}, StartedAt: noon, FinishedAt: noon.Add(time.Duration(line)),
			Projects: []report.Project{{
				Name: project, Reason: text, Outcome: report.Found, Image: &report.Image{Digest: text, Tags: []report.Tag{{Tag: text, Action: report.Newer}}},
				Scan: &report.Scan{Verdict: text, Counts: map[string]int{text: line}, Stopping: []report.Finding{{ID: text}}},
			}},
		}
		c.Fill(&s)
		var b strings.Builder
		if err := s.Text(&b); err != nil {
			t.Fatal(err)
		}
		doc, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		for name, got := range map[string]string{"text": b.String(), "JSON": string(doc)} {
			if all := orders(got); len(all) > 0 {
				t.Errorf("%s: the CI system obeys %+v", name, all)
			}
			if name == "text" {
				harmless(t, name, got)
			}
		}
		harmless(t, "markdown", s.Markdown(1<<20))
	})
}

func harmless(t *testing.T, name, got string) {
	t.Helper()
	if !utf8.ValidString(got) {
		t.Errorf("%s is no UTF-8: %q", name, got)
	}
	if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }); i >= 0 {
		t.Errorf("%s has a control character, %q, in %q", name, got[i:min(len(got), i+4)], got)
	}
}
