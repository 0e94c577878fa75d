// Package program runs the programs that targets need, each in a process group of its own that ends as one.
package program

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/hoopstat-haus/berth/internal/pipeline/plan"
	"github.com/hoopstat-haus/berth/internal/pipeline/process"
)

// Grace is how long a program has to end by itself when it is told to.
const Grace = 10 * time.Second

// Program is one to run.
type Program struct {
	Dir  string
	Env  []string // all of its environment
	Args []string // the program first
	Out  io.Writer
}

// Failed is that a program ended otherwise than with 0.
type Failed struct {
	Name string
	Code int    // -1 if a signal ended it
	Said string // the last line that it printed to its standard error, or to its standard output
}

// Error says it.
func (f *Failed) Error() string {
	text := fmt.Sprintf("%s ended with %d", f.Name, f.Code)
	if f.Said != "" {
		text += ": " + f.Said
	}
	return text
}

// Run runs it to its end, and what it prints goes to Out. When ctx ends the whole group is told to end, and is killed after Grace; the error is then what ended ctx.
func (p Program) Run(ctx context.Context) error {
	return p.run(ctx, nil)
}

// Ask runs it for what it prints to its standard output. What it prints to its standard error goes to Out.
func (p Program) Ask(ctx context.Context) (string, error) {
	var answer bytes.Buffer
	err := p.run(ctx, &answer)
	return strings.TrimSpace(answer.String()), err
}

func (p Program) run(ctx context.Context, answer io.Writer) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	out := p.Out
	if out == nil {
		out = io.Discard
	}
	out = &oneAtATime{w: out} // both streams write to it
	var said, complained tail
	cmd := exec.CommandContext(ctx, p.Args[0], p.Args[1:]...)
	cmd.Dir, cmd.Env = p.Dir, p.Env
	cmd.Stdout, cmd.Stderr = io.MultiWriter(out, &said), io.MultiWriter(out, &complained)
	if answer != nil {
		cmd.Stdout = answer
	}
	cmd.WaitDelay = Grace
	process.Group(cmd)
	err := cmd.Run()
	if errors.Is(err, exec.ErrWaitDelay) && ctx.Err() == nil {
		return nil // it ended well, and has left something running that holds its output
	}
	if cmd.Process != nil && (err != nil || ctx.Err() != nil) {
		process.Kill(cmd.Process) // mostly nobody is left
	}
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return context.Cause(ctx) //nolint:wrapcheck // the caller's own
	}
	failed, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return fmt.Errorf("%s: %w", p.Args[0], err)
	}
	line := complained.last()
	if line == "" {
		line = said.last()
	}
	return &Failed{Name: p.Args[0], Code: failed.ExitCode(), Said: line}
}

// oneAtATime is a writer for several.
type oneAtATime struct {
	mu sync.Mutex
	w  io.Writer
}

// Write writes.
func (o *oneAtATime) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p) //nolint:wrapcheck // the caller's own
}

// tail keeps the end of what is written.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const kept = 4 << 10

// Write takes some of it.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - kept; over > 0 {
		t.text = append([]byte(nil), t.text[over:]...)
	}
	return len(p), nil
}

// last is the last line.
func (t *tail) last() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	text := strings.TrimSpace(strings.ToValidUTF8(string(t.text), "?"))
	line := strings.TrimSpace(text[strings.LastIndexByte(text, '\n')+1:])
	if line == "" {
		return ""
	}
	return plan.Printable(line)
}
