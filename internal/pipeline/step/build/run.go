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

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/process"
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
	process.Group(cmd)
	cmd.WaitDelay = grace
	return cmd
}

// run runs a program. If it was told to end, what is left of its group afterwards is killed.
func run(cmd *exec.Cmd) error {
	err := cmd.Run()
	if err != nil && cmd.Process != nil {
		process.Kill(cmd.Process) // mostly nobody is left
	}
	return err //nolint:wrapcheck // the caller looks at it
}

// ask runs a program for what it prints.
func (c Config) ask(ctx context.Context, name string, args ...string) (string, error) {
	cmd := c.command(ctx, nil, name, args...)
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
	vertex  string // what BuildKit was at
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
	vertexLine   = regexp.MustCompile(`^ > (\[.*):$`)
	vertexStep   = regexp.MustCompile(`^\[(?:(\S+) )?(\d+)/\d+\] `)
	vertexBase   = regexp.MustCompile(`^\[(?:\S+ )?internal\] load metadata for (\S+)$`)
	parseFailure = regexp.MustCompile(`parse error (?:on )?line (\d+)`)
)

func (r *reading) look(line string) {
	if m := placeLine.FindStringSubmatch(line); m != nil {
		r.line = number(m[1])
	}
	if m := vertexLine.FindStringSubmatch(line); m != nil {
		r.vertex = m[1]
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
	for _, text := range []string{r.last, err.Error()} {
		if failed.Text == "" {
			failed.Text = text
		}
	}
	failed.Text = plan.Printable(failed.Text)
	for _, line := range []int{j.lineOf(r.step), j.lineOfVertex(r.vertex), j.broken} {
		if failed.Line == 0 {
			failed.Line = line
		}
	}
	return failed
}

// lineOf is where an instruction is. Plain docker counts ARGs before the first FROM too, and all stages in one.
func (j *job) lineOf(step [2]int) int {
	stage, n := step[0], step[1]
	var steps []plan.Step
	if stage == 0 {
		steps = append(steps, j.recipe.Globals...)
	}
	for i, s := range j.recipe.Stages {
		if stage == 0 || stage == i+1 {
			steps = append(steps, s.Steps...)
		}
	}
	if n < 1 || n > len(steps) {
		return 0
	}
	return steps[n-1].Line
}

// lineOfVertex is where that is which BuildKit was at, for those that do not say it: of a stage by name or number, if there is more than
// one, the how manieth instruction that makes a layer. FROM is one if it names an image.
func (j *job) lineOfVertex(vertex string) int {
	base, step := vertexBase.FindStringSubmatch(vertex), vertexStep.FindStringSubmatch(vertex)
	for i, stage := range j.recipe.Stages {
		if base != nil && stage.From != "" && (base[1] == stage.From || strings.HasSuffix(base[1], "/"+stage.From)) {
			return stage.Steps[0].Line
		}
		if step == nil || step[1] != "" && step[1] != stage.Name && step[1] != fmt.Sprintf("stage-%d", i) {
			continue
		}
		n := number(step[2])
		for _, s := range stage.Steps {
			if s.Text == "FROM" && stage.From != "" || slices.Contains([]string{"RUN", "COPY", "ADD", "WORKDIR"}, s.Text) {
				n--
			}
			if n == 0 {
				return s.Line
			}
		}
	}
	return 0
}
