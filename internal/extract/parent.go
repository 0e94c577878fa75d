package extract

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/hoopstat-haus/berth/internal/core/scan/inventory"
)

const (
	maxAnswer = 32 << 20
	maxErrors = 8 << 10 // of standard error, that is looked at
	maxLine   = 200     // of that, as part of a problem
	grace     = 5 * time.Second
)

// child is one process, and what it reads.
type child struct {
	x     *Extractor
	dir   string
	limit time.Duration
	from  *source
	late  atomic.Bool // it was killed at the deadline
	long  atomic.Bool // it was killed since it answered too much
	said  head
}

// read runs the child.
func (c *child) read(ctx context.Context, mediaType string) (inventory.Layer, error) {
	arg, err := json.Marshal(request{mediaType, c.x.config.Limits, c.limit, c.x.config.Memory})
	if err != nil {
		return inventory.Layer{}, fmt.Errorf("asking: %w", err)
	}
	ends := make(chan ending, 1)
	go func() {
		// A child that is to end with its parent ends with the thread of the parent that has started it, so that one has to stay.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		ends <- c.run(ctx, string(arg))
	}()
	return c.judge(ctx, <-ends)
}

// ending is how a child has ended.
type ending struct {
	answer []byte
	state  *os.ProcessState // nil: it did not start
	err    error            // of starting it, or of reading the layer
}

// run starts the child, feeds it, and waits for its end.
func (c *child) run(ctx context.Context, arg string) ending {
	stdin, layer, err := os.Pipe()
	if err != nil {
		return ending{err: fmt.Errorf("a pipe: %w", err)}
	}
	defer layer.Close() //nolint:errcheck // a pipe
	answer, out, err := os.Pipe()
	if err != nil {
		_ = stdin.Close()
		return ending{err: fmt.Errorf("a pipe: %w", err)}
	}
	defer answer.Close() //nolint:errcheck // a pipe
	cmd, err := c.start(arg, stdin, out)
	_ = stdin.Close()
	_ = out.Close()
	if err != nil {
		return ending{err: fmt.Errorf("starting the process: %w", err)}
	}
	alive, gone := context.WithCancel(ctx)
	stop := context.AfterFunc(ctx, func() { kill(cmd.Process) })
	go c.from.watch(alive, c.limit+min(c.limit, grace), func() { c.late.Store(true); kill(cmd.Process) })
	fed, told := make(chan struct{}), make(chan []byte, 1)
	go func() {
		defer close(fed)
		defer layer.Close()                                                   //nolint:errcheck // the end of the layer
		_, _ = io.CopyBuffer(onlyWriter{layer}, c.from, make([]byte, 64<<10)) // the reader's error is c.from's; the child may end before the layer
	}()
	go func() {
		b, _ := io.ReadAll(io.LimitReader(answer, maxAnswer+1))
		if len(b) > maxAnswer {
			c.long.Store(true)
			kill(cmd.Process)
		}
		told <- b
	}()
	end(cmd)
	stop()
	gone()
	if c.x.ended != nil {
		c.x.ended(cmd.ProcessState)
	}
	e := ending{state: cmd.ProcessState}
	// What it has written is still in the pipe. If it does not end with that, somebody else has the other end, and is none of ours.
	stale := time.AfterFunc(grace, func() { answer.SetReadDeadline(time.Unix(1, 0)) }) //nolint:errcheck // a pipe has deadlines
	e.answer = <-told
	stale.Stop()
	select {
	case <-fed:
		e.err = c.from.err
	case <-ctx.Done():
	}
	return e
}

// start starts the process, in namespaces of its own where they may be had.
func (c *child) start(arg string, stdin, out *os.File) (*exec.Cmd, error) {
	for {
		cmd := exec.Command(c.x.config.Executable, append(slices.Clip(c.x.config.Args), arg)...) //nolint:gosec,noctx // our own program, ended below
		cmd.Env = []string{fmt.Sprintf("GOMEMLIMIT=%d", c.x.config.Memory*3/4), "GOMAXPROCS=2", "TMPDIR=" + c.dir}
		cmd.Dir = c.dir
		cmd.Stdin, cmd.Stderr, cmd.ExtraFiles = stdin, &c.said, []*os.File{out}
		cmd.WaitDelay = time.Second
		apart := !c.x.shared.Load() && namespaces
		cmd.SysProcAttr = attributes(apart)
		err := cmd.Start()
		if err == nil || !apart {
			return cmd, err //nolint:wrapcheck // by run
		}
		c.x.shared.Store(true)
	}
}

// judge makes of a child's end what is said of the layer.
func (c *child) judge(ctx context.Context, e ending) (inventory.Layer, error) {
	problem := func(format string, args ...any) (inventory.Layer, error) {
		return inventory.Layer{Problem: fmt.Sprintf(format, args...)}, nil
	}
	switch {
	case e.err != nil:
		return inventory.Layer{}, e.err
	case ctx.Err() != nil:
		return inventory.Layer{}, context.Cause(ctx)
	case c.late.Load() && !e.state.Success():
		return problem("%v, and was killed", tooLong(c.limit))
	case c.long.Load():
		return problem("what was found in it is more than %d MiB", maxAnswer>>20)
	case len(e.answer) == 0 || e.answer[0] != ready:
		return inventory.Layer{}, fmt.Errorf("the process did not start: %v: %s", e.state, c.said.line())
	case !e.state.Success():
		return problem("reading it ended the process that did: %s", how(e.state, c.said.line()))
	case len(e.answer) > 1 && e.answer[1] == hasFailed:
		return inventory.Layer{}, errors.New(printable(string(e.answer[2:])))
	case len(e.answer) > 1 && e.answer[1] == hasLayer:
		l, err := inventory.Decode(e.answer[2:])
		if err != nil {
			return problem("the process that read it gave no answer: %s", printable(err.Error()))
		}
		return l, nil
	}
	return problem("the process that read it gave no answer: %s", c.said.line())
}

// how names the end of a process.
func how(state *os.ProcessState, line string) string {
	switch name := signal(state); {
	case strings.Contains(line, "out of memory") || strings.Contains(line, "cannot allocate memory"):
		return "out of memory"
	case name == "SIGXCPU" || strings.Contains(line, "SIGXCPU"):
		return "more CPU time than a layer of its size may take"
	case name == "SIGXFSZ" || strings.Contains(line, "SIGXFSZ"):
		return "a temporary file larger than any may be"
	case name == "SIGKILL":
		return "killed, maybe for want of memory"
	case name != "":
		return name
	case line != "":
		return line
	}
	return state.String()
}

// head keeps the beginning of what is written, and lets go of the rest.
type head struct {
	mu sync.Mutex
	b  []byte
}

func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.b = append(h.b, p[:min(len(p), maxErrors-len(h.b))]...)
	return len(p), nil
}

// line is the one that says most: the one that a Go program that crashes begins with, or the last.
func (h *head) line() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	last := ""
	for line := range strings.Lines(string(h.b)) {
		line = strings.TrimSpace(line)
		for _, begins := range []string{"panic: ", "fatal error: ", "runtime: out of memory", "SIG"} {
			if strings.HasPrefix(line, begins) {
				return printable(line)
			}
		}
		if line != "" {
			last = line
		}
	}
	return printable(last)
}

// printable makes a short line of a child's text, which may be a stranger's.
func printable(s string) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) > maxLine {
		s = strings.ToValidUTF8(s[:maxLine], "") + "…"
	}
	return s
}

// onlyWriter keeps io.Copy from asking the reader to write by itself: source has to see each read.
type onlyWriter struct{ io.Writer }
