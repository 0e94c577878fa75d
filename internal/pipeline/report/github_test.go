package report_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

// order is what a CI system reads in a log as said to it.
type order struct {
	name       string
	properties map[string]string
	data       string
}

var (
	anywhere  = regexp.MustCompile(`##\w*\[`)
	unescaped = strings.NewReplacer("%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%")
)

// orders reads a log as GitHub's runner does (its ActionCommand.cs): lines that begin with "::", and of the older form
// those that have "##[" anywhere, which Azure's agent has as "##vso[" and TeamCity's as "##teamcity[".
func orders(log string) (all []order) {
	for _, line := range strings.FieldsFunc(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), "::")
		head, data, ended := strings.Cut(rest, "::")
		switch {
		case ok && ended:
			o := order{data: unescaped.Replace(data)}
			name, properties, _ := strings.Cut(head, " ")
			o.name = name
			for p := range strings.SplitSeq(properties, ",") {
				if name, value, ok := strings.Cut(strings.TrimSpace(p), "="); ok {
					if o.properties == nil {
						o.properties = map[string]string{}
					}
					o.properties[name] = unescaped.Replace(value)
				}
			}
			all = append(all, o)
		case ok, anywhere.MatchString(line):
			all = append(all, order{name: "of the older form", data: line})
		}
	}
	return all
}

func TestGitHub(t *testing.T) {
	t.Parallel()
	got := render(t, report.Options{GitHub: true, Prefix: "mono"}, story)
	want(t, got, `
::warning::no scanner: images are not scanned
note: no scanner: images are not scanned
web      test    started npm test
api      test    started go test ./...
web      test    done    3.0s
web      push    started
api      test    problem apps/api/add_test.go:7: 3, want 4
::group::api test failed in 4.0s: exit status 1
--- FAIL: TestAdd
        add_test.go:7: 3, want 4
::endgroup::
::error file=mono/apps/api/add_test.go,line=7,title=api test::3, want 4
::error title=api test::exit status 1
api      test    failed  4.0s   exit status 1
tool     test    skipped needs api, whose tests failed
web      push    at      45.2 MB of 100.0 MB, 45%
web      push    note    2 layers were there
web      push    done    1m12s  100.0 MB
`)
}

// TestGitHubOrders: names and texts arrive as they are, whatever is in them.
func TestGitHubOrders(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event progress.Event
		ended progress.Kind
		want  order
	}{
		"special characters": {
			progress.Event{Path: "a,b::c%0A.go", Line: 3, Text: "50% of it: no, ::error::x"},
			progress.Failed,
			order{"error", map[string]string{"file": "a,b::c%0A.go", "line": "3", "title": "web test"}, "50% of it: no, ::error::x"},
		},
		"two lines":          {progress.Event{Text: "one\ntwo"}, progress.Failed, order{"error", map[string]string{"title": "web test"}, "one two"}},
		"of what passed":     {progress.Event{Text: "old"}, progress.Done, order{"warning", map[string]string{"title": "web test"}, "old"}},
		"of a check":         {progress.Event{Text: "CVE"}, progress.Found, order{"error", map[string]string{"title": "web test"}, "CVE"}},
		"of what was halted": {progress.Event{Text: "late"}, progress.Stopped, order{"warning", map[string]string{"title": "web test"}, "late"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := orders(render(t, report.Options{GitHub: true}, func(s progress.Sink) {
				c.event.Project, c.event.Step, c.event.Kind = "web", progress.Test, progress.Problem
				s.Event(c.event)
				s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: c.ended, Text: "ended"})
			}))
			if len(got) == 0 {
				t.Fatal("nothing was said to the runner")
			}
			if diff := cmp.Diff(c.want, got[0], cmp.AllowUnexported(order{})); diff != "" {
				t.Errorf("the runner reads (-want +got):\n%s", diff)
			}
		})
	}
}

// TestManyProblems: a task that has problems without an end has no more of the memory, and the log says so.
func TestManyProblems(t *testing.T) {
	t.Parallel()
	var c report.Collector
	got := render(t, report.Options{GitHub: true}, func(s progress.Sink) {
		for range 1200 {
			progress.Sinks{s, &c}.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Problem, Text: "x"})
		}
		s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Failed})
	})
	if n := len(orders(got)); n != 51 || !strings.Contains(got, "web test: and 1150 more problems\n") {
		t.Errorf("%d annotations, want 50 for problems and one for the failure, in a log that ends %q", n, got[len(got)-200:])
	}
	var s report.Summary
	c.Fill(&s)
	if n := len(s.Projects[0].Problems); n != 1000 {
		t.Errorf("the summary has %d problems, want 1000", n)
	}
}

// TestProgramsGiveNoOrders has a test that prints what GitHub's runner and others obey.
func TestProgramsGiveNoOrders(t *testing.T) {
	t.Parallel()
	lines := []string{
		"::set-output name=x::y", "::add-mask::a", "  ::error::x", "\t::stop-commands::token", "\u00a0::endgroup::", "\u200b::endgroup::",
		"\x1b[0m::add-path::/evil", ":\x1b[0m:debug::x", ":\u200b:debug::x", "text ##[add-path]/evil", "###[group]x", "##vso[task.setvariable variable=x]y", "##\x1b[1m[error]x",
		"##teamcity[x]", "a\r::error::x", "\ufeff::notice::x", "::\x00error::x", "section_start:1:x\r\x1b[0K",
	}
	for name, o := range map[string]report.Options{"plain": {}, "github": {GitHub: true}, "gitlab": {GitLab: true}, "stream": {Stream: true}, "github stream": {GitHub: true, Stream: true}} {
		got := render(t, o, func(s progress.Sink) {
			for _, p := range []string{"web", ""} {
				for _, l := range lines {
					s.Event(progress.Event{Project: p, Step: progress.Test, Kind: progress.Output, Text: l})
					s.Event(progress.Event{Kind: progress.Output, Text: l})
				}
				s.Event(progress.Event{Project: p, Step: progress.Test, Kind: progress.Failed})
			}
		})
		for _, o := range orders(got) {
			if !slices.Contains([]string{"group", "endgroup", "error"}, o.name) || o.data != "" && !strings.Contains(o.data, "failed") {
				t.Errorf("%s: the CI system obeys %+v", name, o)
			}
		}
		if n := strings.Count(got, "add-mask"); n != 4 {
			t.Errorf("%s: shows a line %d times, want 4: people are to see what was printed", name, n)
		}
	}
}

func TestGitLab(t *testing.T) {
	t.Parallel()
	got := render(t, report.Options{GitLab: true}, story)
	want := fmt.Sprintf("\x1b[0Ksection_start:%[1]d:berth_1[collapsed=true]\r\x1b[0Kapi test failed in 4.0s: exit status 1\n"+
		"  | --- FAIL: TestAdd\n  |         add_test.go:7: 3, want 4\n\x1b[0Ksection_end:%[1]d:berth_1\r\x1b[0K\n", noon.Unix()+4)
	if !strings.Contains(got, want) {
		t.Errorf("printed %q, without %q", got, want)
	}
	if n := strings.Count(got, "section_"); n != 2 {
		t.Errorf("%d marks of sections, want 2", n)
	}
}
