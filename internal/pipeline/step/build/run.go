package build

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// grace is how long a program has to end by itself when it is told to.
const grace = 10 * time.Second

// command is a program in a process group of its own, all of which ends with ctx.
func (c Config) command(ctx context.Context, env []string, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	own := c.Env
	if own == nil {
		own = cmd.Environ()
	}
	cmd.Env = append(slices.Clip(own), env...)
	group(cmd)
	cmd.WaitDelay = grace
	return cmd
}

// ask runs a program for what it prints.
func (c Config) ask(ctx context.Context, env []string, name string, args ...string) (string, error) {
	cmd := c.command(ctx, env, name, args...)
	var out, complaints bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaints
	if err := run(cmd); err != nil {
		if ctx.Err() != nil {
			return "", context.Cause(ctx)
		}
		line := lastLine(complaints.String())
		if line == "" {
			line = err.Error()
		}
		return "", errors.New(name + ": " + line)
	}
	return strings.TrimSpace(out.String()), nil
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	return strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
}

// reading passes on what a builder prints, and remembers what says where it failed.
type reading struct {
	out io.Writer

	mu      sync.Mutex
	pending []byte
	line    int    // of the Dockerfile, as BuildKit says it
	step    [2]int // stage, from 1, and instruction in it; of plain docker over all stages, as stage 0
	failure string
	last    string
}

// Write takes some of it.
func (r *reading) Write(text []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = append(r.pending, text...)
	for {
		i := bytes.IndexByte(r.pending, '\n')
		if i < 0 {
			break
		}
		r.look(string(bytes.TrimSuffix(r.pending[:i], []byte("\r"))))
		r.pending = r.pending[i+1:]
	}
	if len(r.pending) > 64<<10 { // no line that says anything here
		r.pending = r.pending[:0]
	}
	return r.out.Write(text) //nolint:wrapcheck // the caller's own
}

var (
	lineWord     = regexp.MustCompile(`\bline (\d+)\b`)
	placeLine    = regexp.MustCompile(`^(?:\S*/)?Dockerfile:(\d+)$`)
	dockerStep   = regexp.MustCompile(`^Step (\d+)/\d+ : `)
	buildahStep  = regexp.MustCompile(`^(?:\[(\d+)/\d+\] )?STEP (\d+)/\d+: `)
	failureLine  = regexp.MustCompile(`^(?i:error)(?: response from daemon)?: (.*)|^(The command '.*' returned a non-zero code: \d+)|^(error building at STEP .*)`)
	parseFailure = regexp.MustCompile(`parse error (?:on )?line (\d+)`)
)

func (r *reading) look(line string) {
	if m := placeLine.FindStringSubmatch(line); m != nil {
		r.line = number(m[1])
	}
	if m := dockerStep.FindStringSubmatch(line); m != nil {
		r.step = [2]int{0, number(m[1])}
	}
	if m := buildahStep.FindStringSubmatch(line); m != nil {
		r.step = [2]int{max(number(m[1]), 1), number(m[2])}
	}
	if m := failureLine.FindStringSubmatch(line); m != nil {
		r.failure = m[1] + m[2] + m[3]
	}
	if m := parseFailure.FindStringSubmatch(line); m != nil {
		r.line = number(m[1])
	}
	if strings.TrimSpace(line) != "" {
		r.last = strings.TrimSpace(line)
	}
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		return 0
	}
	return n
}

// build runs the builder.
func (c Config) build(ctx context.Context, j *job, input io.Reader, env []string, name string, args ...string) error {
	cmd := c.command(ctx, env, name, args...)
	cmd.Dir = j.dir
	r := &reading{out: j.out}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = input, r, r
	err := run(cmd)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return fmt.Errorf("%s: %w", name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.look(string(r.pending))
	failed := &Error{Builder: j.builder, Path: j.Dockerfile, Line: r.line, Text: r.failure}
	if failed.Text == "" {
		failed.Text = r.last
	}
	if failed.Text == "" {
		failed.Text = err.Error()
	}
	if failed.Line == 0 {
		failed.Line = j.lineOf(r.step)
	}
	return failed
}

// lineOf is where an instruction is. Plain docker counts ARGs before the first FROM too, and all stages in one.
func (j *job) lineOf(step [2]int) int {
	stage, n := step[0], step[1]
	if n == 0 {
		return 0
	}
	var steps []int
	for _, s := range j.recipe.Globals {
		if stage == 0 {
			steps = append(steps, s.Line)
		}
	}
	for i, instructions := range j.recipe.Steps {
		for _, s := range instructions {
			if stage == 0 || stage == i+1 {
				steps = append(steps, s.Line)
			}
		}
	}
	if n > len(steps) {
		return 0
	}
	return steps[n-1]
}
