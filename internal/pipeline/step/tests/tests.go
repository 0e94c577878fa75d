// Package tests runs the tests of a project, and remembers those that passed.
//
// A test is a program of the project's own, in its directory, and in a pull request it is a stranger's: it does not get the secrets
// that the run has in its environment (environment.go), it reads nothing from whoever started the run, and nothing that it started
// outlives it (process.go). It is no sandbox: what the user may read and reach, a test may.
package tests

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/process"
	"github.com/hoopstat-haus/berth/internal/pipeline/progress"
	"github.com/hoopstat-haus/berth/internal/pipeline/workspace"
)

// Config is what testing needs to know of the run.
type Config struct {
	Root    string        // the workspace's directory, absolute
	Commit  string        // that is tested, "" if it is none
	Environ []string      // the caller's environment, as os.Environ gives it
	Grace   time.Duration // how long programs have to end when they are asked to; ten seconds if 0
}

// Input is what is tested.
type Input struct {
	Project workspace.Member
}

// Result is what came of it, where nothing failed.
type Result struct {
	NoTest bool // the project has no test, which was said
}

// Failed is that the tests of a project failed.
type Failed struct {
	Project  string
	Command  string
	ExitCode int           // -1 if it has none
	Signal   string        // that ended it, such as SIGSEGV; "" if none did
	Timeout  time.Duration // that it exceeded, 0 if it did not
	Last     []string      // the last lines that it printed, at most ten, without what moves a cursor
}

// Error says in one line how it ended.
func (f *Failed) Error() string {
	return fmt.Sprintf("the tests of %s failed: %s %s", f.Project, plan.Printable(f.Command), f.how())
}

func (f *Failed) how() string {
	switch {
	case f.Timeout > 0:
		return fmt.Sprintf("took longer than test_timeout allows, %v, and was ended", f.Timeout)
	case f.Signal != "":
		return "was ended by " + f.Signal
	case f.ExitCode == 127: // what shells say
		return "ended with exit code 127: a program in it was not found"
	default:
		return "ended with exit code " + strconv.Itoa(f.ExitCode)
	}
}

// NotStarted is that the program of a test could not be started.
type NotStarted struct {
	Project string
	Program string
	Dir     string // from the root
	Err     error
}

// Error says which program, where, and who named it.
func (n *NotStarted) Error() string {
	program := plan.Printable(n.Program)
	why := "cannot be started: " + n.Err.Error()
	switch {
	case !errors.Is(n.Err, fs.ErrNotExist) && !errors.Is(n.Err, exec.ErrNotFound):
	case strings.ContainsAny(n.Program, `/\`):
		why = "is not in " + plan.Printable(n.Dir)
	default:
		why = "is not in PATH"
	}
	return fmt.Sprintf("testing %s: %s, which %s names as its test, in the directory %s, %s", n.Project, program, workspace.Name, plan.Printable(n.Dir), why)
}

// Unwrap gives the system's error.
func (n *NotStarted) Unwrap() error { return n.Err }

// errTimeout is that a test took too long.
var errTimeout = errors.New("the test took too long")

// Run tests a project. It is a *Failed if the tests fail or take too long, a *NotStarted if there is nothing to run, and what
// ended the context, wrapped, if it ended first.
func (c Config) Run(ctx context.Context, in Input, task *progress.Task) (Result, error) {
	p := in.Project
	if p.Test.IsZero() {
		task.Note("no test is given: projects." + p.Name + ".test in " + workspace.Name + " would name one, or test for its language")
		return Result{NoTest: true}, nil
	}
	dir := filepath.Join(c.Root, filepath.FromSlash(p.Dir))
	if _, err := os.Stat(dir); err != nil {
		return Result{}, fmt.Errorf("testing %s: %w", p.Name, err)
	}
	environ, kept := environment(c.Environ, p.TestEnv)
	environ = append(environ, "PWD="+dir, "BERTH_PROJECT="+p.Name, "BERTH_ROOT="+c.Root, "BERTH_COMMIT="+c.Commit)
	testing := ctx
	if p.TestTimeout > 0 {
		var cancel context.CancelFunc
		testing, cancel = context.WithTimeoutCause(ctx, time.Duration(p.TestTimeout), errTimeout)
		defer cancel()
	}
	cmd, err := command(testing, p.Test, dir, environ)
	if err != nil {
		return Result{}, &NotStarted{p.Name, program(p.Test), p.Dir, err}
	}
	seen := &tap{sink: task.Sink, finder: newFinder(dir, p.Dir)}
	defer seen.finder.close()
	ended, err := c.process(testing, cmd, &progress.Task{Project: task.Project, Step: task.Step, Sink: seen, Now: task.Now})
	switch state := cmd.ProcessState; {
	case ctx.Err() != nil:
		return Result{}, fmt.Errorf("testing %s: %w", p.Name, context.Cause(ctx))
	case errors.Is(ended.cause, errTimeout), errors.Is(context.Cause(testing), errTimeout) && state == nil:
		err = &Failed{Project: p.Name, Command: p.Test.String(), ExitCode: state.ExitCode(), Timeout: time.Duration(p.TestTimeout), Last: seen.last}
	case state == nil:
		return Result{}, &NotStarted{p.Name, program(p.Test), p.Dir, err}
	case !state.Success():
		err = &Failed{Project: p.Name, Command: p.Test.String(), ExitCode: state.ExitCode(), Signal: process.Signal(state), Last: seen.last}
	case err != nil:
		return Result{}, fmt.Errorf("testing %s: %w", p.Name, err)
	}
	if ended.held {
		task.Note("a program that the test started still runs, in a session of its own, and was left alone")
	}
	if err == nil {
		return Result{}, nil
	}
	for _, e := range seen.finder.problems() {
		task.Say(e)
	}
	if len(kept) > 0 {
		task.Note("not given to the test, since they are secret as a rule: " + strings.Join(kept, ", ") + "; projects." + p.Name + ".test_env in " + workspace.Name + " has those that it needs")
	}
	return Result{}, err
}

// shell reads a test's line. What fails in one of several lines fails the test.
const shell = "sh"

// program is what runs a command.
func program(c workspace.Command) string {
	if len(c.Args) > 0 {
		return c.Args[0]
	}
	return shell
}

// command makes a program of a project's test.
func command(ctx context.Context, test workspace.Command, dir string, environ []string) (*exec.Cmd, error) {
	args := test.Args
	if len(args) == 0 {
		args = []string{shell, "-e", "-c", test.Shell}
	}
	path, err := find(args[0], dir, environ)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Args[0] = args[0] // as it was named
	cmd.Dir, cmd.Env = dir, environ
	return cmd, nil
}

// find looks for a program where its environment says, which need not be ours, and of names with a slash in the project's
// directory. As everywhere in Go, a directory of PATH that is not absolute is no place to look in.
func find(name, dir string, environ []string) (string, error) {
	if strings.ContainsAny(name, `/`+string(filepath.Separator)) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return exec.LookPath(name) //nolint:wrapcheck // names the program
	}
	for _, in := range filepath.SplitList(lookup(environ, "PATH")) {
		if !filepath.IsAbs(in) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(in, name)); err == nil {
			return path, nil
		}
	}
	return "", &exec.Error{Name: name, Err: exec.ErrNotFound}
}

// keptLines is how many of the last lines an error has.
const keptLines = 10

// tap is a sink that looks at what passes through.
type tap struct {
	sink   progress.Sink
	finder *finder
	last   []string
}

// Event hands it on. Lines come one after the other, from the one writer that has this sink.
func (t *tap) Event(e progress.Event) {
	t.sink.Event(e)
	if e.Kind != progress.Output {
		return
	}
	line := clean(e.Text)
	t.finder.line(line)
	if strings.TrimSpace(line) == "" {
		return
	}
	if len(t.last) == keptLines {
		t.last = slices.Delete(t.last, 0, 1)
	}
	t.last = append(t.last, line)
}
