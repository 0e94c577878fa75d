package report_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

var noon = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// story is a run as steps tell it: web's tests pass and print something, api's fail, tool is skipped.
func story(sink progress.Sink) {
	say := func(seconds float64, project string, step progress.Step, e progress.Event) {
		e.Time = noon.Add(time.Duration(seconds * float64(time.Second)))
		e.Project, e.Step = project, step
		sink.Event(e)
	}
	say(0, "", "", progress.Event{Kind: progress.Note, Text: "no scanner: images are not scanned"})
	say(0, "web", progress.Test, progress.Event{Kind: progress.Started, Text: "npm test"})
	say(0, "api", progress.Test, progress.Event{Kind: progress.Started, Text: "go test ./..."})
	say(1, "web", progress.Test, progress.Event{Kind: progress.Output, Text: "\x1b[32mok\x1b[0m 12 tests"})
	say(1, "api", progress.Test, progress.Event{Kind: progress.Output, Text: "--- FAIL: TestAdd"})
	say(2, "web", progress.Test, progress.Event{Kind: progress.Output, Text: "done"})
	say(2, "api", progress.Test, progress.Event{Kind: progress.Output, Text: "\tadd_test.go:7: 3, want 4"})
	say(3, "web", progress.Test, progress.Event{Kind: progress.Done, Took: 3 * time.Second})
	say(3, "web", progress.Push, progress.Event{Kind: progress.Started})
	say(4, "api", progress.Test, progress.Event{Kind: progress.Problem, Text: "3, want 4", Path: "apps/api/add_test.go", Line: 7})
	say(4, "api", progress.Test, progress.Event{Kind: progress.Failed, Took: 4 * time.Second, Text: "exit status 1"})
	say(4, "tool", progress.Test, progress.Event{Kind: progress.Skipped, Text: "needs api, whose tests failed"})
	say(40, "web", progress.Push, progress.Event{Kind: progress.Bytes, Done: 45_200_000, Total: 100_000_000})
	say(41, "web", progress.Push, progress.Event{Kind: progress.Note, Text: "2 layers were there"})
	say(75, "web", progress.Push, progress.Event{Kind: progress.Done, Took: 72 * time.Second, Text: "100.0 MB"})
}

func render(t *testing.T, o report.Options, tell func(progress.Sink)) string {
	t.Helper()
	var b strings.Builder
	o.Out = &b
	r := report.For(o)
	tell(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if diff := cmp.Diff(strings.Split(strings.TrimPrefix(want, "\n"), "\n"), strings.Split(got, "\n")); diff != "" {
		t.Errorf("printed (-want +got):\n%s", diff)
	}
}

func TestPlain(t *testing.T) {
	t.Parallel()
	want(t, render(t, report.Options{}, story), `
note: no scanner: images are not scanned
web      test    started npm test
api      test    started go test ./...
web      test    done    3.0s
web      push    started
api      test    problem apps/api/add_test.go:7: 3, want 4
api test printed:
  | --- FAIL: TestAdd
  |         add_test.go:7: 3, want 4
api      test    failed  4.0s   exit status 1
tool     test    skipped needs api, whose tests failed
web      push    at      45.2 MB of 100.0 MB, 45%
web      push    note    2 layers were there
web      push    done    1m12s  100.0 MB
`)
}

func TestPlainShowsAll(t *testing.T) {
	t.Parallel()
	got := render(t, report.Options{Show: report.ShowAll}, story)
	if want := "web test printed:\n  | ok 12 tests\n  | done\nweb      test    done    3.0s\n"; !strings.Contains(got, want) {
		t.Errorf("printed\n%s\nwithout\n%s", got, want)
	}
}

func TestPlainStreams(t *testing.T) {
	t.Parallel()
	got := render(t, report.Options{Stream: true}, story)
	if want := "web test | ok 12 tests\napi test | --- FAIL: TestAdd\nweb test | done\napi test |         add_test.go:7: 3, want 4\n"; !strings.Contains(got, want) {
		t.Errorf("printed\n%s\nwithout\n%s", got, want)
	}
	if n := strings.Count(got, "--- FAIL"); n != 1 {
		t.Errorf("printed a line %d times, want once:\n%s", n, got)
	}
}

// TestLinesAreClean: what is shown of a line is what can be read of it.
func TestLinesAreClean(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain ~":                                "plain ~",
		"größer 日本語 🚀":                           "größer 日本語 🚀",
		"e\u0301 👩\u200d💻":                       "e\u0301 👩💻",
		"\ta\tb":                                 "        a       b",
		"日本\tb":                                  "日本    b",
		"\x1b[1;31mred\x1b[0m":                   "red",
		"\x1b]8;;http://x\x1b\\link\x1b]8;;\x07": "link",
		"\x1b]0;never ended":                     "0;never ended",
		"\x1b(B\x1b=\x1b7x":                      "x",
		"a\x00b\x7fc\u0085d\u009be":              "a\uFFFDb\uFFFDc d\uFFFDe",
		"bytes \xff\xfe.":                        "bytes \uFFFD.",
		"over\u202egnp.exe":                      "overgnp.exe",
		"a\nb\u2028c":                            "a b c",
		":: x":                                   ": : x",
		"a :: x":                                 "a :: x",
		"# [x] ## [y]":                           "# [x] ## [y]",
	} {
		got := render(t, report.Options{GitHub: true}, func(s progress.Sink) {
			s.Event(progress.Event{Kind: progress.Output, Text: text})
		})
		if got != want+"\n" {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// TestNumbers: durations and sizes are as people say them.
func TestNumbers(t *testing.T) {
	t.Parallel()
	for took, want := range map[time.Duration]string{
		time.Microsecond: "0.0s", 9949 * time.Millisecond: "9.9s", 9950 * time.Millisecond: "10s", 59_499 * time.Millisecond: "59s", 59_500 * time.Millisecond: "1m00s",
		62 * time.Second: "1m02s", time.Hour - time.Second: "59m59s", time.Hour - time.Millisecond: "1h00m", 26*time.Hour + 5*time.Minute + 59*time.Second: "26h05m",
	} {
		got := render(t, report.Options{}, func(s progress.Sink) {
			s.Event(progress.Event{Project: "x", Kind: progress.Done, Took: took})
		})
		if fields := strings.Fields(got); fields[len(fields)-1] != want {
			t.Errorf("%v is %q, want %s", took, got, want)
		}
	}
	for bytes, want := range map[int64]string{
		-1: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 45_200_000: "45.2 MB", 7_000_000_000: "7.0 GB", 1<<63 - 1: "9.2 EB",
	} {
		got := render(t, report.Options{}, func(s progress.Sink) {
			s.Event(progress.Event{Time: noon, Project: "x", Kind: progress.Started})
			s.Event(progress.Event{Time: noon.Add(time.Minute), Project: "x", Kind: progress.Bytes, Done: bytes})
		})
		if !strings.Contains(got, "at      "+want+"\n") {
			t.Errorf("%d bytes are %q, want %s", bytes, got, want)
		}
	}
}

// TestCloseEndsTasks: what nobody ended is said, and a program's output is not, since the run was stopped.
func TestCloseEndsTasks(t *testing.T) {
	t.Parallel()
	got := render(t, report.Options{}, func(s progress.Sink) {
		s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Started})
		s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Output, Text: "hello"})
		s.Event(progress.Event{Project: "api", Step: progress.Test, Kind: progress.Output, Text: "from nowhere"})
	})
	want(t, got, `
web      test    started
web      test    stopped not finished
`)
}

// TestLargeOutput: more than is kept in memory comes out whole and in order, and leaves no file behind.
func TestLargeOutput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	t.Setenv("TMP", dir)
	const lines = 30_000
	var b strings.Builder
	r := report.For(report.Options{Out: &b})
	task := progress.Task{Project: "web", Step: progress.Test, Sink: r, Now: func() time.Time { return noon }}
	task.Begin("")
	for i := range lines {
		task.Say(progress.Event{Kind: progress.Output, Text: fmt.Sprintf("line %0100d", i)})
	}
	task.End(progress.Failed, "exit status 1")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	n := 0
	for line := range strings.Lines(b.String()) {
		if text, ok := strings.CutPrefix(line, "  | "); ok {
			if want := fmt.Sprintf("line %0100d\n", n); text != want {
				t.Fatalf("line %d is %q, want %q", n, text, want)
			}
			n++
		}
	}
	if n != lines {
		t.Errorf("printed %d lines, want %d", n, lines)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("left %q behind, %v", left, err)
	}
}

// TestNoRoomForOutput: lines that cannot be kept are counted, and those before are printed.
func TestNoRoomForOutput(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("TMPDIR", missing)
	t.Setenv("TMP", missing)
	if os.TempDir() != missing {
		t.Skip("this system has another directory for temporary files")
	}
	got := render(t, report.Options{}, func(s progress.Sink) {
		for range 3 {
			s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Output, Text: strings.Repeat("x", 600<<10)})
		}
		s.Event(progress.Event{Project: "web", Step: progress.Test, Kind: progress.Failed})
	})
	if n := strings.Count(got, "  | x"); n != 2 || !strings.Contains(got, "(1 line could not be kept: ") {
		t.Errorf("printed %d lines of output, want 2 and a count of the third: %.200q", n, got[len(got)-200:])
	}
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

// TestCloseGivesTheError: a log that nobody takes stops no step, and is known in the end.
func TestCloseGivesTheError(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]report.Options{
		"plain": {}, "github": {GitHub: true}, "live": {Terminal: true, Now: func() time.Time { return noon }},
	} {
		o.Out = broken{}
		r := report.For(o)
		story(r)
		if err := r.Close(); err == nil || err.Error() != "broken pipe" {
			t.Errorf("%s: closed with %v, want the error of the write", name, err)
		}
	}
}

// TestManyAtOnce tells each reporter the same by many goroutines: the output of each task comes in one piece.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	const projects, lines = 30, 50
	for name, o := range map[string]report.Options{
		"plain": {}, "github": {GitHub: true}, "gitlab": {GitLab: true}, "live": {Terminal: true, Now: time.Now}, "stream": {Terminal: true, Stream: true, Now: time.Now},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var collector report.Collector
			got := render(t, o, func(s progress.Sink) {
				var wg sync.WaitGroup
				for i := range projects {
					wg.Go(func() {
						task := progress.Task{Project: fmt.Sprintf("p%02d", i), Step: progress.Test, Sink: progress.Sinks{s, &collector}, Now: time.Now}
						task.Begin("")
						for j := range lines {
							task.Say(progress.Event{Kind: progress.Output, Text: fmt.Sprintf("p%02d says %d", i, j)})
							task.Bytes(int64(j), lines)
						}
						task.Note("note")
						task.End(progress.Failed, "exit status 1")
					})
				}
				wg.Wait()
			})
			var all report.Summary
			collector.Fill(&all)
			if len(all.Projects) != projects || all.Outcome != report.Failed {
				t.Errorf("collected %d projects, outcome %s", len(all.Projects), all.Outcome)
			}
			for i := range projects {
				first := strings.Index(got, fmt.Sprintf("p%02d says 0\n", i))
				last := strings.Index(got, fmt.Sprintf("p%02d says %d\n", i, lines-1))
				if first < 0 || last < first {
					t.Fatalf("p%02d's output is not whole", i)
				}
				if n := strings.Count(got[first:last], "\n"); !o.Stream && n != lines-1 {
					t.Errorf("p%02d's output has %d lines between its first and last, want %d: others' are among them", i, n, lines-1)
				}
			}
		})
	}
}
