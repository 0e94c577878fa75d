//go:build unix

package tests_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/step/tests"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// notebook is a sink that keeps everything, and does something at a line.
type notebook struct {
	at map[string]func()

	mu     sync.Mutex
	events []progress.Event
}

func (n *notebook) Event(e progress.Event) {
	n.mu.Lock()
	n.events = append(n.events, e)
	n.mu.Unlock()
	if do := n.at[e.Text]; do != nil {
		do()
	}
}

// texts are what was said of a kind.
func (n *notebook) texts(kind progress.Kind) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	var all []string
	for _, e := range n.events {
		if e.Kind == kind {
			all = append(all, e.Text)
		}
	}
	return all
}

// bench is where tests run: a workspace with the project apps/web.
type bench struct {
	tests.Config
	notebook
	project workspace.Member
}

func newBench(t testing.TB, test workspace.Command) *bench {
	t.Helper()
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "apps/web"), 0o755); err != nil {
		t.Fatal(err)
	}
	return &bench{
		Config: tests.Config{
			Root: root, Commit: "0123456789012345678901234567890123456789", Grace: 200 * time.Millisecond,
			Environ: []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root, "LC_ALL=C"},
		},
		project: workspace.Member{Name: "web", Kind: workspace.App, Dir: "apps/web", Test: test},
	}
}

func (b *bench) run(ctx context.Context) (tests.Result, error) {
	task := &progress.Task{Project: "web", Step: progress.Test, Sink: &b.notebook, Now: time.Now}
	return b.Run(ctx, tests.Input{Project: b.project}, task)
}

// fifo makes a named pipe that programs hold open, and gives a function that waits until none does.
func (b *bench) fifo(t *testing.T) (name string, gone func()) {
	t.Helper()
	name = filepath.Join(b.Root, "held")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	read := make(chan error, 1)
	go func() {
		f, err := os.Open(name) // when somebody writes
		if err == nil {
			_, err = io.Copy(io.Discard, f)
			f.Close()
		}
		read <- err
	}()
	return name, func() {
		t.Helper()
		select {
		case err := <-read:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("what the test had started still runs")
		}
	}
}

func line(text string) workspace.Command { return workspace.Command{Shell: text} }

func args(words ...string) workspace.Command { return workspace.Command{Args: words} }

func TestPasses(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test workspace.Command
		want []string
	}{
		"a line":      {line("echo one; echo two >&2; printf three"), []string{"one", "two", "three"}},
		"lines":       {line("echo one\necho two\n"), []string{"one", "two"}},
		"a program":   {args("echo", "$HOME; exit 1", "*"), []string{"$HOME; exit 1 *"}},
		"its own":     {args("./run", "x"), []string{"own x"}},
		"where":       {line(`basename "$PWD"; pwd | sed 's|.*/apps|apps|'`), []string{"web", "apps/web"}},
		"its session": {line(`test ! -e /proc/$$/stat || { set -- $(cat /proc/$$/stat); test "$1" = "$6"; }; echo yes`), []string{"yes"}},
		"no stdin":    {line("cat; echo end"), []string{"end"}},
		"no terminal": {line("(: < /dev/tty) 2> /dev/null || echo none"), []string{"none"}},
		"the run":     {line(`echo "$BERTH_PROJECT $BERTH_COMMIT"; cd "$BERTH_ROOT/apps/web" && echo there`), []string{"web 0123456789012345678901234567890123456789", "there"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.test)
			if err := os.WriteFile(filepath.Join(b.Root, "apps/web/run"), []byte("#!/bin/sh\necho own \"$1\"\n"), 0o755); err != nil {
				t.Fatal(err)
			}
			got, err := b.run(t.Context())
			if err != nil || got.NoTest {
				t.Errorf("Run = %+v, %v", got, err)
			}
			if diff := cmp.Diff(tt.want, b.texts(progress.Output)); diff != "" {
				t.Errorf("printed (-want +got):\n%s", diff)
			}
		})
	}
}

func TestNoTest(t *testing.T) {
	t.Parallel()
	b := newBench(t, workspace.Command{})
	got, err := b.run(t.Context())
	if notes := b.texts(progress.Note); err != nil || !got.NoTest || len(notes) != 1 || !strings.Contains(notes[0], "projects.web.test in berth.yaml") {
		t.Errorf("Run = %+v, %v, and notes %q", got, err, notes)
	}
}

func TestFails(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test workspace.Command
		want tests.Failed
		says string
	}{
		"exit code":      {line("echo a; exit 7"), tests.Failed{ExitCode: 7, Last: []string{"a"}}, "the tests of web failed: echo a; exit 7 ended with exit code 7"},
		"a signal":       {line("kill -SEGV $$"), tests.Failed{ExitCode: -1, Signal: "SIGSEGV"}, "the tests of web failed: kill -SEGV $$ was ended by SIGSEGV"},
		"first of lines": {line("false\necho well\n"), tests.Failed{ExitCode: 1}, `the tests of web failed: "false\necho well\n" ended with exit code 1`},
		"not found":      {line("no-such-program-anywhere 2>/dev/null"), tests.Failed{ExitCode: 127}, "the tests of web failed: no-such-program-anywhere 2>/dev/null ended with exit code 127: a program in it was not found"},
		"many lines": {line(`seq 1 30; echo; printf '\033[31mred\033[0m\a\n'; exit 1`), tests.Failed{
			ExitCode: 1, Last: []string{"22", "23", "24", "25", "26", "27", "28", "29", "30", "red"},
		}, `the tests of web failed: seq 1 30; echo; printf '\033[31mred\033[0m\a\n'; exit 1 ended with exit code 1`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.test)
			_, err := b.run(t.Context())
			got, ok := errors.AsType[*tests.Failed](err)
			if !ok {
				t.Fatalf("Run gives the error %v, want Failed", err)
			}
			tt.want.Project, tt.want.Command = "web", tt.test.String()
			if diff := cmp.Diff(tt.want, *got); diff != "" {
				t.Errorf("failed (-want +got):\n%s", diff)
			}
			if err.Error() != tt.says {
				t.Errorf("says %q, want %q", err, tt.says)
			}
		})
	}
}

func TestNotStarted(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test workspace.Command
		is   error
		says string
	}{
		"not in PATH": {args("no-such-program"), exec.ErrNotFound, "testing web: no-such-program, which berth.yaml names as its test, in the directory apps/web, is not in PATH"},
		"not there":   {args("./missing"), fs.ErrNotExist, "testing web: ./missing, which berth.yaml names as its test, in the directory apps/web, is not in apps/web"},
		"no program":  {args("./text"), fs.ErrPermission, "permission denied"},
		"no format":   {args("./odd"), unix.ENOEXEC, "exec format error"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, tt.test)
			for name, mode := range map[string]fs.FileMode{"text": 0o644, "odd": 0o755} {
				if err := os.WriteFile(filepath.Join(b.Root, "apps/web", name), []byte("\x00\x01"), mode); err != nil {
					t.Fatal(err)
				}
			}
			_, err := b.run(t.Context())
			n, ok := errors.AsType[*tests.NotStarted](err)
			if !ok || n.Dir != "apps/web" || n.Program != tt.test.Args[0] || !errors.Is(err, tt.is) || !strings.HasSuffix(err.Error(), tt.says) {
				t.Errorf("Run gives the error %v (%#v), want one that says %q", err, err, tt.says)
			}
		})
	}
	b := newBench(t, line("true"))
	b.project.Dir = "apps/gone"
	if _, err := b.run(t.Context()); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "apps/gone") {
		t.Errorf("in a directory that is not there: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	t.Parallel()
	b := newBench(t, line(`env | sed 's/=.*//' | grep -vE '^(_|PWD|OLDPWD|SHLVL)$' | sort; exit 1`))
	for _, name := range tests.Withheld() {
		b.Environ = append(b.Environ, strings.ReplaceAll(name, "*", "S3_SECRET_ACCESS_KEY")+"=secret")
	}
	b.Environ = append(b.Environ, "NPM_TOKEN=x", "AWS_REGION=eu-central-1", "aws_session_token=secret")
	b.project.TestEnv = []workspace.EnvName{"AWS_ACCESS_KEY_ID", "NOT_SET"}
	if _, err := b.run(t.Context()); err == nil {
		t.Fatal("it does not fail")
	}
	want := []string{"AWS_ACCESS_KEY_ID", "AWS_REGION", "BERTH_COMMIT", "BERTH_PROJECT", "BERTH_ROOT", "HOME", "LC_ALL", "NPM_TOKEN", "PATH"}
	if diff := cmp.Diff(want, b.texts(progress.Output)); diff != "" {
		t.Errorf("the test has the variables (-want +got):\n%s", diff)
	}
	notes := b.texts(progress.Note)
	if len(notes) != 1 || !strings.Contains(notes[0], "AWS_SECRET_ACCESS_KEY, ") || strings.Contains(notes[0], "AWS_ACCESS_KEY_ID") || !strings.Contains(notes[0], "projects.web.test_env") {
		t.Errorf("notes are %q, want one with what was not given", notes)
	}
}

// TestWithheldIsDocumented holds the page to the list.
func TestWithheldIsDocumented(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../../docs/operate/pipeline.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range tests.Withheld() {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/operate/pipeline.md does not say that tests do not get %s", name)
		}
	}
}

// TestStopped ends runs at a line that the test prints, and wants all that it started to be gone.
func TestStopped(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		test string
		last string
	}{
		"ends":                  {"echo ready; sleep 1000", "ready"},
		"has children":          {"sleep 1000 & (sleep 1000; :) & echo ready; wait", "ready"},
		"cleans up":             {`trap 'echo cleaned; exit 0' TERM; sleep 1000 & echo ready; wait`, "cleaned"},
		"does not mind":         {`trap '' TERM; echo ready; sleep 1000; sleep 1000`, "ready"},
		"a child does not mind": {`(trap '' TERM; sleep 1000; sleep 1000) & echo ready; wait`, "ready"},
		"a silent child":        {`(trap '' TERM; sleep 1000; sleep 1000) > /dev/null 2>&1 & echo ready; wait`, "ready"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, workspace.Command{})
			fifo, gone := b.fifo(t)
			b.project.Test = line("exec 9> " + fifo + "\n" + tt.test)
			ctx, stop := context.WithCancelCause(t.Context())
			defer stop(nil)
			why := errors.New("^C")
			b.at = map[string]func(){"ready": func() { stop(why) }}
			_, err := b.run(ctx)
			if !errors.Is(err, why) {
				t.Errorf("Run gives the error %v, want why it ended", err)
			}
			gone()
			if lines := b.texts(progress.Output); len(lines) == 0 || lines[len(lines)-1] != tt.last {
				t.Errorf("printed %q, want %q at the end", lines, tt.last)
			}
		})
	}
}

func TestStoppedBefore(t *testing.T) {
	t.Parallel()
	b := newBench(t, line("echo began"))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := b.run(ctx); !errors.Is(err, context.Canceled) || len(b.texts(progress.Output)) > 0 {
		t.Errorf("Run gives the error %v after printing %q", err, b.texts(progress.Output))
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]string{
		"sleeps":   "echo ready; sleep 1000",
		"succeeds": "trap 'exit 0' TERM; echo ready; sleep 1000 & wait",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, line(test))
			b.project.TestTimeout = workspace.Timeout(300 * time.Millisecond)
			_, err := b.run(t.Context())
			if f, ok := errors.AsType[*tests.Failed](err); !ok || f.Timeout != 300*time.Millisecond || !strings.Contains(err.Error(), "took longer than test_timeout allows, 300ms") {
				t.Errorf("Run gives the error %v, want one about the time", err)
			}
		})
	}
}

// TestLeftBehind has programs that outlive the one that started them.
func TestLeftBehind(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]string{
		"holds the output": "sleep 1000 & echo end",
		"does not mind":    "(trap '' TERM; echo on; sleep 1000; sleep 1000) & echo end",
		"has no output":    "sleep 1000 > /dev/null 2>&1 & echo end",
		"prints more":      "(while kill -0 $$ 2> /dev/null; do :; done; echo more) & echo end", // when its parent is gone
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, workspace.Command{})
			fifo, gone := b.fifo(t)
			b.project.Test = line("exec 9> " + fifo + "\n" + test)
			if name == "prints more" {
				b.Grace = 0 // and it may take its time
			}
			if _, err := b.run(t.Context()); err != nil {
				t.Errorf("Run gives the error %v", err)
			}
			gone()
			if lines := b.texts(progress.Output); !slices.Contains(lines, "end") || strings.Contains(test, "more") != slices.Contains(lines, "more") {
				t.Errorf("printed %q", lines)
			}
			if notes := b.texts(progress.Note); len(notes) > 0 {
				t.Errorf("notes are %q", notes)
			}
		})
	}
}

// TestTimeoutAfterwards has a test end in time, and what it printed take longer to read.
func TestTimeoutAfterwards(t *testing.T) {
	t.Parallel()
	b := newBench(t, line("echo end"))
	b.project.TestTimeout = workspace.Timeout(3 * time.Second)
	later, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
	defer cancel()
	b.at = map[string]func(){"end": func() { <-later.Done() }}
	if _, err := b.run(t.Context()); err != nil {
		t.Errorf("Run gives the error %v", err)
	}
}

// TestLeftInItsSession has a program that nobody can find any more hold the output.
func TestLeftInItsSession(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("setsid"); err != nil {
		t.Skip("no setsid here")
	}
	b := newBench(t, workspace.Command{})
	name := filepath.Join(b.Root, "until")
	if err := unix.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	until, err := os.OpenFile(name, os.O_RDWR, 0) // with a writer, nobody reads to an end
	if err != nil {
		t.Fatal(err)
	}
	defer until.Close() // which ends the program
	b.project.Test = line("setsid cat " + name + " & echo end")
	if _, err := b.run(t.Context()); err != nil {
		t.Errorf("Run gives the error %v", err)
	}
	if notes := b.texts(progress.Note); len(notes) != 1 || !strings.Contains(notes[0], "still runs") {
		t.Errorf("notes are %q, want that a program still runs", notes)
	}
}
