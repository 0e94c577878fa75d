package report_test

import (
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/report"
)

// stage is a terminal with a reporter, in a bubble of synctest: its clock is the test's.
type stage struct {
	*screen
	t *testing.T
	r report.Reporter
}

func live(t *testing.T, wide, high int, o report.Options, play func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &stage{screen: newScreen(wide, high), t: t}
		o.Out, o.Now, o.Size, o.Terminal, o.Term = s.screen, time.Now, s.size, true, "xterm-256color"
		s.r = report.For(o)
		play(s)
		s.close()
		if len(s.unknown) > 0 {
			t.Errorf("the terminal got %q, which are not ours", s.unknown)
		}
	})
}

func (s *stage) task(project string, step progress.Step) *progress.Task {
	return &progress.Task{Project: project, Step: step, Sink: s.r, Now: time.Now}
}

func (s *stage) wait(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (s *stage) close() {
	s.t.Helper()
	if err := s.r.Close(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) see(text string) {
	s.t.Helper()
	want(s.t, s.all(), text)
}

func output(task *progress.Task, text string) {
	task.Say(progress.Event{Kind: progress.Output, Text: text})
}

func TestLive(t *testing.T) {
	t.Parallel()
	live(t, 72, 12, report.Options{}, func(s *stage) {
		web, api := s.task("web", progress.Test), s.task("api", progress.Test)
		output(s.task("late", progress.Test), "of a task that does not run")
		web.Begin("npm test")
		api.Begin("go test ./...")
		s.wait(2 * time.Second)
		output(api, "\x1b[31m--- FAIL: TestAdd\x1b[0m")
		output(api, "")
		s.wait(time.Second)
		s.see(`
  web      test    3s     «npm test»
  api      test    3s     «--- FAIL: TestAdd»
`)
		web.End(progress.Done, "12 passed")
		push := s.task("web", progress.Push)
		push.Begin("")
		push.Bytes(0, 100_000_000)
		s.wait(time.Second)
		push.Bytes(45_200_000, 100_000_000)
		s.wait(time.Second)
		s.see(`
✓ web      test    done    3.0s   12 passed
  api      test    5s     «--- FAIL: TestAdd»
  web      push    2s     45.2 MB of 100.0 MB, 45%, 22.6 MB/s
`)
		api.Note("cache is cold")
		api.Say(progress.Event{Kind: progress.Problem, Text: "3, want 4", Path: "apps/api/add_test.go", Line: 7})
		api.End(progress.Failed, "exit status 1")
		s.task("tool", progress.Test).End(progress.Skipped, "needs api, whose tests failed")
		push.End(progress.Done, "100.0 MB")
		s.close()
		s.see(`
✓ web      test    done    3.0s   12 passed
· api      test    note    cache is cold
! api      test    problem apps/api/add_test.go:7: 3, want 4
api test printed:
  | --- FAIL: TestAdd
  | 
✗ api      test    failed  5.0s   exit status 1
«-» tool     test    skipped needs api, whose tests failed
✓ web      push    done    2.0s   100.0 MB
`)
	})
}

// TestLiveIsCalm: a terminal is written to when there is something new, and at most ten times a second.
func TestLiveIsCalm(t *testing.T) {
	t.Parallel()
	live(t, 80, 24, report.Options{}, func(s *stage) {
		s.wait(10 * time.Second)
		if s.writes != 0 {
			t.Errorf("wrote %d times with nothing to say", s.writes)
		}
		task := s.task("web", progress.Push)
		task.Begin("")
		for i := range 10_000 { // 10 s
			task.Bytes(int64(i)*100_000, 0)
			s.wait(time.Millisecond)
		}
		if s.writes < 50 || s.writes > 101 {
			t.Errorf("wrote %d times in ten seconds of news, want at most ten a second", s.writes)
		}
		s.writes = 0
		task.Bytes(1_000_000_000, 1_000_000_000)
		s.wait(100 * time.Second)
		if s.writes > 210 { // the seconds and the rate
			t.Errorf("wrote %d times in a hundred seconds without news, want one for each number that changes", s.writes)
		}
	})
}

// TestLiveIsCut: lines have room, also of wide characters, and so have tasks.
func TestLiveIsCut(t *testing.T) {
	t.Parallel()
	live(t, 40, 4, report.Options{}, func(s *stage) {
		tasks := []*progress.Task{s.task("web", progress.Test), s.task("a-project-with-a-long-name-indeed-yes", progress.Build), s.task("日本語", progress.Test), s.task("x", progress.Test), s.task("y", progress.Test)}
		for _, task := range tasks[:3] {
			task.Begin("")
			output(task, "一二三四五六七八九十一二三四五六七八九十")
		}
		s.wait(time.Second)
		s.see(`
  web           test    1s     «一二三…»
  a-project-wi… build   1s     «一二三…»
  日本語        test    1s     «一二三…»
`)
		tasks[1].End(progress.Stopped, "")
		for _, task := range tasks[3:] {
			task.Begin("")
		}
		s.wait(time.Second)
		s.see(`
«-» a-project-with-a-long-name-indeed-yes 
build   stopped 1.0s
  web           test    2s     «一二三…»
  日本語        test    2s     «一二三…»
«  and 2 more»
`)
		s.resize(40, 2)
		s.wait(time.Second)
		if got := s.all(); !strings.HasSuffix(got, "\n«  4 running»\n") {
			t.Errorf("a terminal of two lines shows\n%s", got)
		}
		for _, task := range []*progress.Task{tasks[0], tasks[2], tasks[3], tasks[4]} {
			task.End(progress.Done, "")
		}
	})
}

// TestLiveIsResized: what was drawn on a wide terminal takes more lines on a narrow one, and none of it stays.
func TestLiveIsResized(t *testing.T) {
	t.Parallel()
	live(t, 60, 20, report.Options{NoColor: true}, func(s *stage) {
		web, api := s.task("web", progress.Test), s.task("api", progress.Test)
		web.Begin("npm test")
		api.Begin("")
		output(web, strings.Repeat("x", 100))
		output(api, strings.Repeat("y", 10))
		s.wait(time.Second)
		s.see(`
  web      test    1s     xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx…
  api      test    1s     yyyyyyyyyy
`)
		s.resize(32, 20)
		s.wait(time.Second)
		s.see(`
  web      test    2s     xxxx…
  api      test    2s     yyyy…
`)
		s.resize(70, 20)
		web.End(progress.Done, "")
		api.End(progress.Done, "")
		s.close()
		s.see(`
✓ web      test    done    2.0s
✓ api      test    done    2.0s
`)
	})
}

// TestLiveRate: how fast bytes go is of the last seconds, not of all since the begin.
func TestLiveRate(t *testing.T) {
	t.Parallel()
	live(t, 80, 20, report.Options{NoColor: true}, func(s *stage) {
		push := s.task("web", progress.Push)
		push.Begin("")
		done := int64(0)
		for i := range 60 {
			if done += 1_000_000; i >= 40 {
				done += 9_000_000
			}
			push.Bytes(done, 0)
			s.wait(500 * time.Millisecond)
		}
		s.see(`
  web      push    30s    240.0 MB, 18.0 MB/s
`)
		s.wait(5 * time.Second)
		s.see(`
  web      push    35s    240.0 MB, 9.0 MB/s
`)
	})
}

// TestLiveStreams lets every line scroll, with its project's name.
func TestLiveStreams(t *testing.T) {
	t.Parallel()
	live(t, 60, 20, report.Options{NoColor: true, Stream: true}, func(s *stage) {
		web := s.task("web", progress.Test)
		web.Begin("npm test")
		output(web, "one\x07\x1b]0;title\x07\x1b[2J\x1b[H\x9b2J")
		output(web, "two")
		s.wait(time.Second)
		web.End(progress.Failed, "")
		s.close()
		s.see(`
web test | one` + "\uFFFD\uFFFD" + `2J
web test | two
✗ web      test    failed  1.0s
`)
	})
}

// TestDumbTerminal: what cannot move its cursor gets a log, and one without colours none.
func TestDumbTerminal(t *testing.T) {
	t.Parallel()
	dumb := render(t, report.Options{Terminal: true, Term: "dumb", Now: time.Now}, story)
	if plain := render(t, report.Options{}, story); dumb != plain {
		t.Errorf("TERM=dumb gets\n%s\nwant\n%s", dumb, plain)
	}
	for noColor, want := range map[bool]bool{true: false, false: true} {
		got := render(t, report.Options{Terminal: true, NoColor: noColor, Now: time.Now}, story)
		if coloured := regexp.MustCompile(`\x1b\[\d+m`).MatchString(got); coloured != want {
			t.Errorf("with NoColor %t it is coloured: %t\n%q", noColor, coloured, got)
		}
	}
}
